// The W8A8 kernels against plain integer sums on the GPU: every bit of every result must agree, for every type of result,
// kind of scale, way to give the weights, and plan. Codes take all 256 values. Behind k, m and n, before and after y lie
// values that would show: x and row-major weights are surrounded by 0x7f, y and workspaces are filled with 0xff.
#include <algorithm>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "cuda/harness.cuh"
#include "cuda/w8a8_tests.cuh"
#include "kernels/cuda/w8a8_linear.h"
#include "kernels/oracle.h"

namespace octavo::cuda::testing {
namespace {

constexpr int64_t kPad = 8;  // columns of y behind the n real ones, and a row before and behind: must stay untouched

struct Expected {
  const int8_t *x, *w;  // [m, ldx], [n, ldw]
  const float *w_scales, *x_scales;
  const int32_t* x_zeros;
  const void* bias;
  int64_t m, n, k, ldx, ldw;
  bool w_one_scale, per_token;
  W8a8Output output;
};

__device__ float float_of(const void* data, int64_t at, W8a8Output type) {
  if (type == W8a8Output::kF16) return __half2float(static_cast<const __half*>(data)[at]);
  if (type == W8a8Output::kBF16) return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[at]);
  return static_cast<const float*>(data)[at];
}

// One thread an element of y with its padding and the rows around it; y points at the row before the first.
__global__ void judge(const Expected e, const uint8_t* y, unsigned long long* wrong, long long* first) {
  const int64_t ldy = e.n + kPad, at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= (e.m + 2) * ldy) return;
  const int64_t token = at / ldy - 1, row = at % ldy;
  const bool real = token >= 0 && token < e.m && row < e.n;
  const bool narrow = e.output == W8a8Output::kF16 || e.output == W8a8Output::kBF16;
  const uint32_t found = narrow ? reinterpret_cast<const uint16_t*>(y)[at] : reinterpret_cast<const uint32_t*>(y)[at];
  bool good = found == (narrow ? 0xffffu : 0xffffffffu);
  if (real) {
    const int64_t xs = e.per_token ? token : 0;
    const int32_t zero = e.x_zeros == nullptr ? 0 : e.x_zeros[xs];
    int32_t sum = 0;
    for (int64_t col = 0; col < e.k; ++col) sum += (e.x[token * e.ldx + col] - zero) * e.w[row * e.ldw + col];
    if (e.output == W8a8Output::kI32) {
      good = found == static_cast<uint32_t>(sum);
    } else {
      float v = __fmul_rn(__fmul_rn(__int2float_rn(sum), e.w_scales[e.w_one_scale ? 0 : row]), e.x_scales[xs]);
      if (e.bias != nullptr) v = __fadd_rn(v, float_of(e.bias, row, e.output));
      if (isnan(v))
        good = isnan(float_of(y, at, e.output));
      else if (e.output == W8a8Output::kF16)
        good = found == __half_as_ushort(__float2half_rn(v));
      else if (e.output == W8a8Output::kBF16)
        good = found == __bfloat16_as_ushort(__float2bfloat16_rn(v));
      else
        good = found == __float_as_uint(v);
    }
  }
  if (good) return;
  if (atomicAdd(wrong, 1ull) == 0) *first = at;
}

__global__ void compare(const uint32_t* a, const uint32_t* b, int64_t words, unsigned long long* different) {
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < words; at += static_cast<int64_t>(gridDim.x) * blockDim.x)
    if (a[at] != b[at]) atomicAdd(different, 1ull);
}
__global__ void keep_busy(uint32_t* words, int64_t count, int rounds) {
  for (int round = 0; round < rounds; ++round)
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += static_cast<int64_t>(gridDim.x) * blockDim.x) words[i] = words[i] * 3 + 1;
}

struct Totals {
  int64_t runs = 0, failed = 0;
} totals;

void report(bool failed, const std::string& text) {
  ++totals.runs;
  if (!failed) return;
  if (++totals.failed <= 20) std::printf("FAILED %s\n", text.c_str());
}

// Operands of one weight, on the host and on the device.
struct Weight {
  int64_t n, k, ldw, most;
  W8a8Layout layout;
  DeviceBytes packed, packed_one_scale, rows, w_scales, w_sums, x, x_off, x_scales, x_zeros, bias[3], y, again, counters, workspace;
  int64_t ldx, ldx_off;
};

