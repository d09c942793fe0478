// The e4m3 kernels against sums in double on the GPU, for every type of result, kind of scale, way to give the weights, and plan.
//
// Three kinds of data. "exact": small integers and scales that are powers of two: every sum is exact, the result must be the
// rounding of the exact value. "random": normal w and x. "harsh": in each 32 products one that is large and 31 that lie just below
// what the matrix unit keeps beside it. The bound is half a unit in the last place of the output, kParts 2^-13 S of the matrix
// unit, where S = sum |x w| with scales, and the rounding in f32 of the sum of chunks. kParts: the unit adds 32 products to a sum and
// cuts all 33 off 13 bits below the largest (found by "harsh", which comes to 31 of the 33), four times for a chunk.
// Fast sums: 33 for each 32 columns. Plans that do not split k must give the same bits, whatever m.
#include <cuda_fp8.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "cuda/harness.cuh"
#include "cuda/w8a8_tests.cuh"
#include "kernels/cuda/w8a8_linear.h"
#include "kernels/oracle.h"

namespace octavo::cuda::testing {
namespace {

constexpr int64_t kPad = 8;  // columns of y behind the n real ones, and a row before and behind: must stay untouched
enum class Data { kExact, kRandom, kHarsh };
constexpr double kParts = 132, kRandomParts = 4;  // random products cut each other off less
constexpr double kFastParts = 8;                  // of random products with fast sums

struct Expected {
  const uint8_t *x, *w;  // [m, ldx], [n, ldw]
  const float *w_scales, *x_scales;
  const void* bias;
  int64_t m, n, k, ldx, ldw, lds;
  bool w_one_scale, per_token, blocks;
  W8a8Output output;
  double parts;  // 0: exact
};
struct Verdict {
  unsigned long long wrong;
  long long first;
  double worst;  // error of the matrix unit in 2^-13 S
};

__device__ double of_e4m3(uint8_t code) {
  const __half_raw raw = __nv_cvt_fp8_to_halfraw(code, __NV_E4M3);
  return static_cast<double>(__half2float(__half(raw)));
}
__device__ double value_at(const void* data, int64_t at, W8a8Output type) {
  if (type == W8a8Output::kF16) return static_cast<double>(__half2float(static_cast<const __half*>(data)[at]));
  if (type == W8a8Output::kBF16) return static_cast<double>(__bfloat162float(static_cast<const __nv_bfloat16*>(data)[at]));
  return static_cast<double>(static_cast<const float*>(data)[at]);
}
__device__ double half_ulp(double v, W8a8Output type) {
  int exponent = 0;
  frexp(v, &exponent);
  const int bits = type == W8a8Output::kBF16 ? 8 : type == W8a8Output::kF16 ? 11 : 24, lowest = type == W8a8Output::kF16 ? -13 : -125;
  return ldexp(1.0, (exponent < lowest ? lowest : exponent) - 1 - bits);
}

// One thread an element of y with its padding and the rows around it; y points at the row before the first.
__global__ void judge(const Expected e, const void* y, Verdict* verdict) {
  const int64_t ldy = e.n + kPad, at = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= (e.m + 2) * ldy) return;
  const int64_t token = at / ldy - 1, row = at % ldy;
  const bool real = token >= 0 && token < e.m && row < e.n, narrow = e.output != W8a8Output::kF32;
  bool good = narrow ? static_cast<const uint16_t*>(y)[at] == 0xffffu : static_cast<const uint32_t*>(y)[at] == 0xffffffffu;
  if (real) {
    const int64_t chunks = (e.k + 127) / 128;
    double sum = 0, size = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const double scale = static_cast<double>(e.w_scales[e.blocks ? row / 128 * chunks + chunk : e.w_one_scale ? 0 : row]) *
                           static_cast<double>(e.x_scales[e.blocks ? chunk * e.lds + token : e.per_token ? token : 0]);
      double part = 0, part_size = 0;
      for (int64_t col = chunk * 128; col < min(e.k, chunk * 128 + 128); ++col) {
        const double term = of_e4m3(e.x[token * e.ldx + col]) * of_e4m3(e.w[row * e.ldw + col]);
        part += term, part_size += fabs(term);
      }
      sum += part * scale, size += part_size * fabs(scale);
    }
    const double products = size, b = e.bias == nullptr ? 0 : value_at(e.bias, row, e.output);
    sum += b, size += fabs(b);
    const double found = value_at(y, at, e.output), error = fabs(found - sum);
    const double in_float = e.parts == 0 ? 0 : static_cast<double>(chunks + 4) * 0x1p-24 * size;
    const double allowed = e.parts * 0x1p-13 * products + in_float;
    good = isnan(sum) ? isnan(found) : error <= allowed + half_ulp(fabs(sum) + allowed, e.output);
    const double of_unit = (error - half_ulp(fabs(sum), e.output)) / (0x1p-13 * products);
    if (products > 0 && of_unit > verdict->worst) verdict->worst = of_unit;  // a race only loosens the report
  }
  if (good) return;
  if (atomicAdd(&verdict->wrong, 1ull) == 0) verdict->first = at;
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
  double worst[4] = {};  // the last: random, fast sums
} totals;

