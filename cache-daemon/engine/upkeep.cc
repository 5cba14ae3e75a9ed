#include "cache-daemon/engine/upkeep.h"

#include <utility>

#include "base/thread.h"

namespace weighhouse {

Upkeep::Upkeep(const EngineParts& parts, source::Transport& transport, const EngineOptions& options)
    : parts_(parts),
      resumer_(std::make_shared<FillResumer>(parts, transport, resume_askers_)),
      keep_at_start_(options.keep),
      resume_fills_(options.resume_fills),
      scrub_(options.scrub),
      verify_rate_(options.verify_rate),
      keeper_(std::make_shared<Keeper>(parts, transport, keep_asker_)),
      verifier_(parts.store, parts.clock, options.metrics.integrity,
                [this](const auto& ids) { Refill(ids); }) {}

void Upkeep::Start() {
  keeper_->Keep(keep_at_start_);
  if (resume_fills_) resumer_->Start();
  if (scrub_.daily_bytes > 0) StartScrub();
}

void Upkeep::AwaitEnd() {
  keep_asker_.Stop();
  resume_askers_.Stop();
  if (scrub_thread_.joinable()) scrub_thread_.join();
}

Result<VerifySums> Upkeep::Verify(const VerifyRequest& request, const VerifyObserver& observer,
                                  std::stop_token stop) {
  std::stop_source either;
  auto forward = [&either] { either.request_stop(); };
  std::stop_callback on_caller(std::move(stop), forward);
  std::stop_callback on_end(parts_.stop, forward);
  VerifyRequest paced = request;
  if (!paced.bytes_per_second) paced.bytes_per_second = verify_rate_;
  return verifier_.Verify(paced, observer, either.get_token());
}

IntegrityView Upkeep::View() const {
  IntegrityView view = verifier_.View();
  if (scrubber_) view.scrub = scrubber_->View();
  return view;
}

void Upkeep::StartScrub() {
  auto wait = [stop = parts_.stop](auto duration) { return WaitUnlessStopped(stop, duration); };
  Scrubber::Parts parts{.store = parts_.store,
                        .verifier = verifier_,
                        .clock = parts_.clock,
                        .busy = [this] { return parts_.filler.CurrentActivity().fills > 0; },
                        .wait = std::move(wait)};
  scrubber_ = std::make_unique<Scrubber>(scrub_, std::move(parts));
  scrub_thread_ =
      StartThread("scrub", [this](const std::stop_token&) { scrubber_->RunPolitely(); });
}

void Upkeep::Refill(const std::vector<std::string>& snapshot_ids) {
  keeper_->Repair(snapshot_ids);
  if (resume_fills_) resumer_->Start(snapshot_ids);
}

}  // namespace weighhouse
