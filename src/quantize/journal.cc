// File of the journal: magic, length of a JSON head, the head, raw arrays in its order, 64 hex digits of SHA-256.
#include "quantize/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/folder.h"
#include "base/file.h"
#include "base/sha256.h"

namespace octavo {
namespace {

constexpr std::string_view kMagic = "OCTAVOJ1";
constexpr size_t kDigestChars = 64;
constexpr uint64_t kMaxHead = uint64_t{64} << 20;

// Writes pieces and keeps their digest.
class Sealed {
 public:
  explicit Sealed(const std::filesystem::path& path) : file_(path) {}
  void write(const void* data, size_t bytes) {
    file_.write(data, bytes);
    hash_.update(data, bytes);
  }
  void head(const Json& json) {
    const std::string text = json.dump();
    const auto length = static_cast<uint64_t>(text.size());
    write(kMagic.data(), kMagic.size());
    write(&length, sizeof length);
    write(text.data(), text.size());
  }
  void commit() {
    file_.write(hash_.hex());
    file_.commit();
  }

 private:
  FileWriter file_;
  Sha256 hash_;
};

// A sealed file whose digest is right.
struct Opened {
  std::shared_ptr<const MappedFile> file;
  Json head;
  ByteSpan body;
};

std::optional<Opened> open_sealed(const std::filesystem::path& path) {
  if (!path_exists(path)) return std::nullopt;
  try {
    Opened out{.file = MappedFile::open(path), .head = {}, .body = {}};
    const ByteSpan bytes = out.file->bytes();
    const size_t fixed = kMagic.size() + sizeof(uint64_t);
    if (bytes.size() < fixed + kDigestChars) return std::nullopt;
    const size_t sealed = bytes.size() - kDigestChars;
    Sha256 hash;
    hash.update(bytes.data(), sealed);
    if (std::memcmp(hash.hex().data(), bytes.data() + sealed, kDigestChars) != 0) return std::nullopt;
    if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) return std::nullopt;
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + kMagic.size(), sizeof length);
    if (length > kMaxHead || length > sealed - fixed) return std::nullopt;
    out.head = parse_json({reinterpret_cast<const char*>(bytes.data()) + fixed, length}, path.string());
    out.body = bytes.subspan(fixed + length, sealed - fixed - length);
    return out;
  } catch (const Error&) {
    return std::nullopt;  // unreadable is as good as absent: the part is done again
  }
}

// Copies the next array out of a body.
template <class T>
bool take(ByteSpan& body, size_t count, std::vector<T>& out) {
  if (count > body.size() / sizeof(T)) return false;
  out.resize(count);
  if (count != 0) std::memcpy(out.data(), body.data(), count * sizeof(T));
  body = body.subspan(count * sizeof(T));
  return true;
}

std::filesystem::path folder_for(const std::filesystem::path& out) {
  std::filesystem::path folder = out;
  if (!folder.has_filename()) folder = folder.parent_path();  // "dir/" names the same folder as "dir"
  folder += ".octavo-journal";
  return folder;
}

// Where a finished journal goes to be deleted.
std::filesystem::path finished_folder(std::filesystem::path folder) {
  folder += ".finished";
  return folder;
}

std::string host_name() {
  char text[256] = {};
  return ::gethostname(text, sizeof text - 1) == 0 ? text : "unknown host";
}

}  // namespace

uint64_t journal_bytes(const QuantScheme& scheme, int64_t n, int64_t k) {
  constexpr uint64_t kHeadBytes = 1024;  // names, sizes and the report of one weight; more than they take
  QTensor w;
  w.scheme = scheme;
  w.n = n;
  w.k = k;
  const auto grids = static_cast<uint64_t>(w.scale_rows() * w.groups());
  return kHeadBytes + static_cast<uint64_t>(n) * w.row_bytes() + grids * sizeof(float) +
         (scheme.weight.symmetric() ? 0 : grids * sizeof(int16_t)) +
         (scheme.permuted_k ? static_cast<uint64_t>(k) * sizeof(int32_t) : 0);
}

