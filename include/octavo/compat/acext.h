// The C++ operators of acext 1.6 over Octavo's Hopper kernels: the runner classes, the factory and the preprocessing of weights
// with their names, namespaces and argument order. One include is enough; docs/acext.md shows every call as a program.
//
//   createFpAIntBGemmRunner<half, WeightOnlyQuantType::Int4b, cutlass::WeightOnlyQuantOp::FINEGRAINED_SCALE_ONLY>()
//   preprocess_weights_for_mixed_gemm(...) on the host -> getWorkspaceSize -> getChosenConfig -> gemm, as often as wanted
//
// Every pointer of gemm is device memory, aligned as cudaMalloc does (weights to 128 bytes, others to 16); n and k are multiples
// of 8. gemm enqueues kernels on the stream: it never allocates or synchronizes, and may be captured in a CUDA graph. A workspace
// needs no initialization and belongs to one gemm at a time; runners hold no state, so threads may share them. Errors are
// octavo::Error (octavo/error.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#if __has_include(<cuda_bf16.h>) && __has_include(<cuda_fp16.h>) && __has_include(<cuda_runtime_api.h>)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
#else  // without the toolkit the declarations still compile
struct __half;
struct __nv_bfloat16;
struct CUstream_st;
using half = __half;
using cudaStream_t = CUstream_st*;
#endif

namespace cutlass {
enum class WeightOnlyQuantOp { UNDEFINED, PER_COLUMN_SCALE_ONLY, FINEGRAINED_SCALE_ONLY, FINEGRAINED_SCALE_AND_ZEROS };
}  // namespace cutlass

namespace acext {

namespace common {

// How the int8 operands of a product are scaled.
class QuantMode {
 public:
  constexpr QuantMode() = default;
  static constexpr QuantMode fromDescription(bool quantize_weights, bool quantize_activations, bool per_token, bool per_channel) {
    QuantMode mode;
    mode.weights_ = quantize_weights;
    mode.activations_ = quantize_activations;
    mode.per_token_ = per_token;
    mode.per_channel_ = per_channel;
    return mode;
  }
  constexpr bool hasInt8Weights() const { return weights_; }
  constexpr bool hasActivations() const { return activations_; }
  constexpr bool hasPerTokenScaling() const { return per_token_; }      // alphaRow is [m], else [1]
  constexpr bool hasPerChannelScaling() const { return per_channel_; }  // alphaCol is [n], else [1]
  constexpr bool operator==(const QuantMode&) const = default;

