// One transformer block:
//   h += post( o( attention( rope(q), cache(rope(k), v) ) ) ),  q, k, v = linear(norm(h))
//   h += post( down( act(gate) * up ) ),                        gate, up = linear(norm(h))
// q, k and v lie side by side in one row of the qkv buffer, gate and up in another, whether the checkpoint stores them
// fused or not.
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

  // Runs the linears of one group, y [rows, ldy] side by side.
  void run_group(std::initializer_list<Role> roles, const float* x, int64_t rows, int64_t k, float* y, int64_t ldy,
                 const LinearHook& hook) {
    std::vector<PackedLayerLinear*> group;
    for (const Role role : roles)
      if (PackedLayerLinear* linear = find(role); linear != nullptr) group.push_back(linear);
    if (hook) hook(group, x, rows, k);
    // Linears of one input share its quantization. A recipe may mix schemes in a group, so each is asked.
    bool quantized = false;
    for (const PackedLayerLinear* linear : group) {
      const std::vector<float>& bias = linear->source->bias;
      const float* added = bias.empty() ? nullptr : bias.data();
      float* out = y + column(linear->source->role);
      if (!linear->packed.int8_activations()) {
        run_linear(linear->packed, x, rows, k, added, out, ldy, pool);
        continue;
      }
      const int64_t span = linear->packed.activation().span_k;
      if (!quantized || work->int8_rows.span != span) quantize_rows(x, rows, k, k, span, pool, &work->int8_rows);
      quantized = true;
      run_linear(linear->packed, work->int8_rows, added, out, ldy, pool);
    }
  }

  void norm(const float* x, int64_t rows, const std::vector<float>& weight, float* y) const {
    rms_norm({rows, config.hidden, config.hidden}, x, weight.data(), static_cast<float>(config.norm_eps), y, config.hidden,
             pool);
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

  // Writes new keys and values to their pages, then attends.
  void attend(const float* qkv, const BatchRows& batch, float* out) {
    const LayerKind& kind = config.layer_kinds[static_cast<size_t>(layer.index)];
    std::vector<size_t> first_page;
    const AttentionShape shape{.heads = config.heads, .scale = static_cast<float>(config.attn_scale),
                               .softcap = static_cast<float>(config.attn_softcap), .window = kind.window,
                               .kv = find_pages(batch, first_page)};
    struct Store {  // a task: the new rows of one page
      const BatchRows::Run* run;
      std::byte* page;
      int64_t begin, end;  // positions
    };
    std::vector<Store> stores;
    std::vector<AttentionSegment> segments;
    for (size_t i = 0; i < batch.runs.size(); ++i) {
      const BatchRows::Run& run = batch.runs[i];
      std::byte* const* pages = work->pages.data() + first_page[i];
      const int64_t end = run.position + run.rows;
      for (int64_t at = run.position; at < end; at = (at / kKvPage + 1) * kKvPage)
        stores.push_back({&run, pages[at / kKvPage], at, std::min(end, (at / kKvPage + 1) * kKvPage)});
      segments.push_back({.q = qkv + run.first_row * qkv_width, .out = out + run.first_row * q_width, .pages = pages,
                          .rows = run.rows, .position = run.position, .ldq = qkv_width, .ldo = q_width});
    }
    pool.parallel_for(static_cast<int64_t>(stores.size()), [&](int64_t i) {
      const Store& store = stores[static_cast<size_t>(i)];
      for (int64_t at = store.begin; at < store.end; ++at) {
        const float* row = qkv + (store.run->first_row + at - store.run->position) * qkv_width + q_width;
        store_kv(shape.kv, store.page, at % kKvPage, row, row + kv_width);
      }
    });
    run_attention(shape, segments.data(), static_cast<int64_t>(segments.size()), pool);
  }

  void activate(int64_t rows, const float* gate_up, float* out) const {
    const Rows shape{rows, config.intermediate, 2 * config.intermediate};
    const float* up = gate_up + config.intermediate;
    switch (config.act) {
      case Act::kSilu: silu_mul(shape, gate_up, up, out, pool); break;
      case Act::kGeluTanh: gelu_tanh_mul(shape, gate_up, up, out, pool); break;
      case Act::kGelu: gelu_mul(shape, gate_up, up, out, pool); break;
    }
  }

  void forward(float* hidden, const BatchRows& batch, const LinearHook& hook) {
    const int64_t rows = batch.rows, width = config.hidden;
    const auto eps = static_cast<float>(config.norm_eps);
    float* normed = sized(work->normed, rows * width);
    float* projected = sized(work->projected, rows * width);

    // Attention.
    float* qkv = sized(work->qkv, rows * qkv_width);
    norm(hidden, rows, input_norm, normed);
    run_group({Role::kQ, Role::kK, Role::kV, Role::kQkv}, normed, rows, width, qkv, qkv_width, hook);
    if (!q_norm.empty()) rms_norm_heads(qkv, rows, qkv_width, config.heads, config.head_dim, q_norm.data(), eps, pool);
    if (!k_norm.empty())
      rms_norm_heads(qkv + q_width, rows, qkv_width, config.kv_heads, config.head_dim, k_norm.data(), eps, pool);
    const int index = config.layer_kinds[static_cast<size_t>(layer.index)].rope;
    const RopeRow* at = work->rope_rows_for(config, index, batch);
    // Query heads and key heads are neighbours: one call turns both.
    rope(qkv, rows, qkv_width, config.heads + config.kv_heads, config.head_dim,
         config.ropes[static_cast<size_t>(index)].dims, at, pool);
    float* attention = sized(work->attention, rows * q_width);
    attend(qkv, batch, attention);
    run_group({Role::kO}, attention, rows, q_width, projected, width, hook);
    if (!post_attn_norm.empty()) norm(projected, rows, post_attn_norm, projected);
    add(hidden, projected, rows * width, pool);

    // MLP.
    float* gate_up = sized(work->gate_up, rows * 2 * config.intermediate);
    float* activated = sized(work->activated, rows * config.intermediate);
    norm(hidden, rows, pre_mlp_norm, normed);
    run_group({Role::kGate, Role::kUp, Role::kGateUp}, normed, rows, width, gate_up, 2 * config.intermediate, hook);
    activate(rows, gate_up, activated);
    run_group({Role::kDown}, activated, rows, config.intermediate, projected, width, hook);
    if (!post_mlp_norm.empty()) norm(projected, rows, post_mlp_norm, projected);
    add(hidden, projected, rows * width, pool);
  }
};

Block::Block(const ModelConfig& config, LayerWeights& layer, ThreadPool& pool, std::shared_ptr<Workspace> workspace,
             Activation activation)
    : impl_(std::make_unique<Impl>(config, layer, pool, std::move(workspace), activation)) {}
Block::~Block() = default;

void Block::forward(float* hidden, const BatchRows& batch, const LinearHook& hook) {
  if (batch.rows > 0) impl_->forward(hidden, batch, hook);
}
std::vector<PackedLayerLinear>& Block::linears() { return impl_->linears; }
int64_t Block::index() const { return impl_->layer.index; }

}  // namespace octavo
