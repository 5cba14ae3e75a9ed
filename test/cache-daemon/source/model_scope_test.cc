#include "cache-daemon/source/modelscope/model_scope.h"

#include <atomic>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "cache-daemon/source/source_registry.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

const std::string kScopeCommit(40, 'c');
const std::string kScopeSha256 = Digest::Of("four").Hex();

std::string ScopeFilesJson(const std::string& entries) {
  return fmt::format(R"({{"Code": 200, "Success": true, "Data": {{"Files": [{}]}}}})", entries);
}

const std::string kScopeEntries = fmt::format(
    R"({{"Path": "a", "Name": "a", "Type": "tree", "Size": 0, "Sha256": ""}},
       {{"Path": "a/b c.bin", "Type": "blob", "Size": 4, "Sha256": "{}", "Revision": "{}"}},
       {{"Path": "config.json", "Type": "blob", "Size": 4, "Sha256": "{}", "Revision": ""}})",
    kScopeSha256, kScopeCommit, kScopeSha256);

/// A ModelScope with one model of two files.
Reply ServeScope(const Request& request) {
  if (request.target.starts_with("/api/v1/models/org/name/repo/files?")) {
    return {HttpAnswer(200, {}, ScopeFilesJson(kScopeEntries))};
  }
  if (request.target.starts_with("/api/v1/models/org/name/repo?")) {
    return {HttpAnswer(206, {"Content-Range: bytes 0-0/4", "ETag: \"e\""}, "f")};
  }
  return {HttpAnswer(404, {}, R"({"Code": 10010205001, "Message": "no such model"})")};
}

std::shared_ptr<Source> ScopeAt(const std::string& endpoint) {
  auto registry = SourceRegistry::Create(
      {.modelscope_endpoint = endpoint, .allow_addresses = LoopbackAddresses()});
  EXPECT_TRUE(registry) << registry.error().message;
  return (*registry)->For({.uri = "modelscope://org/name"}).value();
}

TEST(ModelScopeTest, ListsTheFilesOfTheDefaultBranchWithTheirDigests) {
  ScriptedServer server(ServeScope);
  auto listing = ScopeAt(server.Url(""))->Resolve({.uri = "modelscope://org/name"}, {}, {});
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(server.Requests()[0].target,
            "/api/v1/models/org/name/repo/files?Revision=master&Recursive=true");
  EXPECT_EQ(listing->origin, "modelscope+" + server.Url("/org/name"));
  EXPECT_EQ(listing->repository, "");
  EXPECT_TRUE(listing->anonymous);
  ASSERT_EQ(listing->files.size(), 2U);
  EXPECT_EQ(listing->files[0],
            (ListedFile{"a/b c.bin", 4, {FileIdentity::Kind::kSha256, kScopeSha256}}));
}

TEST(ModelScopeTest, FetchesAFileAtTheCommitThatBroughtItElseAtTheRevision) {
  ScriptedServer server(ServeScope);
  auto source = ScopeAt(server.Url(""));
  ModelReference model{.uri = "modelscope://org/name", .revision = "v1.0"};
  Listing listing = source->Resolve(model, {}, {}).value();
  for (const ListedFile& file : listing.files) {
    auto location = source->Locate(model, listing, file, {}, {});
    ASSERT_TRUE(location) << location.error().message;
    std::string revision = file.path == "config.json" ? "v1.0" : kScopeCommit;
    EXPECT_EQ(location->url,
              server.Url(fmt::format("/api/v1/models/org/name/repo?Revision={}&FilePath={}",
                                     revision, PercentEncode(file.path))));
  }
  EXPECT_EQ(server.Requests().size(), 4U) << "the list is read once";
}

