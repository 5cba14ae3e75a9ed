#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/fair_pool.h"
#include "base/mutex.h"
#include "cache-daemon/engine/acquisition.h"

namespace weighhouse {

/// What sources say of models, for those who can't wait for them: a question goes on when nobody
/// waits any more, and what came of it last is kept, in memory, of the models that were asked about
/// most lately. A model is asked about once at a time for each set of credentials, and what one set
/// was told is never told to another. Thread-safe. Held by shared_ptr, because its jobs keep it.
class SourceAnswers final : public std::enable_shared_from_this<SourceAnswers> {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// A model of as many files as a listing may have, with paths as they usually are, is about half.
  static constexpr Bytes kMostBytes = 32 * kMiB;
  /// `pool` runs the questions, each of which may take minutes; it outlives this. `most_bytes`: of
  /// the listings that are remembered; the last one is, however large.
  SourceAnswers(const EngineParts& parts, FairPool& pool, Bytes most_bytes = kMostBytes)
      : parts_(parts), pool_(pool), most_bytes_(most_bytes) {}

  struct Asker {
    std::string party;  ///< whose share of the pool it takes: a namespace's name
    Time deadline;
  };
  /// Asks as ResolveModel does, and waits until the deadline; nothing if that was too short. What
  /// comes of the question later is the answer to the next call, within a minute.
  std::optional<Result<Resolved>> Ask(const ModelReference& model, const Credentials& credentials,
                                      const Asker& asker) EXCLUDES(mutex_);

  struct Said {
    std::shared_ptr<const Listing> listing;  ///< shared with what is remembered; never null
    std::string snapshot_id;                 ///< the listing's
    std::string meant;  ///< the snapshot that the reference was known to mean when it was said
  };
  /// What the source itself said to these credentials last.
  std::optional<Said> Last(const ModelReference& model, const Credentials& credentials)
      EXCLUDES(mutex_);
  /// Has the source be asked with nobody's credentials, unless it was lately. Doesn't wait.
  void Refresh(const ModelReference& model) EXCLUDES(mutex_);
  /// What the listings take that are remembered, paths included.
  Bytes Size() EXCLUDES(mutex_);

 private:
  static constexpr size_t kMostModels = 1000;
  static constexpr size_t kMostInBackground = 2;
  static constexpr std::chrono::minutes kRefreshAfter{60};
  static constexpr std::chrono::minutes kRetryAfter{5};
  static constexpr std::chrono::minutes kOwedFor{1};

  /// What came of a question. Shared, because the same listing is what was said and what is owed.
  using Outcome = Result<std::shared_ptr<const Resolved>>;
  /// One question that is under way. Guarded by the mutex of what it is a part of.
  struct Question {
    ModelReference model;
    Credentials credentials;
    bool background = false;
    std::set<std::string> parties = {};  // in whose turn it is asked: the first one's
    bool begun = false;
    bool left = false;  // somebody waited in vain
    std::optional<Outcome> outcome;
  };
  struct Entry {
    std::shared_ptr<Question> question;  // under way, or waiting for its turn; shared with its job
    std::optional<Said> said;
    std::optional<Outcome> owed;  // to somebody who waited in vain
    Bytes bytes = 0;              // of the listings in it
    Time answered;
    Time ask_again = Time::min();
    uint64_t use = 0;
  };
  using Key = std::string;
  static Key KeyOf(const ModelReference& model, const Credentials& credentials);

  Entry& Use(const Key& key) REQUIRES(mutex_);
  /// Has a question be asked. Not under the mutex: the pool has one of its own.
  void Post(const Key& key, std::shared_ptr<Question> question, const std::string& party)
      EXCLUDES(mutex_);
  void Run(const Key& key, const std::shared_ptr<Question>& question) EXCLUDES(mutex_);
  using Due = std::vector<std::pair<Key, std::shared_ptr<Question>>>;
  /// Those whose turn it is now, to be posted.
  Due NextInBackground() REQUIRES(mutex_);
  void Post(Due due) EXCLUDES(mutex_);
  void Answer(const Key& key, const Question& question, std::optional<Said> told) REQUIRES(mutex_);
  /// Takes what is owed; nothing if it is too old by now.
  std::optional<Outcome> TakeOwed(Entry& entry) REQUIRES(mutex_);
  /// Counts what is in the entry now.
  void Weigh(Entry& entry) REQUIRES(mutex_);
  void Trim() REQUIRES(mutex_);

  const EngineParts parts_;
  FairPool& pool_;
  const Bytes most_bytes_;
  Mutex mutex_;
  ConditionVariable changed_;  // a question has its outcome
  std::map<Key, Entry> entries_ GUARDED_BY(mutex_);
  std::deque<Key> due_ GUARDED_BY(mutex_);  // to be asked in the background
  size_t in_background_ GUARDED_BY(mutex_) = 0;
  Bytes bytes_ GUARDED_BY(mutex_) = 0;  // of all entries
  uint64_t uses_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weighhouse
