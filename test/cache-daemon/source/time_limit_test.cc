#include "cache-daemon/source/time_limit.h"

#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mutex.h"

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;

/// Answers at once, or when it is stopped.
class SlowSource final : public Source {
 public:
  explicit SlowSource(bool answers) : answers_(answers) {}
  Result<Listing> Resolve(const ModelReference&, const Credentials&,
                          std::stop_token stop) override {
    if (answers_) return Listing{.origin = "o"};
    return AwaitStop(std::move(stop));
  }
  Result<bool> MayRead(const ModelReference&, const Credentials&, std::stop_token stop) override {
    if (answers_) return true;
    return AwaitStop(std::move(stop));
  }
  Result<FileLocation> Locate(const ModelReference&, const Listing&, const ListedFile&,
                              const Credentials&, std::stop_token) override {
    return Fail(Code::kUnimplemented, "");
  }

 private:
  static std::unexpected<Error> AwaitStop(const std::stop_token& stop) {
    Mutex mutex;
    ConditionVariable changed;
    bool stopped = false;
    std::stop_callback wake(stop, [&] {
      MutexLock lock(mutex);
      stopped = true;
      changed.NotifyAll();
    });
    MutexLock lock(mutex);
    while (!stopped) changed.WaitUntil(lock, std::chrono::steady_clock::now() + 1min);
    return Fail(Code::kCancelled, "stopped");
  }

  const bool answers_;
};

TEST(ResolveInTimeTest, GivesWhatCameInTime) {
  SlowSource source(true);
  auto listing = ResolveInTime(source, {}, {}, {}, 1min);
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->origin, "o");
}

TEST(ResolveInTimeTest, EndsWhatTakesTooLongAsATemporaryError) {
  SlowSource source(false);
  auto listing = ResolveInTime(source, {}, {}, {}, 10ms);
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kUnavailable);
  EXPECT_THAT(listing.error().message, testing::HasSubstr("has not told"));
}

TEST(InTimeTest, ARefusalThatComesAsTheTimePassesIsOne) {
  auto refuse = [](const std::stop_token& stop) -> Result<> {
    while (!stop.stop_requested()) std::this_thread::yield();
    return Fail(Code::kPermissionDenied, "no");
  };
  EXPECT_EQ(InTime({}, 10ms, refuse).error().code, Code::kPermissionDenied);
}

TEST(ResolveInTimeTest, StopsWithItsCaller) {
  SlowSource source(false);
  std::stop_source stop;
  stop.request_stop();
  auto listing = ResolveInTime(source, {}, {}, stop.get_token(), 1min);
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kCancelled);
}

TEST(MayReadInTimeTest, IsBoundedLikewise) {
  SlowSource decent(true);
  EXPECT_TRUE(MayReadInTime(decent, {}, {}, {}, 1min).value());
  SlowSource slow(false);
  auto may_read = MayReadInTime(slow, {}, {}, {}, 10ms);
  ASSERT_FALSE(may_read);
  EXPECT_EQ(may_read.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace weighhouse::source
