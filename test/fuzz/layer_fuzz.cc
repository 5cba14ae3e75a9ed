// A layer of an image or an archive: what comes out of it for the tree, and that its record is read
// as it was written. The first byte says which of the two it is.

#include <filesystem>

#include "cache-daemon/fill/layers/layer_entry.h"
#include "cache-daemon/fill/layers/tar_reader.h"
#include "cache-daemon/fill/layers/whole_listing.h"
#include "cache-daemon/fill/unpacked_bytes.h"
#include "cache-daemon/source/file_name.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::fill {
namespace {

constexpr Bytes kMostUnpacked = 4 * kMiB;
constexpr size_t kMostTarEntries = 1000;

/// Reads every entry; an error ends it where it is.
Result<> ReadEntries(TarReader& tar, std::string_view prefix, store::LayerRecord& record) {
  while (true) {
    std::optional<TarEntry> entry = TRY(tar.Next());
    if (!entry) return {};
    CHECK(entry->size == 0 || entry->type == TarEntry::Type::kFile ||
          entry->type == TarEntry::Type::kOther);
    Bytes content = 0;
    while (true) {
      std::span<const std::byte> some = TRY(tar.Content());
      if (some.empty()) break;
      content += some.size();
    }
    CHECK(content == entry->size);
    std::optional<store::LayerEntry> counts = TRY(JudgeEntry(*entry, prefix));
    if (counts) record.entries.push_back(*std::move(counts));
  }
}

void CheckEntry(const store::LayerEntry& entry, std::string_view prefix) {
  using enum store::LayerEntry::Kind;
  CHECK(entry.kind == kFile || !prefix.empty());
  if (entry.kind == kOpaque && entry.path.empty()) return;
  CHECK(source::CheckPath(entry.path));
  std::filesystem::path whole = std::filesystem::path("/root/tree") / entry.path;
  CHECK(whole == whole.lexically_normal() && whole.string() == "/root/tree/" + entry.path);
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(layer, bytes) {
  const std::string prefix = fuzz::TakeByte(bytes) % 2 == 0 ? "" : "models/";
  size_t at = 0;
  auto piece = [&]() -> Result<std::span<const std::byte>> {
    std::string_view some = bytes.substr(at, 1000);
    at += some.size();
    return std::as_bytes(std::span(some));
  };
  UnpackedBytes unpacked(piece, kMostUnpacked);
  TarReader tar([&] { return unpacked.Next(); }, kMostTarEntries);
  store::LayerRecord record{.digest = Digest::Of(bytes).Hex(), .prefix = prefix};
  Result<> read = ReadEntries(tar, prefix, record);
  if (!read) CHECK(read.error().code == Code::kInvalidArgument);
  for (const store::LayerEntry& entry : record.entries) CheckEntry(entry, prefix);
  if (!read) return;
  Result<std::string> diff_id = unpacked.Finish();
  if (!diff_id) return;
  record.diff_id = *diff_id;
  // What is too long for the store's own door is read as damage, and nothing else is changed.
  Result<store::LayerRecord> again = store::ParseLayerRecord(store::LayerRecordToText(record));
  if (again) CHECK(*again == record);
  KnownLayer known{.layer = {.digest = record.digest, .size = bytes.size(), .prefix = prefix},
                   .record = record};
  for (const ListedFile& file : Overlay({known, known})) {
    std::optional<LayerPlace> place = LayerPlace::Parse(file.identity.value);
    CHECK(place && place->path == file.path && place->prefix == prefix);
  }
}

}  // namespace weighhouse::fill
