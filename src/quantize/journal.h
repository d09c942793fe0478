// Journal: what a quantization has finished, beside its output in `OUT.octavo-journal/`, so that a killed run continues.
// One record per part of the model (a layer, the embedding, the head) and the hidden states of the last saved layer. Every
// file is written under a temporary name, synced and renamed, and ends in the SHA-256 of its bytes: a torn or flipped
// file counts as absent. One process at a time holds the folder.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "scheme/qtensor.h"

namespace octavo {

struct RecordedWeight {
  std::string name;   // module name, without ".weight"
  QTensor weight;
  Json report;        // LayerReport as Json
};

// Bytes of the record of one weight, its share of the head included.
uint64_t journal_bytes(const QuantScheme& scheme, int64_t n, int64_t k);

class Journal {
 public:
  // Locks or creates the folder for `out`. Another process holding it: kInvalid with its pid and host. An older journal
  // whose fingerprint differs: kInvalid naming the parts that differ, unless `fresh`, which starts over.
  Journal(const std::filesystem::path& out, const Json& fingerprint, bool fresh);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Parts are named "layer-00003", "lm_head".
  std::optional<std::vector<RecordedWeight>> read(const std::string& part) const;
  void write(const std::string& part, const std::vector<RecordedWeight>& weights);

  // Hidden states after `layer`, [rows * hidden] floats. Only the last saved are kept.
  void write_hidden(int64_t layer, const std::vector<float>& hidden);
  std::optional<int64_t> hidden_layer(size_t count);  // the layer if whole and of `count` floats
  std::vector<float> take_hidden();                   // after hidden_layer

  // Between mark_committing and remove, an output under its final name is this journal's.
  void mark_committing();
  bool committing() const;
  // Deletes what a run left that was killed while deleting its finished journal.
  static void sweep(const std::filesystem::path& out);
  static bool committing_for(const std::filesystem::path& out);  // without opening the journal
  static uint64_t bytes_of(const std::filesystem::path& out);  // on disk, of the journal of an interrupted run
  void remove();

 private:
  void lock();
  std::filesystem::path folder_;
  int lock_ = -1;
  std::vector<float> hidden_;
};

}  // namespace octavo
