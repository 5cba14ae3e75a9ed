#include "cache-daemon/engine/fill_resumer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

namespace weighhouse {
namespace {

constexpr std::chrono::seconds kLongestPause{300};

/// A reference that names the files of `snapshot`. Patterns, which its text leaves out, aren't
/// needed: the snapshot lists what they chose.
std::optional<ModelReference> ReferenceTo(const store::Store& store,
                                          const store::Snapshot& snapshot) {
  for (const store::ReferenceRecord& record : store.References()) {
    if (record.snapshot_id != snapshot.id) continue;
    Result<ModelReference> reference = ModelReference::Parse(record.text);
    if (!reference) continue;
    if (IsCommitId(snapshot.revision)) reference->revision = snapshot.revision;
    const FileIdentity& identity = snapshot.files.front().listed.identity;
    bool web = reference->Scheme() == "http" || reference->Scheme() == "https";
    if (web && identity.kind == FileIdentity::Kind::kSha256) {
      Result<Digest> sha256 = Digest::FromHex(identity.value);
      if (sha256) reference->expected_sha256 = *sha256;
    }
    return *reference;
  }
  return std::nullopt;
}

/// Whether `known` is a part of what the source lists `now`.
bool StillLists(const Listing& now, const Listing& known) {
  return now.origin == known.origin && now.revision == known.revision &&
         std::ranges::includes(now.files, known.files);
}

}  // namespace

/// Says how a resumed fill ended: nobody else waits for it.
class FillResumer::Log final : public fill::FillObserver {
 public:
  explicit Log(std::string model) : model_(std::move(model)) {}
  void OnFillProgress(const fill::FillProgress&) override {}
  void OnFillDone(const Result<fill::FillProgress>& outcome) override {
    if (outcome) return spdlog::info("{}: complete", model_);
    spdlog::warn("{}: {}: it goes on at its next publish", model_, outcome.error().message);
  }

 private:
  const std::string model_;
};

void FillResumer::Start() {
  for (const store::Snapshot& snapshot : parts_.store.Snapshots()) Add(snapshot);
  PostNext();
}

void FillResumer::Start(const std::vector<std::string>& snapshot_ids) {
  for (const std::string& id : snapshot_ids) {
    std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(id);
    if (snapshot) Add(*snapshot);
  }
  PostNext();
}

void FillResumer::Add(const store::Snapshot& snapshot) {
  if (snapshot.complete || !snapshot.anonymous || snapshot.files.empty()) return;
  if (parts_.store.Kept().contains(snapshot.id)) return;  // the Keeper fetches it
  std::optional<ModelReference> reference = ReferenceTo(parts_.store, snapshot);
  if (reference) waiting_.push_back({snapshot.id, *std::move(reference)});
}

void FillResumer::PostNext() {
  auto post = [self = shared_from_this()] {
    self->parts_.resolvers.Post([self] { self->Next(); });
  };
  if (!waiting_.empty()) return post();
  if (away_.empty()) return;
  waiting_ = std::exchange(away_, {});
  transport_.PostAfter(pause_, post);
  pause_ = std::min(pause_ * 2, kLongestPause);
}

void FillResumer::Next() {
  Model model = std::move(waiting_.front());
  waiting_.pop_front();
  Result<> begun = Begin(model);
  bool again = !begun && IsTemporary(begun.error().code);
  if (!begun && !model.warned) {
    spdlog::warn("{}: its fill was interrupted: {}: {}", model.reference.ToString(),
                 begun.error().message, again ? "trying again" : "it goes on at its next publish");
  }
  model.warned = true;
  if (again) away_.push_back(std::move(model));
  PostNext();
}

Result<> FillResumer::Begin(const Model& model) {
  std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(model.snapshot_id);
  if (!snapshot || snapshot->complete) return {};  // evicted, or filled by a publish
  std::shared_ptr<source::Source> source = TRY(parts_.sources.For(model.reference));
  Listing now = TRY(source->Resolve(model.reference, {}, parts_.stop));
  Listing known = ListingOf(*snapshot);
  if (!StillLists(now, known)) {
    return Fail(Code::kFailedPrecondition, "its source lists other files now");
  }
  logs_.push_back(std::make_shared<Log>(model.reference.ToString()));
  spdlog::info("{}: its fill goes on", model.reference.ToString());
  parts_.filler.Fill({.snapshot_id = model.snapshot_id,
                      .reference = model.reference,
                      .listing = std::move(known),
                      .source = std::move(source),
                      .priority = fill::FillPriority::kPrefetch},
                     logs_.back());
  return {};
}

}  // namespace weighhouse