std::vector<int8_t> random_codes(octavo::testing::Rng& rng, int64_t rows, int64_t cols, int64_t stride, bool extreme) {
  std::vector<int8_t> out(static_cast<size_t>(rows * stride), 0x7f);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col) out[static_cast<size_t>(row * stride + col)] = extreme ? int8_t{-128} : static_cast<int8_t>(rng());
  return out;
}

Weight make_weight(int64_t n, int64_t k, int64_t most, bool extreme = false) {
  octavo::testing::Rng rng(static_cast<uint64_t>(n * 131 + k));
  Weight w{.n = n, .k = k, .ldw = (k + 31) / 16 * 16, .most = most, .layout = w8a8_layout(n, k)};
  w.ldx = w.ldw;
  w.ldx_off = k + 8 - (k % 16 == 8 ? 8 : 0);  // an odd multiple of 8
  ThreadPool pool;
  const std::vector<int8_t> w_codes = random_codes(rng, n, k, k, extreme);
  for (const bool one_scale : {false, true}) {
    QTensor t = octavo::testing::random_weight(parse_scheme(one_scale ? "w8a8-tensor" : "w8a8"), n, k, rng);
    std::memcpy(t.codes.mutable_bytes().data(), w_codes.data(), w_codes.size());
    std::vector<std::byte> packed(w.layout.bytes), from_gpu(w.layout.bytes);
    w8a8_pack(t, packed.data(), pool);
    const DeviceBytes codes = upload(t.codes.bytes().data(), t.codes.size()), scales = upload(t.scales.data(), t.scales.size() * 4);
    DeviceBytes device(w.layout.bytes);
    CUDA_CHECK(cudaMemset(device.as(), 0xa5, w.layout.bytes));
    w8a8_pack_gpu(n, k, codes.as<int8_t>(), scales.as<float>(), one_scale, device.as(), nullptr);
    CUDA_CHECK(cudaMemcpy(from_gpu.data(), device.as(), w.layout.bytes, cudaMemcpyDeviceToHost));
    report(std::memcmp(packed.data(), from_gpu.data(), w.layout.bytes) != 0, cat("n=", n, " k=", k, ": the GPU packs other bytes than the CPU"));
    if (one_scale) {
      w.packed_one_scale = std::move(device);
      continue;
    }
    w.packed = std::move(device);
    w.w_scales = upload(t.scales.data(), t.scales.size() * 4);
    std::vector<int8_t> rows(static_cast<size_t>(n * w.ldw), 0x7f);
    for (int64_t row = 0; row < n; ++row) std::memcpy(rows.data() + row * w.ldw, w_codes.data() + row * k, static_cast<size_t>(k));
    w.rows = upload(rows.data(), rows.size());
    w.w_sums = DeviceBytes(static_cast<size_t>(n) * 4);
    w8a8_row_sums(n, k, w.rows.as<int8_t>(), w.ldw, w.w_sums.as<int32_t>(), nullptr);
    std::vector<int32_t> sums(static_cast<size_t>(n));
    CUDA_CHECK(cudaMemcpy(sums.data(), w.w_sums.as(), sums.size() * 4, cudaMemcpyDeviceToHost));
    report(std::memcmp(sums.data(), packed.data() + w.layout.sums_at, sums.size() * 4) != 0, cat("n=", n, " k=", k, ": row sums differ from the packed ones"));
  }
  const std::vector<int8_t> x = random_codes(rng, most, k, w.ldx, extreme);
  w.x = upload(x.data(), x.size());
  std::vector<int8_t> off(static_cast<size_t>(most * w.ldx_off), 0x7f);
  for (int64_t row = 0; row < most; ++row) std::memcpy(off.data() + row * w.ldx_off, x.data() + row * w.ldx, static_cast<size_t>(k));
  w.x_off = upload(off.data(), off.size());
  std::vector<float> scales(static_cast<size_t>(most));
  std::vector<int32_t> zeros(static_cast<size_t>(most));
  for (float& scale : scales) scale = 0.001f + 0.0001f * static_cast<float>(rng() % 100);
  for (int32_t& zero : zeros) zero = static_cast<int32_t>(rng() % 256) - 128;
  if (most > 2) scales[2] = std::nanf("");  // stays in its row
  w.x_scales = upload(scales.data(), scales.size() * 4);
  w.x_zeros = upload(zeros.data(), zeros.size() * 4);
  std::vector<float> bias(static_cast<size_t>(n));
  for (float& b : bias) b = static_cast<float>(rng() % 1000) * 0.01f - 5.0f;
  for (int type = 0; type < 2; ++type) {
    std::vector<uint16_t> bits;
    for (const float b : bias) bits.push_back(to_bits(b, type == 1));
    w.bias[type] = upload(bits.data(), bits.size() * 2);
  }
  w.bias[2] = upload(bias.data(), bias.size() * 4);
  const auto y_bytes = static_cast<size_t>((most + 2) * (n + kPad) * 4);
  w.y = DeviceBytes(y_bytes);
  w.again = DeviceBytes(y_bytes);
  w.counters = DeviceBytes(16);
  w.workspace = DeviceBytes(static_cast<size_t>(most * ((k + 15) / 16 * 16)));
  return w;
}