void report(bool failed, const std::string& text) {
  ++totals.runs;
  if (failed && ++totals.failed <= 20) std::printf("FAILED %s\n", text.c_str());
}

uint8_t e4m3(float value) { return static_cast<uint8_t>(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3)); }

struct Weight {
  int64_t n, k, ldw, ldx, ldx_off, lds, most, chunks;
  Data data;
  W8a8Layout layout[2];  // one scale a row, blocks
  DeviceBytes packed, packed_one_scale, packed_blocks, rows, w_scales, block_scales, x, x_off, x_scales, x_block_scales, bias[3], y, again, verdict, workspace;
};

std::vector<uint8_t> codes_of(octavo::testing::Rng& rng, int64_t rows, int64_t cols, int64_t stride, Data data, bool of_x) {
  std::vector<uint8_t> out(static_cast<size_t>(rows * stride), 0x7f);  // NaN where nothing may be read
  std::normal_distribution<float> draw;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col) {
      float value = draw(rng) * 4.0f;
      if (data == Data::kExact) value = static_cast<float>(static_cast<int>(rng() % 5) - 2);
      // 256 * 256, and 31 of 4 * 1.875: 2^13 times as much as the last bit of 7.5 is cut to.
      if (data == Data::kHarsh) value = of_x ? (col % 32 == 5 ? 256.0f : 4.0f) : (col % 32 == 5 ? 256.0f : 1.875f);
      out[static_cast<size_t>(row * stride + col)] = e4m3(value);
    }
  return out;
}

