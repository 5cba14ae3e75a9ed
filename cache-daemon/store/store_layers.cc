#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/store/durable_file.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

/// Of 100,000 files with names of usual length about a fifth.
constexpr Bytes kLargestRecord = 128 * kMiB;
/// More layers than a node's models have. Where there are more, a part of them goes at once.
constexpr size_t kMostRecords = 10'000;
constexpr size_t kForgottenAtOnce = kMostRecords / 10;

std::string LayerName(const std::string& id) { return "layer/" + id; }

/// Forgets those of longest ago, where there are too many. What is forgotten is read again.
Result<> MakeRoomForLayer(io::Filesystem& filesystem, const RootLayout& layout) {
  std::vector<io::DirectoryEntry> names = TRY(filesystem.List(layout.LayersDirectory()));
  if (names.size() < kMostRecords) return {};
  std::vector<std::pair<std::chrono::system_clock::time_point, std::string>> known;
  for (const io::DirectoryEntry& entry : names) {
    std::string path = layout.LayersDirectory() + "/" + entry.name;
    Result<io::FileStatus> status = filesystem.Status(path);
    if (status) known.emplace_back(status->modified, std::move(path));
  }
  size_t some = std::min(kForgottenAtOnce, known.size());
  std::ranges::partial_sort(known, known.begin() + static_cast<std::ptrdiff_t>(some));
  known.resize(some);
  for (const auto& [modified, path] : known) {
    Result<> removed = filesystem.Unlink(path);
    if (!removed && removed.error().code != Code::kNotFound) return removed;
  }
  return {};
}

}  // namespace

Result<> StoreImpl::RecordLayer(const LayerOrigin& origin, const LayerRecord& record) {
  std::string id = LayerRecordId(origin, record.digest, record.prefix);
  BusyScope busy = TRY(BusyScope::Take(*state_, LayerName(id)));
  TRY(MakeRoomForLayer(filesystem_, layout_));
  return WriteDurably(filesystem_, layout_.Layer(id), LayerRecordToText(record),
                      {.written = "layer.written", .renamed = "layer.renamed"});
}

std::optional<LayerRecord> StoreImpl::FindLayer(const LayerOrigin& origin,
                                                const PackedLayer& layer) const {
  LayerOrigin everybody{.origin = {}, .anonymous = true};
  for (const LayerOrigin& whose : {everybody, origin}) {
    std::string id = LayerRecordId(whose, layer.digest, layer.prefix);
    Result<std::string> text = filesystem_.ReadFile(layout_.Layer(id), kLargestRecord);
    if (!text && text.error().code == Code::kNotFound) continue;
    Result<LayerRecord> record = std::unexpected(text ? Error() : text.error());
    if (text) record = ParseLayerRecord(*text);
    if (!record) {
      LogRepeated(LogLevel::kWarning,
                  fmt::format("store: what layer {} holds must be found out again: {}",
                              layer.digest, record.error().message));
      continue;
    }
    bool same = record->digest == layer.digest && record->prefix == layer.prefix;
    if (same && (layer.diff_id.empty() || layer.diff_id == record->diff_id)) return *record;
  }
  return std::nullopt;
}

}  // namespace weighhouse::store
