// Names of schemes. A quantized name is wB aB then options in this order:
//   w4a16 [-gN | -tensor] [-asym] [-actorder] [-sf32 | -sbf16]
// B is 4 or 8 bits; a16: float activations, a8: int8, one dynamic scale per token. Without -g or -tensor a scale
// covers a row. Other schemes (fp8 codes, foreign scale types) can be held and described, but have no name to parse.
#include "octavo/scheme.h"

#include <charconv>

#include "base/error.h"

namespace octavo {
namespace {

constexpr Elem kDefaultScale = Elem::kF16;
constexpr Quant kTokenInt8{.elem = Elem::kI8, .scale = Elem::kF32, .span_k = 0, .span_n = 1, .dynamic = true};

// Types that are a scheme by themselves.
bool is_whole_scheme(const ElemInfo& elem) {
  return elem.is_ggml || elem.elem == Elem::kF32 || elem.elem == Elem::kBF16 || elem.elem == Elem::kF16;
}

struct Suffix {
  std::string_view text;
  Elem scale;
};
constexpr Suffix kScaleSuffixes[] = {{"-sf32", Elem::kF32}, {"-sbf16", Elem::kBF16}};

std::string_view scale_suffix(Elem scale) {
  for (const Suffix& suffix : kScaleSuffixes)
    if (suffix.scale == scale) return suffix.text;
  return "";
}

// The name that the grammar gives; right only if parse_scheme returns the same scheme.
std::string grammar_name(const QuantScheme& scheme) {
  const Quant& w = scheme.weight;
  if (!w.quantized()) return std::string(info(w.elem).name);
  std::string out = cat(w.elem == Elem::kI4 ? "w4" : "w8", scheme.act.quantized() ? "a8" : "a16");
  if (w.span_k != 0)
    out += cat("-g", w.span_k);
  else if (w.span_n == 0)
    out += "-tensor";
  if (!w.symmetric()) out += "-asym";
  if (scheme.permuted_k) out += "-actorder";
  out += scale_suffix(w.scale);
  return out;
}

std::string describe(const Quant& quant) {
  std::string out(info(quant.elem).name);
  if (!quant.quantized()) return out;
  out += cat("[k", quant.span_k, ",n", quant.span_n, ",s=", info(quant.scale).name);
  if (!quant.symmetric()) out += cat(",z=", info(quant.zero).name);
  if (quant.dynamic) out += ",dynamic";
  return out + "]";
}

bool take(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// A decimal number in 1..65535 without leading zeros.
bool take_group(std::string_view& text, uint16_t& group) {
  if (text.empty() || text[0] == '0') return false;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), group);
  if (status != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool parse(std::string_view text, QuantScheme& scheme) {
  for (const ElemInfo& elem : all_elems()) {
    if (text != elem.name || !is_whole_scheme(elem)) continue;
    scheme.weight.elem = elem.elem;
    return true;
  }
  Quant& w = scheme.weight;
  w.span_n = 1;
  w.scale = kDefaultScale;
  if (take(text, "w4"))
    w.elem = Elem::kI4;
  else if (take(text, "w8"))
    w.elem = Elem::kI8;
  else
    return false;
  if (take(text, "a8"))
    scheme.act = kTokenInt8;
  else if (!take(text, "a16"))
    return false;
  if (take(text, "-g")) {
    if (!take_group(text, w.span_k)) return false;
  } else if (take(text, "-tensor")) {
    w.span_n = 0;
  }
  if (take(text, "-asym")) w.zero = w.elem;
  if (take(text, "-actorder")) {
    if (w.span_k == 0) return false;  // one group: there is nothing to order
    scheme.permuted_k = true;
  }
  for (const Suffix& suffix : kScaleSuffixes) {
    if (!take(text, suffix.text)) continue;
    w.scale = suffix.scale;
    break;
  }
  return text.empty();
}

}  // namespace

double bits_per_weight(const QuantScheme& scheme, int64_t k) {
  const Quant& w = scheme.weight;
  if (!w.quantized() || k <= 0 || w.span_n == 0) return bits(w.elem);  // scales shared by all rows weigh nothing
  const int64_t groups = w.span_k == 0 ? 1 : (k + w.span_k - 1) / w.span_k;
  return bits(w.elem) + static_cast<double>(groups) * (bits(w.scale) + bits(w.zero)) / static_cast<double>(k);
}

std::string name(const QuantScheme& scheme) {
  std::string text = grammar_name(scheme);
  QuantScheme parsed;
  if (parse(text, parsed) && parsed == scheme) return text;
  return cat(describe(scheme.weight), "*", describe(scheme.act), scheme.permuted_k ? "-actorder" : "");
}

QuantScheme parse_scheme(std::string_view name) {
  QuantScheme scheme;
  if (parse(name, scheme)) return scheme;
  std::string known;
  for (const ElemInfo& elem : all_elems())
    if (is_whole_scheme(elem)) known += cat(elem.name, ", ");
  fail(Code::kUsage, "unknown scheme ", quoted(name), "; known are ", known,
       "and w4a16, w8a16, w4a8, w8a8 with the options [-gN | -tensor] [-asym] [-actorder] [-sf32 | -sbf16] in this "
       "order, e.g. w4a16-g128-asym");
}

}  // namespace octavo
