// What every Source promises, whatever it stands for (source.h).

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mutex.h"
#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/source_registry.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/cache-daemon/source/scripted_server.h"
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

/// The fixture Hub as a web server with a list of a model's files.
class ListOrigin : public HubOrigin {
 public:
  ListOrigin(std::string list, std::string uri) : list_(std::move(list)), uri_(std::move(uri)) {
    WriteList();
    hub_->Rescan();
  }
  ModelReference Model() const override { return {.uri = Base() + "main/" + uri_}; }
  ModelReference Missing() const override { return {.uri = Base() + "missing/" + uri_}; }
  void Change() override {
    WriteTestFile(models_ / "org/name/config.json", "{\"changed\": 1}");
    WriteList();
    hub_->Rescan();
  }

 protected:
  std::string Sha256Of(const std::string& path) const { return Digest::Of(ContentOf(path)).Hex(); }

 private:
  std::string Base() const { return hub_->hub_url() + "/org/name/resolve/"; }
  void WriteList() {
    std::string text;
    for (const char* path : {"config.json", "a/model.safetensors"}) {
      text += list_ == "SHA256SUMS" ? fmt::format("{}  ./{}\n", Sha256Of(path), path)
                                    : fmt::format(R"({}{{"path": "{}", "sha256": "{}"}})",
                                                  text.empty() ? "" : ",", path, Sha256Of(path));
    }
    if (list_ != "SHA256SUMS") text = R"({"files": [)" + text + "]}";
    WriteTestFile(models_ / ("org/name/" + list_), text);
  }

  const std::string list_, uri_;
};

/// A ModelScope as far as its facts are known.
class ScopeOrigin : public Origin {
 public:
  ScopeOrigin()
      : server_([this](const ScriptedServer::Request& request) { return Answer(request); }) {
    files_["config.json"] = "{}";
    files_["a/model.safetensors"] = PatternBytes(100'000, 1);
  }
  ModelReference Model() const override { return {.uri = "modelscope://org/name"}; }
  ModelReference Missing() const override { return {.uri = "modelscope://org/missing"}; }
  SourceOptions Options() const override { return {.modelscope_endpoint = server_.Url("")}; }
  std::string ContentOf(const std::string& path) const override {
    MutexLock lock(mutex_);
    return files_.at(path);
  }
  void Change() override {
    MutexLock lock(mutex_);
    files_["config.json"] = "{\"changed\": 1}";
  }

 private:
  ScriptedServer::Reply Answer(const ScriptedServer::Request& request) {
    MutexLock lock(mutex_);
    const std::string files = "/api/v1/models/org/name/repo/files?Revision=master&Recursive=true";
    if (request.target == files) return {HttpAnswer(200, {}, Listing())};
    for (const auto& [path, content] : files_) {
      if (!request.target.ends_with("&FilePath=" + PercentEncode(path))) continue;
      if (!request.target.starts_with("/api/v1/models/org/name/repo?")) continue;
      return {Part(content, request.head)};
    }
    return {HttpAnswer(404, {}, R"({"Code": 404, "Message": "record not found"})")};
  }
  std::string Listing() REQUIRES(mutex_) {
    std::string entries = R"({"Path": "a", "Type": "tree", "Size": 0})";
    for (const auto& [path, content] : files_) {
      entries += fmt::format(R"(,{{"Path": "{}", "Type": "blob", "Size": {}, "Sha256": "{}"}})",
                             path, content.size(), Digest::Of(content).Hex());
    }
    return R"({"Code": 200, "Data": {"Files": [)" + entries + "]}}";
  }
  static std::string Part(const std::string& content, const std::string& head) {
    size_t begin = 0, end = 0;
    size_t range = head.find("Range: bytes=");
    if (range == std::string::npos) return HttpAnswer(200, {}, content);
    CHECK(std::sscanf(head.c_str() + range, "Range: bytes=%zu-%zu", &begin, &end) == 2);
    std::string header = fmt::format("Content-Range: bytes {}-{}/{}", begin, end, content.size());
    return HttpAnswer(206, {header}, content.substr(begin, end - begin + 1));
  }

  mutable Mutex mutex_;
  std::map<std::string, std::string> files_ GUARDED_BY(mutex_);
  ScriptedServer server_;
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

TEST_P(SourceContractTest, ShowsNobodysRightsToWhatIsPublic) {
  Listing listing = Resolve().value();
  auto everybody = source_->ShowRights(origin_->Model(), {}, listing, {});
  ASSERT_TRUE(everybody) << everybody.error().message;
  EXPECT_TRUE(*everybody);
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
                    Kind{"WebSums", [] { return std::make_unique<ListOrigin>("SHA256SUMS", ""); }},
                    Kind{"WebManifest",
                         [] {
                           return std::make_unique<ListOrigin>("list.json", "list.json#manifest");
                         }},
                    Kind{"ModelScope", [] { return std::make_unique<ScopeOrigin>(); }},
                    Kind{"LocalPath", [] { return std::make_unique<LocalOrigin>(); }}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace weighhouse::source
