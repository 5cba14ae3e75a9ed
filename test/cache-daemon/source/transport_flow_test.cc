#include <atomic>
#include <future>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/transport.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

// How transfers are paused, resumed, cancelled and mixed with tasks.

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

/// With so many loops, all of them used alike.
class TransportFlowTest : public testing::TestWithParam<int> {
 protected:
  static std::unique_ptr<Transport> MakeTransport(TransportOptions options = {}) {
    options.max_loops = GetParam();
    options.busy_part = 0;
    options.policy = LoopbackPolicy();
    auto transport = CreateTransport(std::move(options));
    EXPECT_TRUE(transport) << transport.error().message;
    return std::move(transport).value();
  }
};
INSTANTIATE_TEST_SUITE_P(Loops, TransportFlowTest, testing::Values(1, 3));

TEST_P(TransportFlowTest, OffersRefusedBytesAgainAfterResume) {
  std::string body(1'000'000, 'w');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  ScriptedServer server([&](const Request&) { return Reply{HttpAnswer(200, {}, body)}; });
  auto transport = MakeTransport();
  RecordingSink sink;
  TransferId id = 0;
  int offers = 0;
  sink.accept = [&](std::span<const std::byte>) {
    if (++offers % 3 != 0) return true;
    transport->Post([&] { transport->Resume(id); });
    return false;
  };
  transport->Post([&] { id = transport->Start({.url = server.Url("/f")}, std::nullopt, sink); });
  EXPECT_TRUE(sink.WaitForEnd().status);
  EXPECT_EQ(sink.bytes(), body);
}

TEST_P(TransportFlowTest, TakesAResumeFromWithinTheRefusal) {
  ScriptedServer server([&](const Request&) { return Reply{HttpAnswer(200, {}, "weights")}; });
  auto transport = MakeTransport();
  RecordingSink sink;
  TransferId id = 0;
  bool refused = false;
  sink.accept = [&](std::span<const std::byte>) {
    if (refused) return true;
    refused = true;
    transport->Resume(id);
    return false;
  };
  transport->Post([&] { id = transport->Start({.url = server.Url("/f")}, std::nullopt, sink); });
  EXPECT_TRUE(sink.WaitForEnd().status);
  EXPECT_EQ(sink.bytes(), "weights");
}

TEST_P(TransportFlowTest, CountsNoPauseAsAStall) {
  ScriptedServer server([&](const Request&) { return Reply{HttpAnswer(200, {}, "weights")}; });
  auto transport = MakeTransport({.stall_timeout = 1s});
  RecordingSink sink;
  TransferId id = 0;
  bool refused = false;
  sink.accept = [&](std::span<const std::byte>) {
    if (refused) return true;
    refused = true;
    transport->PostAfter(2s, [&] { transport->Resume(id); });
    return false;
  };
  transport->Post([&] { id = transport->Start({.url = server.Url("/f")}, std::nullopt, sink); });
  EXPECT_TRUE(sink.WaitForEnd().status);
  EXPECT_EQ(sink.bytes(), "weights");
}

TEST_P(TransportFlowTest, KeepsToAStallTimeoutThatWasChangedUnderWay) {
  ScriptedServer server([&](const Request&) {
    return Reply{"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart", Reply::Then::kHold};
  });
  auto transport = MakeTransport({.stall_timeout = 3600s});
  RecordingSink sink;
  std::promise<void> begun;
  sink.accept = [&](std::span<const std::byte>) {
    begun.set_value();
    return true;
  };
  transport->Post([&] { transport->Start({.url = server.Url("/f")}, std::nullopt, sink); });
  ASSERT_EQ(begun.get_future().wait_for(kTestPatience), std::future_status::ready);
  transport->Reconfigure({.stall_timeout = 200ms, .max_connections = 8});
  EXPECT_EQ(sink.WaitForEnd().status.error().code, Code::kUnavailable);
}

TEST_P(TransportFlowTest, CancelsFromATaskPostedWithinOnBytesWithoutAnEnd) {
  ScriptedServer server([&](const Request&) {
    return Reply{"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart", Reply::Then::kHold};
  });
  auto transport = MakeTransport({.stall_timeout = 1s});
  RecordingSink sink;
  TransferId id = 0;
  std::promise<void> cancelled;
  sink.accept = [&](std::span<const std::byte>) {
    transport->Post([&] {
      transport->Cancel(id);
      cancelled.set_value();
    });
    return true;
  };
  transport->Post([&] { id = transport->Start({.url = server.Url("/f")}, std::nullopt, sink); });
  ASSERT_EQ(cancelled.get_future().wait_for(kTestPatience), std::future_status::ready);
  std::promise<void> later;
  transport->PostAfter(1500ms, [&] { later.set_value(); });
  later.get_future().wait();
  EXPECT_FALSE(sink.ended());
}

