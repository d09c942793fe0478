// Reading and mapping of regular files. Every open is non-blocking until the file is known to be regular, so a FIFO or
// device in the place of a checkpoint is an error and never a hang.
#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace octavo {
namespace {

class OpenFile {
 public:
  OpenFile() = default;
  explicit OpenFile(int fd) : fd_(fd) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

Code code_of(int error) {
  if (error == ENOENT || error == ENOTDIR) return Code::kNotFound;
  if (error == ENOMEM) return Code::kOutOfMemory;
  return Code::kIo;
}

[[noreturn]] void fail_errno(const std::filesystem::path& path, const char* action, int error) {
  fail(code_of(error), quoted(path.native()), ": cannot ", action, ": ", std::strerror(error));
}

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISSOCK(mode)) return "a socket";
  return "something else";
}

int open_without_blocking(const std::filesystem::path& path, int flags) {
  while (true) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) return fd;
    if (errno != EINTR) fail_errno(path, "open", errno);
  }
}

// What the open file is, which must be a regular one.
struct stat regular_info(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail_errno(path, "stat", errno);
  if (!S_ISREG(info.st_mode))
    fail(Code::kInvalid, quoted(path.native()), ": expected a file, found ", kind_of(info.st_mode));
  return info;
}

// A socket cannot be opened at all (ENXIO); it is named as what it is, like the other special files.
void refuse_special(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    fail(Code::kInvalid, quoted(path.native()), ": expected a file, found ", kind_of(info.st_mode));
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  refuse_special(path);
  const OpenFile file(open_without_blocking(path, O_RDONLY));
  const struct stat info = regular_info(file.fd(), path);
  const auto size = static_cast<size_t>(info.st_size);
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  mapped->identity_ = identity_of(info);
  if (size == 0) return mapped;  // an empty mapping is not possible
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (data == MAP_FAILED) fail_errno(path, "map", errno);
  mapped->data_ = static_cast<const std::byte*>(data);
  mapped->size_ = size;
  mapped->guard_ = std::make_unique<MappingGuard>(mapped->data_, size, quoted(path.native()));
  return mapped;
}

MappedFile::Identity MappedFile::identity_of(const struct stat& info) {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .bytes = static_cast<uint64_t>(info.st_size),
          .seconds = info.st_mtim.tv_sec,
          .nanoseconds = info.st_mtim.tv_nsec};
}

void MappedFile::check_unchanged() const {
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0) return;  // removed or moved away: the mapping still holds it
  const Identity found = identity_of(info);
  if (found == identity_ || found.device != identity_.device || found.inode != identity_.inode) return;
  fail(Code::kIo, quoted(path_.native()), ": the file was changed while it was read: ", identity_.bytes,
       " bytes when it was opened, ", found.bytes, " now, written to in between; run again when it is complete");
}

MappedFile::~MappedFile() {
  guard_.reset();
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(size_t offset, size_t bytes) const {
  if (offset >= size_) return;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t end = std::min(bytes, size_ - offset) + offset;
  const size_t first = (offset + page - 1) / page * page;  // only pages that lie wholly inside
  const size_t last = end == size_ ? end : end / page * page;
  if (first < last) ::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

std::string read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  refuse_special(path);
  const OpenFile file(open_without_blocking(path, O_RDONLY));
  const auto size = static_cast<uint64_t>(regular_info(file.fd(), path).st_size);
  const auto too_large = [&](uint64_t found) {
    fail(Code::kInvalid, quoted(path.native()), ": ", found, " bytes or more, at most ", max_bytes, " are read");
  };
  if (size > max_bytes) too_large(size);
  // Files that grow meanwhile, and those of /proc, whose size reads 0, are read to their end.
  std::string text;
  size_t used = 0;
  while (true) {
    if (used == text.size())
      text.resize(used == 0 ? static_cast<size_t>(size) + 1 : used + std::max<size_t>(used, 4096));
    const ssize_t got = ::read(file.fd(), text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(path, "read", errno);
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (used > max_bytes) too_large(used);
  }
  text.resize(used);
  return text;
}

void sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path name = folder.empty() ? "." : folder;
  const OpenFile file(open_without_blocking(name, O_RDONLY | O_DIRECTORY));
  // Some network file systems cannot sync a folder and say EINVAL; there is nothing more to do then.
  if (::fsync(file.fd()) != 0 && errno != EINVAL && errno != ENOTSUP) fail_errno(name, "sync", errno);
}

std::string_view network_file_system_name(uint64_t type) {
  switch (type & 0xffffffffu) {  // linux/magic.h
    case 0x6969: return "NFS";
    case 0x517b:
    case 0xfe534d42: return "SMB";
    case 0xff534d42: return "CIFS";
    case 0x01021997: return "9P";
    case 0x65735546: return "FUSE";
    case 0x00c36400: return "Ceph";
    case 0x0bd00bd0: return "Lustre";
    case 0x5346414f: return "AFS";
    case 0x47504653: return "GPFS";
    default: return "";
  }
}

std::string network_file_system(const std::filesystem::path& path) {
  std::filesystem::path at = std::filesystem::absolute(path);
  struct statfs info {};
  while (::statfs(at.c_str(), &info) != 0) {
    if (errno == EINTR) continue;
    if (!at.has_relative_path()) return "";
    at = at.parent_path();
  }
  return std::string(network_file_system_name(static_cast<uint64_t>(info.f_type)));
}

uint64_t free_bytes(const std::filesystem::path& path) {
  std::filesystem::path at = std::filesystem::absolute(path);
  struct statvfs info {};
  while (::statvfs(at.c_str(), &info) != 0) {
    if (errno == EINTR) continue;
    if ((errno != ENOENT && errno != ENOTDIR) || !at.has_relative_path())
      fail_errno(path, "find the free space of", errno);
    at = at.parent_path();
  }
  return static_cast<uint64_t>(info.f_bavail) * static_cast<uint64_t>(info.f_frsize);
}

}  // namespace octavo
