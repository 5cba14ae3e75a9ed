#include "cache-daemon/api/admin_pages.h"

#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/api/gauges.h"

namespace weighhouse::api {
namespace {

/// An event loop that is late by so much moves no byte.
constexpr std::chrono::seconds kLoopPatience{2};
constexpr int kUnavailable = 503;

AdminPages::Page Unready(std::string why) { return {kUnavailable, std::move(why) + "\n"}; }

void Append(std::vector<metrics::GaugeFamily>& gauges, std::vector<metrics::GaugeFamily> more) {
  std::ranges::move(more, std::back_inserter(gauges));
}

}  // namespace

/// Keeps the engine from going while a page is made of it.
class AdminPages::Use {
 public:
  explicit Use(AdminPages& pages) : pages_(pages) {
    MutexLock lock(pages_.mutex_);
    engine_ = pages_.engine_;
    configuration_ = pages_.configuration_;
    phase_ = pages_.phase_;
    if (engine_ != nullptr) ++pages_.uses_;
  }
  ~Use() {
    if (engine_ == nullptr) return;  // it keeps nobody waiting
    {
      MutexLock lock(pages_.mutex_);
      --pages_.uses_;
    }
    pages_.unused_.NotifyAll();
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  /// Null: there is none yet, or none any more.
  Engine* engine() const { return engine_; }
  /// Null: there is none to show.
  const ConfigurationStatusSource& configuration() const { return configuration_; }
  Phase phase() const { return phase_; }

 private:
  AdminPages& pages_;
  Engine* engine_ = nullptr;
  ConfigurationStatusSource configuration_;
  Phase phase_ = Phase::kStarting;
};

void AdminPages::Attach(Engine& engine, ConfigurationStatusSource configuration) {
  MutexLock lock(mutex_);
  engine_ = &engine;
  configuration_ = std::move(configuration);
  phase_ = Phase::kServing;
  status_.clear();
}

void AdminPages::Detach() {
  MutexLock lock(mutex_);
  engine_ = nullptr;
  configuration_ = nullptr;
  phase_ = Phase::kStopping;
  status_.clear();
  // A page waits for nothing but the event loop, and for that not long.
  while (uses_ > 0) unused_.Wait(lock);
}

AdminPages::Page AdminPages::Metrics() {
  Use use(*this);
  std::vector<metrics::GaugeFamily> gauges = {BuildGauge()};
  if (use.configuration()) Append(gauges, ConfigurationGauges(use.configuration()()));
  if (use.engine() != nullptr) {
    Result<EngineInfo> info = use.engine()->Info();
    if (info) Append(gauges, EngineGauges(*info));
    Result<store::SpaceSums> sums = use.engine()->Capacity();
    if (sums) Append(gauges, SpaceGauges(*sums));
    if (!info || !sums) {
      LogRepeated(LogLevel::kWarning,
                  fmt::format("metrics: {}", (info ? sums.error() : info.error()).message));
    }
  }
  return {.text = registry_.Page(gauges)};
}

AdminPages::Page AdminPages::Healthz() {
  Use use(*this);
  if (use.engine() == nullptr) return {.text = "ok\n"};
  Result<> answers = use.engine()->CheckAnswers(kLoopPatience);
  if (!answers) return Unready(answers.error().message);
  return {.text = "ok\n"};
}

AdminPages::Page AdminPages::Readyz() {
  Use use(*this);
  if (use.phase() == Phase::kStarting) return Unready("the store is being recovered");
  if (use.phase() == Phase::kStopping) return Unready("the daemon is stopping");
  Result<store::SpaceSums> sums = use.engine()->Capacity();
  if (!sums) return Unready(sums.error().message);
  return {.text = "ok\n"};
}

AdminPages::Page AdminPages::MakePage() {
  api::StatusPage page = MakeStatusPage();
  return {.text = std::move(page.html),
          .content_security_policy = std::move(page.content_security_policy)};
}

std::string AdminPages::MakeStatus(const Use& use) const {
  Result<EngineInfo> info = use.engine()->Info();
  Result<store::SpaceSums> sums = use.engine()->Capacity();
  if (!info || !sums) {
    return BareStatusDocument(Phase::kServing, (info ? sums.error() : info.error()).message,
                              details_, clock_.Now());
  }
  StatusView view{.info = *std::move(info),
                  .space = *sums,
                  .snapshots = use.engine()->List(),
                  .evicted = registry_.evicted().Lately()};
  if (use.configuration()) view.configuration = use.configuration()();
  return StatusDocument(std::move(view), details_, clock_.Now());
}

AdminPages::Page AdminPages::Status() {
  {
    MutexLock lock(mutex_);
    bool fresh = !status_.empty() && clock_.Steady() - status_made_ < kStatusAge;
    if (fresh) return {.text = status_};
  }
  Use use(*this);
  if (use.engine() == nullptr) {
    return {.text = BareStatusDocument(use.phase(), "", details_, clock_.Now())};
  }
  std::string made = MakeStatus(use);
  MutexLock lock(mutex_);
  if (phase_ == Phase::kServing) {  // else it counts no more
    status_ = made;
    status_made_ = clock_.Steady();
  }
  return {.text = std::move(made)};
}

}  // namespace weighhouse::api