TEST(ModelScopeTest, TheRightToListIsNotTheRightToRead) {
  ScriptedServer server([](const Request& request) {
    bool may = !request.target.contains("/repo?") || request.head.contains("Bearer right");
    return may ? ServeScope(request) : Reply{HttpAnswer(403, {}, "")};
  });
  ModelReference model{.uri = "modelscope://org/name"};
  for (const Credentials& secret :
       {Credentials{}, Credentials{.values = {{"MODELSCOPE_API_TOKEN", "wrong"}}}}) {
    auto listing = ScopeAt(server.Url(""))->Resolve(model, secret, {});
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, Code::kPermissionDenied) << listing.error().message;
    EXPECT_TRUE(listing.error().rights_may_help);
  }
  auto listing =
      ScopeAt(server.Url(""))->Resolve(model, {.values = {{"MODELSCOPE_API_TOKEN", "right"}}}, {});
  EXPECT_TRUE(listing) << listing.error().message;
}

TEST(ModelScopeTest, ARefusalByHttp200ShowsNoRight) {
  ScriptedServer server([](const Request& request) {
    if (!request.target.contains("/repo?")) return ServeScope(request);
    return Reply{HttpAnswer(200, {}, R"({"Code": 403, "Message": "no"})")};
  });
  auto listing = ScopeAt(server.Url(""))->Resolve({.uri = "modelscope://org/name"}, {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kPermissionDenied) << listing.error().message;
  EXPECT_TRUE(listing.error().rights_may_help);
  EXPECT_THAT(listing.error().message, HasSubstr("something of 30 bytes"));
}

TEST(ModelScopeTest, FilesOfOneCommitAndSizeAreNotTheSame) {
  std::string commit = "\"Revision\": \"" + kScopeCommit + "\"";
  ScriptedServer server([&](const Request& request) {
    if (!request.target.contains("/repo/files?")) return ServeScope(request);
    return Reply{HttpAnswer(
        200, {},
        ScopeFilesJson(fmt::format(
            R"({{"Path": "a", "Size": 4, {0}}}, {{"Path": "b", "Size": 4, {0}}})", commit)))};
  });
  ModelReference model{.uri = "modelscope://org/name"};
  auto source = ScopeAt(server.Url(""));
  auto listing = source->Resolve(model, {}, {});
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 2U);
  EXPECT_NE(listing->files[0].identity, listing->files[1].identity);
  EXPECT_TRUE(source->Locate(model, *listing, listing->files[1], {}, {}));
}

TEST(ModelScopeTest, FallsBackToTheRevisionWhereCommitsAreUnknown) {
  ScriptedServer server([](const Request& request) {
    if (request.target.contains("Revision=" + kScopeCommit)) return Reply{HttpAnswer(404, {}, "")};
    return ServeScope(request);
  });
  auto source = ScopeAt(server.Url(""));
  ModelReference model{.uri = "modelscope://org/name"};
  Listing listing = source->Resolve(model, {}, {}).value();
  auto location = source->Locate(model, listing, listing.files[0], {}, {});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_THAT(location->url, HasSubstr("Revision=master"));
}

TEST(ModelScopeTest, SendsTheTokenToTheEndpointOnly) {
  ScriptedServer other(
      [](const Request&) { return Reply{HttpAnswer(206, {"Content-Range: bytes 0-0/4"}, "f")}; });
  ScriptedServer server([&](const Request& request) {
    if (!request.target.contains("/repo?")) return ServeScope(request);
    std::string there = other.Url("/object?Expires=1&Signature=s", "localhost");
    return Reply{HttpAnswer(302, {"Location: " + there}, "")};
  });
  auto source = ScopeAt(server.Url(""));
  Credentials secret{.values = {{"MODELSCOPE_API_TOKEN", "ms-canary"}}};
  ModelReference model{.uri = "modelscope://org/name"};
  Listing listing = source->Resolve(model, secret, {}).value();
  EXPECT_FALSE(listing.anonymous);
  auto location = source->Locate(model, listing, listing.files[0], secret, {});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_FALSE(location->authorised);
  EXPECT_NE(location->expires_at, std::chrono::steady_clock::time_point::max());
  for (const Request& request : server.Requests()) {
    EXPECT_THAT(request.head, HasSubstr("Authorization: Bearer ms-canary"));
    EXPECT_THAT(request.head, HasSubstr("Cookie: m_session_id=ms-canary"));
  }
  EXPECT_THAT(other.Requests().at(0).head, Not(HasSubstr("canary")));
}

