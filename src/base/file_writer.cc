// FileWriter: bytes go to a temporary name beside the target; commit() makes them durable, then renames. A target that
// is a device or FIFO (/dev/stdout, a pipe) is written directly: it must not be replaced by a file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace octavo {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

[[noreturn]] void fail_errno(const std::filesystem::path& path, const char* action, int error) {
  fail(Code::kIo, quoted(path.native()), ": cannot ", action, ": ", std::strerror(error));
}

void write_all(int fd, const char* data, size_t bytes, const std::filesystem::path& path) {
  while (bytes > 0) {
    // Linux writes at most 2 GiB at once; a disk that fills up writes a part and fails on the next call.
    const ssize_t got = ::write(fd, data, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(path, "write", errno);
    data += got;
    bytes -= static_cast<size_t>(got);
  }
}

int open_special(const std::filesystem::path& path) {
  // Non-blocking, so that a FIFO without a reader is an error; the writes themselves may wait.
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_errno(path, "open for writing", errno);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

}  // namespace

FileWriter::FileWriter(std::filesystem::path path) : path_(std::move(path)) {
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode)) fail(Code::kIo, quoted(path_.native()), ": cannot write: is a directory");
    fd_ = open_special(path_);
    return;
  }
  if (!path_.has_filename()) fail(Code::kIo, quoted(path_.native()), ": cannot write: no file name");
  static std::atomic<unsigned> serial{0};
  do {
    temporary_ = path_.parent_path() / cat(".", path_.filename().native(), ".", ::getpid(), ".", serial++, ".partial");
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && (errno == EEXIST || errno == EINTR));
  if (fd_ < 0) fail_errno(path_, "create", errno);
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void FileWriter::write(const void* data, size_t bytes) {
  OCTAVO_CHECK(fd_ >= 0, "write after commit: ", path_.native());
  if (buffer_.size() + bytes > kBufferBytes) flush();
  if (bytes >= kBufferBytes)
    write_all(fd_, static_cast<const char*>(data), bytes, path_);
  else
    buffer_.append(static_cast<const char*>(data), bytes);
  written_ += bytes;
}

void FileWriter::flush() {
  write_all(fd_, buffer_.data(), buffer_.size(), path_);
  buffer_.clear();
}

void FileWriter::commit() {
  OCTAVO_CHECK(fd_ >= 0, "second commit: ", path_.native());
  flush();
  const bool special = temporary_.empty();
  // Devices and pipes have nothing to sync and say EINVAL.
  while (::fsync(fd_) != 0) {
    if (errno == EINTR) continue;
    if (special && (errno == EINVAL || errno == EROFS || errno == ENOTSUP)) break;
    fail_errno(path_, "write", errno);
  }
  const int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0 && errno != EINTR) fail_errno(path_, "close", errno);
  if (special) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_errno(path_, "rename the finished file to", errno);
  temporary_.clear();
  sync_folder(path_.parent_path());
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  FileWriter writer(path);
  writer.write(text);
  writer.commit();
}

}  // namespace octavo
