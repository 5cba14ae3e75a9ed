#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/checksum.h"
#include "base/digest.h"
#include "base/model.h"
#include "base/mutex.h"

namespace weighhouse::fill {

/// The digests of one file's bytes.
struct ContentDigests {
  std::string sha256;            ///< hexadecimal
  std::string git_sha1;          ///< git's blob id; empty unless the file's identity is one
  std::string enclosing_sha256;  ///< of what the file lies in; empty unless Enclose was called
  std::string crc;               ///< empty unless the file's source gave one of its kind
};

/// What a file's source said of its bytes.
struct ContentClaims {
  FileIdentity identity;
  Bytes size = 0;
  std::optional<ContentChecksum> checksum;
};

/// The sha256 of content that is what `want` says of it, checksum and all; kDataLoss names both
/// digests.
Result<Digest> CheckDigests(const ContentDigests& digests, const ContentClaims& want);

/// kDataLoss, with both digests, if the file doesn't lie in what has the digest `want`.
Result<> CheckEnclosing(const ContentDigests& digests, const std::string& want);

class HashQueue;

/// One file's bytes on their way through the hasher, in file order. Used by one thread; destroy it
/// only when every piece given to `Add` is done.
class HashStream {
 public:
  /// Computes what `want` is checked by. (The size goes into git's blob id, which begins with it.)
  HashStream(HashQueue& queue, const ContentClaims& want);
  ~HashStream();
  HashStream(const HashStream&) = delete;
  HashStream& operator=(const HashStream&) = delete;

  /// The file lies in something larger that begins with `before`, whose digest is wanted too.
  /// Before the first Add.
  void Enclose(std::string_view before);
  /// Queues the next bytes of the file; `done` runs on a hasher thread after them. They stay valid
  /// until then.
  void Add(std::span<const std::byte> bytes, std::function<void()> done);
  /// After the last `done`: the digests. Ends the stream. `after`: what follows the file in what it
  /// lies in.
  ContentDigests Finish(std::string_view after = "");

 private:
  friend class HashQueue;
  struct State;
  HashQueue& queue_;
  std::shared_ptr<State> state_;  // shared with the thread that hashes its current piece
};

/// Hasher threads over a queue of (stream, next piece): a thread is never tied to a file, and the
/// pieces of one file are hashed one after the other (SHA-256 has no other way: FIPS 180-4).
/// Thread-safe.
class HashQueue {
 public:
  explicit HashQueue(size_t threads);
  /// Hashes what is queued first: every `done` runs.
  ~HashQueue();
  HashQueue(const HashQueue&) = delete;
  HashQueue& operator=(const HashQueue&) = delete;

 private:
  friend class HashStream;
  struct Piece {
    std::span<const std::byte> bytes;
    std::function<void()> done;
  };
  void Add(const std::shared_ptr<HashStream::State>& stream, Piece piece) EXCLUDES(mutex_);
  void Run() EXCLUDES(mutex_);

  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<std::shared_ptr<HashStream::State>> ready_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace weighhouse::fill
