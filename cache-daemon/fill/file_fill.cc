#include "cache-daemon/fill/file_fill.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"

namespace weighhouse::fill {
namespace {

/// Fresh starts after bytes that can't be right, and new locations after a refusal, before it is an
/// error.
constexpr int kMaxFreshStarts = 1;
constexpr int kMaxRefusals = 2;
/// An ingest of the attempt before is still being written out: its id is free soon.
constexpr std::chrono::milliseconds kIngestBusyDelay{20};

}  // namespace

FileFill::FileFill(std::shared_ptr<FillContext> context, ListedFile file, std::string ingest_id,
                   Done done)
    : context_(std::move(context)),
      file_(std::move(file)),
      ingest_id_(std::move(ingest_id)),
      done_(std::move(done)),
      askers_(context_->options.origin_window),
      ranges_(*this, context_->parts.transport) {}

void FileFill::RaisePriority(FillPriority priority) {
  if (priority <= priority_) return;
  priority_ = priority;
  if (located_ && !finished_) Claim();
}

void FileFill::Start() {
  FaultPoint("fill.started");
  Prepare(Want::kLocationAndIngest);
}

void FileFill::LeaveOthers() {
  context_->governor.Leave(*this);
  context_->bandwidth.Leave(*this);
}

void FileFill::Stop() {
  finished_ = true;
  DropAttempt();
  LeaveOthers();
}

void FileFill::After(std::chrono::milliseconds delay, std::function<void(FileFill&)> task) {
  context_->parts.transport.PostAfter(
      delay, [self = shared_from_this(), attempt = attempt_, task = std::move(task)] {
        if (!self->finished_ && self->attempt_ == attempt) task(*self);
      });
}

void FileFill::Say(LogLevel level, std::string_view what, std::source_location where) const {
  const FillRequest& request = *askers_.current().request;
  LogScope scope(request.log);
  LogRepeated(level, fmt::format("fill {}: {}", file_.path, what),
              {{"file", file_.path}, {"snapshot", request.snapshot_id}}, where);
}

void FileFill::Prepare(Want want) {
  locating_ = true;
  located_ = false;
  if (context_->stopped) return;
  context_->workers->Post(
      [self = shared_from_this(), asker = askers_.current(), number = ++prepares_, want] {
        // Shared, because std::function copies its captures.
        auto outcome = std::make_shared<Result<PreparedFile>>(
            PrepareFile(*self->context_, asker, self->ingest_id_, want));
        self->context_->parts.transport.Post([self, number, want, outcome] {
          if (self->finished_ || self->prepares_ != number) return;
          self->locating_ = false;
          if (!*outcome) return self->OnPrepareFailed(outcome->error(), want);
          self->OnPrepared(std::move(**outcome));
        });
      });
}

void FileFill::OnPrepared(PreparedFile prepared) {
  prepare_failures_ = 0;
  located_ = true;
  waiting_for_.clear();
  location_ = std::move(prepared.location);
  ++location_generation_;
  Claim();
  if (prepared.ingest) BeginAssembly(std::move(prepared.ingest));
  Pump();
}

void FileFill::OnPrepareFailed(const Error& error, Want want) {
  if (error.code == Code::kAlreadyExists) {
    return After(kIngestBusyDelay, [want](FileFill& self) { self.Prepare(want); });
  }
  // Temporary for the pod, but waiting here would only keep the others waiting.
  if (error.code == Code::kResourceExhausted) return Finish(std::unexpected(error));
  auto delay = context_->DelayAfter(error, ++prepare_failures_);
  if (!delay) return GiveUp(error);
  waiting_for_ = error.message;
  Say(LogLevel::kInfo,
      fmt::format("{}; trying again in {}", error.message, FormatDuration(*delay)));
  After(*delay, [want](FileFill& self) { self.Prepare(want); });
}

void FileFill::BeginAssembly(std::unique_ptr<store::Ingest> ingest) {
  auto on_event = [weak = weak_from_this(), attempt = attempt_](auto then) {
    return [weak, attempt, then](auto&&... arguments) {
      std::shared_ptr<FileFill> self = weak.lock();
      if (self && !self->finished_ && self->attempt_ == attempt) {
        then(*self, std::forward<decltype(arguments)>(arguments)...);
      }
    };
  };
  FileAssembly::Events events = {
      .on_complete = on_event([](FileFill& self) { self.OnAssembled(); }),
      .on_disk_failed = on_event(
          [](FileFill& self, Error error) { self.Finish(std::unexpected(std::move(error))); })};
  LogScope scope(askers_.current().request->log);
  auto resume = whole_file_ ? FileAssembly::Resume::kIgnore : FileAssembly::Resume::kUse;
  assembly_ = FileAssembly::Start(context_, std::move(ingest), ClaimsOf(file_, location_), resume,
                                  std::move(events));
  assembly_->Enclose(location_.enclosure);
  received_ = resumed_ = assembly_->resumed_bytes();
  if (resumed_ > 0) {
    Say(LogLevel::kInfo, fmt::format("{} of {} are here from before", FormatBytes(resumed_),
                                     FormatBytes(file_.size)));
  }
  if (file_.size == 0) return OnAssembled();
  ranges_.Reset(assembly_->missing());
}

void FileFill::Claim() {
  context_->governor.SetClaim(*this, {.host = HostOfUrl(location_.url),
                                      .fill = askers_.first().request->snapshot_id,
                                      .priority = priority_});
}

void FileFill::Pump() {
  if (finished_ || locating_ || !located_ || !assembly_) return;
  ConnectionGovernor& governor = context_->governor;
  while (true) {
    RangeTransfer* range = ranges_.FirstIdle();
    if (range == nullptr && !ranges_.CanCut(WindowEnd())) return governor.StopWanting(*this);
    if (Expired()) return Prepare(Want::kLocation);
    std::unique_ptr<Connection> connection = governor.TryTake(*this);
    if (connection) {
      if (range == nullptr) range = &ranges_.Cut(RangeBytes());
      range->Start(location_, location_generation_,
                   whole_file_ ? RangeTransfer::Extent::kWholeFile : RangeTransfer::Extent::kRange,
                   std::move(connection));
      continue;
    }
    // Ranges ahead that wait for buffers must not keep the head from a connection.
    RangeTransfer* last = ranges_.LastRunning();
    bool stuck = range != nullptr && range == ranges_.Head() && !ranges_.AnyActive();
    if (!stuck || last == nullptr) return;
    PutBack(*last);
  }
}

Bytes FileFill::RangeBytes() const {
  if (whole_file_) return std::max<Bytes>(1, file_.size);
  // Half as much again fits into the window, so that a slow head doesn't stop the others.
  Bytes piece = context_->parts.buffers.buffer_size();
  Bytes even = context_->WindowBytes() * 2 / 3 / context_->governor.ExpectedConnections(*this);
  return std::clamp(even / piece * piece, piece, std::max(piece, context_->options.range_size));
}

Bytes FileFill::WindowEnd() const {
  size_t all = std::max<size_t>(1, context_->governor.total_in_use());
  size_t own = std::clamp<size_t>(context_->governor.InUse(*this), 1, all);
  return assembly_->HeadPosition() + std::max(RangeBytes(), context_->WindowBytes() * own / all);
}

void FileFill::Rewind(RangeTransfer& range) {
  if (range.Complete()) return;  // the piece after it belongs to the next range
  Bytes position = range.position();
  range.set_position(assembly_->ForgetPartialPiece(position));
  received_ -= position - range.position();
}

void FileFill::PutBack(RangeTransfer& range) {
  range.Cancel();
  if (range.Complete()) return ranges_.Erase(range);
  Rewind(range);
}

void FileFill::OnYield() {
  if (finished_ || !assembly_ || whole_file_) return;
  RangeTransfer* last = ranges_.LastRunning();
  if (last == nullptr) last = ranges_.Head();
  if (last == nullptr || !last->running()) return;
  PutBack(*last);
  Pump();
}

bool FileFill::MayTakeBytes() {
  if (context_->bandwidth.MayTake(*this, BandwidthClaim())) return true;
  context_->governor.OnLimited(*this);
  return false;
}

bool FileFill::AcceptBytes(RangeTransfer& range, std::span<const std::byte> bytes) {
  if (bytes.size() > range.range().end - range.position()) {
    // Only a transfer without a Range can bring too much; it is ended when it is safe to.
    After(std::chrono::milliseconds(0), [](FileFill& self) {
      self.StartAfresh({.code = Code::kUnavailable,
                        .message = fmt::format("the server sent more than the {} bytes it listed",
                                               self.file_.size)});
    });
    return true;
  }
  if (!MayTakeBytes()) return false;
  context_->active_files = context_->governor.users_in_use();
  if (!assembly_->Accept(range.position(), bytes)) return false;
  context_->bandwidth.Took(*this, BandwidthClaim(), bytes.size());
  if (received_ == 0) FaultPoint("fill.first_bytes");
  received_ += bytes.size();
  fetched_ += bytes.size();
  // Not by a byte: a server would be asked for ever where the file is.
  if (fetched_ - refused_at_ >= LeastRate::kLeast) refusals_ = 0;
  waiting_for_.clear();
  context_->bytes_fetched.fetch_add(bytes.size(), std::memory_order_relaxed);
  context_->parts.metrics.OnReceived(source_kind(), bytes.size());
  range.Advance(bytes.size());
  return true;
}

void FileFill::ResumePaused() {
  ranges_.Resume();
  Pump();
}

void FileFill::RangeEnded(RangeTransfer& range, const source::TransferEnd& end) {
  if (range.Complete() && (end.status || IsTemporary(end.status.error().code))) {
    ranges_.Erase(range);
    return Pump();
  }
  Error error{.code = Code::kUnavailable, .message = "the connection was cut"};
  if (!end.status) error = end.status.error();
  if (error.code == Code::kUnimplemented && !whole_file_) {
    error.code = Code::kUnavailable;
    // Where bytes have come by ranges, one other answer doesn't cost them all.
    if (fetched_ > 0 && !std::exchange(range_ignored_, true)) return RetryRange(range, error);
    whole_file_ = true;
    Say(LogLevel::kInfo, "the server ignores Range: fetching it in one piece");
    assembly_->Discard();  // it brings every byte again
    DropAttempt();
    return Prepare(Want::kLocationAndIngest);
  }
  // What lies elsewhere now, its source finds; no second try at the same URL does.
  bool moved = end.http_status >= 300 && end.http_status < 400 && refusals_ < kMaxRefusals;
  if (IsDenial(error) || moved) return OnRangeRefused(range, std::move(error), end.http_status);
  if (error.code == Code::kOutOfRange || (whole_file_ && IsTemporary(error.code))) {
    return StartAfresh(error);
  }
  RetryRange(range, error);
}

void FileFill::OnRangeRefused(RangeTransfer& range, Error error, int http_status) {
  Rewind(range);
  if (locating_ || !located_) return;  // another range of the same URL was refused first
  if (range.generation() != location_generation_) return Pump();
  // Without an answer it was our own rule about connections: an admin's word, and final.
  if (http_status == 0) return GiveUp(std::move(error));
  refused_at_ = fetched_;
  if (++refusals_ <= kMaxRefusals) {
    Say(LogLevel::kWarning, error.message + ": locating it again");
    return Prepare(Want::kLocation);
  }
  // The asker was authorised, and its credentials weren't sent: that server is in trouble.
  if (!location_.authorised) error.code = Code::kUnavailable;
  GiveUp(std::move(error));
}

void FileFill::RetryRange(RangeTransfer& range, const Error& error) {
  Rewind(range);
  auto delay = context_->DelayAfter(error, range.CountFailure());
  if (!delay) return GiveUp(error);
  waiting_for_ = fmt::format("{}; trying again in {}", error.message, FormatDuration(*delay));
  Say(LogLevel::kInfo, waiting_for_);
  range.set_backoff(true);
  ResumePaused();
  After(*delay, [begin = range.range().begin](FileFill& self) {
    if (RangeTransfer* waiting = self.ranges_.InBackoff(begin)) waiting->set_backoff(false);
    self.Pump();
  });
}

void FileFill::StartAfresh(const Error& reason) {
  bool restartable = whole_file_ && IsTemporary(reason.code);
  bool foreign = assembly_ && (assembly_->resumed_bytes() > 0 || mixed_);
  if (assembly_) assembly_->Discard();
  // Bytes that were here before, or came from elsewhere, may be wrong: once, not the server's
  // fault.
  bool excused = foreign && !std::exchange(excused_, true);
  int most = askers_.OthersWait() ? 0 : kMaxFreshStarts;
  if (restartable) most = context_->options.max_attempts;
  bool enough = !excused && ++fresh_starts_ > most;
  DropAttempt();
  if (enough) return GiveUp(reason);
  Say(LogLevel::kWarning, reason.message + ": dropped what had come, starting afresh");
  auto delay = context_->DelayAfter(reason, std::max(1, fresh_starts_));
  waiting_for_ = reason.message;
  After(delay.value_or(std::chrono::milliseconds(0)),
        [](FileFill& self) { self.Prepare(Want::kLocationAndIngest); });
}

void FileFill::GiveUp(Error error) {
  // What the server says of its own bytes doesn't fit together: no range of ours is out of bounds.
  if (error.code == Code::kOutOfRange) error.code = Code::kDataLoss;
  std::string origin = askers_.current_origin();
  if (!askers_.MoveOn(error)) return Finish(std::unexpected(std::move(error)));
  if (askers_.current_origin() != origin) return ChangeOrigin(error.message);
  Say(LogLevel::kWarning, error.message + ": going on for the next who asked");
  refusals_ = prepare_failures_ = 0;
  Prepare(assembly_ ? Want::kLocation : Want::kLocationAndIngest);
}

void FileFill::ChangeOrigin(std::string_view reason) {
  Say(LogLevel::kWarning, fmt::format("{}: going on from {}", reason, askers_.current_origin()));
  refusals_ = prepare_failures_ = fresh_starts_ = 0;
  least_rate_.Restart();
  excused_ = false;
  if (whole_file_) {
    whole_file_ = false;
    if (assembly_) assembly_->Discard();
    DropAttempt();
  }
  ranges_.ForgetFailures();
  while (RangeTransfer* last = ranges_.LastRunning()) PutBack(*last);
  if (RangeTransfer* head = ranges_.Head(); head != nullptr && head->running()) PutBack(*head);
  mixed_ = received_ > 0;
  Prepare(assembly_ ? Want::kLocation : Want::kLocationAndIngest);
}

void FileFill::DropAttempt() {
  ++attempt_, ++prepares_;
  locating_ = false;
  ranges_.Reset({});
  if (assembly_) assembly_->Abandon();
  assembly_.reset();
  received_ = 0;
  mixed_ = false;
}

void FileFill::OnAssembled() {
  Result<Digest> sha256 = assembly_->Check();
  if (!sha256) return StartAfresh(sha256.error());
  Commit(*sha256);
}

void FileFill::Commit(const Digest& sha256) {
  if (context_->stopped) return;
  // The strand lets go of the assembly, not the worker.
  auto job = [self = shared_from_this(), assembly = assembly_, sha256,
              asker = askers_.current()]() mutable {
    Result<> same = ConfirmVersion(*self->context_, asker);
    Result<> committed;
    if (same) {
      committed = assembly->ingest().Commit(asker.request->snapshot_id, self->file_.identity,
                                            self->file_.size, sha256);
    }
    FaultPoint("fill.file_done");
    source::Transport& transport = self->context_->parts.transport;
    transport.Post([self = std::move(self), assembly = std::move(assembly), same = std::move(same),
                    committed = std::move(committed)] {
      if (self->finished_) return;
      if (!same && same.error().code == Code::kOutOfRange) return self->StartAfresh(same.error());
      self->Finish(same ? committed : same);
    });
  };
  context_->workers->Post(std::move(job));
}

void FileFill::Finish(Result<> outcome) {
  if (std::exchange(finished_, true)) return;
  if (outcome) context_->parts.metrics.OnVerified(source_kind(), file_.size);
  DropAttempt();
  LeaveOthers();
  std::shared_ptr<FileFill> keep = shared_from_this();
  if (!outcome) outcome = std::unexpected(std::move(outcome).error().Within(file_.path));
  std::exchange(done_, nullptr)(std::move(outcome));
}

}  // namespace weighhouse::fill
