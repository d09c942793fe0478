#include "base/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace octavo {
namespace {

[[noreturn]] void fail_errno(const std::filesystem::path& path, std::string_view action, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR;
  fail(missing ? Code::kNotFound : error == ENOMEM ? Code::kOutOfMemory : Code::kIo, quoted(path.native()), ": cannot ", action, ": ",
       std::strerror(error));
}

}  // namespace

std::vector<std::string> list_folder(const std::filesystem::path& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  if (open == nullptr) fail_errno(folder, "list", errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(open.get());
    if (entry == nullptr && errno != 0) fail_errno(folder, "list", errno);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool path_exists(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG) return false;
  fail_errno(path, "look at", errno);
}

void remove_tree(const std::filesystem::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    fail_errno(path, "remove", errno);
  }
  const bool folder = S_ISDIR(info.st_mode);
  if (folder)
    for (const std::string& name : list_folder(path)) remove_tree(path / name);
  if (::unlinkat(AT_FDCWD, path.c_str(), folder ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT) fail_errno(path, "remove", errno);
}

bool try_remove_tree(const std::filesystem::path& path) noexcept {
  try {
    remove_tree(path);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace octavo
