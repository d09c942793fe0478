#include "formats/staging.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"

namespace octavo {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_errno(const fs::path& path, std::string_view action, int error) {
  fail(Code::kIo, quoted(path.native()), ": cannot ", action, ": ", std::strerror(error));
}

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// True if `inner` or a folder above it is `outer`, whatever links lead there.
bool lies_in(const fs::path& inner, const struct stat& outer) {
  std::error_code error;
  fs::path at = fs::canonical(inner, error);
  if (error) return false;
  for (;;) {
    struct stat info {};
    if (::stat(at.c_str(), &info) == 0 && same_file(info, outer)) return true;
    if (at == at.parent_path()) return false;
    at = at.parent_path();
  }
}

// "out/" and "a/../out" -> a path whose last part is the folder's name.
fs::path normal(const fs::path& path) {
  fs::path out = fs::absolute(path).lexically_normal();
  return out.has_filename() ? out : out.parent_path();
}

}  // namespace

StagedFolder::StagedFolder(const fs::path& out, const fs::path& source, bool force, uint64_t needed_bytes) {
  if (out.empty()) fail(Code::kUsage, "no output path");
  out_ = normal(out);
  if (!out_.has_filename()) fail(Code::kUsage, quoted(out.native()), ": not a name for an output folder");
  staging_ = out_;
  staging_ += ".octavo-tmp";
  const fs::path parent = out_.parent_path();
  struct stat info {};
  if (::stat(parent.c_str(), &info) != 0) fail_errno(parent, "use as the output's folder", errno);
  if (!S_ISDIR(info.st_mode)) fail_errno(parent, "use as the output's folder", ENOTDIR);
  if (::access(parent.c_str(), W_OK | X_OK) != 0) fail_errno(parent, "write", errno);

  if (::stat(out_.c_str(), &info) == 0) {
    if (lies_in(source, info))
      fail(Code::kUsage, quoted(out_.native()), ": the output is the input ", quoted(source.native()),
           " or holds it; inputs are never modified");
    if (!S_ISDIR(info.st_mode)) fail(Code::kUsage, quoted(out_.native()), ": exists and is not a folder");
    const bool empty = list_folder(out_).empty();
    if (!empty && !force) fail(Code::kUsage, quoted(out_.native()), ": exists; choose another name or say --force");
    if (!empty && !path_exists(out_ / "config.json"))
      fail(Code::kUsage, quoted(out_.native()),
           ": holds no checkpoint (no config.json), so --force does not replace it");
    replace_ = true;
  }
  const uint64_t free = free_bytes(parent);
  if (needed_bytes > free)
    fail(Code::kIo, quoted(out_.native()), ": needs ", needed_bytes, " bytes, the disk has ", free, " free");
  lock();
}

// Makes the staging folder empty and ours. The lock is on the folder itself and dies with the process.
void StagedFolder::lock() {
  for (;;) {
    if (::mkdir(staging_.c_str(), 0777) != 0 && errno != EEXIST) fail_errno(staging_, "create", errno);
    lock_ = ::open(staging_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (lock_ < 0 && errno == ENOENT) continue;  // published or removed by its owner in between
    if (lock_ < 0) fail_errno(staging_, "open", errno);
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(lock_);
      lock_ = -1;
      if (error == EWOULDBLOCK) fail(Code::kIo, quoted(out_.native()), ": another process is writing this output");
      fail_errno(staging_, "lock", error);
    }
    struct stat held {
    }, named{};
    if (::fstat(lock_, &held) == 0 && ::stat(staging_.c_str(), &named) == 0 && same_file(held, named)) break;
    ::close(lock_);
  }
  for (const std::string& name : list_folder(staging_)) remove_tree(staging_ / name);  // the rest of an interrupted run
}

StagedFolder::~StagedFolder() {
  if (lock_ >= 0 && !published_) try_remove_tree(staging_);  // what is left goes with the next run for this output
  if (lock_ >= 0) ::close(lock_);
}

void StagedFolder::publish() {
  OCTAVO_CHECK(!published_, out_.native());
  sync_folder(staging_);
  const auto move = [&](unsigned flags) {
    return ::renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD, out_.c_str(), flags) == 0;
  };
  if (replace_ && move(RENAME_EXCHANGE)) {
    published_ = true;
    sync_folder(out_.parent_path());
    try_remove_tree(staging_);  // the earlier output; what cannot be removed goes with the next run
    return;
  }
  if (replace_) {
    // A file system without exchange: the earlier output keeps another name until the rename is done.
    fs::path old = out_;
    old += ".octavo-old";
    remove_tree(old);
    if (::rename(out_.c_str(), old.c_str()) != 0) fail_errno(out_, "move away", errno);
    if (::rename(staging_.c_str(), out_.c_str()) != 0) {
      const int reason = errno;
      ::rename(old.c_str(), out_.c_str());
      fail_errno(out_, "rename the finished folder to", reason);
    }
    published_ = true;
    sync_folder(out_.parent_path());
    try_remove_tree(old);
    return;
  }
  if (!move(RENAME_NOREPLACE)) {
    if (errno == EEXIST) fail(Code::kIo, quoted(out_.native()), ": came into being while the output was written");
    if (errno != EINVAL && errno != ENOSYS) fail_errno(out_, "rename the finished folder to", errno);
    if (::rename(staging_.c_str(), out_.c_str()) != 0) fail_errno(out_, "rename the finished folder to", errno);
  }
  published_ = true;
  sync_folder(out_.parent_path());
}

}  // namespace octavo
