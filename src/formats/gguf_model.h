// A GGUF model as a Checkpoint: Hugging Face names, config and numbers. See docs/formats/gguf.md for what is changed on
// the way (q/k rows, Gemma's norms, rope factors).
#pragma once
#include <memory>
#include <vector>

#include "formats/gguf.h"

namespace octavo {

struct GgufPart {
  std::filesystem::path path;
  ByteSpan bytes;
  std::shared_ptr<const void> owner;  // keeps `bytes` alive
  GgufFile file;                      // parsed from `bytes`
  std::shared_ptr<const MappedFile> map = nullptr;  // the file that `bytes` is; nullptr: bytes in memory
};

// All parts in order (one, if not split). `opened` is what path() returns.
std::unique_ptr<Checkpoint> gguf_checkpoint(std::vector<GgufPart> parts, const std::filesystem::path& opened,
                                            const Notes& notes);

}  // namespace octavo
