// Rope tables. The angle is rounded to float32 as the reference does; its cosine and sine are exact to float32.
#include "exec/workspace.h"

#include <algorithm>
#include <cmath>

namespace octavo {

void RopeTable::grow(const std::vector<float>& inv_freq, double attention_factor, int64_t positions) {
  if (positions <= positions_) return;
  half_ = static_cast<int64_t>(inv_freq.size());
  const int64_t grown = std::max(positions, positions_ + positions_ / 2);
  cos_.resize(static_cast<size_t>(grown * half_));
  sin_.resize(static_cast<size_t>(grown * half_));
  const auto factor = static_cast<float>(attention_factor);
  for (int64_t position = positions_; position < grown; ++position)
    for (int64_t i = 0; i < half_; ++i) {
      const float angle = static_cast<float>(position) * inv_freq[static_cast<size_t>(i)];
      const auto at = static_cast<size_t>(position * half_ + i);
      cos_[at] = static_cast<float>(std::cos(static_cast<double>(angle))) * factor;
      sin_[at] = static_cast<float>(std::sin(static_cast<double>(angle))) * factor;
    }
  positions_ = grown;
}

uint64_t Workspace::bytes() const {
  uint64_t out = int8_rows.codes.size() + int8_rows.scales.size() * sizeof(float);
  for (const Floats* floats : {&normed, &qkv, &attention, &projected, &gate_up, &activated}) out += floats->size();
  for (const Buffer& page : temporary_pages) out += page.size();
  for (const auto& [key, table] : tables) out += table.bytes();
  return out;
}

const RopeRow* Workspace::rope_rows_for(const ModelConfig& config, int index, const BatchRows& batch) {
  const Rope& rope = config.ropes[static_cast<size_t>(index)];
  const auto is_long = [&](const BatchRows::Run& run) {
    const int64_t total = run.total > 0 ? run.total : run.position + run.rows;
    return rope.kind == RopeKind::kLongrope && total > rope.original_max_positions;
  };
  // Growing may move a table, so all grow before any row is taken.
  for (const BatchRows::Run& run : batch.runs) {
    const bool far = is_long(run);
    tables[{index, far}].grow(far ? rope.inv_freq_long : rope.inv_freq, rope.attention_factor, run.position + run.rows);
  }
  rope_rows.resize(static_cast<size_t>(batch.rows));
  for (const BatchRows::Run& run : batch.runs) {
    const RopeTable& table = tables.at({index, is_long(run)});
    for (int64_t row = 0; row < run.rows; ++row)
      rope_rows[static_cast<size_t>(run.first_row + row)] = table.row(run.position + row);
  }
  return rope_rows.data();
}

}  // namespace octavo
