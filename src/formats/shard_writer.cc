#include "formats/shard_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "formats/safetensors.h"
#include "octavo/json.h"
#include "scheme/codec.h"

namespace octavo {
namespace {

constexpr size_t kBufferBytes = size_t{4} << 20;
constexpr uint64_t kAlign = 8;  // the data section begins at a multiple of this, as the reference writer pads

std::string numbered(size_t value) {
  std::string text = std::to_string(value);
  return text.size() < 5 ? text.insert(0, 5 - text.size(), '0') : text;
}

std::string shard_name(size_t shard, size_t count) {
  return count == 1 ? "model.safetensors" : cat("model-", numbered(shard), "-of-", numbered(count), ".safetensors");
}

void write_at_end(int fd, const char* data, size_t bytes, const std::filesystem::path& path) {
  while (bytes > 0) {
    const ssize_t done = ::write(fd, data, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(Code::kIo, quoted(path.native()), ": cannot write: ", std::strerror(errno));
    data += done;
    bytes -= static_cast<size_t>(done);
  }
}

uint64_t stored_size(Elem elem, const std::vector<int64_t>& shape) {
  uint64_t count = 1;
  for (const int64_t dim : shape) count *= static_cast<uint64_t>(dim);
  return storage_bytes(elem, count);
}

}  // namespace

ShardWriter::ShardWriter(std::filesystem::path folder, uint64_t shard_bytes)
    : folder_(std::move(folder)), part_path_(folder_ / "shard.part"), shard_bytes_(shard_bytes) {
  if (shard_bytes_ == 0) fail(Code::kUsage, "shard size 0");
  part_ = ::open(part_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (part_ < 0) fail(Code::kIo, quoted(part_path_.native()), ": cannot create: ", std::strerror(errno));
}

ShardWriter::~ShardWriter() {
  if (part_ >= 0) ::close(part_);
}

void ShardWriter::keep_together(uint64_t bytes) {
  if (part_bytes_ > 0 && part_bytes_ + bytes > shard_bytes_) close_shard();
}

// Checks that the tensor at hand is complete and takes its digest; called again, it changes nothing.
void ShardWriter::end_tensor() {
  if (tensors_.empty()) return;
  const Tensor& last = tensors_.back();
  OCTAVO_CHECK(last.at + last.bytes == part_bytes_, "tensor ", last.name, " has ", part_bytes_ - last.at, " of ",
               last.bytes, " bytes");
  if (manifest_.contains(last.name)) return;
  manifest_[last.name] = {std::string(safetensors_dtype(last.elem).name), last.shape, hash_.hex()};
  hash_ = {};
}

void ShardWriter::begin(const std::string& name, Elem elem, const std::vector<int64_t>& shape) {
  end_tensor();
  OCTAVO_CHECK(shard_of_.emplace(name, num_shards_).second, "tensor ", name, " is written twice");
  tensors_.push_back({name, elem, shape, part_bytes_, stored_size(elem, shape)});
}

void ShardWriter::write(const void* data, size_t bytes) {
  if (buffer_.size() + bytes > kBufferBytes) {
    write_at_end(part_, buffer_.data(), buffer_.size(), part_path_);
    buffer_.clear();
  }
  if (bytes >= kBufferBytes)
    write_at_end(part_, static_cast<const char*>(data), bytes, part_path_);
  else
    buffer_.append(static_cast<const char*>(data), bytes);
  hash_.update(data, bytes);
  part_bytes_ += bytes;
  total_bytes_ += bytes;
}

std::filesystem::path ShardWriter::staged_name(size_t shard) const { return folder_ / cat("shard-", numbered(shard)); }

void ShardWriter::close_shard() {
  end_tensor();
  write_at_end(part_, buffer_.data(), buffer_.size(), part_path_);
  buffer_.clear();
  std::sort(tensors_.begin(), tensors_.end(), [](const Tensor& a, const Tensor& b) {
    const int size_a = info(a.elem).block_bytes, size_b = info(b.elem).block_bytes;
    return size_a != size_b ? size_a > size_b : a.name < b.name;
  });
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  uint64_t at = 0;
  for (const Tensor& t : tensors_) {
    header += cat(",", Json(t.name).dump(), ":{\"dtype\":\"", safetensors_dtype(t.elem).name, "\",\"shape\":[");
    for (size_t i = 0; i < t.shape.size(); ++i) header += cat(i ? "," : "", t.shape[i]);
    header += cat("],\"data_offsets\":[", at, ",", at + t.bytes, "]}");
    at += t.bytes;
  }
  header += "}";
  header.append((kAlign - header.size() % kAlign) % kAlign, ' ');
  const uint64_t length = header.size();  // on disk, little-endian

  FileWriter out(staged_name(++num_shards_));
  out.write(&length, sizeof length);
  out.write(header);
  std::string chunk(kBufferBytes, '\0');
  for (const Tensor& t : tensors_)
    for (uint64_t done = 0; done < t.bytes;) {
      const size_t want = static_cast<size_t>(std::min<uint64_t>(chunk.size(), t.bytes - done));
      const ssize_t got = ::pread(part_, chunk.data(), want, static_cast<off_t>(t.at + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        fail(Code::kIo, quoted(part_path_.native()), ": cannot read at byte ", t.at + done, ": ",
             got < 0 ? std::strerror(errno) : "file is shorter");
      out.write(chunk.data(), static_cast<size_t>(got));
      done += static_cast<uint64_t>(got);
    }
  out.commit();
  tensors_.clear();
  part_bytes_ = 0;
  if (::ftruncate(part_, 0) != 0 || ::lseek(part_, 0, SEEK_SET) != 0)
    fail(Code::kIo, quoted(part_path_.native()), ": cannot empty: ", std::strerror(errno));
}

void ShardWriter::finish() {
  if (!tensors_.empty() || num_shards_ == 0) close_shard();
  ::close(part_);
  part_ = -1;
  std::error_code error;
  std::filesystem::remove(part_path_, error);  // else it would be published with the shards
  if (error) fail(Code::kIo, quoted(part_path_.native()), ": cannot remove: ", error.message());
  for (size_t shard = 1; shard <= num_shards_; ++shard) {
    std::filesystem::rename(staged_name(shard), folder_ / shard_name(shard, num_shards_), error);
    if (error) fail(Code::kIo, quoted(staged_name(shard).native()), ": cannot rename: ", error.message());
  }
  write_file(folder_ / kManifestName, manifest_text(manifest_));
  if (num_shards_ == 1) return;
  Json::Object places;
  places.reserve(shard_of_.size());
  for (const auto& [name, shard] : shard_of_) places.emplace_back(name, shard_name(shard + 1, num_shards_));
  Json metadata = Json::object(), index = Json::object();
  metadata.set("total_size", total_bytes_);
  index.set("metadata", std::move(metadata));
  index.set("weight_map", Json(std::move(places)));
  write_file(folder_ / "model.safetensors.index.json", index.dump(2) + "\n");
}

}  // namespace octavo
