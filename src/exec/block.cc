// One transformer block:
//   h += post( o( attention( rope(q), cache(rope(k), v) ) ) ),  q, k, v = linear(norm(h))
//   h += post( down( act(gate) * up ) ),                        gate, up = linear(norm(h))
// q, k and v lie side by side in one row of the qkv buffer, gate and up in another, whether the checkpoint stores them
// fused or not. Between two linears stands one parallel phase (kernels/row_pass.h), which quantizes for the next linears too;
// the last of a block makes the input of the block after it.
#include <algorithm>

#include "base/error.h"
#include "exec/workspace.h"
#include "kernels/attention.h"

namespace octavo {
namespace {

// Norm weights as they multiply: Gemma stores w - 1.
std::vector<float> effective_norm(const ModelConfig& config, const LayerWeights& layer, Role role) {
  const std::vector<float>* stored = layer.norm(role);
  if (stored == nullptr) return {};
  std::vector<float> weight = *stored;
  if (config.arch->norm == Norm::kRmsPlusOne)
    for (float& value : weight) value = 1.0f + value;
  return weight;
}

}  // namespace

struct Block::Impl {
  const ModelConfig& config;
  LayerWeights& layer;
  ThreadPool& pool;
  std::shared_ptr<Workspace> work;
  std::vector<PackedLayerLinear> linears;
  std::vector<float> input_norm, post_attn_norm, pre_mlp_norm, post_mlp_norm, q_norm, k_norm;
  int64_t q_width, kv_width, qkv_width;

  Impl(const ModelConfig& c, LayerWeights& l, ThreadPool& p, std::shared_ptr<Workspace> w, Activation activation)
      : config(c), layer(l), pool(p), work(w ? std::move(w) : std::make_shared<Workspace>()),
        input_norm(effective_norm(c, l, Role::kInputNorm)), post_attn_norm(effective_norm(c, l, Role::kPostAttnNorm)),
        pre_mlp_norm(effective_norm(c, l, Role::kPreMlpNorm)), post_mlp_norm(effective_norm(c, l, Role::kPostMlpNorm)),
        q_norm(effective_norm(c, l, Role::kQNorm)), k_norm(effective_norm(c, l, Role::kKNorm)),
        q_width(c.heads * c.head_dim), kv_width(c.kv_heads * c.head_dim), qkv_width(q_width + 2 * kv_width) {
    for (Linear& linear : layer.linears) linears.push_back({&linear, pack_linear(linear.weight, pool, nullptr, activation)});
  }

  PackedLayerLinear* find(Role role) {
    for (PackedLayerLinear& linear : linears)
      if (linear.source->role == role) return &linear;
    return nullptr;
  }

  // Where the output of a linear starts in the rows that its group shares.
  int64_t column(Role role) const {
    if (role == Role::kK) return q_width;
    if (role == Role::kV) return q_width + kv_width;
    return role == Role::kUp ? config.intermediate : 0;
  }

  // Linears that read the same rows, and how they want them: without a hook, int8 codes need no float rows.
  struct Group {
    std::vector<PackedLayerLinear*> members;
    RowReaders readers;
    int64_t width;  // of the rows
  };
  static bool fit(const PackedLayerLinear& linear, int64_t span, float fixed) {
    return linear.packed.activation().span_k == span && linear.packed.act_scale() == fixed;
  }
  Group group_of(std::initializer_list<Role> roles, int64_t rows, int64_t width, Floats& floats, bool hooked) {
    Group group{.members = {}, .readers = {}, .width = width};
    bool plain = hooked;
    for (const Role role : roles)
      if (PackedLayerLinear* linear = find(role); linear != nullptr) {
        group.members.push_back(linear);
        if (hooked) continue;  // the hook may change the weights
        const bool first = group.readers.codes == nullptr;
        // A recipe may mix schemes in a group. Codes with scales of another length are made from floats.
        if (!linear->packed.int8_activations() || (!first && !fit(*linear, group.readers.span, group.readers.fixed))) {
          plain = true;
        } else if (first) {
          group.readers.codes = &work->int8_rows;
          group.readers.span = linear->packed.activation().span_k;
          group.readers.fixed = linear->packed.act_scale();
        }
      }
    if (plain) group.readers.floats = sized(floats, rows * width);
    return group;
  }

