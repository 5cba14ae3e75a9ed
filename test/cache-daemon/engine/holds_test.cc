#include "cache-daemon/engine/holds.h"

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse {
namespace {

using namespace std::chrono_literals;

class HoldsTest : public store::StoreTest {
 protected:
  HoldsTest() {
    Open();
    holds_ = std::make_shared<Holds>(
        *store_, clock_,
        [this](std::chrono::steady_clock::duration time, std::function<void()> task) {
          timers_.emplace_back(time, std::move(task));
        },
        600s);
    holds_->Start();
  }
  void Take(const std::string& volume) {
    ASSERT_TRUE(holds_->Take({.volume_id = volume, .bytes = 4096}).has_value());
  }
  void Fire(size_t timer) {
    std::function<void()> task = timers_.at(timer).second;  // it may begin others
    task();
  }

  std::vector<std::pair<std::chrono::steady_clock::duration, std::function<void()>>> timers_;
  std::shared_ptr<Holds> holds_;
};

TEST_F(HoldsTest, EndAtTheirTimeout) {
  Take("volume");
  ASSERT_EQ(timers_.size(), 2u) << "one for each day, and one for it";
  EXPECT_LE(timers_[1].first, 601s);
  clock_.Advance(601s);
  Fire(1);
  EXPECT_TRUE(store_->Holds().empty());
}

TEST_F(HoldsTest, ATimerThatASoonerOneMadeNeedlessBeginsNoOther) {
  Take("later");
  holds_->SetTimeout(60s);
  Take("sooner");
  ASSERT_EQ(timers_.size(), 3u);
  clock_.Advance(61s);
  Fire(2);
  ASSERT_EQ(store_->Holds().size(), 1u);
  ASSERT_EQ(timers_.size(), 4u) << "for the later one";
  clock_.Advance(600s);
  Fire(1);
  EXPECT_EQ(timers_.size(), 4u);
  Fire(3);
  EXPECT_TRUE(store_->Holds().empty());
  EXPECT_EQ(timers_.size(), 5u) << "for the next day";
}

TEST_F(HoldsTest, ForgetOldVolumesEachDay) {
  ASSERT_TRUE(store_->RecordVolume({.volume_id = "volume", .created = clock_.Now()}).has_value());
  ASSERT_EQ(timers_.size(), 1u);
  EXPECT_LE(timers_[0].first, 25h);
  clock_.Advance(30 * 24h);
  Fire(0);
  EXPECT_EQ(store_->Count().volumes, 0u);
  EXPECT_EQ(timers_.size(), 2u);
}

}  // namespace
}  // namespace weighhouse
