#include "cache-daemon/fill/range_transfer.h"

#include <algorithm>
#include <utility>

namespace weighhouse::fill {
namespace {

constexpr int kTooManyRequests = 429;
constexpr int kServiceUnavailable = 503;
constexpr int kFirstServerError = 500;

/// What the end of its transfer says of the connection, and of the host.
void Report(Connection& connection, const source::TransferEnd& end) {
  if (end.status) return;
  const Error& error = end.status.error();
  if (end.http_status == kTooManyRequests || end.http_status == kServiceUnavailable) {
    return connection.OnRefused(error.retry_after);
  }
  if (error.code == Code::kUnavailable && end.http_status < kFirstServerError) connection.OnLost();
}

}  // namespace

void RangeTransfer::Start(const source::FileLocation& location, int generation, Extent extent,
                          std::unique_ptr<Connection> connection) {
  backoff_ = false;
  generation_ = generation;
  first_ = std::make_unique<Carrier>(*this, std::move(connection));
  std::optional<ByteRange> wanted;
  if (extent == Extent::kRange) wanted = ByteRange{.begin = position_, .end = range_.end};
  first_->id = transport_.Start(location, wanted, *first_);
}

void RangeTransfer::StartHedge(const source::FileLocation& location,
                               std::unique_ptr<Connection> connection) {
  hedge_ = std::make_unique<Carrier>(*this, std::move(connection));
  hedge_->id =
      transport_.Start(location, ByteRange{.begin = position_, .end = range_.end}, *hedge_);
}

RangeTransfer::State RangeTransfer::state() const {
  if (!first_) return backoff_ ? State::kBackoff : State::kIdle;
  return first_->paused && (!hedge_ || hedge_->paused) ? State::kPaused : State::kActive;
}

bool RangeTransfer::TakeBytes(Carrier& carrier, std::span<const std::byte> bytes) {
  Bytes known = position_ - std::min(position_, carrier.cursor);
  auto fresh = bytes.subspan(std::min<Bytes>(known, bytes.size()));
  if (!fresh.empty() && !owner_.AcceptBytes(*this, fresh)) {
    carrier.paused = true;
    carrier.connection->SetPaused(true);
    return false;
  }
  carrier.cursor += bytes.size();
  carrier.connection->AddBytes(bytes.size(), fresh.size());
  if (fresh.empty() || &carrier != hedge_.get()) return true;
  Drop(first_);
  first_ = std::move(hedge_);
  owner_.HedgeSettled(RangeOwner::Hedge::kOvertook);
  return true;
}

void RangeTransfer::TransferEnded(Carrier& carrier, const source::TransferEnd& end) {
  Report(*carrier.connection, end);
  std::unique_ptr<Carrier> ended = std::move(&carrier == first_.get() ? first_ : hedge_);
  if (!first_) first_ = std::move(hedge_);
  bool raced = first_ != nullptr;
  // Of a race that isn't over the other transfer goes on, and so does the range.
  if (raced && !Complete()) {
    ended.reset();
    return owner_.HedgeSettled(RangeOwner::Hedge::kUseless);
  }
  ended.reset();
  if (!raced) return owner_.RangeEnded(*this, end);
  // The other one has brought all of it: how this one ended says nothing of the bytes.
  Drop(first_);
  owner_.HedgeSettled(RangeOwner::Hedge::kUseless);
  owner_.RangeEnded(*this, {.status = {}, .http_status = end.http_status});
}

void RangeTransfer::Resume() {
  if (first_) Resume(*first_);
  if (hedge_) Resume(*hedge_);
}

void RangeTransfer::Resume(Carrier& carrier) {
  if (!std::exchange(carrier.paused, false)) return;
  carrier.connection->SetPaused(false);
  transport_.Resume(carrier.id);
}

void RangeTransfer::Drop(std::unique_ptr<Carrier>& carrier) {
  if (!carrier) return;
  transport_.Cancel(carrier->id);
  carrier.reset();
}

void RangeTransfer::Cancel() {
  Drop(hedge_);
  Drop(first_);
  backoff_ = false;
}

}  // namespace weighhouse::fill
