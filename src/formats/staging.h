// StagedFolder: a directory that appears whole or not at all. Files are written to "<out>.octavo-tmp"; publish() swaps
// it in with one rename. The name is fixed, so that what an interrupted run left behind is found and removed.
#pragma once
#include <cstdint>
#include <filesystem>

namespace octavo {

class StagedFolder {
 public:
  // Checks before any work: the parent exists and can be written, `out` is free (or, with force, an earlier
  // checkpoint), `out` does not hold `source`, `needed_bytes` fit on the disk, and no other process writes the same
  // output.
  StagedFolder(const std::filesystem::path& out, const std::filesystem::path& source, bool force,
               uint64_t needed_bytes);
  ~StagedFolder();  // removes what was staged unless published
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  // Makes the folder durable and gives it its final name. An earlier output stays complete until the swap.
  void publish();

 private:
  void lock();
  std::filesystem::path out_, staging_;
  bool replace_ = false, published_ = false;
  int lock_ = -1;
};

}  // namespace octavo
