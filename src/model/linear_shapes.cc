// The table of linear shapes. Sizes follow from the config.json of each model's public repository.
#include "model/linear_shapes.h"

#include <algorithm>

namespace octavo {
namespace {

// Products of a layer, split over so many GPUs (columns of the first, rows of the second of two that follow each other; q, k, v
// and gate, up are one). The router of a mixture of experts has 8 rows.
constexpr LinearShape kShapes[] = {
    {"llama-2-7b", 1, 12288, 4096},
    {"llama-2-7b", 1, 4096, 11008},
    {"llama-2-7b", 1, 22016, 4096},
    {"llama-2-7b", 1, 4096, 4096},
    {"llama-2-13b", 1, 5120, 5120},
    {"llama-2-13b", 1, 27648, 5120},
    {"llama-2-13b", 1, 5120, 13824},
    {"llama-2-13b", 1, 15360, 5120},
    {"llama-2-70b", 8, 8192, 3584},
    {"llama-2-70b", 8, 8192, 1024},
    {"llama-2-70b", 8, 1280, 8192},
    {"llama-2-70b", 8, 7168, 8192},
    {"llama-3-8b", 1, 6144, 4096},
    {"llama-3-8b", 1, 4096, 14336},
    {"llama-3-8b", 1, 28672, 4096},
    {"llama-3-8b", 1, 4096, 4096},
    {"llama-3-70b", 8, 8192, 3584},
    {"llama-3-70b", 8, 8192, 1024},
    {"llama-3-70b", 8, 1280, 8192},
    {"llama-3-70b", 8, 7168, 8192},
    {"baichuan-7b", 1, 12288, 4096},
    {"baichuan-7b", 1, 4096, 11008},
    {"baichuan-7b", 1, 22016, 4096},
    {"baichuan-7b", 1, 4096, 4096},
    {"baichuan-13b", 1, 5120, 5120},
    {"baichuan-13b", 1, 5120, 13696},
    {"baichuan-13b", 1, 27392, 5120},
    {"baichuan-13b", 1, 15360, 5120},
    {"baichuan2-7b", 1, 12288, 4096},
    {"baichuan2-7b", 1, 4096, 11008},
    {"baichuan2-7b", 1, 22016, 4096},
    {"baichuan2-7b", 1, 4096, 4096},
    {"baichuan2-13b", 1, 5120, 5120},
    {"baichuan2-13b", 1, 5120, 13696},
    {"baichuan2-13b", 1, 27392, 5120},
    {"baichuan2-13b", 1, 15360, 5120},
    {"chatglm2-6b", 1, 4608, 4096},
    {"chatglm2-6b", 1, 4096, 13696},
    {"chatglm2-6b", 1, 27392, 4096},
    {"chatglm2-6b", 1, 4096, 4096},
    {"chatglm3-6b", 1, 4608, 4096},
    {"chatglm3-6b", 1, 4096, 13696},
    {"chatglm3-6b", 1, 27392, 4096},
    {"chatglm3-6b", 1, 4096, 4096},
    {"qwen-7b", 1, 12288, 4096},
    {"qwen-7b", 1, 4096, 11008},
    {"qwen-7b", 1, 22016, 4096},
    {"qwen-7b", 1, 4096, 4096},
    {"qwen-14b", 1, 5120, 5120},
    {"qwen-14b", 1, 5120, 13696},
    {"qwen-14b", 1, 27392, 5120},
    {"qwen-14b", 1, 15360, 5120},
    {"qwen-72b", 8, 6144, 8192},
    {"qwen-72b", 8, 8192, 1024},
    {"qwen-72b", 8, 8192, 3072},
    {"qwen-72b", 8, 3072, 8192},
    {"falcon-7b", 1, 4544, 4544},
    {"falcon-7b", 1, 4672, 4544},
    {"falcon-7b", 1, 18176, 4544},
    {"falcon-7b", 1, 4544, 18176},
    {"falcon-40b", 8, 8192, 4096},
    {"falcon-40b", 8, 8192, 1024},
    {"falcon-40b", 8, 1152, 8192},
    {"falcon-40b", 8, 4096, 8192},
    {"gemma-7b", 1, 49152, 3072},
    {"gemma-7b", 1, 12288, 3072},
    {"gemma-7b", 1, 3072, 24576},
    {"gemma-7b", 1, 3072, 4096},
    {"mistral-7b", 1, 6144, 4096},
    {"mistral-7b", 1, 4096, 14336},
    {"mistral-7b", 1, 28672, 4096},
    {"mistral-7b", 1, 4096, 4096},
    {"mpt-7b", 1, 12288, 4096},
    {"mpt-7b", 1, 4096, 16384},
    {"mpt-7b", 1, 4096, 4096},
    {"mpt-7b", 1, 16384, 4096},
    {"mixtral-8x7b", 8, 4096, 512},
    {"mixtral-8x7b", 8, 8, 4096},
    {"mixtral-8x7b", 8, 768, 4096},
    {"mixtral-8x22b", 8, 8, 6144},
    {"mixtral-8x22b", 8, 1024, 6144},
    {"mixtral-8x22b", 8, 6144, 768},
};

}  // namespace

std::span<const LinearShape> linear_shapes() { return kShapes; }

std::vector<std::pair<int64_t, int64_t>> distinct_linear_shapes() {
  std::vector<std::pair<int64_t, int64_t>> out;
  for (const LinearShape& shape : kShapes)
    if (std::find(out.begin(), out.end(), std::pair{shape.n, shape.k}) == out.end()) out.emplace_back(shape.n, shape.k);
  return out;
}

}  // namespace octavo