Weight make_weight(int64_t n, int64_t k, int64_t most, Data data) {
  octavo::testing::Rng rng(static_cast<uint64_t>(n * 131 + k));
  Weight w{.n = n, .k = k, .ldw = (k + 31) / 16 * 16, .most = most, .data = data};
  w.chunks = (k + 127) / 128;
  w.ldx = w.ldw;
  w.ldx_off = k + 8 - (k % 16 == 8 ? 8 : 0);  // an odd multiple of 8
  w.lds = (most + 3) / 4 * 4 + 4;
  w.layout[0] = w8a8_layout(n, k, W8a8Codes::kE4M3);
  w.layout[1] = w8a8_layout(n, k, W8a8Codes::kE4M3Blocks);
  ThreadPool pool;
  const std::vector<uint8_t> codes = codes_of(rng, n, k, k, data, false);
  const auto scales = [&](int64_t count) {
    std::vector<float> out(static_cast<size_t>(count));
    for (float& scale : out)
      scale = data == Data::kExact ? (rng() % 8 == 0 ? 0.0f : std::ldexp(1.0f, -static_cast<int>(rng() % 3))) : data == Data::kHarsh ? 1.0f / 1024 : 0.01f + 0.001f * static_cast<float>(rng() % 100);
    return out;
  };
  const std::vector<float> of_rows = scales(n), of_blocks = scales(w.layout[1].scale_rows() * w.chunks);
  const DeviceBytes device_codes = upload(codes.data(), codes.size());
  w.w_scales = upload(of_rows.data(), of_rows.size() * 4);
  w.block_scales = upload(of_blocks.data(), of_blocks.size() * 4);
  for (int kind = 0; kind < 3; ++kind) {
    const W8a8Layout& layout = w.layout[kind == 2];
    DeviceBytes& to = kind == 0 ? w.packed : kind == 1 ? w.packed_one_scale : w.packed_blocks;
    std::vector<std::byte> packed(layout.bytes), from_gpu(layout.bytes);
    w8a8_pack_codes(layout, reinterpret_cast<const std::byte*>(codes.data()), kind == 2 ? of_blocks.data() : of_rows.data(), kind == 1, packed.data(), pool);
    to = DeviceBytes(layout.bytes);
    CUDA_CHECK(cudaMemset(to.as(), 0xa5, layout.bytes));
    w8a8_pack_gpu(layout, device_codes.as(), (kind == 2 ? w.block_scales : w.w_scales).as<float>(), kind == 1, to.as(), nullptr);
    CUDA_CHECK(cudaMemcpy(from_gpu.data(), to.as(), layout.bytes, cudaMemcpyDeviceToHost));
    report(std::memcmp(packed.data(), from_gpu.data(), layout.bytes) != 0, cat("e4m3 n=", n, " k=", k, " kind ", kind, ": the GPU packs other bytes than the CPU"));
  }
  std::vector<uint8_t> rows(static_cast<size_t>(n * w.ldw), 0x7f);
  for (int64_t row = 0; row < n; ++row) std::memcpy(rows.data() + row * w.ldw, codes.data() + row * k, static_cast<size_t>(k));
  w.rows = upload(rows.data(), rows.size());
  const std::vector<uint8_t> x = codes_of(rng, most, k, w.ldx, data, true);
  w.x = upload(x.data(), x.size());
  std::vector<uint8_t> off(static_cast<size_t>(most * w.ldx_off), 0x7f);
  for (int64_t row = 0; row < most; ++row) std::memcpy(off.data() + row * w.ldx_off, x.data() + row * w.ldx, static_cast<size_t>(k));
  w.x_off = upload(off.data(), off.size());
  std::vector<float> x_scales = scales(most), x_blocks = scales(w.chunks * w.lds);
  if (most > 2) x_scales[2] = x_blocks[static_cast<size_t>(w.chunks / 2 * w.lds + 2)] = std::nanf("");  // stays in its row
  w.x_scales = upload(x_scales.data(), x_scales.size() * 4);
  w.x_block_scales = upload(x_blocks.data(), x_blocks.size() * 4);
  std::vector<float> bias(static_cast<size_t>(n));
  for (float& b : bias) b = static_cast<float>(static_cast<int>(rng() % 9) - 4);
  for (int type = 0; type < 2; ++type) {
    std::vector<uint16_t> bits;
    for (const float b : bias) bits.push_back(to_bits(b, type == 1));
    w.bias[type] = upload(bits.data(), bits.size() * 2);
  }
  w.bias[2] = upload(bias.data(), bias.size() * 4);
  const auto y_bytes = static_cast<size_t>((most + 2) * (n + kPad) * 4);
  w.y = DeviceBytes(y_bytes);
  w.again = DeviceBytes(y_bytes);
  w.verdict = DeviceBytes(sizeof(Verdict));
  w.workspace = DeviceBytes(static_cast<size_t>(most * ((k + 15) / 16 * 16)));
  return w;
}

struct Variant {
  W8a8Output output = W8a8Output::kBF16;
  bool blocks = false, fast = false, per_token = true, one_scale = false, bias = false, row_major = false, off = false;
  std::string describe() const {
    static const char* const names[] = {"f16", "bf16", "f32"};
    return cat(names[static_cast<int>(output)], blocks ? " blocks" : cat(per_token ? " token" : " tensor", one_scale ? "*tensor" : "*row", fast ? " fast" : ""), bias ? " bias" : "", row_major ? " row-major" : "",
               off ? " unaligned" : "");
  }
};
std::vector<Variant> variants() {
  std::vector<Variant> out;
  for (int output = 0; output < 3; ++output)
    for (int kind = 0; kind < 6; ++kind)
      for (int rest = 0; rest < 2; ++rest) {
        const int i = static_cast<int>(out.size());
        out.push_back({.output = static_cast<W8a8Output>(output), .blocks = kind == 3 || kind == 4, .fast = kind == 5, .per_token = kind != 1, .one_scale = kind == 2, .bias = rest == 1, .row_major = i % 3 == 1, .off = i % 5 == 2});
      }
  return out;
}