struct Variant {
  W8a8Output output = W8a8Output::kBF16;
  bool per_token = true, one_scale = false, zeros = false, bias = false, row_major = false, off = false;
  std::string describe() const {
    static const char* const names[] = {"f16", "bf16", "f32", "i32"};
    return cat(names[static_cast<int>(output)], per_token ? " token" : " tensor", one_scale ? "*tensor" : "*row", zeros ? " zeros" : "", bias ? " bias" : "",
               row_major ? " row-major" : "", off ? " unaligned" : "");
  }
};

unsigned long long count_wrong(const Weight& w, long long* first) {
  unsigned long long found[2];
  CUDA_CHECK(cudaMemcpy(found, w.counters.as(), 16, cudaMemcpyDeviceToHost));
  *first = static_cast<long long>(found[1]);
  return found[0];
}

void run_plan(const Weight& w, int64_t m, const Variant& v, const W8a8Plan& plan, int repeats) {
  const int64_t ldy = w.n + kPad;
  const auto size = static_cast<size_t>(output_bytes(v.output)), bytes = static_cast<size_t>((m + 2) * ldy) * size;
  const W8a8Problem problem{.layout = w.layout, .output = v.output, .m = m, .per_token = v.per_token, .row_major = v.row_major};
  W8a8Operands o{.packed = v.one_scale ? w.packed_one_scale.as() : w.packed.as(), .rows = w.rows.as<int8_t>(), .ldw = w.ldw,
                 .w_scales = v.one_scale ? reinterpret_cast<const float*>(w.packed_one_scale.as() + w.layout.scales_at) : w.w_scales.as<float>(),
                 .w_one_scale = v.one_scale, .w_sums = w.w_sums.as<int32_t>(), .x = v.off ? w.x_off.as<int8_t>() : w.x.as<int8_t>(),
                 .ldx = v.off ? w.ldx_off : w.ldx, .x_scales = w.x_scales.as<float>(), .x_zeros = v.zeros ? w.x_zeros.as<int32_t>() : nullptr,
                 .bias = v.bias ? w.bias[static_cast<int>(v.output)].as() : nullptr, .y = w.y.as() + static_cast<size_t>(ldy) * size, .ldy = ldy,
                 .workspace = w.workspace.as(), .workspace_bytes = w.workspace.size()};
  current = cat(w.n, "x", w.k, " m=", m, " ", v.describe(), ": ", plan.describe());
  CUDA_CHECK(cudaMemset(w.y.as(), 0xff, bytes));
  CUDA_CHECK(cudaMemset(w.workspace.as(), 0xff, w.workspace.size()));
  CUDA_CHECK(cudaMemset(w.counters.as(), 0, 16));
  w8a8_run(problem, plan, o, nullptr);
  const Expected e{.x = w.x.as<int8_t>(), .w = w.rows.as<int8_t>(), .w_scales = o.w_scales, .x_scales = o.x_scales, .x_zeros = o.x_zeros, .bias = o.bias,
                   .m = m, .n = w.n, .k = w.k, .ldx = w.ldx, .ldw = w.ldw, .w_one_scale = v.one_scale, .per_token = v.per_token, .output = v.output};
  judge<<<static_cast<unsigned>(((m + 2) * ldy + 127) / 128), 128>>>(e, w.y.as(), w.counters.as<unsigned long long>(), w.counters.as<long long>() + 1);
  CUDA_CHECK(cudaGetLastError());
  long long first = 0;
  const unsigned long long wrong = count_wrong(w, &first);
  report(wrong != 0, cat(current, ": ", wrong, " wrong, first token ", first / ldy - 1, " row ", first % ldy));
  if (repeats == 0) return;
  o.y = w.again.as() + static_cast<size_t>(ldy) * size;
  CUDA_CHECK(cudaMemset(w.counters.as(), 0, 16));
  for (int i = 0; i < repeats; ++i) {
    CUDA_CHECK(cudaMemsetAsync(w.again.as(), 0xff, bytes));
    w8a8_run(problem, plan, o, nullptr);
    compare<<<256, 256>>>(w.y.as<uint32_t>(), w.again.as<uint32_t>(), static_cast<int64_t>(bytes / 4), w.counters.as<unsigned long long>());
  }
  const unsigned long long different = count_wrong(w, &first);
  report(different != 0, cat(current, ": ", different, " words differ over ", repeats, " repetitions"));
}

