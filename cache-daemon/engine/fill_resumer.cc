#include "cache-daemon/engine/fill_resumer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/web_reference.h"

namespace weighhouse {
namespace {

constexpr std::chrono::seconds kShortestPause{1};
constexpr std::chrono::seconds kLongestPause{300};

/// A reference that names the files of `snapshot`. Patterns, which its text leaves out, aren't
/// needed: the snapshot lists what they chose.
std::optional<ModelReference> ReferenceTo(const store::Store& store,
                                          const store::Snapshot& snapshot) {
  for (const store::ReferenceRecord& record : store.References()) {
    if (record.snapshot_id != snapshot.id) continue;
    Result<ModelReference> reference = ModelReference::Parse(record.text);
    if (!reference) continue;
    if (reference->IsCommit(snapshot.revision)) reference->revision = snapshot.revision;
    const FileIdentity& identity = snapshot.files.front().listed.identity;
    bool web = reference->Scheme() == "http" || reference->Scheme() == "https";
    bool one_file = web && WebFormOf(reference->uri) == WebForm::kFile;
    if (one_file && identity.kind == FileIdentity::Kind::kSha256) {
      Result<Digest> sha256 = Digest::FromHex(identity.value);
      if (sha256) reference->expected_sha256 = *sha256;
    }
    return *reference;
  }
  return std::nullopt;
}

/// Scheme and host of where the snapshot comes from.
std::string ServerOf(const store::Snapshot& snapshot) {
  size_t scheme = snapshot.origin.find("://");
  if (scheme == std::string::npos) return snapshot.origin;
  return snapshot.origin.substr(0, snapshot.origin.find('/', scheme + 3));
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
  Log(std::weak_ptr<FillResumer> resumer, const Model& model)
      : resumer_(std::move(resumer)),
        snapshot_id_(model.snapshot_id),
        model_(model.reference.ToString()) {}
  void OnFillProgress(const fill::FillProgress&) override {}
  void OnFillDone(const Result<fill::FillProgress>& outcome) override {
    std::shared_ptr<FillResumer> resumer = resumer_.lock();
    bool again = resumer && resumer->Ended(snapshot_id_);
    if (outcome) return LogEvent(LogLevel::kInfo, fmt::format("{}: complete", model_));
    LogRepeated(LogLevel::kWarning,
                fmt::format("{}: {}: {}", model_, outcome.error().message,
                            again ? "trying again" : "it goes on at its next publish"));
  }

 private:
  const std::weak_ptr<FillResumer> resumer_;
  const std::string snapshot_id_;
  const std::string model_;
};

void FillResumer::Start() {
  for (const store::Snapshot& snapshot : parts_.store.Snapshots()) Add(snapshot);
}

void FillResumer::Start(const std::vector<std::string>& snapshot_ids) {
  for (const std::string& id : snapshot_ids) {
    std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(id);
    if (snapshot) Add(*snapshot);
  }
}

void FillResumer::Add(const store::Snapshot& snapshot) {
  if (snapshot.complete || !snapshot.anonymous || snapshot.files.empty()) return;
  if (parts_.store.Kept().contains(snapshot.id)) return;  // the Keeper fetches it
  std::optional<ModelReference> reference = ReferenceTo(parts_.store, snapshot);
  if (!reference) return;
  {
    MutexLock lock(mutex_);
    if (!known_.insert(snapshot.id).second) {
      again_.insert(snapshot.id);
      return;
    }
  }
  Post({.snapshot_id = snapshot.id,
        .server = ServerOf(snapshot),
        .reference = *std::move(reference)});
}

void FillResumer::Post(Model model) {
  const std::string server = model.server;
  askers_.Post(server, [self = shared_from_this(), model = std::move(model)] { self->Try(model); });
}

void FillResumer::Try(Model model) {
  {
    MutexLock lock(mutex_);
    // What was found until now is in the record that Begin reads.
    again_.erase(model.snapshot_id);
  }
  LogScope scope(ContextOfRequest("", {{"model", model.reference.ToString()}}));
  Result<bool> begun = Begin(model);
  bool again = !begun && IsTemporary(begun.error().code);
  if (!begun && !model.warned) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("{}: its fill was interrupted: {}: {}", model.reference.ToString(),
                            begun.error().message,
                            again ? "trying again" : "it goes on at its next publish"));
  }
  model.warned = true;
  bool fills = begun.value_or(false);
  if (!fills && !again) Ended(model.snapshot_id);
  if (again) {
    MutexLock lock(mutex_);
    away_.push_back(std::move(model));
  }
  RetryLater();
}

Result<bool> FillResumer::Begin(const Model& model) {
  std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(model.snapshot_id);
  if (!snapshot || snapshot->complete) return false;  // evicted, or filled by a publish
  std::shared_ptr<source::Source> source = TRY(parts_.sources.For(model.reference));
  Listing now = TRY(ListFiles(parts_, *source, model.reference, {}));
  std::optional<Listing> known = TRY(WholeListingOf(parts_, *snapshot));
  if (!known) return Fail(Code::kFailedPrecondition, "an admin leaves out files of it since");
  if (!StillLists(now, *known)) {
    return Fail(Code::kFailedPrecondition, "its source lists other files now");
  }
  auto log = std::make_shared<Log>(weak_from_this(), model);
  {
    MutexLock lock(mutex_);
    logs_.insert_or_assign(model.snapshot_id, log);
  }
  LogRepeated(LogLevel::kInfo, fmt::format("{}: its fill goes on", model.reference.ToString()));
  parts_.filler.Fill({.snapshot_id = model.snapshot_id,
                      .reference = model.reference,
                      .listing = *std::move(known),
                      .source = std::move(source),
                      .priority = fill::FillPriority::kPrefetch},
                     log);
  return true;
}

void FillResumer::RetryLater() {
  std::chrono::seconds pause{0};
  {
    MutexLock lock(mutex_);
    if (away_.empty()) pause_ = kShortestPause;
    if (away_.empty() || retrying_) return;
    retrying_ = true;
    pause = pause_;
    pause_ = std::min(pause_ * 2, kLongestPause);
  }
  transport_.PostAfter(pause, [self = shared_from_this()] { self->Retry(); });
}

void FillResumer::Retry() {
  std::vector<Model> due;
  {
    MutexLock lock(mutex_);
    retrying_ = false;
    due.swap(away_);
  }
  for (Model& model : due) Post(std::move(model));
}

bool FillResumer::Ended(const std::string& snapshot_id) {
  bool again = false;
  {
    MutexLock lock(mutex_);
    logs_.erase(snapshot_id);
    known_.erase(snapshot_id);
    again = again_.erase(snapshot_id) > 0;
  }
  if (again) {
    parts_.workers.Post(
        [self = shared_from_this(), snapshot_id] { self->Start(std::vector{snapshot_id}); });
  }
  return again;
}

}  // namespace weighhouse
