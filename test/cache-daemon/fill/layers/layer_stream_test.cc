// How long a source's bytes of a layer are waited for.

#include "cache-daemon/fill/layers/layer_stream.h"

#include <gmock/gmock.h>

#include "test/cache-daemon/fill/layers/layer_fixture.h"

namespace weighhouse::fill {
namespace {

using testing::HasSubstr;

constexpr std::chrono::seconds kStreamPatience{30};

class LayerStreamTest : public LayerTest {
 protected:
  LayerStreamTest()
      : source_(std::make_shared<LayerSource>([](const std::string&) -> Result<> { return {}; })) {}
  std::future<Result<LayersRead>> Begin() { return Ask(source_, Listed("oci+https://r/m")); }
  bool Comes(const std::future<Result<LayersRead>>& read, std::chrono::milliseconds within) {
    return read.wait_for(within) == std::future_status::ready;
  }
  bool SomethingCame() {
    for (auto until = std::chrono::steady_clock::now() + kStreamPatience;
         std::chrono::steady_clock::now() < until; std::this_thread::yield()) {
      if (context_->bytes_fetched > 0) return true;
    }
    return false;
  }
  /// The layers' thread looks some times, between which minutes pass, each after `came`.
  void PassMinutes(const std::future<Result<LayersRead>>& read, const std::function<void()>& came) {
    for (int i = 0; i < 20 && !Comes(read, 2 * LeastRate::kStep); ++i) {
      clock_.Advance(std::chrono::minutes(1));
      OnStrand(came);
    }
  }

  std::shared_ptr<LayerSource> source_;  // as requests do
};

TEST_F(LayerStreamTest, ATrickleGivesBackItsThreadAndItsRoom) {
  OnStrand([&] { transport_.Allow(1); });
  std::future<Result<LayersRead>> read = Begin();
  PassMinutes(read, [&] { transport_.Allow(1); });
  ASSERT_TRUE(Comes(read, {}));
  Result<LayersRead> outcome = read.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kUnavailable);
  EXPECT_THAT(outcome.error().message, HasSubstr("less than 1.0 MiB"));
  Stop();
  EXPECT_EQ(store_->Space()->reserved, 0U);
  EXPECT_EQ(store_->Space()->used, 0U);
}

TEST_F(LayerStreamTest, OurOwnLimitIsNotTheSourcesSlowness) {
  OnStrand([&] {
    context_->bandwidth.SetRate(51);  // a piece each minute
    transport_.Advance(std::chrono::hours(1));
  });
  clock_.Advance(std::chrono::hours(1));
  std::future<Result<LayersRead>> read = Begin();
  ASSERT_TRUE(SomethingCame());
  PassMinutes(read, [&] { context_->bandwidth.Offer(); });
  EXPECT_FALSE(Comes(read, {})) << read.get().error().message;
  OnStrand([&] {
    context_->bandwidth.SetRate(0);
    context_->bandwidth.Offer();
  });
  ASSERT_TRUE(Comes(read, kStreamPatience));
  EXPECT_TRUE(read.get());
}

TEST_F(LayerStreamTest, OneThatIsCutAfterEachByteIsNotGoneOnWithForEver) {
  OnStrand([&] {
    transport_.EndEachAfterAPiece(
        source::TransferEnd{.status = Fail(Code::kUnavailable, "cut"), .http_status = 206});
  });
  std::future<Result<LayersRead>> read = Begin();
  ASSERT_TRUE(Comes(read, kStreamPatience));
  Result<LayersRead> outcome = read.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kUnavailable);
  EXPECT_EQ(source_->locates(), context_->options.max_attempts);
}

}  // namespace
}  // namespace weighhouse::fill