std::vector<W8a8Plan> plans_for(const W8a8Problem& problem) {
  std::vector<W8a8Plan> plans;
  const int strips = problem.layout.strips, fewest = (strips + 15) / 16;
  for (const int tokens : {8, 16, 32, 64, 96, 128, 192, 256})
    for (const int share : {1, 2, 4})
      for (const int splits : {1, 2, 4, 8})
        for (const int depth : {1, 2, 4}) {
          const int tiles = (fewest + share - 1) / share * share;
          if (depth > 1 && (share > 1 || tokens > 64)) continue;
          W8a8Plan plan{.tokens = tokens, .row_tiles = tiles, .share = share, .splits = splits, .depth = depth, .stages = 3, .clusters = depth == 2 ? 2 : 16};
          if (splits == 4 || depth == 4) plan.row_tiles = tiles + share * 3, plan.stages = 2, plan.early_weights = true;
          if (w8a8_fits(problem, plan)) plans.push_back(plan);
        }
  return plans;
}

std::vector<Variant> variants() {
  std::vector<Variant> out;
  for (int output = 0; output < 4; ++output)
    for (int bits = 0; bits < 8; ++bits)
      out.push_back({.output = static_cast<W8a8Output>(output), .per_token = (bits & 1) == 0, .one_scale = (bits & 2) != 0, .zeros = (bits & 4) != 0,
                     .bias = output < 3 && bits % 3 != 0, .row_major = (bits + output) % 3 == 0, .off = (bits + output) % 5 == 0});
  return out;
}

W8a8Problem problem_of(const Weight& w, int64_t m, const Variant& v) {
  return {.layout = w.layout, .output = v.output, .m = m, .per_token = v.per_token, .row_major = v.row_major};
}

// Every plan with every variant in turn.
void every_plan(int64_t n, int64_t k, const std::vector<int64_t>& ms, int repeats) {
  const Weight w = make_weight(n, k, *std::max_element(ms.begin(), ms.end()));
  const std::vector<Variant> all = variants();
  size_t next = 0;
  for (const int64_t m : ms)
    for (const W8a8Plan& plan : plans_for(problem_of(w, m, {}))) {
      if (plan.tokens > 4 * m + 64) continue;
      for (int i = 0; i < 3; ++i) run_plan(w, m, all[next++ % all.size()], plan, i == 0 ? repeats : 0);
    }
}
void chosen_plan(int64_t n, int64_t k, const std::vector<int64_t>& ms, int each) {
  const Weight w = make_weight(n, k, *std::max_element(ms.begin(), ms.end()));
  const std::vector<Variant> all = variants();
  size_t next = static_cast<size_t>(n + k);
  for (const int64_t m : ms)
    for (int i = 0; i < each; ++i) {
      const Variant& v = all[next++ % all.size()];
      run_plan(w, m, v, w8a8_choose(problem_of(w, m, v)), 0);
    }
}
void every_variant(int64_t n, int64_t k, const std::vector<int64_t>& ms) {
  const Weight w = make_weight(n, k, *std::max_element(ms.begin(), ms.end()));
  for (const int64_t m : ms)
    for (Variant v : variants())
      for (const bool row_major : {false, true})
        for (const bool off : {false, true}) {
          v.row_major = row_major, v.off = off;
          run_plan(w, m, v, w8a8_choose(problem_of(w, m, v)), 0);
        }
}