TEST(ModelScopeTest, SaysWhatMayBeWrong) {
  const std::pair<Reply, Code> kTable[] = {
      {{HttpAnswer(404, {}, R"({"Message": "gone"})")}, Code::kNotFound},
      {{HttpAnswer(200, {}, R"({"Code": 10010205001, "Message": "gone"})")}, Code::kNotFound},
      {{HttpAnswer(401, {}, "")}, Code::kUnauthenticated},
      {{HttpAnswer(403, {}, "")}, Code::kPermissionDenied},
      {{HttpAnswer(503, {}, "")}, Code::kUnavailable},
      {{HttpAnswer(200, {}, "<html>")}, Code::kUnavailable},
      {{HttpAnswer(200, {}, "[]")}, Code::kUnavailable},
      {{HttpAnswer(200, {}, R"({"Code": 200, "Data": {"Files": 7}})")}, Code::kUnavailable},
      {{HttpAnswer(200, {}, R"({"Code": 200, "Data": {"Files": null}})")}, Code::kInvalidArgument}};
  for (const auto& [reply, code] : kTable) {
    ScriptedServer server([&](const Request&) { return reply; });
    auto listing = ScopeAt(server.Url(""))->Resolve({.uri = "modelscope://org/name"}, {}, {});
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, code) << listing.error().message;
    if (code == Code::kNotFound) {
      EXPECT_TRUE(listing.error().rights_may_help);
      EXPECT_THAT(listing.error().message, HasSubstr("MODELSCOPE_API_TOKEN"));
      EXPECT_THAT(listing.error().message, HasSubstr("gone"));
    }
  }
}

TEST(ModelScopeTest, RefusesHostileEntries) {
  const std::string digest = R"("Sha256": ")" + kScopeSha256 + "\"";
  for (const std::string& entry :
       {R"({"Path": "../a", "Size": 1, )" + digest + "}", "{\"Size\": 1, " + digest + "}",
        "{\"Path\": \"a\", " + digest + "}", R"({"Path": "a", "Size": -1, )" + digest + "}",
        std::string(R"({"Path": "a", "Size": 1, "Sha256": "zz"})"),
        std::string(R"({"Path": "a", "Size": 1})"), std::string("7"),
        R"({"Path": "a", "Size": 1, )" + digest + R"(}, {"Path": "a", "Size": 1, )" + digest +
            "}"}) {
    ScriptedServer server(
        [&](const Request&) { return Reply{HttpAnswer(200, {}, ScopeFilesJson(entry))}; });
    auto listing = ScopeAt(server.Url(""))->Resolve({.uri = "modelscope://org/name"}, {}, {});
    ASSERT_FALSE(listing) << entry;
    EXPECT_EQ(listing.error().code, Code::kInvalidArgument) << listing.error().message;
  }
}

TEST(ModelScopeTest, NoticesAFileThatMoved) {
  std::atomic<bool> moved = false;
  ScriptedServer server([&](const Request& request) {
    if (!moved || !request.target.contains("/repo/files?")) return ServeScope(request);
    return Reply{HttpAnswer(
        200, {},
        ScopeFilesJson(fmt::format(R"({{"Path": "a/b c.bin", "Size": 4, "Sha256": "{}"}})",
                                   Digest::Of("new").Hex())))};
  });
  ModelReference model{.uri = "modelscope://org/name"};
  Listing listing = ScopeAt(server.Url(""))->Resolve(model, {}, {}).value();
  moved = true;
  auto restarted = ScopeAt(server.Url(""));
  for (const ListedFile& file : listing.files) {
    auto location = restarted->Locate(model, listing, file, {}, {});
    ASSERT_FALSE(location);
    EXPECT_EQ(location.error().code, Code::kOutOfRange);
  }
}

}  // namespace
}  // namespace weighhouse::source
