#include "cache-daemon/fill/layers/layer_reading.h"

#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/text.h"
#include "cache-daemon/fill/unpacked_bytes.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/tar_header.h"
#include "cache-daemon/store/ingest_name.h"

namespace weighhouse::fill {
namespace {

/// A layer of so many bytes may unpack to as many: weights hardly shrink, and text rarely to a
/// tenth. Deflate can't do more than a thousand, a bomb's reason is to.
constexpr Bytes kMostRatio = 256;
constexpr Bytes kMostAnyhow = 64 * kMiB;
/// Of a tar: an image may have more elsewhere than its model has files.
constexpr size_t kMostEntries = 10 * source::kMaxFiles;

Bytes MostUnpacked(Bytes packed) {
  if (packed > source::kMaxFileBytes / kMostRatio) return source::kMaxFileBytes;
  return packed * kMostRatio + kMostAnyhow;
}

}  // namespace

Result<ReadLayer> LayerReading::Run(const ByteSource& bytes) {
  Hasher blob(Hasher::Algorithm::kSha256);
  auto hashed = [&]() -> Result<std::span<const std::byte>> {
    std::span<const std::byte> next = TRY(bytes());
    blob.Update(next);
    return next;
  };
  UnpackedBytes unpacked(hashed, MostUnpacked(layer_.size));
  TarReader tar([&] { return unpacked.Next(); }, kMostEntries);
  read_.record = {.digest = layer_.digest, .prefix = layer_.prefix};
  TRY(ReadEntries(tar));
  read_.record.diff_id = TRY(unpacked.Finish());
  TRY(CheckDigests(blob.FinishHex(), read_.record.diff_id));
  FaultPoint("unpack.staged");
  return std::move(read_);
}

Result<> LayerReading::ReadEntries(TarReader& tar) {
  while (true) {
    std::optional<TarEntry> entry = TRY(tar.Next());
    if (!entry) return {};
    std::optional<store::LayerEntry> counts = TRY(JudgeEntry(*entry, layer_.prefix));
    if (!counts) continue;
    if (read_.record.entries.size() >= source::kMaxFiles) {
      return source::RefuseTar(fmt::format("has over {} files", source::kMaxFiles));
    }
    if (counts->kind == store::LayerEntry::Kind::kFile) TRY(Take(*counts, tar));
    read_.record.entries.push_back(*std::move(counts));
  }
}

Result<> LayerReading::Take(const store::LayerEntry& entry, TarReader& tar) {
  // The last of a name counts: what an earlier one left goes first, as its ingest may be the same.
  read_.staged.erase(entry.path);
  if (wanted_ && !wanted_->contains(entry.path)) return {};
  Bytes size = entry.size;
  if (size > MostUnpacked(layer_.size)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' has {} in a layer of {}: refused", Printable(entry.path),
                            FormatBytes(size), FormatBytes(layer_.size)));
  }
  TRY(parts_.room.Take(size));
  LayerPlace place{
      .digest = layer_.digest, .size = layer_.size, .prefix = layer_.prefix, .path = entry.path};
  ListedFile file{.path = entry.path,
                  .size = size,
                  .identity = {FileIdentity::Kind::kVersionToken, place.ToToken()}};
  std::string id = store::FreshIngestFor(origin_.origin, origin_.anonymous, file);
  StagedEntry staged{.size = size};
  staged.ingest = TRY(parts_.store.StartIngest(id, file.identity, size));
  parts_.writer.Begin(*staged.ingest);
  Result<> written;
  while (written) {
    Result<std::span<const std::byte>> content = tar.Content();
    if (!content || content->empty()) {
      if (!content) written = std::unexpected(std::move(content).error());
      break;
    }
    written = parts_.writer.Write(*content);
  }
  // Also of a file that failed: nothing may be on its way to it when it is closed.
  Result<Digest> sha256 = parts_.writer.End();
  TRY(std::move(written));
  staged.sha256 = TRY(std::move(sha256));
  TRY(staged.ingest->Seal());
  read_.staged.emplace(entry.path, std::move(staged));
  FaultPoint("unpack.first_file");
  return {};
}

Result<> LayerReading::CheckDigests(const std::string& blob, const std::string& diff_id) const {
  if (blob != layer_.digest) {
    return Fail(Code::kDataLoss, fmt::format("digest mismatch of a layer: want sha256:{} got "
                                             "sha256:{}",
                                             layer_.digest, blob));
  }
  if (layer_.diff_id.empty() || layer_.diff_id == diff_id) return {};
  return Fail(
      Code::kDataLoss,
      fmt::format("layer sha256:{} unpacks to sha256:{}, and the model's configuration says "
                  "sha256:{}",
                  layer_.digest, diff_id, layer_.diff_id));
}

}  // namespace weighhouse::fill