W8a8Problem problem_of(const Weight& w, int64_t m, const Variant& v) {
  return {.layout = w.layout[v.blocks], .output = v.output, .m = m, .per_token = v.per_token, .row_major = v.row_major, .fast_sums = v.fast};
}

// to: w.y or w.again, filled with 0xff before.
void launch(const Weight& w, int64_t m, const Variant& v, const W8a8Plan& plan, const DeviceBytes& to) {
  const int64_t ldy = w.n + kPad;
  const auto size = static_cast<size_t>(output_bytes(v.output));
  const DeviceBytes& packed = v.blocks ? w.packed_blocks : v.one_scale ? w.packed_one_scale : w.packed;
  CUDA_CHECK(cudaMemsetAsync(to.as(), 0xff, static_cast<size_t>((m + 2) * ldy) * size));
  w8a8_run(problem_of(w, m, v), plan,
           {.packed = packed.as(), .rows = w.rows.as(), .ldw = w.ldw, .w_scales = (v.blocks ? w.block_scales : w.w_scales).as<float>(), .w_one_scale = v.one_scale,
            .x = v.off ? w.x_off.as() : w.x.as(), .ldx = v.off ? w.ldx_off : w.ldx, .x_scales = (v.blocks ? w.x_block_scales : w.x_scales).as<float>(), .lds = w.lds,
            .bias = v.bias ? w.bias[static_cast<int>(v.output)].as() : nullptr, .y = to.as() + static_cast<size_t>(ldy) * size, .ldy = ldy, .workspace = w.workspace.as(),
            .workspace_bytes = w.workspace.size()},
           nullptr);
}

void run_plan(const Weight& w, int64_t m, const Variant& v, const W8a8Plan& plan, int repeats) {
  const int64_t ldy = w.n + kPad;
  current = cat("e4m3 ", w.n, "x", w.k, " m=", m, " ", w.data == Data::kExact ? "exact " : w.data == Data::kHarsh ? "harsh " : "random ", v.describe(), ": ", plan.describe());
  CUDA_CHECK(cudaMemset(w.verdict.as(), 0, sizeof(Verdict)));
  CUDA_CHECK(cudaMemset(w.workspace.as(), 0xff, w.workspace.size()));
  launch(w, m, v, plan, w.y);
  const Expected e{.x = w.x.as(), .w = w.rows.as(), .w_scales = (v.blocks ? w.block_scales : w.w_scales).as<float>(), .x_scales = (v.blocks ? w.x_block_scales : w.x_scales).as<float>(),
                   .bias = v.bias ? w.bias[static_cast<int>(v.output)].as() : nullptr, .m = m, .n = w.n, .k = w.k, .ldx = w.ldx, .ldw = w.ldw, .lds = w.lds, .w_one_scale = v.one_scale,
                   .per_token = v.per_token, .blocks = v.blocks, .output = v.output, .parts = w.data == Data::kExact ? 0 : w.data == Data::kRandom ? (v.fast ? kFastParts : kRandomParts) : v.fast ? 33.0 * static_cast<double>((w.k + 31) / 32) : kParts};
  judge<<<static_cast<unsigned>(((m + 2) * ldy + 127) / 128), 128>>>(e, w.y.as(), w.verdict.as<Verdict>());
  CUDA_CHECK(cudaGetLastError());
  Verdict verdict;
  CUDA_CHECK(cudaMemcpy(&verdict, w.verdict.as(), sizeof(verdict), cudaMemcpyDeviceToHost));
  report(verdict.wrong != 0, cat(current, ": ", verdict.wrong, " wrong, first token ", verdict.first / ldy - 1, " row ", verdict.first % ldy, ", worst ", verdict.worst, " of 2^-13 S"));
  double& worst = totals.worst[v.fast && w.data == Data::kRandom ? 3 : static_cast<int>(w.data)];
  worst = std::max(worst, verdict.worst);
  if (repeats == 0) return;
  CUDA_CHECK(cudaMemset(w.verdict.as(), 0, sizeof(Verdict)));
  for (int i = 0; i < repeats; ++i) {
    launch(w, m, v, plan, w.again);
    compare<<<256, 256>>>(w.y.as<uint32_t>(), w.again.as<uint32_t>(), (m + 2) * ldy * output_bytes(v.output) / 4, &w.verdict.as<Verdict>()->wrong);
  }
  CUDA_CHECK(cudaMemcpy(&verdict, w.verdict.as(), sizeof(verdict), cudaMemcpyDeviceToHost));
  report(verdict.wrong != 0, cat(current, ": ", verdict.wrong, " words differ over ", repeats, " repetitions"));
}

