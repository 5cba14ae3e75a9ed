// The transport against a Hub and a CDN that misbehave as real ones do (test/fixture_hub).

#include <future>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/source_registry.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/support/fixture_hub.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class TransportFaultTest : public testing::TestWithParam<int> {
 protected:
  TransportFaultTest() {
    WriteTestFile(models_ / "org/name/model.safetensors", weights_);
    hub_ = FixtureHub::Start(models_.path().string()).value();
    transport_ = CreateTransport(Options()).value();
    location_ = LocateAgain();
  }
  /// With so many loops, all of them used alike.
  static TransportOptions Options(std::chrono::milliseconds stall_timeout = kTestPatience) {
    return {.stall_timeout = stall_timeout,
            .max_loops = GetParam(),
            .busy_part = 0,
            .policy = LoopbackPolicy()};
  }
  FileLocation LocateAgain() {
    auto source = SourceRegistry::Create({.hub_endpoint = hub_->hub_url()})
                      .value()
                      ->For({.uri = "hf://org/name"})
                      .value();
    Listing listing = source->Resolve({.uri = "hf://org/name"}, {}, {}).value();
    return source->Locate({.uri = "hf://org/name"}, listing, listing.files[0], {}, {}).value();
  }
  void Fault(const std::string& action, const std::string& limits = R"("times":-1)") {
    hub_->SetFaults(fmt::format(R"([{{"side":"cdn",{},"action":{}}}])", limits, action));
  }
  /// The end of asking for the middle of the file under `action`.
  TransferEnd EndUnder(const std::string& action, RecordingSink& sink) {
    Fault(action);
    return Bring(*transport_, location_, kRange, sink);
  }
  Error FailureUnder(const std::string& action) {
    RecordingSink sink;
    TransferEnd end = EndUnder(action, sink);
    EXPECT_FALSE(end.status) << action;
    EXPECT_THAT(weights_.substr(kRange.begin, kRange.size()), testing::StartsWith(sink.bytes()));
    return end.status ? Error{} : end.status.error();
  }

  static constexpr ByteRange kRange{100'000, 900'000};
  const std::string weights_ = PatternBytes(1'000'000, 5);
  TemporaryDirectory models_;
  std::unique_ptr<FixtureHub> hub_;
  std::unique_ptr<Transport> transport_;
  FileLocation location_;
};

INSTANTIATE_TEST_SUITE_P(Loops, TransportFaultTest, testing::Values(1, 3));

TEST_P(TransportFaultTest, BringsARangeFromTheCdn) {
  RecordingSink sink;
  EXPECT_TRUE(Bring(*transport_, location_, kRange, sink).status);
  EXPECT_EQ(sink.bytes(), weights_.substr(kRange.begin, kRange.size()));
}

TEST_P(TransportFaultTest, CallsCutsAndShortBodiesTemporary) {
  for (const char* action : {R"({"kind":"cut","after":200000})", R"({"kind":"cut","after":0})",
                             R"({"kind":"cut","after":200000,"reset":true})"}) {
    EXPECT_EQ(FailureUnder(action).code, Code::kUnavailable) << action;
  }
  Code code = FailureUnder(R"({"kind":"short_length"})").code;
  EXPECT_TRUE(code == Code::kUnavailable || code == Code::kOutOfRange);
}

TEST_P(TransportFaultTest, RefusesBytesBeyondThePromise) {
  EXPECT_EQ(FailureUnder(R"({"kind":"long_body"})").code, Code::kOutOfRange);
}

TEST_P(TransportFaultTest, EndsStalls) {
  transport_ = CreateTransport(Options(500ms)).value();
  EXPECT_EQ(FailureUnder(R"({"kind":"stall","after":300000,"seconds":30})").code,
            Code::kUnavailable);
  EXPECT_EQ(FailureUnder(R"({"kind":"delay","seconds":30})").code, Code::kUnavailable);
}

TEST_P(TransportFaultTest, SurvivesStallsBelowTheLimit) {
  RecordingSink sink;
  TransferEnd end = EndUnder(R"({"kind":"stall","after":300000,"seconds":0.2})", sink);
  EXPECT_TRUE(end.status) << end.status.error().message;
}

TEST_P(TransportFaultTest, NoticesIgnoredAndWrongRanges) {
  EXPECT_EQ(FailureUnder(R"({"kind":"ignore_range"})").code, Code::kUnimplemented);
  EXPECT_EQ(FailureUnder(R"({"kind":"content_range","value":"bytes 0-799999/1000000"})").code,
            Code::kOutOfRange);
}

TEST_P(TransportFaultTest, TellsExpiryFromTrouble) {
  Error expired = FailureUnder(R"({"kind":"expire"})");
  EXPECT_EQ(expired.code, Code::kPermissionDenied);
  Error limited = FailureUnder(
      R"({"kind":"status","status":429,"headers":{"Retry-After":"4"},"body":"slow down"})");
  EXPECT_EQ(limited.code, Code::kUnavailable);
  EXPECT_EQ(limited.retry_after, 4s);
  EXPECT_THAT(limited.message, HasSubstr("slow down"));
  EXPECT_EQ(FailureUnder(R"({"kind":"status","status":502})").code, Code::kUnavailable);
  EXPECT_EQ(FailureUnder(R"({"kind":"redirect","location":"http://127.0.0.1:1/"})").code,
            Code::kUnavailable);
}

TEST_P(TransportFaultTest, DoesNotMindAnotherEtagOfTheCdn) {
  RecordingSink sink;
  EXPECT_TRUE(EndUnder(R"({"kind":"etag","value":"\"else\""})", sink).status);
}

TEST_P(TransportFaultTest, GoesOnWhereACutTransferEnded) {
  Fault(R"({"kind":"cut","after":123456})", R"("times":1)");
  RecordingSink first, second;
  EXPECT_FALSE(Bring(*transport_, location_, kRange, first).status);
  Bytes position = kRange.begin + first.bytes().size();
  EXPECT_TRUE(Bring(*transport_, location_, ByteRange{position, kRange.end}, second).status);
  EXPECT_EQ(first.bytes() + second.bytes(), weights_.substr(kRange.begin, kRange.size()));
}

TEST_P(TransportFaultTest, BringsRangesSideBySideThroughPausesAndCuts) {
  hub_->SetFaults(R"([{"side":"cdn","skip":2,"times":1,"action":{"kind":"cut","after":1000}},
                      {"side":"cdn","times":-1,"action":{"kind":"rate","bytes_per_second":4000000}}])");
  constexpr size_t kParts = 8;
  std::vector<RecordingSink> sinks(kParts);
  std::vector<TransferId> ids(kParts);
  for (size_t i = 0; i < kParts; ++i) {
    sinks[i].accept = [&, i, offers = 0](std::span<const std::byte>) mutable {
      if (++offers % 5 != 0) return true;
      transport_->PostAfter(1ms, [&, i] { transport_->Resume(ids[i]); });
      return false;
    };
  }
  transport_->Post([&] {
    for (size_t i = 0; i < kParts; ++i) {
      ids[i] = transport_->Start(location_, ByteRange{i * 125'000, (i + 1) * 125'000}, sinks[i]);
    }
  });
  int failed = 0;
  for (size_t i = 0; i < kParts; ++i) {
    bool whole = sinks[i].WaitForEnd().status.has_value();
    failed += !whole;
    std::string expected = weights_.substr(i * 125'000, 125'000);
    EXPECT_EQ(sinks[i].bytes(), whole ? expected : expected.substr(0, sinks[i].bytes().size()));
  }
  EXPECT_EQ(failed, 1);
}

}  // namespace
}  // namespace weighhouse::source
