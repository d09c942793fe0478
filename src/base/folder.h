// Folders: listing, removing, and whether a path is there. Not std::filesystem's: its iterators end the process when
// memory runs out (libstdc++ 12 allocates in a noexcept function), and its errors are no octavo::Error.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace octavo {

// Names in a folder, sorted, without "." and "..". Throws kNotFound, kIo.
std::vector<std::string> list_folder(const std::filesystem::path& folder);

// Whether something has this name (a dangling link has not). Throws kIo where that cannot be found out.
bool path_exists(const std::filesystem::path& path);

// Removes a file, or a folder with all that is in it; links are removed, not followed. Nothing there is fine. Throws kIo.
void remove_tree(const std::filesystem::path& path);
// The same where a rest does no harm: false if something is left.
bool try_remove_tree(const std::filesystem::path& path) noexcept;

}  // namespace octavo