std::vector<W8a8Plan> plans_for(const W8a8Problem& problem) {
  std::vector<W8a8Plan> plans;
  const int fewest = (problem.layout.strips + 15) / 16;
  for (const int tokens : {8, 16, 32, 64, 128, 192, 256})
    for (const int share : {1, 2, 4})
      for (const int splits : {1, 2, 4, 8})
        for (const int depth : {1, 2, 4, 8}) {
          const int tiles = (fewest + share - 1) / share * share;
          W8a8Plan plan{.tokens = tokens, .row_tiles = tiles, .share = share, .splits = splits, .depth = depth, .stages = 3, .clusters = depth == 2 ? 2 : 16};
          if (splits == 4 || depth == 4) plan.row_tiles = tiles + share * 3, plan.stages = 2, plan.early_weights = true;
          if (w8a8_fits(problem, plan)) plans.push_back(plan);
        }
  return plans;
}

void every_plan(int64_t n, int64_t k, const std::vector<int64_t>& ms, Data data, int repeats) {
  const Weight w = make_weight(n, k, *std::max_element(ms.begin(), ms.end()), data);
  const std::vector<Variant> all = variants();
  size_t next = 0;
  for (const int64_t m : ms)
    for (int kind = 0; kind < 3; ++kind)
      for (const W8a8Plan& plan : plans_for(problem_of(w, m, {.blocks = kind == 1, .fast = kind == 2}))) {
        if (plan.tokens > 4 * m + 64) continue;
        for (int i = 0; i < 2; ++i) {
          while (all[++next % all.size()].blocks != (kind == 1) || all[next % all.size()].fast != (kind == 2)) {}
          run_plan(w, m, all[next % all.size()], plan, i == 0 ? repeats : 0);
        }
      }
}
void chosen_plan(int64_t n, int64_t k, const std::vector<int64_t>& ms, Data data, int each) {
  const Weight w = make_weight(n, k, *std::max_element(ms.begin(), ms.end()), data);
  const std::vector<Variant> all = variants();
  size_t next = static_cast<size_t>(n + k);
  for (const int64_t m : ms)
    for (int i = 0; i < each; ++i) {
      const Variant& v = all[next++ % all.size()];
      run_plan(w, m, v, w8a8_choose(problem_of(w, m, v)), 0);
    }
}

// Every plan that does not split k gives rows the bits that the largest m gives them.
void same_bits(int64_t n, int64_t k, const std::vector<int64_t>& ms) {
  const int64_t most = *std::max_element(ms.begin(), ms.end()), ldy = n + kPad;
  const Weight w = make_weight(n, k, most, Data::kRandom);
  for (int kind = 0; kind < 3; ++kind) {
    const Variant v{.blocks = kind == 1, .fast = kind == 2};
    launch(w, most, v, w8a8_choose(problem_of(w, most, v)), w.y);
    for (const int64_t m : ms)
      for (const W8a8Plan& plan : plans_for(problem_of(w, m, v))) {
        if (plan.splits != 1) continue;
        current = cat("e4m3 ", n, "x", k, " m=", m, kind == 1 ? " blocks" : kind == 2 ? " fast" : "", ": ", plan.describe());
        CUDA_CHECK(cudaMemset(w.verdict.as(), 0, sizeof(Verdict)));
        launch(w, m, v, plan, w.again);
        compare<<<256, 256>>>(w.y.as<uint32_t>(), w.again.as<uint32_t>(), (m + 1) * ldy / 2, &w.verdict.as<Verdict>()->wrong);  // 16 bits each
        Verdict verdict;
        CUDA_CHECK(cudaMemcpy(&verdict, w.verdict.as(), sizeof(verdict), cudaMemcpyDeviceToHost));
        report(verdict.wrong != 0, cat(current, ": ", verdict.wrong, " words differ from those of m = ", most));
      }
  }
}