TEST_P(TransportFlowTest, LetsASinkCancelAndStartOthersWithinItsCalls) {
  ScriptedServer server([&](const Request& request) {
    if (request.target == "/held") return Reply{"", Reply::Then::kHold};
    return Reply{HttpAnswer(200, {}, request.target)};
  });
  auto transport = MakeTransport({.stall_timeout = 1s});
  RecordingSink first, second, held;
  TransferId held_id = 0;
  first.accept = [&](std::span<const std::byte>) {
    transport->Cancel(held_id);
    transport->Start({.url = server.Url("/second")}, std::nullopt, second);
    return true;
  };
  transport->Post([&] {
    held_id = transport->Start({.url = server.Url("/held")}, std::nullopt, held);
    transport->Start({.url = server.Url("/first")}, std::nullopt, first);
  });
  EXPECT_TRUE(first.WaitForEnd().status);
  EXPECT_TRUE(second.WaitForEnd().status);
  EXPECT_EQ(second.bytes(), "/second");
  std::promise<void> later;
  transport->PostAfter(1500ms, [&] { later.set_value(); });
  later.get_future().wait();
  EXPECT_FALSE(held.ended());
}

TEST_P(TransportFlowTest, TakesUnknownIds) {
  auto transport = MakeTransport();
  RunOnLoop(*transport, [&] {
    transport->Cancel(99);
    transport->Resume(99);
  });
}

TEST_P(TransportFlowTest, LetsASinkEndItselfInOnEnd) {
  ScriptedServer server([&](const Request&) { return Reply{HttpAnswer(200, {}, "weights")}; });
  auto transport = MakeTransport();
  struct OwnSink final : TransferSink {
    std::promise<void>& ended;
    explicit OwnSink(std::promise<void>& promise) : ended(promise) {}
    bool OnBytes(std::span<const std::byte>) override { return true; }
    void OnEnd(const TransferEnd&) override {
      std::promise<void>& promise = ended;
      delete this;
      promise.set_value();
    }
  };
  std::promise<void> ended;
  transport->Post(
      [&] { transport->Start({.url = server.Url("/f")}, std::nullopt, *new OwnSink(ended)); });
  EXPECT_EQ(ended.get_future().wait_for(kTestPatience), std::future_status::ready);
}

TEST_P(TransportFlowTest, DropsTransfersAndTasksWhenDestroyed) {
  ScriptedServer server([&](const Request&) {
    return Reply{"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart", Reply::Then::kHold};
  });
  auto transport = MakeTransport();
  RecordingSink sink;
  std::promise<void> begun;
  sink.accept = [&, first = true](std::span<const std::byte>) mutable {
    if (std::exchange(first, false)) begun.set_value();
    return true;
  };
  auto held = std::make_shared<int>(0);
  transport->PostAfter(1h, [held] {});
  transport->Post([&] { transport->Start({.url = server.Url("/f")}, std::nullopt, sink); });
  begun.get_future().wait();
  transport.reset();
  EXPECT_FALSE(sink.ended());
  EXPECT_EQ(held.use_count(), 1);
}

TEST_P(TransportFlowTest, RunsTasksInOrderAndNotBeforeTheirTime) {
  auto transport = MakeTransport();
  std::string ran;
  std::promise<void> done;
  auto begin = std::chrono::steady_clock::now();
  transport->PostAfter(60ms, [&] {
    ran += 'c';
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 60ms);
    done.set_value();
  });
  transport->Post([&] { ran += 'a'; });
  transport->Post([&] { ran += 'b'; });
  done.get_future().wait();
  EXPECT_EQ(ran, "abc");
}

TEST_P(TransportFlowTest, BringsManyRangesAtOnce) {
  std::string content = PatternBytes(1 << 20, 7);
  ScriptedServer server([&](const Request& request) {
    size_t begin = 0, last = 0;
    sscanf(request.head.c_str() + request.head.find("bytes="), "bytes=%zu-%zu", &begin, &last);
    std::string range = fmt::format("Content-Range: bytes {}-{}/{}", begin, last, content.size());
    return Reply{HttpAnswer(206, {range}, content.substr(begin, last - begin + 1))};
  });
  auto transport = MakeTransport();
  std::vector<RecordingSink> sinks(32);
  transport->Post([&] {
    for (size_t i = 0; i < sinks.size(); ++i) {
      transport->Start({.url = server.Url("/f")}, ByteRange{i << 15, (i + 1) << 15}, sinks[i]);
    }
  });
  std::string brought;
  for (RecordingSink& sink : sinks) {
    EXPECT_TRUE(sink.WaitForEnd().status);
    brought += sink.bytes();
  }
  EXPECT_EQ(brought, content);
}

}  // namespace
}  // namespace weighhouse::source
