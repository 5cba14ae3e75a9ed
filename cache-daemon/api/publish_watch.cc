#include "cache-daemon/api/publish_watch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "cache-daemon/api/translate.h"

namespace weighhouse::api {

PublishWatch::PublishWatch(Engine& engine)
    : engine_(engine),
      thread_(StartThread("publish-watch", [this](const std::stop_token&) { Run(); })) {}

PublishWatch::~PublishWatch() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
  }
  changed_.NotifyAll();
}

Result<> PublishWatch::Add(const std::shared_ptr<Stream>& stream) {
  {
    MutexLock lock(mutex_);
    DropGone();
    if (watchers_.size() >= kMostWatchers) {
      return Fail(Code::kResourceExhausted,
                  fmt::format("{} watch publishes already: end one of them, or ask List now and "
                              "then",
                              kMostWatchers));
    }
    watchers_.push_back({.stream = stream, .due = std::chrono::steady_clock::now(), .sent = {}});
  }
  changed_.NotifyAll();
  return {};
}

void PublishWatch::Run() {
  while (AwaitDue()) {
    pb::PublishesUpdate update = FromPublishes(engine_.Publishes());
    auto text = std::make_shared<const std::string>(update.SerializeAsString());
    for (const std::shared_ptr<Stream>& stream : TakeDue(text)) stream->SendNewest(update);
  }
}

bool PublishWatch::AwaitDue() {
  MutexLock lock(mutex_);
  while (!ending_) {
    DropGone();
    if (watchers_.empty()) {
      changed_.Wait(lock);
      continue;
    }
    Time due = std::ranges::min(watchers_, {}, &Watcher::due).due;
    if (due <= std::chrono::steady_clock::now()) return true;
    changed_.WaitUntil(lock, due);
  }
  return false;
}

void PublishWatch::DropGone() {
  std::erase_if(watchers_, [](const Watcher& watcher) {
    std::shared_ptr<Stream> stream = watcher.stream.lock();
    return !stream || stream->Left().stop_requested();
  });
}

std::vector<std::shared_ptr<PublishWatch::Stream>> PublishWatch::TakeDue(const Text& now) {
  std::vector<std::shared_ptr<Stream>> taken;
  MutexLock lock(mutex_);
  Time time = std::chrono::steady_clock::now();
  for (Watcher& watcher : watchers_) {
    if (watcher.due > time) continue;
    watcher.due = time + kPause;
    if (watcher.sent && *watcher.sent == *now) continue;
    watcher.sent = now;
    if (std::shared_ptr<Stream> stream = watcher.stream.lock()) taken.push_back(std::move(stream));
  }
  return taken;
}

}  // namespace weighhouse::api
