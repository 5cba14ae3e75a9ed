#include "cache-daemon/fill/file_assembly.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"

namespace weighhouse::fill {

std::shared_ptr<FileAssembly> FileAssembly::Start(std::shared_ptr<FillContext> context,
                                                  std::unique_ptr<store::Ingest> ingest,
                                                  ContentClaims content, Resume resume,
                                                  Events events) {
  std::shared_ptr<FileAssembly> assembly(new FileAssembly(
      std::move(context), std::move(ingest), std::move(content), resume, std::move(events)));
  std::vector<std::weak_ptr<FileAssembly>>& all = assembly->context_->assemblies;
  std::erase_if(all, [](const auto& other) { return other.expired(); });
  all.push_back(assembly);
  assembly->staged_->set_on_recorded([weak = std::weak_ptr(assembly)] {
    if (std::shared_ptr<FileAssembly> self = weak.lock()) self->OnRecorded();
  });
  assembly->ReadBack();
  return assembly;
}

FileAssembly::FileAssembly(std::shared_ptr<FillContext> context,
                           std::unique_ptr<store::Ingest> ingest, ContentClaims content,
                           Resume resume, Events events)
    : context_(std::move(context)),
      content_(std::move(content)),
      size_(content_.size),
      piece_size_(context_->parts.buffers.buffer_size()),
      events_(std::move(events)),
      hash_(*context_->hashes, content_),
      table_((size_ + piece_size_ - 1) / piece_size_),
      starved_since_(context_->parts.clock.Steady()) {
  CHECK(context_->parts.read_buffers.buffer_size() == piece_size_);
  std::vector<ByteRange> present;
  if (resume == Resume::kUse) present = WholePieces(ingest->resumed(), size_, piece_size_);
  for (const ByteRange& range : present) {
    resumed_bytes_ += range.size();
    for (Bytes begin = range.begin; begin < range.end; begin += piece_size_) {
      table_.Resume(begin / piece_size_);
    }
  }
  missing_ = Gaps(present, size_);
  staged_ = std::make_shared<StagedFile>(context_, std::move(ingest), present);
}

FileAssembly::~FileAssembly() {
  for (auto& [index, held] : held_) context_->budget.GiveBack(use_, held.kind);
  if (context_->stopped) return;
  staged_->End();
  if (held_.empty() && read_back_.empty()) return;
  held_.clear();
  read_back_.clear();
  context_->parts.transport.Post([context = context_] {
    if (context->stopped) return;
    WakeReaders(*context);
    context->short_of_buffers = false;
    context->on_buffers_freed();
  });
}

void FileAssembly::Enclose(std::shared_ptr<const source::Enclosure> enclosure) {
  enclosure_ = std::move(enclosure);
  if (enclosure_) hash_.Enclose(enclosure_->before);
}

Result<Digest> FileAssembly::Check() {
  ContentDigests digests = Digests();
  if (enclosure_) TRY(CheckEnclosing(digests, enclosure_->sha256));
  return CheckDigests(digests, content_);
}

Bytes FileAssembly::PieceBytes(size_t index) const {
  return std::min<Bytes>(piece_size_, size_ - index * piece_size_);
}

/// O_DIRECT takes whole blocks only; Commit cuts the padding off.
Bytes FileAssembly::DiskBytes(size_t index) const {
  Bytes length = PieceBytes(index);
  if (!staged_->ingest().direct()) return length;
  return (length + io::BufferPool::kAlignment - 1) / io::BufferPool::kAlignment *
         io::BufferPool::kAlignment;
}

ByteRange FileAssembly::RangeOf(size_t index) const {
  Bytes begin = index * piece_size_;
  return {.begin = begin, .end = begin + PieceBytes(index)};
}

std::optional<ByteRange> FileAssembly::NextMissing(Bytes from) const {
  auto found = std::ranges::upper_bound(missing_, from, {}, &ByteRange::end);
  if (found == missing_.end()) return std::nullopt;
  return ByteRange{.begin = std::max(from, found->begin), .end = found->end};
}

std::optional<FileAssembly::Held> FileAssembly::TakeBuffer(size_t index) {
  auto place =
      index == table_.first_missing() ? BufferBudget::Place::kHead : BufferBudget::Place::kAhead;
  do {
    BufferBudget::Kind kind = context_->budget.Take(use_, place, context_->active_files);
    if (kind == BufferBudget::Kind::kNone) continue;
    std::optional<io::Buffer> buffer = context_->parts.buffers.TryTake();
    if (buffer) return Held{.buffer = std::move(*buffer), .kind = kind};
    context_->budget.GiveBack(use_, kind);
  } while (MakeRoom());
  context_->short_of_buffers = true;
  return std::nullopt;
}

/// Releases one piece whose buffer this file may then have; false if there is none.
bool FileAssembly::MakeRoom() {
  if (ReleaseFarthest()) return true;
  if (context_->budget.HasItsPart(use_, context_->active_files)) return false;
  return std::ranges::any_of(context_->assemblies, [](const std::weak_ptr<FileAssembly>& weak) {
    std::shared_ptr<FileAssembly> other = weak.lock();
    return other && other->ReleaseFarthest();
  });
}

bool FileAssembly::IsStarved() const {
  return hashing_ == 0 &&
         context_->parts.clock.Steady() - starved_since_ >= context_->options.release_after;
}

bool FileAssembly::ReleaseFarthest() {
  if (abandoned_ || !IsStarved()) return false;
  for (auto held = held_.end(); held != held_.begin();) {
    --held;
    if (!table_.MayRelease(held->first)) continue;
    table_.Release(held->first);
    GiveBack(held);
    return true;
  }
  return false;
}

void FileAssembly::GiveBack(std::map<size_t, Held>::iterator held) {
  context_->budget.GiveBack(use_, held->second.kind);
  held_.erase(held);
}

void FileAssembly::NotifyBuffersFreed() {
  if (context_->stopped) return;
  context_->short_of_buffers = false;
  context_->on_buffers_freed();
}

bool FileAssembly::Accept(Bytes position, std::span<const std::byte> bytes) {
  CHECK(position + bytes.size() <= size_);
  size_t head = table_.first_missing();
  bool taken = true;
  while (taken && !bytes.empty()) {
    size_t index = position / piece_size_;
    size_t count = std::min<Bytes>(bytes.size(), (index + 1) * piece_size_ - position);
    // Bytes that were refused for want of a buffer are offered again, with the end of the piece
    // before: that one was taken, or it could wait for a buffer that only its own completion frees.
    taken = table_.IsWhole(index) || AcceptInto(index, position, bytes.first(count));
    position += count;
    bytes = bytes.subspan(count);
  }
  // Only a head that became whole gives the hasher or a reader something to do.
  if (table_.first_missing() != head) SubmitHashes();
  return taken;
}

bool FileAssembly::AcceptInto(size_t index, Bytes position, std::span<const std::byte> bytes) {
  auto found = held_.find(index);
  if (found == held_.end()) {
    // The disk is slower than the network. What makes it an end: a recording is under way, or
    // becomes due with the pieces that are begun.
    if (accepted_ - staged_->settled() >= context_->options.most_at_risk) {
      awaits_recording_ = true;
      return false;
    }
    std::optional<Held> taken = TakeBuffer(index);
    if (!taken) return false;
    table_.Hold(index);
    found = held_.emplace(index, std::move(*taken)).first;
  }
  Held& held = found->second;
  CHECK(index * piece_size_ + held.filled == position);
  std::memcpy(held.buffer.memory().data() + held.filled, bytes.data(), bytes.size());
  held.filled += bytes.size();
  accepted_ += bytes.size();
  if (held.filled < PieceBytes(index)) return true;
  table_.Fill(index);
  SubmitWrite(index, held);
  return true;
}

Bytes FileAssembly::ForgetPartialPiece(Bytes position) {
  size_t index = position / piece_size_;
  auto found = held_.find(index);
  if (found == held_.end() || found->second.filled == PieceBytes(index)) return position;
  table_.Forget(index);
  accepted_ -= found->second.filled;
  GiveBack(found);
  return index * piece_size_;
}

/// What runs when a disk operation on a piece ends: `then`, on the strand.
io::IoEngine::Done FileAssembly::OnLoop(size_t index, void (FileAssembly::*then)(size_t, int)) {
  context_->disk_operations.Begin();
  return [self = shared_from_this(), index, then](int error_number) mutable {
    std::shared_ptr<FillContext> keep = self->context_;  // the counter outlives the last assembly
    keep->parts.transport.Post([self = std::move(self), index, then, error_number] {
      ((*self).*then)(index, error_number);
    });
    keep->disk_operations.End();
  };
}

void FileAssembly::SubmitWrite(size_t index, Held& held) {
  std::span<std::byte> memory = held.buffer.memory().first(DiskBytes(index));
  std::ranges::fill(memory.subspan(held.filled), std::byte{0});
  context_->parts.io.Write(staged_->ingest().fd(), index * piece_size_, memory,
                           OnLoop(index, &FileAssembly::OnWritten));
}

void FileAssembly::SubmitHashes() {
  while (std::optional<size_t> index = table_.TakeNextToHash()) {
    auto read_back = read_back_.find(*index);
    const io::Buffer& buffer =
        read_back != read_back_.end() ? read_back->second : held_.at(*index).buffer;
    // The strand lets go of the assembly, not the hasher's.
    auto done = [self = shared_from_this(), index = *index]() mutable {
      source::Transport& transport = self->context_->parts.transport;
      transport.Post([self = std::move(self), index] { self->OnHashed(index); });
    };
    ++hashing_;
    hash_.Add(buffer.memory().first(PieceBytes(*index)), std::move(done));
  }
  ReadBack();
}

void FileAssembly::ReadBack() {
  while (!abandoned_ && !waiting_reader_) {
    std::optional<size_t> index = table_.NextToRead();
    if (!index) return;
    std::optional<io::Buffer> buffer = context_->parts.read_buffers.TryTake();
    if (!buffer) {
      waiting_reader_ = true;
      context_->waiting_readers.push_back(weak_from_this());
      return;
    }
    table_.BeginRead(*index);
    std::span<std::byte> memory = buffer->memory().first(DiskBytes(*index));
    read_back_[*index] = std::move(*buffer);
    context_->parts.io.Read(staged_->ingest().fd(), *index * piece_size_, memory,
                            OnLoop(*index, &FileAssembly::OnRead));
  }
}

/// Lets those who wait for a reader's buffer have what is free, in their order.
void FileAssembly::WakeReaders(FillContext& context) {
  while (!context.waiting_readers.empty() && context.parts.read_buffers.available() > 0) {
    std::shared_ptr<FileAssembly> waiting = context.waiting_readers.front().lock();
    context.waiting_readers.pop_front();
    if (!waiting) continue;
    waiting->waiting_reader_ = false;
    waiting->ReadBack();
  }
}

void FileAssembly::OnWritten(size_t index, int error_number) {
  if (index == 0) FaultPoint("fill.first_write_done");
  if (RangeOf(index).end == size_) FaultPoint("fill.last_write_done");
  // The piece keeps its buffer until the assembly goes: nothing more can complete.
  if (error_number != 0) return OnDiskFailed("write", error_number);
  table_.Written(index);
  staged_->Add(RangeOf(index));
  if (table_.IsDone(index)) return EndPiece(index);
  if (context_->short_of_buffers && ReleaseFarthest()) NotifyBuffersFreed();
}

void FileAssembly::Tick() {
  if (context_->short_of_buffers && ReleaseFarthest()) NotifyBuffersFreed();
}

void FileAssembly::OnRead(size_t index, int error_number) {
  if (error_number != 0 || abandoned_) {
    // What can't be read can't be resumed either.
    if (error_number != 0) staged_->Discard();
    read_back_.erase(index);
    WakeReaders(*context_);
    if (error_number != 0) OnDiskFailed("read back", error_number);
    return;
  }
  table_.Read(index);
  SubmitHashes();
}

void FileAssembly::OnHashed(size_t index) {
  if (--hashing_ == 0) starved_since_ = context_->parts.clock.Steady();
  table_.Hashed(index);
  if (table_.IsDone(index)) EndPiece(index);
}

void FileAssembly::OnDiskFailed(std::string_view operation, int error_number) {
  if (std::exchange(abandoned_, true)) return;
  std::string what = fmt::format("{} {}", operation, staged_->ingest().path());
  events_.on_disk_failed(std::move(FailErrno(error_number, what).error()));
}

void FileAssembly::EndPiece(size_t index) {
  if (auto held = held_.find(index); held != held_.end()) {
    GiveBack(held);
    NotifyBuffersFreed();
  } else {
    read_back_.erase(index);
    WakeReaders(*context_);  // others first: what is in their readers' way is longer there
    ReadBack();
  }
  EndIfComplete();
}

void FileAssembly::OnRecorded() {
  if (std::exchange(awaits_recording_, false) && !context_->stopped) context_->on_buffers_freed();
  EndIfComplete();
}

void FileAssembly::EndIfComplete() {
  if (abandoned_ || !table_.AllDone()) return;
  staged_->Close();
  if (staged_->recording()) return;  // on_recorded leads here again
  FaultPoint("fill.hashed");
  abandoned_ = true;
  events_.on_complete();
}

}  // namespace weighhouse::fill
