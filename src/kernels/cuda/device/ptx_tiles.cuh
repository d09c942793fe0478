// PTX for kernels whose operands both come through shared memory: copies to several CTAs, arrivals at another CTA's barrier,
// descriptors with a free stride, transposing stores. One instruction per function, as in ptx.cuh.
#pragma once
#include "kernels/cuda/device/ptx.cuh"

namespace octavo::cuda::ptx {

__device__ __forceinline__ void tensor_copy3(uint32_t to, const CUtensorMap* map, int32_t x, int32_t y, int32_t z, uint32_t barrier) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::
                   "r"(to), "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier) : "memory");
}
// A box of a tensor to the same place in every CTA of `mask`; each one's barrier at that place counts the bytes.
__device__ __forceinline__ void tensor_copy_to(uint32_t to, const CUtensorMap* map, int32_t col, int32_t row, uint32_t barrier, uint32_t mask) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], %5;" ::
          "r"(to), "l"(map), "r"(col), "r"(row), "r"(barrier), "h"(static_cast<uint16_t>(mask)) : "memory");
}
__device__ __forceinline__ void tensor_copy3_to(uint32_t to, const CUtensorMap* map, int32_t x, int32_t y, int32_t z, uint32_t barrier, uint32_t mask) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3, %4}], [%5], %6;" ::
          "r"(to), "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier), "h"(static_cast<uint16_t>(mask)) : "memory");
}
// barrier: an address from in_cta(). For stages that copies fill and products read: the arrival publishes no stores, and a
// release to the cluster would cost a fence of the whole GPU each time.
__device__ __forceinline__ void barrier_arrive_at(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives at a named barrier without waiting.
__device__ __forceinline__ void named_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
// Meets the other CTAs without publishing stores.
__device__ __forceinline__ void cluster_meet() {
  __syncwarp();
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
}
// Blocks of 8 rows x 128 bytes in the 128-byte swizzle, `stride` bytes from one block of 8 rows to the next.
__device__ __forceinline__ uint64_t block_descriptor(uint32_t address, uint32_t stride) {
  return (uint64_t{1} << 62) | (static_cast<uint64_t>(stride >> 4) << 32) | (uint64_t{1} << 16) | ((address & 0x3ffff) >> 4);
}
// Waits until at most kPending committed groups of products are unfinished.
template <int kPending>
__device__ __forceinline__ void wgmma_wait_until() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory"); }
template <int kCount>
__device__ __forceinline__ void pin(int32_t (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+r"(values[i])::"memory");
}
// Four 8 x 8 matrices of 16-bit values, each stored transposed: lane l gives the address of row l % 8 of matrix l / 8. Other
// reads may move across: a barrier must stand before whoever reads them.
__device__ __forceinline__ void store_matrices_transposed(uint32_t address, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(a), "r"(b), "r"(c), "r"(d));
}
__device__ __forceinline__ void store_shared16(uint32_t address, int32_t a, int32_t b, int32_t c, int32_t d) {
  asm volatile("st.shared.v4.s32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
__device__ __forceinline__ int4 load_cluster_int4(uint32_t address) {
  int4 v;
  asm volatile("ld.shared::cluster.v4.s32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address) : "memory");
  return v;
}

}  // namespace octavo::cuda::ptx
