// Quantization of activations against the CPU. Plain int8 and e4m3 must agree bit for bit with the definition; where v comes
// out of a norm or an activation, v is computed in double here and a code may differ by what the rounding of v to 16 bits can
// move it. Rows of zeros, of one infinity and of NaN are among the rows; columns behind k and rows behind m stay untouched.
#include <cuda_fp8.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "cuda/harness.cuh"
#include "cuda/w8a8_tests.cuh"
#include "kernels/cuda/w8a8_quantize.h"
#include "kernels/oracle.h"
#include "kernels/quantized_rows.h"

namespace octavo::cuda::testing {
namespace {

constexpr int64_t kPad = 8;

struct Data {
  int64_t m, k, ldx;
  bool bf16;
  std::vector<uint16_t> x, up, weight;
  DeviceBytes dx, dup, dweight;
};

Data make_data(int64_t m, int64_t k, bool bf16, bool special) {
  octavo::testing::Rng rng(static_cast<uint64_t>(m * 7 + k));
  Data d{.m = m, .k = k, .ldx = k + kPad, .bf16 = bf16};
  std::normal_distribution<float> draw;
  for (int64_t i = 0; i < m * d.ldx; ++i) {
    const int64_t row = i / d.ldx;
    const float factor = static_cast<float>(std::ldexp(1.0, static_cast<int>(row % 9) - 4));
    d.x.push_back(to_bits(special && row == 1 ? 0.0f : draw(rng) * factor, bf16));
    d.up.push_back(to_bits(draw(rng), bf16));
  }
  for (int64_t i = 0; i < k; ++i) d.weight.push_back(to_bits(1.0f + 0.1f * draw(rng), bf16));
  if (special && m > 4) {
    d.x[static_cast<size_t>(3 * d.ldx + k / 2)] = to_bits(-INFINITY, bf16);
    d.x[static_cast<size_t>(4 * d.ldx + k - 1)] = to_bits(NAN, bf16);
  }
  d.dx = upload(d.x.data(), d.x.size() * 2);
  d.dup = upload(d.up.data(), d.up.size() * 2);
  d.dweight = upload(d.weight.data(), d.weight.size() * 2);
  return d;
}

// v of a row in double, not rounded to 16 bits.
std::vector<double> values(const Data& d, int64_t row, ActSource source, float eps) {
  std::vector<double> v;
  double squares = 0;
  for (int64_t i = 0; i < d.k; ++i) {
    v.push_back(static_cast<double>(from_bits(d.x[static_cast<size_t>(row * d.ldx + i)], d.bf16)));
    squares += v.back() * v.back();
  }
  const double norm = 1 / std::sqrt(squares / static_cast<double>(d.k) + static_cast<double>(eps));
  for (int64_t i = 0; i < d.k; ++i) {
    double& value = v[static_cast<size_t>(i)];
    if (source == ActSource::kRmsNorm) value *= norm * static_cast<double>(from_bits(d.weight[static_cast<size_t>(i)], d.bf16));
    if (source == ActSource::kSiluMul) value = value / (1 + std::exp(-value)) * static_cast<double>(from_bits(d.up[static_cast<size_t>(row * d.ldx + i)], d.bf16));
  }
  return v;
}

float e4m3_value(uint8_t code) {
  const __half_raw half = __nv_cvt_fp8_to_halfraw(code, __NV_E4M3);
  return f16_to_f32(half.x);
}

// "" or what is wrong with a row.
std::string judge_row(const ActProblem& p, const std::vector<double>& v, const uint8_t* codes, float scale, int32_t zero, bool exact, bool found_here) {
  double low = 0, high = 0;
  bool finite = true;
  for (const double value : v) finite = finite && std::isfinite(value), low = std::min(low, value), high = std::max(high, value);
  const bool e4m3 = p.code == ActCode::kE4M3;
  if (found_here) {  // the scale belongs to this row
    if (!finite) {
      if (!std::isnan(scale)) return cat("scale of a row that is not finite: ", scale);
      for (size_t i = 0; i < v.size(); ++i)
        if (codes[i] != 0) return "code of a row that is not finite";
      return "";
    }
    const double most = std::max(high, -low);
    const double want = p.zero_points ? (high - low) / 255 : most / (e4m3 ? 448.0 : 127.0);
    const double slack = exact && !p.zero_points ? 0x1p-24 : p.bf16 ? 0x1p-7 : 0x1p-9;
    if (std::abs(static_cast<double>(scale) - want) > want * slack) return cat("scale ", scale, ", expected about ", want);
    if (p.zero_points && want > 0 && std::abs(static_cast<double>(zero) - (-128 - low / static_cast<double>(scale))) > 0.51 + (exact ? 0.01 : 2.0)) return cat("zero point ", zero);
  }
  for (size_t i = 0; i < v.size(); ++i) {
    const double quotient = scale > 0 ? v[i] / static_cast<double>(scale) : 0;
    const double moved = exact ? 0 : std::abs(quotient) * (p.bf16 ? 0x1p-8 : 0x1p-10) + (p.bf16 ? 0 : 0x1p-24 / static_cast<double>(scale));  // by rounding v
    if (e4m3) {
      const double limited = std::min(std::max(quotient, -448.0), 448.0), found = static_cast<double>(e4m3_value(codes[i]));
      const double half_ulp = std::max(std::ldexp(1.0, std::ilogb(std::max(std::abs(limited), 1e-9)) - 4), 0x1p-10);
      if (!(std::abs(found - limited) <= half_ulp * 1.0001 + moved)) return cat("code of ", quotient, " is ", found);
    } else {
      const double limited = std::min(std::max(quotient + zero, p.zero_points ? -128.0 : -127.0), 127.0);
      const double found = static_cast<double>(static_cast<int8_t>(codes[i]));
      if (!(std::abs(found - limited) <= 0.5005 + moved)) return cat("code of ", quotient, " + ", zero, " is ", found);
    }
  }
  return "";
}

void check(const Data& d, ActProblem p, const std::function<void(bool, const std::string&)>& report) {
  p.m = d.m, p.k = d.k, p.bf16 = d.bf16;
  const int64_t ldq = d.k + kPad, groups = p.groups ? (d.k + 127) / 128 : 1, lds = d.m + 3, scales = p.groups ? groups * lds : p.per_token ? d.m : 1;
  const DeviceBytes codes(static_cast<size_t>((d.m + 1) * ldq)), dscales(static_cast<size_t>(scales * 4)), dzeros(static_cast<size_t>(scales * 4)), workspace(act_workspace_bytes(p) + 16);
  const float given_scale = p.code == ActCode::kE4M3 ? 0.01f : 0.03f;
  const int32_t given_zero = p.zero_points ? -37 : 0;
  std::vector<uint8_t> out[2];
  std::vector<float> scale(static_cast<size_t>(scales));
  std::vector<int32_t> zero(static_cast<size_t>(scales));
  for (std::vector<uint8_t>& result : out) {  // twice: the same bits
    CUDA_CHECK(cudaMemset(codes.as(), 0xa5, codes.size()));
    CUDA_CHECK(cudaMemset(dscales.as(), 0xff, dscales.size()));
    CUDA_CHECK(cudaMemset(dzeros.as(), 0, dzeros.size()));
    CUDA_CHECK(cudaMemset(workspace.as(), 0xff, workspace.size()));
    if (!p.dynamic) {
      CUDA_CHECK(cudaMemcpy(dscales.as(), &given_scale, 4, cudaMemcpyHostToDevice));
      CUDA_CHECK(cudaMemcpy(dzeros.as(), &given_zero, 4, cudaMemcpyHostToDevice));
    }
    act_quantize(p, {.x = d.dx.as(), .ldx = d.ldx, .up = d.dup.as(), .weight = d.dweight.as(), .codes = codes.as(), .ldq = ldq, .scales = dscales.as<float>(),
                     .lds = lds, .zeros = dzeros.as<int32_t>(), .workspace = workspace.as()}, nullptr);
    result.resize(codes.size());
    CUDA_CHECK(cudaMemcpy(result.data(), codes.as(), codes.size(), cudaMemcpyDeviceToHost));
    CUDA_CHECK(cudaMemcpy(scale.data(), dscales.as(), scale.size() * 4, cudaMemcpyDeviceToHost));
    CUDA_CHECK(cudaMemcpy(zero.data(), dzeros.as(), zero.size() * 4, cudaMemcpyDeviceToHost));
  }
  const std::string name = cat("quantize ", d.m, "x", d.k, d.bf16 ? " bf16" : " f16", p.source == ActSource::kPlain ? "" : p.source == ActSource::kRmsNorm ? " rms norm" : " silu mul",
                               p.code == ActCode::kInt8 ? " int8" : " e4m3", p.groups ? " 1x128" : p.per_token ? " token" : " tensor", p.dynamic ? "" : " static", p.zero_points ? " zeros" : "");
  report(out[0] != out[1], name + ": two runs differ");
  const bool exact = p.source == ActSource::kPlain;
  std::string wrong;
  for (int64_t row = 0; row <= d.m && wrong.empty(); ++row)
    for (int64_t col = row < d.m ? d.k : 0; col < ldq; ++col)
      if (out[0][static_cast<size_t>(row * ldq + col)] != 0xa5) wrong = cat("byte written at row ", row, " column ", col);
  double low = 0, high = 0;
  bool finite = true;
  for (int64_t row = 0; row < d.m && wrong.empty(); ++row) {
    const std::vector<double> v = values(d, row, p.source, p.eps);
    for (const double value : v) finite = finite && std::isfinite(value), low = std::min(low, value), high = std::max(high, value);
    if (p.groups) {
      for (int64_t group = 0; group < groups && wrong.empty(); ++group) {
        const std::vector<double> part(v.begin() + group * 128, v.begin() + std::min(d.k, group * 128 + 128));
        wrong = judge_row(p, part, out[0].data() + row * ldq + group * 128, scale[static_cast<size_t>(group * lds + row)], 0, exact, true);
        if (!wrong.empty()) wrong = cat("row ", row, " group ", group, ": ", wrong);
      }
      continue;
    }
    const auto at = static_cast<size_t>(p.per_token ? row : 0);
    if (!p.per_token && !(std::isfinite(scale[0]))) continue;
    bool row_finite = true;
    for (const double value : v) row_finite = row_finite && std::isfinite(value);
    if (!p.dynamic && !row_finite) continue;
    wrong = judge_row(p, v, out[0].data() + row * ldq, scale[at], zero[at], exact, p.per_token);
    if (!wrong.empty()) wrong = cat("row ", row, ": ", wrong);
  }
  if (wrong.empty() && p.dynamic && !p.per_token) {
    const double want = p.zero_points ? (high - low) / 255 : std::max(high, -low) / (p.code == ActCode::kE4M3 ? 448.0 : 127.0);
    if (finite ? std::abs(static_cast<double>(scale[0]) - want) > want * 0x1p-7 : !std::isnan(scale[0])) wrong = cat("scale of all: ", scale[0], ", expected ", finite ? want : NAN);
  }
  report(!wrong.empty(), cat(name, ": ", wrong));
  // Symmetric int8 of tokens: the very codes and scales of the CPU.
  if (exact && p.per_token && p.code == ActCode::kInt8 && !p.zero_points) {
    std::vector<float> x(d.x.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = from_bits(d.x[i], d.bf16);
    ThreadPool pool;
    QuantizedRows rows;
    quantize_rows(x.data(), d.m, d.k, d.ldx, p.groups ? 128 : 0, pool, &rows);
    bool same = true;
    for (int64_t row = 0; row < d.m; ++row) {
      same = same && std::memcmp(rows.codes.data() + row * d.k, out[0].data() + row * ldq, static_cast<size_t>(d.k)) == 0;
      for (int64_t group = 0; group < groups; ++group) {
        const float a = rows.scales[static_cast<size_t>(row * groups + group)], b = scale[static_cast<size_t>(p.groups ? group * lds + row : row)];
        same = same && (a == b || (std::isnan(a) && std::isnan(b)));
      }
    }
    report(!same, name + ": codes or scales differ from the CPU's");
  }
}

}  // namespace

void check_quantization(bool quick, const std::function<void(bool failed, const std::string& text)>& report) {
  using Shapes = std::vector<std::pair<int64_t, int64_t>>;
  for (const auto& [m, k] : quick ? Shapes{{6, 136}} : Shapes{{1, 8}, {7, 136}, {33, 1032}, {129, 4544}, {40, 11008}, {9, 28672}})
    for (const bool bf16 : {false, true})
      for (const bool special : {false, true}) {
        const Data data = make_data(m, k, bf16, special);
        for (const ActSource source : {ActSource::kPlain, ActSource::kRmsNorm, ActSource::kSiluMul})
          for (const ActCode code : {ActCode::kInt8, ActCode::kE4M3}) {
            check(data, {.source = source, .code = code, .groups = true}, report);
            for (int kind = 0; kind < 3; ++kind)
              for (const bool zeros : {false, true})
                if (!zeros || code == ActCode::kInt8) check(data, {.source = source, .code = code, .per_token = kind == 0, .dynamic = kind != 2, .zero_points = zeros}, report);
          }
      }
}

}  // namespace octavo::cuda::testing
