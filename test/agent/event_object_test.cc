#include "agent/event_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/agent/publishes.h"

namespace weighhouse::agent {
namespace {

using nlohmann::json;
using testing::MatchesRegex;

constexpr std::chrono::system_clock::time_point kFirst{std::chrono::seconds(1'000'000'000)};

Announcement AnnouncementOf(const pb::Publish& publish) {
  return {.place = PlaceOf(publish).value(),
          .text = {.reason = "ModelFilling", .message = "filling"},
          .first = kFirst,
          .last = kFirst + std::chrono::milliseconds(2999)};
}

TEST(EventObjectTest, IsOfThePodAndOfThisNode) {
  Announcement announcement = AnnouncementOf(PublishOf("a"));
  json event = json::parse(EventObject(announcement, "node-1"));
  EXPECT_EQ(event["apiVersion"], "v1");
  EXPECT_EQ(event["kind"], "Event");
  EXPECT_EQ(event["metadata"],
            (json{{"namespace", "default"}, {"name", announcement.place.event_name}}));
  EXPECT_EQ(event["involvedObject"], (json{{"apiVersion", "v1"},
                                           {"kind", "Pod"},
                                           {"namespace", "default"},
                                           {"name", "web-0"},
                                           {"uid", "11111111-2222-3333-4444-555555555555"}}));
  EXPECT_EQ(event["source"], (json{{"component", "weighhouse"}, {"host", "node-1"}}));
  EXPECT_EQ(event["firstTimestamp"], "2001-09-09T01:46:40Z");
  EXPECT_EQ(event["lastTimestamp"], "2001-09-09T01:46:42Z");
  EXPECT_EQ(event["count"], 1);
  EXPECT_EQ(event["type"], "Normal");
  EXPECT_FALSE(event.contains("eventTime"));  // with it stricter rules count, and no change does
}

TEST(EventObjectTest, PatchLeavesAloneWhatNeverChanges) {
  Announcement announcement = AnnouncementOf(PublishOf("a"));
  announcement.text.warning = true;
  json patch = json::parse(EventPatch(announcement));
  EXPECT_EQ(patch, (json{{"type", "Warning"},
                         {"reason", "ModelFilling"},
                         {"message", "filling"},
                         {"lastTimestamp", "2001-09-09T01:46:42Z"}}));
  announcement.count = 3;
  EXPECT_EQ(json::parse(EventPatch(announcement))["count"], 3);
}

TEST(EventPlaceTest, IsTheSameForTheSameVolumeOfAPodOnly) {
  EventPlace place = PlaceOf(PublishOf("a")).value();
  EXPECT_THAT(place.event_name, MatchesRegex("web-0\\.[0-9a-f]+"));
  pb::Publish later = Filling(PublishOf("a"), 1);
  later.set_since_unix_ms(7);
  EXPECT_EQ(PlaceOf(later), place);
  EXPECT_NE(PlaceOf(PublishOf("b"))->event_name, place.event_name);
  pb::Publish reborn = PublishOf("a");
  reborn.mutable_holder()->set_pod_uid("another");
  EXPECT_NE(PlaceOf(reborn)->event_name, place.event_name);
}

TEST(EventPlaceTest, NeverIsLongerThanANameMayBe) {
  std::string pod = std::string(235, 'a') + "." + std::string(17, 'b');
  EventPlace place = PlaceOf(PublishOf("a", pod)).value();
  EXPECT_LE(place.event_name.size(), 253U);
  EXPECT_FALSE(place.event_name.contains(".."));
  EXPECT_EQ(place.pod_name, pod);
}

TEST(EventPlaceTest, IsNoneOfWhatNoPodCanBeCalled) {
  EXPECT_EQ(PlaceOf(PublishOf("a", "")), std::nullopt);
  EXPECT_EQ(PlaceOf(PublishOf("a", "-x")), std::nullopt);
  EXPECT_EQ(PlaceOf(PublishOf("a", "a/../b")), std::nullopt);
  EXPECT_EQ(PlaceOf(PublishOf("a", std::string(254, 'a'))), std::nullopt);
  pb::Publish publish = PublishOf("a");
  publish.mutable_holder()->clear_pod_uid();
  EXPECT_EQ(PlaceOf(publish), std::nullopt);
  publish = PublishOf("a");
  publish.mutable_holder()->set_pod_namespace("a.b");
  EXPECT_EQ(PlaceOf(publish), std::nullopt);
}

TEST(EventCountTest, IsReadOfAnEventOnly) {
  EXPECT_EQ(CountIn(R"({"count":4})"), 4);
  for (const char* other : {"", "[]", "{}", R"({"count":"4"})", R"({"count":-1})",
                            R"({"count":99999999999})", R"({"count":2147483647})"}) {
    EXPECT_EQ(CountIn(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace weighhouse::agent
