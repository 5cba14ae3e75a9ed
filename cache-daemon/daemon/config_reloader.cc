#include "cache-daemon/daemon/config_reloader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "cache-daemon/daemon/engine_options.h"

namespace weighhouse::daemon {
namespace {

using std::chrono::milliseconds;

/// For what the directory says nothing of: files behind links of another kind than a ConfigMap's.
constexpr milliseconds kLookAnyway{10000};
/// How often the cache is looked at while it is over its limit.
constexpr milliseconds kFitAgain{1000};
/// A file is taken as it is once it was the same for so long: some write it piece by piece.
constexpr milliseconds kSettling{100};
constexpr int kMostSettling = 15;

std::string KeysText(const std::vector<std::string_view>& keys) {
  return keys.empty() ? "nothing" : fmt::format("{}", fmt::join(keys, ", "));
}

std::vector<std::string> ToStrings(const std::vector<std::string_view>& keys) {
  return {keys.begin(), keys.end()};
}

}  // namespace

Result<std::unique_ptr<ConfigReloader>> ConfigReloader::Start(
    Engine& engine, Begun begun, metrics::ConfigurationMetrics metrics) {
  std::unique_ptr<ConfigWatch> watch = TRY(ConfigWatch::Create(begun.source.file));
  std::unique_ptr<ConfigReloader> reloader(
      new ConfigReloader(engine, std::move(begun), metrics, std::move(watch)));
  reloader->thread_ = StartThread(
      "config", [self = reloader.get()](const std::stop_token& stop) { self->Run(stop); });
  return reloader;
}

ConfigReloader::ConfigReloader(Engine& engine, Begun begun, metrics::ConfigurationMetrics metrics,
                               std::unique_ptr<ConfigWatch> watch)
    : engine_(engine),
      source_(std::move(begun.source)),
      metrics_(metrics),
      shared_(begun.shared),
      watch_(std::move(watch)),
      found_{.text = std::move(begun.text), .error = ""},
      was_there_(found_.text.has_value()),
      running_(begun.reading.values) {
  status_.file = was_there_ ? source_.file : "";
  status_.applied = SystemClock().Now();
  Warn(begun.reading);
}

api::ConfigurationStatus ConfigReloader::Status() const {
  MutexLock lock(mutex_);
  return status_;
}

void ConfigReloader::Run(const std::stop_token& stop) {
  Fit(store::FitTo::kLimit);
  Look(stop);  // at what changed before there was a watch
  while (true) {
    watch_->Wait(stop, over_limit_ ? kFitAgain : kLookAnyway);
    if (stop.stop_requested()) return;
    Look(stop);
    if (over_limit_) Fit(store::FitTo::kLimit);
  }
}

ConfigReloader::Found ConfigReloader::Read() const {
  Result<std::string> text = config::ReadDocument(source_.file);
  if (text) return {.text = *std::move(text), .error = ""};
  bool never_there = source_.optional && !was_there_ && text.error().code == Code::kNotFound;
  return {.text = std::nullopt, .error = never_there ? "" : text.error().message};
}

void ConfigReloader::Look(const std::stop_token& stop) {
  Found now = Read();
  if (now == found_) return;
  for (int i = 0; i < kMostSettling; ++i) {
    watch_->Pause(stop, kSettling);
    if (stop.stop_requested()) return;
    Found before = std::exchange(now, Read());
    if (now == before) break;
  }
  if (now == found_) return;
  found_ = now;
  if (!now.error.empty()) return Refuse(now.error);
  was_there_ = true;
  Result<Reading> reading = ReadConfig(source_, now.text);
  if (!reading) return Refuse(reading.error().message);
  Result<> taken = TakeOver(*reading);
  if (taken) return;
  found_ = {};  // not the file's fault: it is tried again
  Refuse(taken.error().message);
}

Result<> ConfigReloader::TakeOver(const Reading& reading) {
  config::ReloadPlan plan = config::PlanReload(running_, reading.values);
  config::Config config = config::ConfigOf(plan.effective);
  Placement placement = TRY(PlacementOf(config.root, source_.file));
  placement.shared = shared_;
  TRY(engine_.Reconfigure(ToEngineOptions(config, placement)));
  running_ = std::move(plan.effective);
  LogEvent(LogLevel::kInfo,
           fmt::format("configuration {}: takes effect now: {}; at restart: {}", source_.file,
                       KeysText(plan.applied), KeysText(plan.pending)),
           {{"file", source_.file}});
  ChangeLog(config.log_level, config.log_format);
  {
    MutexLock lock(mutex_);
    status_.file = source_.file;
    status_.applied = SystemClock().Now();
    status_.error.clear();
    status_.pending = ToStrings(plan.pending);
    ++status_.reloads;
  }
  metrics_.OnApplied();
  Warn(reading);
  bool space_changed = std::ranges::any_of(plan.applied, [](std::string_view key) {
    return key == "cache.limit" || key == "cache.minFree";
  });
  if (space_changed) Fit(store::FitTo::kLimitAndMinFree);
  return {};
}

void ConfigReloader::Warn(const Reading& reading) {
  std::vector<std::string> warnings = reading.warnings;
  config::Config config = config::ConfigOf(running_);
  if (Result<Placement> placement = PlacementOf(config.root, source_.file)) {
    placement->shared = shared_;
    std::optional<std::string> warning = WarningAbout(config, *placement);
    if (warning) warnings.push_back(*std::move(warning));
  }
  for (const std::string& warning : warnings)
    LogRepeated(LogLevel::kWarning, fmt::format("configuration: {}", warning));
  MutexLock lock(mutex_);
  status_.warnings = std::move(warnings);
}

void ConfigReloader::Refuse(const std::string& error) {
  LogRepeated(LogLevel::kError,
              fmt::format("configuration: {}; the last good one stays in effect", error));
  metrics_.OnRejected();
  MutexLock lock(mutex_);
  status_.error = error;
  ++status_.failures;
}

void ConfigReloader::Fit(store::FitTo fit_to) {
  Result<store::EvictedToFit> fit = engine_.EvictToFit(fit_to);
  bool was_over = std::exchange(over_limit_, !fit || fit->excess > 0);
  if (!fit) {
    if (!was_over)
      LogRepeated(LogLevel::kWarning,
                  fmt::format("evict to fit: {}; trying again", fit.error().message));
    return;
  }
  if (fit->freed > 0) {
    spdlog::info("evicted to fit: {} models and {} interrupted files, {}", fit->snapshots,
                 fit->ingests, FormatBytes(fit->freed));
  }
  if (over_limit_ && !was_over) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("{} too much are in use or kept: they go when nobody uses them any "
                            "more; where 'keep' has "
                            "more than fits, list fewer models or raise cache.limit",
                            FormatBytes(fit->excess)));
  }
}

}  // namespace weighhouse::daemon
