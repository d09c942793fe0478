// What this process could at most do: the bounds that speeds are compared with, measured with its own threads.
#pragma once
#include "base/thread_pool.h"

namespace octavo {

struct Ceilings {
  double float_ops = 0;  // multiplications and additions of floats a second, fused
  double bf16_ops = 0;   // of floats rounded to bf16, by the fastest instructions that a row uses for them: tiles, or float_ops
  double int8_ops = 0;   // of bytes, by the fastest instructions this process may use
  double read_bytes = 0; // bytes a second read from memory far larger than the caches
};
// Takes about a quarter of a second after the memory's (256 MiB, on huge pages where the system gives them) first touch;
// the better of three measurements. All 0 on a CPU without vector instructions that a loop exists for.
Ceilings measure_ceilings(ThreadPool& pool);

}  // namespace octavo
