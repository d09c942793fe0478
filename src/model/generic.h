// A checkpoint whose architecture is not in the table, seen as blocks of linear layers by names and shapes alone. Enough
// to quantize weights; nothing can run it.
#pragma once
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "model/arch.h"

namespace octavo {

// Module names of the linear layers by block: every 2-D "NAME.weight" whose name has a whole number between dots
// ("transformer.h.3.mlp.fc_in"; what stands before and with the first one is the block), but for embeddings, routers,
// gates and tables of biases by name. Embedding and head have no number and stay float. A weight that is stored
// [inputs, outputs], which its bias gives away, is refused: kUnsupported, as is a checkpoint without such a layer.
std::vector<std::vector<std::string>> generic_blocks(const Checkpoint& checkpoint);

// What the table would say of it: no roles, sizes 0, the dtype of config.json.
ModelConfig generic_config(const Checkpoint& checkpoint, size_t blocks);

}  // namespace octavo