// The same bits beside another stream that writes memory all the time.
void busy_repetitions(int repeats) {
  const Weight w = make_weight(1280, 4544, 257);
  cudaStream_t other;
  CUDA_CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  const DeviceBytes hog(64 << 20);
  for (const int64_t m : {1, 33, 257}) {
    keep_busy<<<64, 256, 0, other>>>(hog.as<uint32_t>(), 16 << 20, repeats / 20);
    run_plan(w, m, {}, w8a8_choose(problem_of(w, m, {})), repeats);
  }
  CUDA_CHECK(cudaStreamSynchronize(other));
  CUDA_CHECK(cudaStreamDestroy(other));
}

}  // namespace

int run_w8a8_checks(const std::vector<std::string>& arguments) {
  const auto has = [&](const char* word) { return std::find(arguments.begin(), arguments.end(), word) != arguments.end(); };
  const auto group = [&](const char* title, const std::function<void()>& body) {
    const int64_t runs = totals.runs, failed = totals.failed;
    body();
    CUDA_CHECK(cudaDeviceSynchronize());
    std::printf("%-52s %6lld runs %4lld failed\n", title, static_cast<long long>(totals.runs - runs), static_cast<long long>(totals.failed - failed));
    std::fflush(stdout);
  };
  if (has("quick")) {  // small shapes, every kernel and tile: for compute-sanitizer
    group("quick: every plan", [] { every_plan(136, 520, {3, 33}, 0); });
    group("quick: every variant", [] { every_variant(24, 136, {5}); });
  } else {
    group("every plan, odd shapes, repeated", [] {
      every_plan(8, 8, {1, 17}, 2);
      every_plan(24, 136, {1, 9, 33}, 2);
      every_plan(264, 1032, {1, 16, 65, 129, 257}, 2);
      every_plan(1280, 4544, {1, 7, 17, 128, 300}, 1);
    });
    group("every variant", [] {
      every_variant(24, 264, {1, 33});
      every_variant(392, 712, {1, 16, 129, 257});
    });
    group("m = 1 ... 257, the chosen plan", [] {
      std::vector<int64_t> ms;
      for (int64_t m = 1; m <= 257; ++m) ms.push_back(m);
      for (const auto& [n, k] : {std::pair<int64_t, int64_t>{8, 264}, {392, 712}, {1096, 328}, {1280, 4544}, {2056, 1000}, {4104, 136}, {13696, 520}}) chosen_plan(n, k, ms, 2);
    });
    group("large shapes, the chosen plan", [] {
      chosen_plan(4096, 4096, {1, 16, 48, 200, 1000, 4096}, 4);
      chosen_plan(2056, 11008, {1, 13, 16, 48, 200, 1000}, 3);
      chosen_plan(13696, 4096, {1, 16, 64, 511, 2049}, 2);
    });
    group("the largest sums", [] {
      const Weight w = make_weight(16, kMostColumns / 8 * 8, 9, true);
      for (const int64_t m : {1, 9}) run_plan(w, m, {.output = W8a8Output::kI32}, w8a8_choose(problem_of(w, m, {.output = W8a8Output::kI32})), 0);
    });
    if (has("huge"))
      group("more than 2^31 elements", [] {
        const Weight w = make_weight(4096, 64, 524416);
        run_plan(w, 524416, {}, w8a8_choose(problem_of(w, 524416, {})), 0);
      });
    group("1,000 repetitions beside a busy stream", [] { busy_repetitions(1000); });
  }
  if (!has("gemm")) group("quantization of activations", [&] { check_quantization(has("quick"), [](bool failed, const std::string& text) { report(failed, text); }); });
  std::printf("W8A8: %lld runs, %lld failed\n", static_cast<long long>(totals.runs), static_cast<long long>(totals.failed));
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace octavo::cuda::testing
