#include "cache-daemon/engine/source_answers.h"

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "cache-daemon/engine/references.h"

namespace weighhouse {
namespace {

/// No namespace's: what nobody waits for has a share of its own.
constexpr const char* kNobody = "/";

/// What it takes in memory. A source says how many files there are, and what they are called.
Bytes SizeOf(const Listing& listing) {
  Bytes bytes = 0;
  for (const ListedFile& file : listing.files) {
    bytes += sizeof(file) + file.path.size() + file.identity.value.size();
  }
  for (const PackedLayer& layer : listing.packed) {
    bytes += sizeof(layer) + layer.digest.size() + layer.diff_id.size() + layer.prefix.size();
  }
  return bytes;
}

Result<Resolved> CopyOf(const Result<std::shared_ptr<const Resolved>>& outcome) {
  if (!outcome) return std::unexpected(outcome.error());
  return **outcome;
}

}  // namespace

SourceAnswers::Key SourceAnswers::KeyOf(const ModelReference& model,
                                        const Credentials& credentials) {
  Key key = model.Fingerprint();
  if (credentials.empty()) return key;
  return key + " " + Digest::Of(credentials.Text()).Hex();
}

std::optional<Result<Resolved>> SourceAnswers::Ask(const ModelReference& model,
                                                   const Credentials& credentials,
                                                   const Asker& asker) {
  const Key key = KeyOf(model, credentials);
  std::shared_ptr<Question> question;  // shared with its job, and with others who wait
  bool begins = false;
  {
    MutexLock lock(mutex_);
    Entry& entry = Use(key);
    std::optional<Outcome> owed = TakeOwed(entry);
    if (owed) return CopyOf(*owed);
    // One that waits for its turn in the background is wanted now.
    bool waits = entry.question && std::erase(due_, key) > 0;
    if (!entry.question || waits) {
      entry.question =
          std::make_shared<Question>(Question{.model = model, .credentials = credentials});
    }
    question = entry.question;
    // It may wait behind much that another party has asked.
    begins = !question->begun && question->parties.insert(asker.party).second;
  }
  if (begins) Post(key, question, asker.party);
  MutexLock lock(mutex_);
  while (!question->outcome) {
    if (!changed_.WaitUntil(lock, asker.deadline)) break;
  }
  if (question->outcome) return CopyOf(*question->outcome);
  question->left = true;
  return std::nullopt;
}

std::optional<SourceAnswers::Said> SourceAnswers::Last(const ModelReference& model,
                                                       const Credentials& credentials) {
  MutexLock lock(mutex_);
  auto found = entries_.find(KeyOf(model, credentials));
  return found == entries_.end() ? std::nullopt : found->second.said;
}

void SourceAnswers::Refresh(const ModelReference& model) {
  const Key key = KeyOf(model, {});
  Due due;
  {
    MutexLock lock(mutex_);
    Entry& entry = Use(key);
    if (entry.question || parts_.clock.Steady() < entry.ask_again) return;
    entry.question = std::make_shared<Question>(Question{.model = model, .background = true});
    due_.push_back(key);
    due = NextInBackground();
  }
  Post(std::move(due));
}

Bytes SourceAnswers::Size() {
  MutexLock lock(mutex_);
  return bytes_;
}

SourceAnswers::Entry& SourceAnswers::Use(const Key& key) {
  Entry& entry = entries_[key];
  entry.use = ++uses_;
  Trim();
  return entry;
}

void SourceAnswers::Post(const Key& key, std::shared_ptr<Question> question,
                         const std::string& party) {
  pool_.Post(party, [self = shared_from_this(), key, question = std::move(question)] {
    self->Run(key, question);
  });
}

void SourceAnswers::Post(Due due) {
  for (auto& [key, question] : due) Post(key, std::move(question), kNobody);
}

SourceAnswers::Due SourceAnswers::NextInBackground() {
  Due next;
  while (in_background_ < kMostInBackground && !due_.empty()) {
    Key key = std::move(due_.front());
    due_.pop_front();
    auto found = entries_.find(key);
    if (found == entries_.end()) continue;
    ++in_background_;
    next.emplace_back(std::move(key), found->second.question);
  }
  return next;
}

void SourceAnswers::Run(const Key& key, const std::shared_ptr<Question>& question) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(question->begun, true)) return;  // in another party's turn
  }
  // Before the question: what is recorded from now on is newer than the answer, or the same.
  std::optional<store::ReferenceRecord> reference;
  auto source = parts_.sources.For(question->model);
  if (source) {
    reference = FindMeaning(parts_.store, **source, question->model, question->credentials);
  }
  Result<Resolved> resolved =
      ResolveModel(parts_, question->model, {.credentials = question->credentials});
  Outcome outcome;
  std::optional<Said> told;
  if (!resolved) {
    outcome = std::unexpected(std::move(resolved).error());
  } else {
    outcome = std::make_shared<const Resolved>(*std::move(resolved));
    if ((*outcome)->served_from == AcquiredTree::ServedFrom::kSource) {
      told = Said{.listing = std::shared_ptr<const Listing>(*outcome, &(*outcome)->listing),
                  .snapshot_id = (*outcome)->listing.SnapshotId(),
                  .meant = reference ? reference->snapshot_id : ""};
    }
  }
  Due due;
  {
    MutexLock lock(mutex_);
    question->outcome = std::move(outcome);
    auto found = entries_.find(key);
    bool current = found != entries_.end() && found->second.question == question;
    if (current) Answer(key, *question, std::move(told));
    if (question->background) {
      --in_background_;
      due = NextInBackground();
    }
  }
  changed_.NotifyAll();
  Post(std::move(due));
}

void SourceAnswers::Answer(const Key& key, const Question& question, std::optional<Said> told) {
  Entry& entry = entries_.at(key);
  const Outcome& outcome = *question.outcome;
  // Nobody is owed an older one than there is.
  bool owes = TakeOwed(entry).has_value() || question.left;
  entry.use = ++uses_;
  entry.answered = parts_.clock.Steady();
  entry.ask_again = entry.answered + (told ? kRefreshAfter : kRetryAfter);
  // Where the source is away it may say the same again; any other failure takes it back.
  bool taken_back = !outcome && outcome.error().code != Code::kUnavailable;
  if (told || taken_back) entry.said = std::move(told);
  if (owes) entry.owed = outcome;
  Weigh(entry);
  entry.question.reset();
  Trim();
}

std::optional<SourceAnswers::Outcome> SourceAnswers::TakeOwed(Entry& entry) {
  if (!entry.owed) return std::nullopt;
  std::optional<Outcome> owed = std::exchange(entry.owed, std::nullopt);
  Weigh(entry);
  if (parts_.clock.Steady() >= entry.answered + kOwedFor) return std::nullopt;
  return owed;
}

void SourceAnswers::Weigh(Entry& entry) {
  bytes_ -= entry.bytes;
  const Listing* said = entry.said ? entry.said->listing.get() : nullptr;
  const Listing* owed = entry.owed && *entry.owed ? &(**entry.owed)->listing : nullptr;
  entry.bytes = said == nullptr ? 0 : SizeOf(*said);
  if (owed != nullptr && owed != said) entry.bytes += SizeOf(*owed);
  bytes_ += entry.bytes;
}

// The one that was used just now stays.
void SourceAnswers::Trim() {
  while (entries_.size() > 1 && (entries_.size() > kMostModels || bytes_ > most_bytes_)) {
    auto oldest =
        std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.use; });
    bytes_ -= oldest->second.bytes;
    std::erase(due_, oldest->first);
    entries_.erase(oldest);
  }
}

}  // namespace weighhouse