  // Runs the linears of one group on rows that its readers hold, y [rows, ldy] side by side.
  void run_group(const Group& group, int64_t rows, float* y, int64_t ldy, const LinearHook& hook) {
    std::vector<PackedLayerLinear*> members = group.members;
    const float* x = group.readers.floats;
    if (hook) hook(members, x, rows, group.width);
    bool quantized = group.readers.codes != nullptr;
    for (const PackedLayerLinear* linear : members) {
      const std::vector<float>& bias = linear->source->bias;
      const float* added = bias.empty() ? nullptr : bias.data();
      float* out = y + column(linear->source->role);
      if (!linear->packed.int8_activations()) {
        run_linear(linear->packed, x, rows, group.width, added, out, ldy, pool);
        continue;
      }
      if (!quantized || !fit(*linear, work->int8_rows.span, work->int8_rows.fixed))
        quantize_rows(x, rows, group.width, group.width, linear->packed.activation().span_k, pool, &work->int8_rows,
                      linear->packed.act_scale());
      quantized = true;
      run_linear(linear->packed, work->int8_rows, added, out, ldy, pool);
    }
  }

  Group qkv_group(int64_t rows, bool hooked) {
    return group_of({Role::kQ, Role::kK, Role::kV, Role::kQkv}, rows, config.hidden, work->normed, hooked);
  }

  // Pages of all runs in order, in work->pages; runs without a cache get temporary ones. Returns the layout.
  KvLayout find_pages(const BatchRows& batch, std::vector<size_t>& first_page) {
    const KvCache* any = nullptr;
    for (const BatchRows::Run& run : batch.runs)
      if (run.kv != nullptr) any = run.kv;
    const KvLayout layout = any != nullptr ? any->layout() : kv_layout(Elem::kF32, config.kv_heads, config.head_dim);
    work->pages.clear();
    size_t temporary = 0;
    for (const BatchRows::Run& run : batch.runs) {
      OCTAVO_CHECK(run.kv != nullptr || (run.position == 0 && layout.elem == Elem::kF32), "position=", run.position);
      OCTAVO_CHECK(run.kv == nullptr || run.kv->elem() == layout.elem, "caches of different element types in one batch");
      first_page.push_back(work->pages.size());
      const int64_t pages = (run.position + run.rows + kKvPage - 1) / kKvPage;
      if (run.kv != nullptr) run.kv->reserve(run.position + run.rows);
      for (int64_t page = 0; page < pages; ++page) {
        if (run.kv == nullptr && temporary == work->temporary_pages.size())
          work->temporary_pages.push_back(Buffer::allocate(layout.bytes()));
        work->pages.push_back(run.kv != nullptr ? run.kv->page(layer.index, page) : work->temporary_pages[temporary++].as<std::byte>());
      }
    }
    return layout;
  }

  // Rotates q and k, writes keys and values to their pages, then attends.
  void attend(float* qkv, const BatchRows& batch, float* out) {
    const LayerKind& kind = config.layer_kinds[static_cast<size_t>(layer.index)];
    std::vector<size_t> first_page;
    const AttentionShape shape{.heads = config.heads, .scale = static_cast<float>(config.attn_scale),
                               .softcap = static_cast<float>(config.attn_softcap), .window = kind.window,
                               .kv = find_pages(batch, first_page)};
    std::vector<AttentionSegment> segments;
    work->page_rows.clear();
    for (size_t i = 0; i < batch.runs.size(); ++i) {
      const BatchRows::Run& run = batch.runs[i];
      std::byte* const* pages = work->pages.data() + first_page[i];
      for (int64_t row = 0; row < run.rows;) {
        const int64_t position = run.position + row, slot = position % kKvPage, rows = std::min(run.rows - row, kKvPage - slot);
        work->page_rows.push_back({.first = run.first_row + row, .rows = rows, .slot = slot, .page = pages[position / kKvPage]});
        row += rows;
      }
      segments.push_back({.q = qkv + run.first_row * qkv_width, .out = out + run.first_row * q_width, .pages = pages,
                          .rows = run.rows, .position = run.position, .ldq = qkv_width, .ldo = q_width});
    }
    const QkvShape rows{.heads = config.heads, .ld = qkv_width, .rope_dims = config.ropes[static_cast<size_t>(kind.rope)].dims,
                        .q_norm = q_norm.empty() ? nullptr : q_norm.data(), .k_norm = k_norm.empty() ? nullptr : k_norm.data(),
                        .eps = static_cast<float>(config.norm_eps), .kv = shape.kv};
    rotate_and_store(rows, qkv, work->rope_rows_for(config, kind.rope, batch), work->page_rows.data(),
                     static_cast<int64_t>(work->page_rows.size()), pool);
    run_attention(shape, segments.data(), static_cast<int64_t>(segments.size()), pool);
  }

