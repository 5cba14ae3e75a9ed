#include "base/log_format.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace weighhouse {
namespace {

constexpr std::chrono::system_clock::time_point kNoon{std::chrono::milliseconds(1738324800123)};

struct Said {
  std::string message;
  LogFields fields = {};
  LogFields context = {};
  LogLevel level = LogLevel::kInfo;

  LogLine Line() const {
    return {
        .time = kNoon, .level = level, .message = message, .fields = fields, .context = context};
  }
  std::string Text() const { return TextLogLine(Line()); }
  nlohmann::ordered_json Json() const {
    std::string line = JsonLogLine(Line());
    EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
    return nlohmann::ordered_json::parse(line);
  }
};

TEST(LogFormatTest, ATextLineHasItsFieldsAfterTheMessageAndThoseOfItsContextLast) {
  Said said{.message = "published",
            .fields = {{"bytes", 4096}, {"served_from", "source"}},
            .context = {{"request", "00ff00ff00ff00ff"}, {"pod", "default/a pod"}}};
  EXPECT_EQ(said.Text(),
            "2025-01-31T12:00:00.123Z info published bytes=4096 served_from=source "
            "request=00ff00ff00ff00ff pod=\"default/a pod\"\n");
}

TEST(LogFormatTest, AJsonLineHasItsKeysInOneOrderAndNumbersAsNumbers) {
  Said said{.message = "published",
            .fields = {{"bytes", 4096}},
            .context = {{"request", "00ff00ff00ff00ff"}},
            .level = LogLevel::kWarning};
  EXPECT_EQ(said.Json().dump(),
            R"({"time":"2025-01-31T12:00:00.123Z","level":"warning","message":"published",)"
            R"("bytes":4096,"request":"00ff00ff00ff00ff"})");
}

TEST(LogFormatTest, AKeyOfTheLineCountsOverItsContexts) {
  Said said{.message = "m", .fields = {{"model", "own"}}, .context = {{"model", "other"}}};
  EXPECT_EQ(said.Text(), "2025-01-31T12:00:00.123Z info m model=own\n");
  EXPECT_EQ(said.Json()["model"], "own");
}

TEST(LogFormatTest, NobodysNameMakesASecondLine) {
  const std::string hostile = "a\nb\r\tc\x1b[2J\x7f\xC2\x9B end";
  Said said{.message = hostile, .fields = {{"model", hostile}}};
  std::string text = said.Text();
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(text,
            "2025-01-31T12:00:00.123Z info a\\nb\\r\\tc\\u001b[2J\\u007f\\u009b end "
            "model=\"a\\nb\\r\\tc\\u001b[2J\\u007f\\u009b end\"\n");
  EXPECT_EQ(said.Json()["message"], hostile);
  EXPECT_EQ(said.Json()["model"], hostile);
}

TEST(LogFormatTest, AFieldsValueCannotEndItsQuotes) {
  Said said{.message = "m", .fields = {{"model", "x\" request=\"forged\\"}}};
  EXPECT_EQ(said.Text(),
            "2025-01-31T12:00:00.123Z info m model=\"x\\\" request=\\\"forged\\\\\"\n");
  EXPECT_EQ(said.Json()["model"], "x\" request=\"forged\\");
}

TEST(LogFormatTest, WhatIsNotUtf8IsReplacedByteByByte) {
  Said said{.message = "bad \xFF\xC3( good \xC3\xA9", .fields = {{"file", "\xE2\x82"}}};
  nlohmann::ordered_json line = said.Json();
  EXPECT_EQ(line["message"], "bad \xEF\xBF\xBD\xEF\xBF\xBD( good \xC3\xA9");
  EXPECT_EQ(line["file"], "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(LogFormatTest, EmptyValuesAreStillThere) {
  Said said{.message = "", .fields = {{"model", ""}}};
  EXPECT_EQ(said.Text(), "2025-01-31T12:00:00.123Z info  model=\"\"\n");
  EXPECT_EQ(said.Json()["model"], "");
}

TEST(LogFormatTest, ALongTextIsCutBetweenCharacters) {
  // 4095 bytes, and then a character of two.
  Said said{.message = std::string(4095, 'a') + "\xC3\xA9 and more"};
  EXPECT_EQ(said.Json()["message"], std::string(4095, 'a') + "…");
  Said whole{.message = std::string(4096, 'a')};
  EXPECT_EQ(whole.Json()["message"], std::string(4096, 'a'));
}

TEST(LogFormatTest, NoLineIsSoLongThatContainerRuntimesSplitIt) {
  for (const char* piece : {"a", "\"", "\x1b", "\xff", "\xC2\x9B", "\xF0\x9F\x9A\xA2"}) {
    std::string text;
    while (text.size() < 100'000) text += piece;
    Said said{.message = text,
              .fields = {{"target", text}, {"file", text}, {"origin", text}},
              .context = {{"model", text}, {"claim", text}}};
    EXPECT_LE(said.Text().size(), 15'000U) << piece;
    EXPECT_LE(JsonLogLine(said.Line()).size(), 15'000U) << piece;
    EXPECT_TRUE(said.Json()["model"].get<std::string>().ends_with("…")) << piece;
  }
}

}  // namespace
}  // namespace weighhouse
