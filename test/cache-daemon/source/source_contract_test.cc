// What every Source promises, whatever it stands for (source.h).

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/source_registry.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/support/fixture_hub.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

/// A model that lies ready at one kind of source.
struct Origin {
  virtual ~Origin() = default;
  /// A reference to a model with at least one file.
  virtual ModelReference Model() const = 0;
  /// One to nothing.
  virtual ModelReference Missing() const = 0;
  virtual SourceOptions Options() const = 0;
  /// The true content of one of the model's files.
  virtual std::string ContentOf(const std::string& path) const = 0;
  /// Changes the content of one file upstream.
  virtual void Change() = 0;
};

class HubOrigin : public Origin {
 public:
  HubOrigin() {
    WriteTestFile(models_ / "org/name/config.json", "{}");
    WriteTestFile(models_ / "org/name/a/model.safetensors", PatternBytes(100'000, 1));
    auto hub = FixtureHub::Start(models_.path().string());
    CHECK(hub.has_value());
    hub_ = std::move(hub).value();
  }
  ModelReference Model() const override { return {.uri = "hf://org/name"}; }
  ModelReference Missing() const override {
    return {.uri = "hf://org/name", .revision = "missing"};
  }
  SourceOptions Options() const override { return {.hub_endpoint = hub_->hub_url()}; }
  std::string ContentOf(const std::string& path) const override {
    return ReadTestFile(models_ / ("org/name/" + path));
  }
  void Change() override {
    WriteTestFile(models_ / "org/name/config.json", "{\"changed\": 1}");
    hub_->Rescan();
  }

 protected:
  TemporaryDirectory models_;
  std::unique_ptr<FixtureHub> hub_;
};

/// One file of the fixture Hub, by its URL.
class HttpOrigin : public HubOrigin {
 public:
  ModelReference Model() const override { return {.uri = Base() + "config.json"}; }
  ModelReference Missing() const override { return {.uri = Base() + "missing.json"}; }

 private:
  std::string Base() const { return hub_->hub_url() + "/org/name/resolve/main/"; }
};

class LocalOrigin : public Origin {
 public:
  LocalOrigin() {
    WriteTestFile(root_ / "model/config.json", "{}");
    WriteTestFile(root_ / "model/a/model.safetensors", PatternBytes(100'000, 1));
  }
  ModelReference Model() const override { return {.uri = "file://" + (root_ / "model").string()}; }
  ModelReference Missing() const override {
    return {.uri = "file://" + (root_ / "missing").string()};
  }
  SourceOptions Options() const override { return {.local_roots = {root_.path().string()}}; }
  std::string ContentOf(const std::string& path) const override {
    return ReadTestFile(root_ / ("model/" + path));
  }
  void Change() override { WriteTestFile(root_ / "model/config.json", "{\"changed\": 1}"); }

 private:
  TemporaryDirectory root_;
};

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Origin>()> make;
};

class SourceContractTest : public testing::TestWithParam<Kind> {
 protected:
  SourceContractTest() : origin_(GetParam().make()) {
    registry_ = SourceRegistry::Create(OptionsAtTheLoopback()).value();
    source_ = registry_->For(origin_->Model()).value();
    transport_ = CreateTransport({.policy = LoopbackPolicy()}).value();
  }
  SourceOptions OptionsAtTheLoopback() const {
    SourceOptions options = origin_->Options();
    options.allow_addresses = LoopbackAddresses();
    return options;
  }
  Result<Listing> Resolve() { return source_->Resolve(origin_->Model(), {}, {}); }

  std::unique_ptr<Origin> origin_;
  std::unique_ptr<SourceRegistry> registry_;
  std::shared_ptr<Source> source_;
  std::unique_ptr<Transport> transport_;
};

TEST_P(SourceContractTest, ListsCheckedFilesSortedByPath) {
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_FALSE(listing->origin.empty());
  EXPECT_FALSE(listing->revision.empty());
  EXPECT_TRUE(listing->anonymous);
  EXPECT_TRUE(CheckListing(*listing));
  EXPECT_TRUE(std::ranges::is_sorted(listing->files));
  for (const ListedFile& file : listing->files) {
    EXPECT_EQ(file.size, origin_->ContentOf(file.path).size()) << file.path;
    EXPECT_FALSE(file.identity.value.empty());
  }
}

TEST_P(SourceContractTest, GivesTheSameSnapshotForTheSameContent) {
  EXPECT_EQ(Resolve()->SnapshotId(), Resolve()->SnapshotId());
}

TEST_P(SourceContractTest, GivesAnotherSnapshotForChangedContent) {
  auto before = Resolve();
  origin_->Change();
  auto after = Resolve();
  ASSERT_TRUE(before && after);
  EXPECT_NE(before->SnapshotId(), after->SnapshotId());
  EXPECT_EQ(before->origin, after->origin);
}

TEST_P(SourceContractTest, LocatesEveryFileSoThatItsBytesCanBeBrought) {
  Listing listing = Resolve().value();
  for (const ListedFile& file : listing.files) {
    auto location = source_->Locate(origin_->Model(), listing, file, {}, {});
    ASSERT_TRUE(location) << file.path << ": " << location.error().message;
    EXPECT_GT(location->expires_at, std::chrono::steady_clock::now());
    RecordingSink whole, part;
    EXPECT_TRUE(Bring(*transport_, *location, std::nullopt, whole).status);
    EXPECT_EQ(whole.bytes(), origin_->ContentOf(file.path));
    TransferEnd end = Bring(*transport_, *location, ByteRange{1, file.size}, part);
    EXPECT_TRUE(end.status) << end.status.error().message;
    EXPECT_EQ(part.bytes(), whole.bytes().substr(1));
  }
}

TEST_P(SourceContractTest, SaysThatNothingIsThere) {
  auto listing = source_->Resolve(origin_->Missing(), {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kNotFound) << listing.error().message;
}

TEST_P(SourceContractTest, LocatesNoFileThatIsNotThere) {
  Listing listing = Resolve().value();
  ListedFile other = listing.files[0];
  other.path = "missing.bin";
  EXPECT_FALSE(source_->Locate(origin_->Missing(), listing, other, {}, {}));
}

TEST_P(SourceContractTest, EndsEarlyWhenStopped) {
  std::stop_source stop;
  stop.request_stop();
  auto listing = source_->Resolve(origin_->Model(), {}, stop.get_token());
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kCancelled);
}

TEST_P(SourceContractTest, ServesSeveralThreads) {
  std::string expected = Resolve()->SnapshotId();
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { right += Resolve()->SnapshotId() == expected; });
    }
  }
  EXPECT_EQ(right, 4);
}

INSTANTIATE_TEST_SUITE_P(
    EverySource, SourceContractTest,
    testing::Values(Kind{"Hub", [] { return std::make_unique<HubOrigin>(); }},
                    Kind{"HttpFile", [] { return std::make_unique<HttpOrigin>(); }},
                    Kind{"LocalPath", [] { return std::make_unique<LocalOrigin>(); }}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace weighhouse::source
