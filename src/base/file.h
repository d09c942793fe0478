// Files: memory-mapped reading, whole reading with a limit, and writing that never leaves half a file under its name.
#pragma once
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/mapping_guard.h"

namespace octavo {

using ByteSpan = std::span<const std::byte>;

// A regular file mapped read-only. Refuses directories, FIFOs, devices (kInvalid) and missing files (kNotFound).
// The mapping lives as long as the last copy of the shared_ptr. Threads may read it together. A file that shrinks meanwhile
// raises SIGBUS where it is read (base/mapping_guard.h); other changes are found by check_unchanged.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ByteSpan bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  // Tells the kernel that this part is not needed soon (its pages may be dropped; the content stays readable).
  void release(size_t offset, size_t bytes) const;
  // Throws kIo if the mapped file has been written to since open(). A file that was replaced by another under the same
  // name is not a change: the mapping keeps the replaced one.
  void check_unchanged() const;

 private:
  struct Identity {
    uint64_t device = 0, inode = 0, bytes = 0;
    int64_t seconds = 0, nanoseconds = 0;  // of the last change of the content
    bool operator==(const Identity&) const = default;
  };
  static Identity identity_of(const struct ::stat& info);
  MappedFile() = default;
  std::filesystem::path path_;
  Identity identity_;
  std::unique_ptr<MappingGuard> guard_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Reads a whole regular file of at most max_bytes; larger, missing or special files throw.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

// Writes `path` through a temporary name in the same folder: write, fsync, rename, fsync of the folder on commit().
// Destroyed without commit, it removes the temporary. Errors throw kIo with the path and errno's text.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  uint64_t written() const { return written_; }
  void commit();

 private:
  void flush();
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  uint64_t written_ = 0;
  std::string buffer_;
};

// FileWriter for a text in one call.
void write_file(const std::filesystem::path& path, std::string_view text);

// fsync of a folder, so that renames in it survive a power loss.
void sync_folder(const std::filesystem::path& folder);

// "NFS", "SMB", ... if `path` (or its nearest existing parent) lies on a file system of another machine, whose locks may
// not hold between machines; else "".
std::string network_file_system(const std::filesystem::path& path);
// The name for statfs's f_type, "" for a local one.
std::string_view network_file_system_name(uint64_t type);

// Free bytes on the file system that holds `path` (or its nearest existing parent).
uint64_t free_bytes(const std::filesystem::path& path);

}  // namespace octavo
