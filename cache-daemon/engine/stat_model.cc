#include "cache-daemon/engine/stat_model.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace weighhouse {
namespace {

/// A claim of this size surely holds the model: whole GiB, and room for a filesystem's own.
Bytes RecommendedClaim(Bytes bytes) {
  Bytes padded = bytes + bytes / 20;
  return std::max<Bytes>(1, (padded + kGiB - 1) / kGiB) * kGiB;
}

}  // namespace

Result<StatView> StatModel(const EngineParts& parts, const ModelReference& model,
                           const Credentials& credentials) {
  std::shared_ptr<source::Source> source = TRY(parts.sources.For(model));
  StatView view;
  Listing selected = TRY(SelectFiles(parts, *source, model, credentials, &view.listing));
  if (!view.listing.packed.empty()) {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("{}: which files it has shows when its {} packed layers have been read: "
                    "pull or prefetch it once",
                    model.ToString(), view.listing.packed.size()));
  }
  view.snapshot_id = selected.SnapshotId();
  std::set<std::string> chosen;
  for (const ListedFile& file : selected.files) chosen.insert(file.path);
  std::set<std::string> here = parts.store.UsableFiles(view.listing);
  for (const ListedFile& file : view.listing.files) {
    StatView::File item{.listed = file,
                        .present = here.contains(file.path),
                        .selected = chosen.contains(file.path)};
    if (item.selected) view.bytes_selected += file.size;
    if (item.selected && !item.present) view.bytes_missing += file.size;
    view.files.push_back(std::move(item));
  }
  view.recommended_claim = RecommendedClaim(view.bytes_selected);
  return view;
}

}  // namespace weighhouse
