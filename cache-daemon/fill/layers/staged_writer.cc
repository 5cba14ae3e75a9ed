#include "cache-daemon/fill/layers/staged_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weighhouse::fill {

Result<std::unique_ptr<StagedWriter>> StagedWriter::Create(io::IoEngine& io) {
  std::unique_ptr<StagedWriter> writer(new StagedWriter(io));
  writer->pool_ = TRY(io::BufferPool::Create(kHalves));
  for (io::Buffer& buffer : writer->buffers_) buffer = *writer->pool_->TryTake();
  return writer;
}

StagedWriter::~StagedWriter() {
  static_cast<void>(AwaitAll());
  buffers_ = {};
}

void StagedWriter::Begin(const store::Ingest& ingest) {
  // Of a file before that failed and was left something may still be on its way.
  static_cast<void>(AwaitAll());
  fd_ = ingest.fd();
  filled_ = 0;
  offset_ = 0;
  hasher_.emplace(Hasher::Algorithm::kSha256);
  MutexLock lock(mutex_);
  failed_ = 0;
}

Result<> StagedWriter::Write(std::span<const std::byte> bytes) {
  hasher_->Update(bytes);
  while (!bytes.empty()) {
    if (filled_ == 0) TRY(Await(half_));
    std::span<std::byte> space = buffers_[half_].memory().subspan(filled_);
    size_t some = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), some);
    filled_ += some;
    bytes = bytes.subspan(some);
    if (some == space.size()) Submit(filled_);
  }
  return {};
}

Result<Digest> StagedWriter::End() {
  if (filled_ > 0) {
    // Whole blocks; the ingest is as long, and its commit cuts it.
    size_t blocks = (filled_ + io::BufferPool::kAlignment - 1) / io::BufferPool::kAlignment *
                    io::BufferPool::kAlignment;
    std::memset(buffers_[half_].memory().data() + filled_, 0, blocks - filled_);
    Submit(blocks);
  }
  TRY(AwaitAll());
  return Digest::FromHex(hasher_->FinishHex());
}

void StagedWriter::Submit(size_t size) {
  size_t half = std::exchange(half_, (half_ + 1) % kHalves);
  {
    MutexLock lock(mutex_);
    writing_[half] = true;
  }
  io_.Write(fd_, offset_, buffers_[half].memory().first(size), [this, half](int error_number) {
    MutexLock lock(mutex_);
    writing_[half] = false;
    if (error_number != 0 && failed_ == 0) failed_ = error_number;
    changed_.NotifyAll();
  });
  offset_ += size;
  filled_ = 0;
}

Result<> StagedWriter::Await(size_t half) {
  MutexLock lock(mutex_);
  while (writing_[half]) changed_.Wait(lock);
  if (failed_ != 0) return FailErrno(failed_, "write a file of a layer");
  return {};
}

Result<> StagedWriter::AwaitAll() {
  // Also after a failure: a number of a closed file may be another file's by the time it is used.
  Result<> outcome;
  for (size_t half = 0; half < kHalves; ++half) outcome = Await(half);
  return outcome;
}

}  // namespace weighhouse::fill
