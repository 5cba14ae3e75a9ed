// More than one loop: TLS transfers of a fixture CDN that run at the same time on several threads.

#include <sched.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <set>
#include <thread>

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

constexpr double kUseAllAlike = 0, kNeverBusy = 1.1;

class TransportLoopsTest : public testing::Test {
 protected:
  TransportLoopsTest() {
    WriteTestFile(models_ / "org/name/model.safetensors", weights_);
    std::string command = fmt::format(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        "/CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out '{}' -keyout '{}' "
        "2>/dev/null",
        Certificate(), (keys_ / "key.pem").string());
    CHECK(std::system(command.c_str()) == 0);
    hub_ = FixtureHub::Start(models_.path().string(), {"--tls-cert", Certificate(), "--tls-key",
                                                       (keys_ / "key.pem").string()})
               .value();
    auto source =
        SourceRegistry::Create({.hub_endpoint = hub_->hub_url(), .ca_file = Certificate()})
            .value()
            ->For(kModel)
            .value();
    Listing listing = source->Resolve(kModel, {}, {}).value();
    location_ = source->Locate(kModel, listing, listing.files[0], {}, {}).value();
  }
  std::string Certificate() const { return (keys_ / "cert.pem").string(); }
  TransportOptions Options(int loops, double busy_part) const {
    return {.max_loops = loops,
            .busy_part = busy_part,
            .ca_file = Certificate(),
            .policy = LoopbackPolicy()};
  }
  /// Brings the file in `sinks_.size()` ranges at once and checks it; says which threads called.
  std::set<std::thread::id> ThreadsThatBring(const TransportOptions& options) {
    auto transport = CreateTransport(options).value();
    std::set<std::thread::id> threads;
    std::atomic<int> inside = 0;
    auto note = [&](std::span<const std::byte>) {
      EXPECT_EQ(++inside, 1) << "sinks are called one at a time";
      EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH) << "what arrives must not interrupt the hasher";
      threads.insert(std::this_thread::get_id());
      --inside;
      return true;
    };
    for (RecordingSink& sink : sinks_) sink.accept = note;
    transport->Post([&] {
      Bytes each = weights_.size() / sinks_.size();
      for (size_t i = 0; i < sinks_.size(); ++i) {
        transport->Start(location_, ByteRange{i * each, (i + 1) * each}, sinks_[i]);
      }
    });
    std::string brought;
    for (RecordingSink& sink : sinks_) {
      TransferEnd end = sink.WaitForEnd();
      EXPECT_TRUE(end.status) << (end.status ? "" : end.status.error().message);
      brought += sink.bytes();
    }
    EXPECT_EQ(brought, weights_);
    return threads;
  }

  const ModelReference kModel{.uri = "hf://org/name"};
  const std::string weights_ = PatternBytes(1 << 20, 9);
  TemporaryDirectory models_, keys_;
  std::unique_ptr<FixtureHub> hub_;
  FileLocation location_;
  std::vector<RecordingSink> sinks_{16};
};

TEST_F(TransportLoopsTest, SpreadsTlsTransfersOverSeveralLoops) {
  auto threads = ThreadsThatBring(Options(3, kUseAllAlike));
  EXPECT_EQ(threads.size(), 3U);
}

TEST_F(TransportLoopsTest, UsesOneWhileItHasTime) {
  auto threads = ThreadsThatBring(Options(3, kNeverBusy));
  EXPECT_EQ(threads.size(), 1U);
}

TEST_F(TransportLoopsTest, CancelsTransfersOfOtherLoopsForGood) {
  auto transport = CreateTransport(Options(4, kUseAllAlike)).value();
  std::vector<TransferId> ids;
  size_t calls_after_cancel = 0;
  bool cancelled = false;
  std::promise<void> done;
  auto accept = [&](std::span<const std::byte>) {
    if (cancelled) ++calls_after_cancel;
    return true;
  };
  for (RecordingSink& sink : sinks_) sink.accept = accept;
  // The first sink that hears of anything, on whichever loop, ends all others.
  RecordingSink first;
  first.accept = [&](std::span<const std::byte>) {
    for (TransferId id : ids) transport->Cancel(id);
    if (!std::exchange(cancelled, true)) done.set_value();
    return true;
  };
  transport->Post([&] {
    for (RecordingSink& sink : sinks_) {
      ids.push_back(transport->Start(location_, ByteRange{0, weights_.size()}, sink));
    }
    transport->Start(location_, ByteRange{0, 1000}, first);
  });
  ASSERT_EQ(done.get_future().wait_for(kTestPatience), std::future_status::ready);
  EXPECT_TRUE(first.WaitForEnd().status);
  transport.reset();
  EXPECT_EQ(calls_after_cancel, 0U);
}

TEST_F(TransportLoopsTest, ResumesTransfersOfOtherLoops) {
  auto transport = CreateTransport(Options(3, kUseAllAlike)).value();
  std::vector<TransferId> ids(sinks_.size());
  int offers = 0;
  for (size_t i = 0; i < sinks_.size(); ++i) {
    sinks_[i].accept = [&, i](std::span<const std::byte>) {
      if (++offers % 3 != 0) return true;
      transport->Post([&, i] { transport->Resume(ids[i]); });
      return false;
    };
  }
  transport->Post([&] {
    for (size_t i = 0; i < sinks_.size(); ++i) {
      ids[i] = transport->Start(location_, ByteRange{0, weights_.size()}, sinks_[i]);
    }
  });
  for (RecordingSink& sink : sinks_) {
    EXPECT_TRUE(sink.WaitForEnd().status);
    EXPECT_EQ(sink.bytes(), weights_);
  }
}

TEST_F(TransportLoopsTest, EndsWhileAllLoopsAreBusy) {
  for (int i = 0; i < 20; ++i) {
    auto transport = CreateTransport(Options(4, kUseAllAlike)).value();
    std::promise<void> begun;
    bool first = true;
    for (RecordingSink& sink : sinks_) {
      sink.accept = [&](std::span<const std::byte>) {
        if (std::exchange(first, false)) begun.set_value();
        return true;
      };
    }
    transport->Post([&] {
      for (RecordingSink& sink : sinks_) {
        transport->Start(location_, ByteRange{0, weights_.size()}, sink);
      }
    });
    ASSERT_EQ(begun.get_future().wait_for(kTestPatience), std::future_status::ready);
    transport.reset();
  }
}

}  // namespace
}  // namespace weighhouse::source
