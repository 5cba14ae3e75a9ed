#include "cache-daemon/engine/source_answers.h"

#include <algorithm>
#include <utility>

namespace weighhouse {
namespace {

size_t FilesOf(const std::optional<SourceAnswers::Said>& said) {
  return said ? said->listing.files.size() : 0;
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
  MutexLock lock(mutex_);
  Entry& entry = Use(key);
  std::optional<Result<Resolved>> owed = std::exchange(entry.owed, std::nullopt);
  if (owed && entry.answered + kOwedFor > parts_.clock.Steady()) return owed;
  std::shared_ptr<Question> question = entry.question;
  // One that waits for its turn in the background is wanted now.
  bool waits = question && std::erase(due_, key) > 0;
  if (!question || waits) {
    question = std::make_shared<Question>(Question{.model = model, .credentials = credentials});
    entry.question = question;
    Begin(key, question);
  }
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
  MutexLock lock(mutex_);
  Entry& entry = Use(key);
  if (entry.question || parts_.clock.Steady() < entry.ask_again) return;
  entry.question = std::make_shared<Question>(Question{.model = model, .background = true});
  due_.push_back(key);
  BeginNextInBackground();
}

SourceAnswers::Entry& SourceAnswers::Use(const Key& key) {
  Entry& entry = entries_[key];
  entry.use = ++uses_;
  Trim();
  return entry;
}

void SourceAnswers::Begin(const Key& key, std::shared_ptr<Question> question) {
  pool_.Post([self = shared_from_this(), key, question = std::move(question)] {
    self->Run(key, question);
  });
}

void SourceAnswers::BeginNextInBackground() {
  while (in_background_ < kMostInBackground && !due_.empty()) {
    Key key = std::move(due_.front());
    due_.pop_front();
    auto found = entries_.find(key);
    if (found == entries_.end()) continue;
    ++in_background_;
    Begin(key, found->second.question);
  }
}

void SourceAnswers::Run(const Key& key, const std::shared_ptr<Question>& question) {
  // Before the question: what is recorded from now on is newer than the answer, or the same.
  auto reference = parts_.store.FindReference(question->model.Fingerprint());
  Result<Resolved> outcome = ResolveModel(parts_, question->model, question->credentials);
  {
    MutexLock lock(mutex_);
    question->outcome = outcome;
    auto found = entries_.find(key);
    if (found != entries_.end() && found->second.question == question) {
      Entry& entry = found->second;
      bool told = outcome && outcome->served_from == AcquiredTree::ServedFrom::kSource;
      // Where the source is away it may say the same again; any other failure takes it back.
      bool taken_back = !outcome && outcome.error().code != Code::kUnavailable;
      files_ -= FilesOf(entry.said);
      if (told) {
        entry.said =
            Said{.listing = outcome->listing, .meant = reference ? reference->snapshot_id : ""};
      }
      if (taken_back) entry.said.reset();
      files_ += FilesOf(entry.said);
      entry.question.reset();
      entry.answered = parts_.clock.Steady();
      entry.ask_again = entry.answered + (told ? kRefreshAfter : kRetryAfter);
      if (question->left) entry.owed = std::move(outcome);
      Trim();
    }
    if (question->background) {
      --in_background_;
      BeginNextInBackground();
    }
  }
  changed_.NotifyAll();
}

// The one that was used just now stays.
void SourceAnswers::Trim() {
  while (entries_.size() > 1 && (entries_.size() > kMostModels || files_ > kMostFiles)) {
    auto oldest =
        std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.use; });
    files_ -= FilesOf(oldest->second.said);
    std::erase(due_, oldest->first);
    entries_.erase(oldest);
  }
}

}  // namespace weighhouse