 private:
  bool weights_ = false, activations_ = false, per_token_ = false, per_channel_ = false;
};

}  // namespace common

namespace cutlass_extensions {

// How a gemm runs. One made by default lets gemm choose; getChosenConfig and getConfigs return better known ones. A config that
// cannot run a problem (one for fewer rows, say) is not an error: gemm then chooses. Zero fields: as gemm sees fit.
struct CutlassGemmConfig {
  enum class Kernel : uint8_t { kAutomatic, kSmall, kTile, kInt8, kDirect };
  Kernel kernel = Kernel::kAutomatic;
  int tokens = 0;  // tile along m
  int rows = 0;    // kTile: tile along n; kInt8: tiles along n
  int stages = 0;  // of the pipeline
  int ctas = 0;    // CTAs (kTile) or clusters of CTAs in the grid
  int share = 0;   // kInt8: tiles of a cluster that share activations
  int splits = 0;  // CTAs of a cluster that split k
  int warps = 0;   // kSmall: warps of a CTA that split k
  int depth = 0;   // kInt8: chunks of 128 columns in a stage
  int late = 0;    // stages left to fetch when the next kernel may start
  // An addition to acext, for weights with 16-bit activations: true promises that the workspace still holds what getChosenConfig
  // or the last gemm of a kernel other than kDirect with these weights, scales, zeros, n, k and group size left there, so that gemm need not bring scales (and
  // with groups the weights) into the form of the kernels again. Set it only where each weight has a workspace of its own.
  bool weight_in_workspace = false;
  bool operator==(const CutlassGemmConfig&) const = default;
};

}  // namespace cutlass_extensions

namespace kernels::cutlass_kernels {

namespace tk = ::acext::common;
namespace tkc = ::acext::cutlass_extensions;

// Weights as two signed 4-bit integers in a byte; uint8_t stands for signed 8-bit ones.
struct uint4b_t {
  uint8_t storage;
};

enum class WeightOnlyQuantType { Int4b, Int8b };
enum class QuantType { INT8_WEIGHT_ONLY, PACKED_INT4_WEIGHT_ONLY };

// C[m,n] = A[m,k] * w[k,n] + bias, A and C of type T, w from B = preprocessed weights and
//   PER_COLUMN_SCALE_ONLY        scales T [n]:                        w = code * scale
//   FINEGRAINED_SCALE_ONLY       scales T [k / group_size, n]:        w = code * scale
//   FINEGRAINED_SCALE_AND_ZEROS  and zero points T of the same shape: w = code * scale + zero (the zero in units of w)
// Sums are f32. The first gemm is for scales per column, the second for groups of 64 or a multiple of 128 rows of w (and
// takes scales per column too, with group_size = k).
class CutlassFpAIntBGemmRunnerInterface {
 public:
  virtual ~CutlassFpAIntBGemmRunnerInterface() = default;
  virtual void gemm(const void* A, const void* B, const void* weight_scales, void* C, int m, int n, int k,
                    tkc::CutlassGemmConfig gemmConfig, char* workspace_ptr, const size_t workspace_bytes, cudaStream_t stream) = 0;
  virtual void gemm(const void* A, const void* B, const void* weight_scales, const void* weight_zero_points, const void* biases,
                    void* C, int m, int n, int k, const int group_size, tkc::CutlassGemmConfig gemmConfig, char* workspace_ptr,
                    const size_t workspace_bytes, cudaStream_t stream) = 0;
  // Bytes that are enough for every number of rows up to m.
  virtual size_t getWorkspaceSize(const int m, const int n, const int k) = 0;
  virtual std::vector<tkc::CutlassGemmConfig> getConfigs() const = 0;
  // From the table in the folder that ACEXT_GEMM_CONFIG_DIR names (octavo kernels tune writes it), else from the one inside the
  // library, else by the library's rules. With a workspace it also leaves there what gemm would: see weight_in_workspace.
  virtual tkc::CutlassGemmConfig getChosenConfig(const void* A, const void* B, const void* weight_scales,
                                                 const void* weight_zero_points, const void* biases, void* C, int m, int n, int k,
                                                 const int group_size, char* workspace_ptr, const size_t workspace_bytes,
                                                 cudaStream_t stream) = 0;
};

template <typename T, typename WeightType, cutlass::WeightOnlyQuantOp QuantOp>
class CutlassFpAIntBGemmRunner : public virtual CutlassFpAIntBGemmRunnerInterface {
 public:
  CutlassFpAIntBGemmRunner();
  ~CutlassFpAIntBGemmRunner() override;
  void gemm(const void* A, const void* B, const void* weight_scales, void* C, int m, int n, int k,
            tkc::CutlassGemmConfig gemmConfig, char* workspace_ptr, const size_t workspace_bytes, cudaStream_t stream) override;
  void gemm(const void* A, const void* B, const void* weight_scales, const void* weight_zero_points, const void* biases, void* C,
            int m, int n, int k, const int group_size, tkc::CutlassGemmConfig gemmConfig, char* workspace_ptr,
            const size_t workspace_bytes, cudaStream_t stream) override;
  size_t getWorkspaceSize(const int m, const int n, const int k) override;
  std::vector<tkc::CutlassGemmConfig> getConfigs() const override;
  tkc::CutlassGemmConfig getChosenConfig(const void* A, const void* B, const void* weight_scales, const void* weight_zero_points,
                                         const void* biases, void* C, int m, int n, int k, const int group_size,
                                         char* workspace_ptr, const size_t workspace_bytes, cudaStream_t stream) override;
};

// ActType half or __nv_bfloat16.
template <typename ActType, WeightOnlyQuantType QType, cutlass::WeightOnlyQuantOp QuantOp>
std::shared_ptr<CutlassFpAIntBGemmRunnerInterface> createFpAIntBGemmRunner();

// C[m,n] = (A[m,k] * B[n,k]^T) * alphaCol * alphaRow, A and B int8, row-major, C of type T: half, __nv_bfloat16, float, or int32_t
// (rounded to the nearest; the sums themselves where both alphas are nullptr). Sums are exact.
class CutlassInt8GemmRunnerInterface {
 public:
  virtual ~CutlassInt8GemmRunnerInterface() = default;
  virtual void gemm(const void* A, const void* B, tk::QuantMode quantOption, const float* alphaCol, const float* alphaRow, void* C,
                    int m, int n, int k, tkc::CutlassGemmConfig gemmConfig, char* workspacePtr, const size_t workspaceBytes,
                    cudaStream_t stream) = 0;
  virtual size_t getWorkspaceSize(const int m, const int n, const int k) = 0;
  virtual std::vector<tkc::CutlassGemmConfig> getConfigs() const = 0;
};

template <typename T>
class CutlassInt8GemmRunner : public virtual CutlassInt8GemmRunnerInterface {
 public:
  CutlassInt8GemmRunner();
  ~CutlassInt8GemmRunner() override;
  void gemm(const void* A, const void* B, tk::QuantMode quantOption, const float* alphaCol, const float* alphaRow, void* C, int m,
            int n, int k, tkc::CutlassGemmConfig gemmConfig, char* workspacePtr, const size_t workspaceBytes,
            cudaStream_t stream) override;
  size_t getWorkspaceSize(const int m, const int n, const int k) override;
  std::vector<tkc::CutlassGemmConfig> getConfigs() const override;
  tkc::CutlassGemmConfig getChosenConfig(const void* A, const void* B, tk::QuantMode quantOption, const float* alphaCol,
                                         const float* alphaRow, void* C, int m, int n, int k, char* workspacePtr,
                                         const size_t workspaceBytes, cudaStream_t stream);
};

// Weights [k, n] row-major (shape = {k, n}), int8 or two int4 in a byte, the lower half first, to the order that gemm reads, of
// the same number of bytes. Both in host memory, not overlapping.
void preprocess_weights_for_mixed_gemm(int8_t* preprocessed_quantized_weight, const int8_t* row_major_quantized_weight,
                                       const std::vector<size_t>& shape, QuantType quant_type);
// The same for a shape written {k, n} with integers of any type.
template <class Size>
void preprocess_weights_for_mixed_gemm(int8_t* preprocessed_quantized_weight, const int8_t* row_major_quantized_weight,
                                       std::initializer_list<Size> shape, QuantType quant_type) {
  std::vector<size_t> sizes;
  for (const Size size : shape) sizes.push_back(static_cast<size_t>(size));
  preprocess_weights_for_mixed_gemm(preprocessed_quantized_weight, row_major_quantized_weight, sizes, quant_type);
}

}  // namespace kernels::cutlass_kernels
}  // namespace acext

#ifndef CUTLASS_MAJOR  // CUTLASS itself has this name
namespace cutlass {
using uint4b_t = acext::kernels::cutlass_kernels::uint4b_t;
}
#endif
namespace tk = acext::common;
namespace tkc = acext::cutlass_extensions;
using acext::common::QuantMode;
using acext::kernels::cutlass_kernels::createFpAIntBGemmRunner;
using acext::kernels::cutlass_kernels::CutlassFpAIntBGemmRunner;
using acext::kernels::cutlass_kernels::CutlassFpAIntBGemmRunnerInterface;
using acext::kernels::cutlass_kernels::CutlassInt8GemmRunner;
using acext::kernels::cutlass_kernels::CutlassInt8GemmRunnerInterface;
using acext::kernels::cutlass_kernels::preprocess_weights_for_mixed_gemm;
using acext::kernels::cutlass_kernels::QuantType;
using acext::kernels::cutlass_kernels::WeightOnlyQuantType;