void busy_repetitions(int repeats) {
  const Weight w = make_weight(1280, 4544, 257, Data::kRandom);
  cudaStream_t other;
  CUDA_CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  const DeviceBytes hog(64 << 20);
  for (const int64_t m : {1, 33, 257})
    for (int kind = 0; kind < 3; ++kind) {
      keep_busy<<<64, 256, 0, other>>>(hog.as<uint32_t>(), 16 << 20, repeats / 20);
      const Variant v{.blocks = kind == 1, .fast = kind == 2};
      run_plan(w, m, v, w8a8_choose(problem_of(w, m, v)), repeats);
    }
  CUDA_CHECK(cudaStreamSynchronize(other));
  CUDA_CHECK(cudaStreamDestroy(other));
}

}  // namespace

int run_f8_checks(const std::vector<std::string>& arguments) {
  const auto has = [&](const char* word) { return std::find(arguments.begin(), arguments.end(), word) != arguments.end(); };
  const auto group = [&](const char* title, const std::function<void()>& body) {
    const int64_t runs = totals.runs, failed = totals.failed;
    body();
    CUDA_CHECK(cudaDeviceSynchronize());
    std::printf("%-48s %6lld runs %4lld failed, errors of the matrix unit so far: random %.3f, fast %.3f, harsh %.2f of 2^-13 S\n", title, static_cast<long long>(totals.runs - runs),
                static_cast<long long>(totals.failed - failed), totals.worst[1], totals.worst[3], totals.worst[2]);
    std::fflush(stdout);
  };
  if (has("quick")) {  // small shapes, every kernel and tile: for compute-sanitizer
    group("quick: every plan", [] { every_plan(136, 520, {3, 33}, Data::kExact, 0); });
  } else {
    group("every plan, odd shapes, exact, repeated", [] {
      every_plan(8, 8, {1, 17}, Data::kExact, 2);
      every_plan(24, 136, {1, 9, 33}, Data::kExact, 2);
      every_plan(264, 1032, {1, 16, 65, 129, 257}, Data::kExact, 2);
      every_plan(1280, 4544, {1, 7, 17, 128, 300}, Data::kExact, 1);
    });
    group("every plan, odd shapes, random", [] {
      every_plan(24, 136, {1, 9, 33}, Data::kRandom, 0);
      every_plan(264, 1032, {1, 16, 65, 129, 257}, Data::kRandom, 0);
      every_plan(1280, 4544, {1, 17, 128, 300}, Data::kRandom, 0);
    });
    group("harsh sums", [] {
      chosen_plan(136, 128, {1, 17, 130}, Data::kHarsh, 30);
      chosen_plan(136, 4544, {1, 17, 130}, Data::kHarsh, 30);
    });
    group("the same bits for every m and plan", [] {
      same_bits(264, 1032, {1, 16, 33, 65, 129, 257});
      same_bits(1280, 4544, {1, 16, 33, 65, 300});
    });
    group("m = 1 ... 257, the chosen plan", [] {
      std::vector<int64_t> ms;
      for (int64_t m = 1; m <= 257; ++m) ms.push_back(m);
      for (const auto& [n, k] : {std::pair<int64_t, int64_t>{8, 264}, {392, 712}, {1096, 328}, {1280, 4544}, {2056, 1000}, {4104, 136}, {13696, 520}}) chosen_plan(n, k, ms, Data::kExact, 1);
    });
    group("large shapes, the chosen plan", [] {
      chosen_plan(4096, 4096, {1, 16, 48, 200, 1000, 4096}, Data::kExact, 2);
      chosen_plan(2056, 11008, {1, 13, 16, 48, 200, 1000}, Data::kExact, 2);
      chosen_plan(13696, 4096, {1, 16, 64, 511, 2049}, Data::kExact, 1);
    });
    if (has("huge"))
      group("more than 2^31 elements", [] {
        const Weight w = make_weight(4096, 64, 524416, Data::kExact);
        for (const bool blocks : {false, true}) run_plan(w, 524416, {.blocks = blocks}, w8a8_choose(problem_of(w, 524416, {.blocks = blocks})), 0);
      });
    group("1,000 repetitions beside a busy stream", [] { busy_repetitions(1000); });
  }
  std::printf("e4m3: %lld runs, %lld failed\n", static_cast<long long>(totals.runs), static_cast<long long>(totals.failed));
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace octavo::cuda::testing
