#include "cache-daemon/engine/source_answers.h"

#include <algorithm>
#include <utility>

namespace weighhouse {
namespace {

size_t FilesOf(const std::optional<SourceAnswers::Said>& said) {
  return said ? said->listing.files.size() : 0;
}

size_t FilesOf(const std::optional<Result<Resolved>>& owed) {
  return owed && *owed ? (*owed)->listing.files.size() : 0;
}

}  // namespace

SourceAnswers::Key SourceAnswers::KeyOf(const ModelReference& model,
                                        const Credentials& credentials) {
  Key key = model.Fingerprint();
  if (credentials.empty()) return key;
  Hasher hasher(Hasher::Algorithm::kSha256);
  // With their lengths: no two sets give the same text.
  for (const auto& [name, value] : credentials.values) {
    hasher.Update(std::to_string(name.size()) + " " + name);
    hasher.Update(std::to_string(value.size()) + " " + value);
  }
  return key + " " + hasher.FinishHex();
}

std::optional<Result<Resolved>> SourceAnswers::Ask(const ModelReference& model,
                                                   const Credentials& credentials, Time deadline) {
  const Key key = KeyOf(model, credentials);
  std::shared_ptr<Question> question;  // shared with its job, and with others who wait
  bool begins = false;
  {
    MutexLock lock(mutex_);
    Entry& entry = Use(key);
    std::optional<Result<Resolved>> owed = TakeOwed(entry);
    if (owed) return owed;
    // One that waits for its turn in the background is wanted now.
    bool waits = entry.question && std::erase(due_, key) > 0;
    begins = !entry.question || waits;
    if (begins) {
      entry.question =
          std::make_shared<Question>(Question{.model = model, .credentials = credentials});
    }
    question = entry.question;
  }
  if (begins) Post(key, question);
  MutexLock lock(mutex_);
  while (!question->outcome) {
    if (!changed_.WaitUntil(lock, deadline)) break;
  }
  if (question->outcome) return *question->outcome;
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

size_t SourceAnswers::Files() {
  MutexLock lock(mutex_);
  return files_;
}

SourceAnswers::Entry& SourceAnswers::Use(const Key& key) {
  Entry& entry = entries_[key];
  entry.use = ++uses_;
  Trim();
  return entry;
}

void SourceAnswers::Post(const Key& key, std::shared_ptr<Question> question) {
  pool_.Post([self = shared_from_this(), key, question = std::move(question)] {
    self->Run(key, question);
  });
}

void SourceAnswers::Post(Due due) {
  for (auto& [key, question] : due) Post(key, std::move(question));
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
  // Before the question: what is recorded from now on is newer than the answer, or the same.
  auto reference = parts_.store.FindReference(question->model.Fingerprint());
  Result<Resolved> outcome = ResolveModel(parts_, question->model, question->credentials);
  std::optional<Said> told;
  if (outcome && outcome->served_from == AcquiredTree::ServedFrom::kSource) {
    told = Said{.listing = outcome->listing,
                .snapshot_id = outcome->listing.SnapshotId(),
                .meant = reference ? reference->snapshot_id : ""};
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
  const Result<Resolved>& outcome = *question.outcome;
  entry.answered = parts_.clock.Steady();
  entry.ask_again = entry.answered + (told ? kRefreshAfter : kRetryAfter);
  // Where the source is away it may say the same again; any other failure takes it back.
  bool taken_back = !outcome && outcome.error().code != Code::kUnavailable;
  files_ -= FilesOf(entry.said) + FilesOf(entry.owed);
  if (told || taken_back) entry.said = std::move(told);
  if (question.left || entry.owed) {  // nobody is owed an older one than there is
    entry.owed = outcome;
    owed_.emplace_back(entry.answered, key);
  }
  files_ += FilesOf(entry.said) + FilesOf(entry.owed);
  entry.question.reset();
  Trim();
}

std::optional<Result<Resolved>> SourceAnswers::TakeOwed(Entry& entry) {
  files_ -= FilesOf(entry.owed);
  return std::exchange(entry.owed, std::nullopt);
}

// The one that was used just now stays.
void SourceAnswers::Trim() {
  Time now = parts_.clock.Steady();
  while (!owed_.empty() && owed_.front().first + kOwedFor <= now) {
    auto found = entries_.find(owed_.front().second);
    // Else it was fetched, and another one may be owed since.
    bool same = found != entries_.end() && found->second.answered == owed_.front().first;
    if (same) TakeOwed(found->second);
    owed_.pop_front();
  }
  while (entries_.size() > 1 && (entries_.size() > kMostModels || files_ > kMostFiles)) {
    auto oldest =
        std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.use; });
    files_ -= FilesOf(oldest->second.said) + FilesOf(oldest->second.owed);
    std::erase(due_, oldest->first);
    entries_.erase(oldest);
  }
}

}  // namespace weighhouse
