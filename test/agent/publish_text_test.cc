#include "agent/publish_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "test/agent/publishes.h"

namespace weighhouse::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

EventText Text(const pb::Publish& publish) { return TextOf(publish).value(); }

TEST(PublishTextTest, TellsHowFarAFillIsAndHowLongItTakes) {
  pb::Publish publish = PublishOf("a");
  publish.mutable_filling()->set_bytes_done(121 * kGiB / 10);
  publish.mutable_filling()->set_bytes_total(324 * kGiB / 10);
  publish.mutable_filling()->set_bytes_per_second(12 * kGiB / 10);
  EXPECT_EQ(Text(publish),
            (EventText{.reason = "ModelFilling",
                       .message = "hf://org/name@main: filling 37 % (12.1/32.4 GiB, 1.2 GiB/s, "
                                  "16 s left)"}));
}

TEST(PublishTextTest, LeavesOutWhatIsNotKnownYet) {
  EXPECT_EQ(Text(Filling(PublishOf("a"), 0, 0)).message, "hf://org/name@main: filling");
  EXPECT_EQ(Text(Filling(PublishOf("a"), 500, 1000)).message,
            "hf://org/name@main: filling 50 % (500/1000 B)");
}

TEST(PublishTextTest, SaysWhyNothingMoves) {
  pb::Publish publish = Filling(PublishOf("a"), 500, 1000);
  publish.mutable_filling()->set_waiting_for("429 from huggingface.co, trying again in 12 s");
  EXPECT_THAT(Text(publish).message,
              HasSubstr("(500/1000 B); 429 from huggingface.co, trying again in 12 s"));
}

TEST(PublishTextTest, NeverShowsMoreThanAll) {
  EXPECT_THAT(Text(Filling(PublishOf("a"), 2000, 1000)).message, HasSubstr("100 % (1000/1000 B)"));
  pb::Publish slow = Filling(PublishOf("a"), 0, UINT64_MAX);
  slow.mutable_filling()->set_bytes_per_second(1);
  EXPECT_THAT(Text(slow).message, HasSubstr(" left)"));
}

TEST(PublishTextTest, SaysHowLongAPodWaited) {
  EXPECT_EQ(Text(Ready(PublishOf("a"), 28'449)).message,
            "hf://org/name@main: ready in 28.4 s (cold)");
  EXPECT_EQ(Text(Ready(PublishOf("a"), 3, false)).message,
            "hf://org/name@main: ready in 3 ms (warm)");
  EXPECT_EQ(Text(Ready(PublishOf("a"), 1500)).message, "hf://org/name@main: ready in 1.5 s (cold)");
  EXPECT_EQ(Text(Ready(PublishOf("a"), 125'999)).message,
            "hf://org/name@main: ready in 2 min 5 s (cold)");
  EXPECT_EQ(Text(Ready(PublishOf("a"), 3)).reason, "ModelReady");
  EXPECT_FALSE(TextOf(Ready(PublishOf("a"), UINT64_MAX))->message.empty());
}

TEST(PublishTextTest, WarnsOfARefusalInTheDaemonsWords) {
  EventText text = Text(Refused(PublishOf("a"), "hf://org/name@main: gated: accept its terms"));
  EXPECT_EQ(text, (EventText{.reason = "ModelRefused",
                             .warning = true,
                             .message = "refused: hf://org/name@main: gated: accept its terms"}));
  EXPECT_EQ(Text(Refused(PublishOf("a"), "no room")).message,
            "hf://org/name@main: refused: no room");
  EXPECT_THAT(Text(Refused(PublishOf("a"), "")).message, HasSubstr("gRPC status 7"));
}

TEST(PublishTextTest, IsNormalWhileAPodWaits) {
  EventText text = Text(Resolving(PublishOf("a")));
  EXPECT_EQ(text.reason, "ModelResolving");
  EXPECT_FALSE(text.warning);
}

TEST(PublishTextTest, IsPrintableAndOfTheLengthThatIsAllowed) {
  std::string long_text;
  while (long_text.size() < 4000) long_text += "ä\x01\xff";
  for (size_t cut = 0; cut < 4; ++cut) {
    std::string message = Text(Refused(PublishOf("a"), std::string(cut, 'x') + long_text)).message;
    EXPECT_LE(message.size(), kMaxMessageBytes);
    EXPECT_GT(message.size(), kMaxMessageBytes - 10);
    EXPECT_THAT(message, Not(HasSubstr("\x01")));
    EXPECT_TRUE(message.ends_with("…"));
  }
}

TEST(PublishTextTest, HasNothingToSayOfAStateThatItDoesNotKnow) {
  EXPECT_EQ(TextOf(PublishOf("a")), std::nullopt);
  EXPECT_EQ(StageOf(PublishOf("a")), std::nullopt);
}

}  // namespace
}  // namespace weighhouse::agent
