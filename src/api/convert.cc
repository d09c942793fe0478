// convert: the same numbers in another format.
#include "api/loaded.h"
#include "base/error.h"
#include "base/host_environment.h"
#include "formats/hf_write.h"
#include "formats/writer.h"

namespace octavo::api {
namespace {

Elem float_elem(const std::string& dtype) {
  if (dtype == "float32") return Elem::kF32;
  if (dtype == "bfloat16") return Elem::kBF16;
  if (dtype == "float16") return Elem::kF16;
  fail(Code::kUsage, "--dtype is ", quoted(dtype), ", allowed: float32, bfloat16, float16");
}

}  // namespace

Json convert(const ConvertRequest& request, const Context& context) {
  const HostEnvironment environment;
  const Model model = Model::open(request.model, context.notes, {.lenient = context.lenient});
  const Checkpoint& checkpoint = model.checkpoint();
  const std::string dtype = request.dtype.empty() ? model.config().dtype : request.dtype;
  const Elem elem = float_elem(dtype);
  WriteRequest write{.out = request.out,
                     .source = &checkpoint,
                     .provenance = Json(),
                     .default_dtype = dtype,
                     .shard_bytes = request.shard_bytes,
                     .force = request.force};
  if (checkpoint.metadata().is_object()) {  // a GGUF: its tokenizer becomes files of its own
    write.extra_files.emplace_back("tokenizer.json", gguf_to_tokenizer_json(checkpoint.metadata()));
    write.extra_files.emplace_back("tokenizer_config.json", gguf_to_tokenizer_config(checkpoint.metadata()));
  }
  const auto writer = find_writer(request.format).open(write);
  int64_t inexact = 0;
  double done = 0;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (context.progress)
      context.progress({.stage = "convert", .item = tensor.name, .done = done++,
                        .total = static_cast<double>(checkpoint.tensors().size()), .unit = "tensors"});
    if (request.format != "hf" && tensor.shape.size() == 2 && tensor.scheme.weight.quantized()) {
      writer->add_weight(tensor.name, checkpoint.read_weight(tensor.name));
      continue;
    }
    const std::vector<float> values = checkpoint.read_f32(tensor.name);
    const int64_t lost = count_inexact(elem, values);
    if (lost > 0 && !request.allow_loss)
      fail(Code::kInvalid, "tensor ", quoted(tensor.name), ": ", lost, " of ", values.size(), " values are not exact in ", dtype,
           "; choose --dtype float32 or say --allow-loss");
    inexact += lost;
    writer->add_f32(tensor.name, tensor.shape, values.data());
  }
  checkpoint.check_unchanged();
  writer->commit();
  Json out = Json::object();
  out.set("model", request.model);
  out.set("out", request.out);
  out.set("format", request.format);
  out.set("dtype", dtype);
  out.set("exact", inexact == 0);
  out.set("inexact_values", inexact);
  return out;
}

}  // namespace octavo::api