Journal::Journal(const std::filesystem::path& out, const Json& fingerprint, bool fresh) {
  folder_ = folder_for(out);
  lock();
  try_remove_tree(finished_folder(folder_));
  const std::filesystem::path file = folder_ / "fingerprint";
  const std::optional<Opened> earlier = open_sealed(file);
  if (earlier && !fresh && earlier->head != fingerprint) {
    std::string parts;
    for (const auto& [key, value] : fingerprint.as_object()) {
      const Json* was = earlier->head.find(key);
      if (was == nullptr || *was != value) parts += cat(parts.empty() ? "" : ", ", key);
    }
    for (const auto& [key, value] : earlier->head.as_object())
      if (!fingerprint.contains(key)) parts += cat(parts.empty() ? "" : ", ", key);
    ::close(lock_);
    fail(Code::kInvalid, quoted(folder_.native()), ": an interrupted run left this journal, but these have changed since: ",
         parts, "; repeat that run as it was, or start over with --fresh");
  }
  if (earlier && !fresh) return;
  for (const std::string& name : list_folder(folder_))
    if (name != "lock") remove_tree(folder_ / name);
  Sealed sealed(file);
  sealed.head(fingerprint);
  sealed.commit();
}

Journal::~Journal() {
  if (lock_ >= 0) ::close(lock_);
}

void Journal::lock() {
  const std::filesystem::path file = folder_ / "lock";
  for (;;) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) fail(Code::kIo, quoted(folder_.native()), ": cannot create: ", error.message());
    lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (lock_ < 0 && errno == ENOENT) continue;  // a finished run removed the folder in between
    if (lock_ < 0) fail(Code::kIo, quoted(file.native()), ": cannot open: ", std::strerror(errno));
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      char holder[300] = {};
      const ssize_t got = ::pread(lock_, holder, sizeof holder - 1, 0);
      ::close(lock_);
      lock_ = -1;
      if (reason != EWOULDBLOCK) fail(Code::kIo, quoted(file.native()), ": cannot lock: ", std::strerror(reason));
      fail(Code::kInvalid, quoted(folder_.native()), ": in use by another run (",
           got > 0 ? quoted(std::string_view(holder, static_cast<size_t>(got))) : "it has not said which", ")");
    }
    struct stat held {}, named {};
    if (::fstat(lock_, &held) == 0 && ::stat(file.c_str(), &named) == 0 && held.st_ino == named.st_ino) break;
    ::close(lock_);  // locked a file that a finishing run has just removed
  }
  const std::string holder = cat("pid ", ::getpid(), " on ", host_name());
  if (::ftruncate(lock_, 0) != 0 || ::pwrite(lock_, holder.data(), holder.size(), 0) < 0)
    fail(Code::kIo, quoted(file.native()), ": cannot write: ", std::strerror(errno));
}

std::optional<std::vector<RecordedWeight>> Journal::read(const std::string& part) const {
  const std::optional<Opened> opened = open_sealed(folder_ / part);
  if (!opened) return std::nullopt;
  std::vector<RecordedWeight> out;
  ByteSpan body = opened->body;
  try {
    for (const Json& entry : opened->head.at("weights").as_array()) {
      RecordedWeight& record = out.emplace_back();
      record.name = entry.at("name").as_string();
      record.report = entry.at("report");
      QTensor& w = record.weight;
      w.scheme = parse_scheme(entry.at("scheme").as_string());
      w.n = entry.at("n").as_int();
      w.k = entry.at("k").as_int();
      const auto count = [&](std::string_view key) { return static_cast<size_t>(entry.at(key).as_int()); };
      const size_t codes = count("codes");
      if (codes > body.size()) return std::nullopt;
      w.codes = Buffer::view(body.subspan(0, codes), opened->file);
      body = body.subspan(codes);
      if (!take(body, count("scales"), w.scales) || !take(body, count("zeros"), w.zeros) ||
          !take(body, count("group_of"), w.group_of))
        return std::nullopt;
      validate(w, record.name);
    }
  } catch (const Error&) {
    return std::nullopt;
  }
  return out;
}

