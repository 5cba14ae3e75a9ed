#include "cache-daemon/fill/hash_queue.h"

#include <utility>

#include <fmt/format.h>

#include "base/thread.h"

namespace weighhouse::fill {

namespace {

bool IsCrc(const std::optional<ContentChecksum>& checksum) {
  return checksum && checksum->kind != ContentChecksum::Kind::kSha256;
}

Result<> CheckEqual(std::string_view kind, const std::string& want, const std::string& got) {
  if (want == got) return {};
  return Fail(Code::kDataLoss,
              fmt::format("digest mismatch: want {}:{} got {}:{}", kind, want, kind, got));
}

}  // namespace

Result<Digest> CheckDigests(const ContentDigests& digests, const ContentClaims& want) {
  const FileIdentity& identity = want.identity;
  std::string_view kind = IdentityKindName(identity.kind);
  if (identity.kind == FileIdentity::Kind::kSha256) {
    TRY(CheckEqual(kind, identity.value, digests.sha256));
  }
  if (identity.kind == FileIdentity::Kind::kGitSha1) {
    TRY(CheckEqual(kind, identity.value, digests.git_sha1));
  }
  if (want.checksum) {
    TRY(CheckEqual(ChecksumKindName(want.checksum->kind), want.checksum->value,
                   IsCrc(want.checksum) ? digests.crc : digests.sha256));
  }
  return Digest::FromHex(digests.sha256);
}

Result<> CheckEnclosing(const ContentDigests& digests, const std::string& want) {
  if (digests.enclosing_sha256 == want) return {};
  return Fail(
      Code::kDataLoss,
      fmt::format("digest mismatch of the layer that it lies in: want sha256:{} got sha256:{}",
                  want, digests.enclosing_sha256));
}

/// A stream is in `ready_`, or with one thread, or idle; the queue's mutex hands it from one to the
/// next, and with it the hashers.
struct HashStream::State {
  Hasher sha256{Hasher::Algorithm::kSha256};
  std::optional<Hasher> git_sha1;
  std::optional<Hasher> enclosing;
  std::optional<CrcStream> crc;
  std::deque<HashQueue::Piece> pieces;  // guarded by the queue's mutex
  bool busy = false;                    // guarded by the queue's mutex
};

HashStream::HashStream(HashQueue& queue, const ContentClaims& want)
    : queue_(queue), state_(std::make_shared<State>()) {
  if (IsCrc(want.checksum)) state_->crc.emplace(want.checksum->kind);
  if (want.identity.kind != FileIdentity::Kind::kGitSha1) return;
  state_->git_sha1.emplace(Hasher::Algorithm::kSha1);
  std::string header = fmt::format("blob {}", want.size);
  header.push_back('\0');
  state_->git_sha1->Update(header);
}

HashStream::~HashStream() = default;

void HashStream::Add(std::span<const std::byte> bytes, std::function<void()> done) {
  queue_.Add(state_, {.bytes = bytes, .done = std::move(done)});
}

void HashStream::Enclose(std::string_view before) {
  state_->enclosing.emplace(Hasher::Algorithm::kSha256);
  state_->enclosing->Update(before);
}

ContentDigests HashStream::Finish(std::string_view after) {
  if (state_->enclosing) state_->enclosing->Update(after);
  return {.sha256 = state_->sha256.FinishHex(),
          .git_sha1 = state_->git_sha1 ? state_->git_sha1->FinishHex() : "",
          .enclosing_sha256 = state_->enclosing ? state_->enclosing->FinishHex() : "",
          .crc = state_->crc ? state_->crc->Hex() : ""};
}

HashQueue::HashQueue(size_t threads) {
  for (size_t i = 0; i < threads; ++i) {
    threads_.push_back(StartThread(fmt::format("hash-{}", i), [this](const auto&) { Run(); }));
  }
}

HashQueue::~HashQueue() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
}

void HashQueue::Add(const std::shared_ptr<HashStream::State>& stream, Piece piece) {
  {
    MutexLock lock(mutex_);
    stream->pieces.push_back(std::move(piece));
    if (stream->busy) return;
    stream->busy = true;
    ready_.push_back(stream);
  }
  changed_.NotifyOne();
}

void HashQueue::Run() {
  while (true) {
    std::shared_ptr<HashStream::State> stream;
    Piece piece;
    {
      MutexLock lock(mutex_);
      while (ready_.empty() && !stopping_) changed_.Wait(lock);
      if (ready_.empty()) return;
      stream = std::move(ready_.front());
      ready_.pop_front();
      piece = std::move(stream->pieces.front());
      stream->pieces.pop_front();
    }
    stream->sha256.Update(piece.bytes);
    if (stream->git_sha1) stream->git_sha1->Update(piece.bytes);
    if (stream->enclosing) stream->enclosing->Update(piece.bytes);
    if (stream->crc) stream->crc->Update(piece.bytes);
    {
      // Handed back before `done`, whose news may let the owner finish the stream. Nobody is woken:
      // this thread comes for what is ready next, and a file stays on a warm core.
      MutexLock lock(mutex_);
      if (stream->pieces.empty()) {
        stream->busy = false;
      } else {
        ready_.push_back(stream);
      }
    }
    piece.done();
  }
}

}  // namespace weighhouse::fill
