// What a FileFill looks at again and again while bytes come.

#include <utility>

#include "cache-daemon/fill/file_fill.h"

namespace weighhouse::fill {

void FileFill::Tick() {
  if (assembly_) assembly_->Tick();
  if (std::optional<Error> too_slow = TooSlow()) {
    // Later: the end of a file takes it out of those that are being looked at.
    return After(std::chrono::milliseconds(0),
                 [error = *std::move(too_slow)](FileFill& self) { self.GiveUp(error); });
  }
  RangeTransfer* head = ranges_.Head();
  bool waits_for_disk = head != nullptr && head->state() == RangeTransfer::State::kPaused;
  bool all_here = assembly_ && received_ == file_.size;
  if (finished_ || waits_for_disk || all_here) {
    askers_.ExcuseSlowness();
  } else if (!locating_ && askers_.MoveOnIfSlow(context_->parts.clock.Steady(), fetched_)) {
    return ChangeOrigin("another origin may be faster");
  }
  if (finished_ || !located_ || whole_file_ || head == nullptr || head->hedged()) return;
  bool slow = head->state() == RangeTransfer::State::kActive && head->IsLagging();
  if (!slow || !hedge_pause_.IsOver(context_->parts.clock.Steady()) || Expired()) return;
  std::unique_ptr<Connection> connection = context_->governor.TryTakeHedge(*this);
  if (connection) head->StartHedge(location_, std::move(connection));
}

std::optional<Error> FileFill::TooSlow() {
  // One is enough: a head that brings nothing keeps the buffers that others wait for.
  bool wanted = !finished_ && ranges_.AnyActive() && !context_->bandwidth.Waits(*this);
  return least_rate_.Look(context_->parts.clock.Steady(), fetched_, wanted,
                          context_->stall_timeout.load());
}

void FileFill::HedgeSettled(Hedge outcome) {
  if (outcome == Hedge::kOvertook) return hedge_pause_.OnOvertook();
  hedge_pause_.OnUseless(context_->parts.clock.Steady());
}

}  // namespace weighhouse::fill