void Journal::write(const std::string& part, const std::vector<RecordedWeight>& weights) {
  Json list = Json::array();
  for (const RecordedWeight& record : weights) {
    const QTensor& w = record.weight;
    Json entry = Json::object();
    entry.set("name", record.name);
    entry.set("scheme", name(w.scheme));
    entry.set("n", w.n);
    entry.set("k", w.k);
    entry.set("codes", static_cast<int64_t>(w.codes.size()));
    entry.set("scales", static_cast<int64_t>(w.scales.size()));
    entry.set("zeros", static_cast<int64_t>(w.zeros.size()));
    entry.set("group_of", static_cast<int64_t>(w.group_of.size()));
    entry.set("report", record.report);
    list.push_back(std::move(entry));
  }
  Json head = Json::object();
  head.set("weights", std::move(list));
  Sealed sealed(folder_ / part);
  sealed.head(head);
  for (const RecordedWeight& record : weights) {
    const QTensor& w = record.weight;
    sealed.write(w.codes.bytes().data(), w.codes.size());
    sealed.write(w.scales.data(), w.scales.size() * sizeof(float));
    sealed.write(w.zeros.data(), w.zeros.size() * sizeof(int16_t));
    sealed.write(w.group_of.data(), w.group_of.size() * sizeof(int32_t));
  }
  sealed.commit();
}

void Journal::write_hidden(int64_t layer, const std::vector<float>& hidden) {
  Json head = Json::object();
  head.set("layer", layer);
  head.set("count", static_cast<int64_t>(hidden.size()));
  Sealed sealed(folder_ / "hidden");
  sealed.head(head);
  sealed.write(hidden.data(), hidden.size() * sizeof(float));
  sealed.commit();
}

std::optional<int64_t> Journal::hidden_layer(size_t count) {
  const std::optional<Opened> opened = open_sealed(folder_ / "hidden");
  if (!opened || opened->body.size() != count * sizeof(float)) return std::nullopt;
  const Json* layer = opened->head.find("layer");
  if (layer == nullptr || !layer->is_int()) return std::nullopt;
  ByteSpan body = opened->body;
  take(body, count, hidden_);
  return layer->as_int();
}

std::vector<float> Journal::take_hidden() { return std::move(hidden_); }

void Journal::mark_committing() { write_file(folder_ / "committing", ""); }

void Journal::sweep(const std::filesystem::path& out) {
  try_remove_tree(finished_folder(folder_for(out)));
}

bool Journal::committing() const { return path_exists(folder_ / "committing"); }

bool Journal::committing_for(const std::filesystem::path& out) { return path_exists(folder_for(out) / "committing"); }

uint64_t Journal::bytes_of(const std::filesystem::path& out) {
  uint64_t bytes = 0;
  const std::filesystem::path folder = folder_for(out);
  if (!path_exists(folder)) return 0;
  for (const std::string& name : list_folder(folder)) {
    std::error_code error;
    const uint64_t size = std::filesystem::file_size(folder / name, error);
    if (!error) bytes += size;
  }
  return bytes;
}

void Journal::remove() {
  // One rename ends the journal: a kill in the middle of deleting its files must not leave half of it under its name.
  // The output stands; what cannot be removed is only litter, and the next run for this output removes it.
  try {
    std::filesystem::rename(folder_, finished_folder(folder_));
    // Or a power loss could bring the old name back without some of the records. A folder that cannot be synced stays.
    sync_folder(folder_.has_parent_path() ? folder_.parent_path() : ".");
    try_remove_tree(finished_folder(folder_));
  } catch (const std::exception&) {
  }
  ::close(lock_);
  lock_ = -1;
}

}  // namespace octavo