  static GateAct gate_act(Act act) {
    return act == Act::kSilu ? GateAct::kSilu : act == Act::kGeluTanh ? GateAct::kGeluTanh : GateAct::kGelu;
  }

  // `prepared`: the workspace holds the input of q, k and v. `next`: the block whose input is made at the end, or nullptr.
  void forward(float* hidden, const BatchRows& batch, const LinearHook& hook, bool prepared, Impl* next) {
    const int64_t rows = batch.rows, width = config.hidden;
    const auto eps = static_cast<float>(config.norm_eps);
    const bool hooked = static_cast<bool>(hook);
    float* projected = sized(work->projected, rows * width);
    const auto weight = [](const std::vector<float>& norm) { return norm.empty() ? nullptr : norm.data(); };

    // Attention.
    float* qkv = sized(work->qkv, rows * qkv_width);
    float* attention = sized(work->attention, rows * q_width);
    const Group first = qkv_group(rows, hooked);
    if (!prepared) residual_norm(hidden, rows, width, {.norm = weight(input_norm), .eps = eps}, first.readers, pool);
    run_group(first, rows, qkv, qkv_width, hook);
    attend(qkv, batch, attention);
    Group output = group_of({Role::kO}, rows, q_width, work->attention, true);
    run_group(output, rows, projected, width, hook);

    // MLP.
    float* gate_up = sized(work->gate_up, rows * 2 * config.intermediate);
    const Group gates = group_of({Role::kGate, Role::kUp, Role::kGateUp}, rows, width, work->normed, hooked);
    residual_norm(hidden, rows, width,
                  {.delta = projected, .delta_norm = weight(post_attn_norm), .norm = weight(pre_mlp_norm), .eps = eps},
                  gates.readers, pool);
    run_group(gates, rows, gate_up, 2 * config.intermediate, hook);
    const Group down = group_of({Role::kDown}, rows, config.intermediate, work->activated, hooked);
    gate_mul(gate_act(config.act), {rows, config.intermediate, 2 * config.intermediate}, gate_up, gate_up + config.intermediate,
             down.readers, pool);
    run_group(down, rows, projected, width, hook);
    residual_norm(hidden, rows, width,
                  {.delta = projected, .delta_norm = weight(post_mlp_norm),
                   .norm = next == nullptr ? nullptr : weight(next->input_norm), .eps = eps},
                  next == nullptr ? RowReaders{} : next->qkv_group(rows, false).readers, pool);
  }
};

Block::Block(const ModelConfig& config, LayerWeights& layer, ThreadPool& pool, std::shared_ptr<Workspace> workspace,
             Activation activation)
    : impl_(std::make_unique<Impl>(config, layer, pool, std::move(workspace), activation)) {}
Block::~Block() = default;

void Block::forward(float* hidden, const BatchRows& batch, const LinearHook& hook) {
  if (batch.rows > 0) impl_->forward(hidden, batch, hook, false, nullptr);
}
void Block::forward(std::span<const std::unique_ptr<Block>> blocks, float* hidden, const BatchRows& batch) {
  for (size_t i = 0; i < blocks.size() && batch.rows > 0; ++i)
    blocks[i]->impl_->forward(hidden, batch, {}, i > 0, i + 1 < blocks.size() ? blocks[i + 1]->impl_.get() : nullptr);
}
std::vector<PackedLayerLinear>& Block::linears() { return impl_->linears; }
int64_t Block::index() const { return impl_->layer.index; }

}  // namespace octavo
