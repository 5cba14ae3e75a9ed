#include "cache-daemon/source/web/web_list.h"

#include <functional>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/file_filter.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

const std::string kShaA = Digest::Of("aaaa").Hex();
const std::string kShaB = Digest::Of("bb").Hex();

std::shared_ptr<WebList> NewWebList() {
  return std::make_shared<WebList>(
      std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()}),
      NewSecretDigest().value());
}

ModelReference Named(const std::string& model) { return ModelReference::Parse(model).value(); }

/// What HEAD answers of a file of `size` bytes.
std::string HeadOf(int size) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"e\"\r\n\r\n", size);
}

/// A directory with a list, and two files of 4 and 2 bytes.
Reply ServeDirectory(const Request& request) {
  if (request.target.starts_with("/m/SHA256SUMS")) {
    return {HttpAnswer(200, {}, kShaA + "  a.json\n" + kShaB + "  sub dir/b.bin\n")};
  }
  if (request.target.starts_with("/m/a.json")) return {HeadOf(4)};
  if (request.target.starts_with("/m/sub%20dir/b.bin")) return {HeadOf(2)};
  return {HttpAnswer(404, {}, request.method == "HEAD" ? "" : "no such file")};
}

TEST(WebListTest, ListsADirectoryByItsSumsAndAsksForTheSizes) {
  ScriptedServer server(ServeDirectory);
  auto source = NewWebList();
  ModelReference model = Named(server.Url("/m/"));
  auto listing = source->Resolve(model, {}, {});
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->origin, server.Url("/m/"));
  EXPECT_TRUE(listing->anonymous);
  ASSERT_EQ(listing->files.size(), 2U);
  EXPECT_EQ(listing->files[0], (ListedFile{"a.json", 4, {FileIdentity::Kind::kSha256, kShaA}}));
  EXPECT_EQ(listing->files[1],
            (ListedFile{"sub dir/b.bin", 2, {FileIdentity::Kind::kSha256, kShaB}}));
  auto location = source->Locate(model, *listing, listing->files[1], {}, {});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->url, server.Url("/m/sub%20dir/b.bin"));
  EXPECT_FALSE(location->authorised);
}

TEST(WebListTest, SendsTheQueryAndTheCredentialsAlongAndShowsNeither) {
  ScriptedServer server(ServeDirectory);
  auto source = NewWebList();
  ModelReference model = Named(server.Url("/m/?sv=2024&sig=canary%2Bsignature"));
  Credentials secret{.values = {{"username", "me"}, {"password", "canary-word"}}};
  auto listing = source->Resolve(model, secret, {});
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->origin, server.Url("/m/"));
  EXPECT_FALSE(listing->anonymous);
  auto location = source->Locate(model, *listing, listing->files[0], secret, {});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_TRUE(location->authorised);
  EXPECT_EQ(location->url, server.Url("/m/a.json?sv=2024&sig=canary%2Bsignature"));
  for (const Request& request : server.Requests()) {
    EXPECT_THAT(request.target, HasSubstr("?sv=2024&sig=canary%2Bsignature"));
    EXPECT_THAT(request.head, HasSubstr("Authorization: Basic bWU6Y2FuYXJ5LXdvcmQ="));
  }
}

TEST(WebListTest, KeepsWhatIsSecretOutOfErrors) {
  ScriptedServer server([](const Request& request) {
    return Reply{HttpAnswer(403, {}, "you sent " + request.target + " " + request.head)};
  });
  auto listing = NewWebList()->Resolve(Named(server.Url("/m/?sig=canary%2Bsignature")),
                                       {.values = {{"HTTP_TOKEN", "canary-token"}}}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kPermissionDenied);
  EXPECT_TRUE(listing.error().rights_may_help);
  EXPECT_THAT(listing.error().message, Not(HasSubstr("canary")));
}

TEST(WebListTest, KeepsADecodedPasswordOutOfErrors) {
  ScriptedServer server(
      [](const Request&) { return Reply{HttpAnswer(403, {}, "me is no canary pass word:")}; });
  Credentials secret{.values = {{"username", "me"}, {"password", "canary pass word:"}}};
  auto listing = NewWebList()->Resolve(Named(server.Url("/m/")), secret, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kPermissionDenied);
  EXPECT_THAT(listing.error().message, HasSubstr("me is no [secret]"));
}

TEST(WebListTest, SaysWhatADirectoryWithoutAListLacks) {
  ScriptedServer server([](const Request&) { return Reply{HttpAnswer(404, {}, "")}; });
  auto listing = NewWebList()->Resolve(Named(server.Url("/m/")), {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kNotFound);
  EXPECT_THAT(listing.error().message, HasSubstr(server.Url("/m/") + " has no SHA256SUMS"));
}

TEST(WebListTest, NamesAListedFileThatIsNotThere) {
  ScriptedServer server([](const Request& request) {
    if (request.target == "/m/a.json") return Reply{HttpAnswer(404, {}, "")};
    return ServeDirectory(request);
  });
  auto listing = NewWebList()->Resolve(Named(server.Url("/m/")), {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kNotFound);
  EXPECT_THAT(listing.error().message, HasSubstr("the list's a.json"));
}

TEST(WebListTest, HoldsTheListToTheDigestOfTheReference) {
  ScriptedServer server(ServeDirectory);
  std::string text = kShaA + "  a.json\n" + kShaB + "  sub dir/b.bin\n";
  auto source = NewWebList();
  std::string good = server.Url("/m/#sha256=") + Digest::Of(text).Hex();
  EXPECT_TRUE(source->Resolve(Named(good), {}, {}));
  auto listing = source->Resolve(Named(server.Url("/m/#sha256=") + kShaA), {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(listing.error().message, HasSubstr(Digest::Of(text).Hex()));
}

TEST(WebListTest, ResolvesAManifestsUrlsAndSendsCredentialsNowhereElse) {
  ScriptedServer other([](const Request&) { return Reply{HeadOf(2)}; });
  ScriptedServer server([&](const Request& request) {
    if (request.target.starts_with("/m/list.json")) {
      return Reply{
          HttpAnswer(200, {},
                     fmt::format(R"({{"files": [{{"path": "a.json", "sha256": "{}", "size": 4}},
                     {{"path": "b.bin", "sha256": "{}", "url": "{}"}},
                     {{"path": "c.bin", "sha256": "{}", "url": "../blobs/c"}}]}})",
                                 kShaA, kShaB, other.Url("/b", "localhost"), kShaB))};
    }
    return Reply{HeadOf(request.target.starts_with("/blobs/c") ? 2 : 4)};
  });
  auto source = NewWebList();
  Credentials secret{.values = {{"HTTP_TOKEN", "canary-token"}}};
  ModelReference model = Named(server.Url("/m/list.json?sig=canary-sig#manifest"));
  auto listing = source->Resolve(model, secret, {});
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->origin, server.Url("/m/list.json#manifest"));
  std::vector<std::string> urls;
  for (const ListedFile& file : listing->files) {
    auto location = source->Locate(model, *listing, file, secret, {});
    ASSERT_TRUE(location) << location.error().message;
    urls.push_back(location->url);
    EXPECT_EQ(location->authorised, file.path != "b.bin");
  }
  EXPECT_THAT(urls, testing::ElementsAre(server.Url("/m/a.json?sig=canary-sig"),
                                         other.Url("/b", "localhost"),
                                         server.Url("/blobs/c?sig=canary-sig")));
  for (const Request& request : other.Requests()) {
    EXPECT_THAT(request.head, Not(HasSubstr("canary")));
  }
}

/// The rows of a manifest of `count` files, each with what `rest` says of it.
std::string ManifestOf(int count, const std::function<std::string(int)>& rest) {
  std::string rows;
  for (int i = 0; i < count; ++i) {
    rows += fmt::format(R"({}{{"path": "{}", "sha256": "{}"{}}})", i == 0 ? "" : ", ", i, kShaA,
                        rest(i));
  }
  return fmt::format(R"({{"files": [{}]}})", rows);
}

/// The rights to all of it, or to what `patterns` leave.
Result<bool> RightsTo(WebList& source, ModelReference model, const Credentials& credentials = {},
                      std::optional<std::vector<std::string>> patterns = {}) {
  model.allow_patterns = std::move(patterns);
  Result<Listing> listing = source.Resolve(model, credentials, {});
  if (listing) listing = ApplyPatterns(*listing, model);
  if (!listing) return std::unexpected(std::move(listing).error());
  return source.ShowRights(model, credentials, *listing, {});
}

/// What a manifest says of a file in `directory`.
std::string RowOf(const std::string& directory, const std::string& name, int size) {
  return fmt::format(R"({{"path": "{}/{}", "sha256": "{}", "size": {}}})", directory, name, kShaA,
                     size);
}

TEST(WebListTest, AListThatMayBeReadGivesNoRightToWhatItNames) {
  std::string rows =
      RowOf("open", "a", 4) + "," + RowOf("shut", "empty", 0) + "," + RowOf("open", "shut", 4);
  for (int i = 0; i < 100; ++i) rows += "," + RowOf(std::to_string(i), "large", 1000);
  ScriptedServer server([&](const Request& request) {
    if (request.target == "/m/list.json")
      return Reply{HttpAnswer(200, {}, R"({"files": [)" + rows + "]}")};
    if (request.target.ends_with("/large")) return Reply{HeadOf(1000)};
    bool may = request.target == "/m/open/a" || request.head.contains("Bearer right");
    return Reply{may ? HeadOf(4) : HttpAnswer(403, {}, "")};
  });
  ModelReference model = Named(server.Url("/m/list.json#manifest"));
  auto source = NewWebList();
  auto stranger = RightsTo(*source, model);
  ASSERT_FALSE(stranger) << "neither a larger one beside it nor a hundred others speak for it";
  EXPECT_EQ(stranger.error().code, Code::kPermissionDenied);
  EXPECT_TRUE(stranger.error().rights_may_help);
  EXPECT_THAT(stranger.error().message, HasSubstr("the list's open/shut"));
  EXPECT_FALSE(RightsTo(*source, model, {.values = {{"HTTP_TOKEN", "wrong"}}}));
  EXPECT_EQ(RightsTo(*source, model, {.values = {{"HTTP_TOKEN", "right"}}}), false);
  EXPECT_EQ(RightsTo(*source, model, {}, {{"open/a", "*/empty"}}), true) << "that part is public";
  EXPECT_EQ(RightsTo(*source, model, {.values = {{"HTTP_TOKEN", "wrong"}}}, {{"open/a"}}), false)
      << "a part of it is theirs";
}

TEST(WebListTest, SomethingElseInTheFilesPlaceShowsNoRight) {
  ScriptedServer server([&](const Request& request) {
    if (request.target == "/m/list.json") {
      return Reply{HttpAnswer(200, {}, R"({"files": [)" + RowOf("d", "a", 4) + "]}")};
    }
    if (request.target == "/login") return Reply{HeadOf(27)};
    return Reply{HttpAnswer(302, {"Location: /login"}, "")};
  });
  auto shown = RightsTo(*NewWebList(), Named(server.Url("/m/list.json#manifest")));
  ASSERT_FALSE(shown) << "who isn't logged in is sent to a page, by HTTP 200";
  EXPECT_EQ(shown.error().code, Code::kPermissionDenied);
  EXPECT_TRUE(shown.error().rights_may_help);
  EXPECT_THAT(shown.error().message, HasSubstr("27 bytes"));
}

TEST(WebListTest, WhatWasAskedForItsSizeIsNotAskedForAgain) {
  ScriptedServer server(ServeDirectory);
  auto source = NewWebList();
  EXPECT_EQ(RightsTo(*source, Named(server.Url("/m/"))), true);
  EXPECT_EQ(server.Requests().size(), 3U);
}

TEST(WebListTest, WhoAsksForAPartOfAListNeedsNoRightToTheRest) {
  ScriptedServer server([](const Request& request) {
    if (request.target == "/m/a.json") return Reply{HttpAnswer(403, {}, "")};
    return ServeDirectory(request);
  });
  auto source = NewWebList();
  ModelReference model = Named(server.Url("/m/"));
  EXPECT_EQ(RightsTo(*source, model).error().code, Code::kPermissionDenied);
  EXPECT_EQ(RightsTo(*source, model, {}, {{"a.json"}}).error().code, Code::kPermissionDenied);
  EXPECT_EQ(RightsTo(*source, model, {}, {{"sub dir/*"}}), true);
  // One revision for all who may read the list, whatever they may read of it.
  model.allow_patterns = {"sub dir/*"};
  std::string of_part = source->Resolve(model, {}, {})->revision;
  ScriptedServer open(ServeDirectory);
  EXPECT_EQ(source->Resolve(Named(open.Url("/m/")), {}, {})->revision, of_part);
}

TEST(WebListTest, WhatServersHideFromStrangersIsNoReasonToRefuseTheRest) {
  ScriptedServer server([](const Request& request) {
    if (request.target == "/m/a.json") return Reply{HttpAnswer(404, {}, "")};
    return ServeDirectory(request);
  });
  auto source = NewWebList();
  ModelReference model = Named(server.Url("/m/"));
  EXPECT_EQ(RightsTo(*source, model).error().code, Code::kNotFound);
  EXPECT_EQ(RightsTo(*source, model, {}, {{"sub dir/*"}}), true);
}

TEST(WebListTest, AsksOtherServersForFewSizes) {
  std::string url = "http://localhost:1/w";  // where nobody answers
  std::string manifest;
  ScriptedServer server([&](const Request& request) {
    if (request.target == "/list.json") return Reply{HttpAnswer(200, {}, manifest)};
    return Reply{HeadOf(4)};
  });
  ModelReference model = Named(server.Url("/list.json#manifest"));
  manifest = ManifestOf(101, [&](int) { return fmt::format(R"(, "url": "{}")", url); });
  auto listing = NewWebList()->Resolve(model, {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument) << listing.error().message;
  EXPECT_THAT(listing.error().message, HasSubstr("101 files at other servers"));
  EXPECT_EQ(server.Requests().size(), 1U);
  manifest = ManifestOf(101, [](int) { return std::string(); });
  listing = NewWebList()->Resolve(model, {}, {});
  EXPECT_TRUE(listing) << listing.error().message;
}

TEST(WebListTest, AsksOtherServersForFewFilesToShowRights) {
  ScriptedServer other([](const Request&) { return Reply{HeadOf(4)}; });
  std::string manifest = ManifestOf(120, [&](int i) {
    std::string url = i < 110 ? fmt::format(R"(, "url": "{}")", other.Url("/w", "localhost")) : "";
    return R"(, "size": 4)" + url;
  });
  ScriptedServer server([&](const Request& request) {
    if (request.target == "/list.json") return Reply{HttpAnswer(200, {}, manifest)};
    return Reply{HeadOf(4)};
  });
  EXPECT_EQ(RightsTo(*NewWebList(), Named(server.Url("/list.json#manifest"))), true);
  EXPECT_EQ(other.Requests().size(), WebList::kMostAskedElsewhere);
  EXPECT_EQ(server.Requests().size(), 11U) << "its own are all asked for";
}

TEST(WebListTest, ASumsFileMayNotNameTooManyFiles) {
  std::string sums;
  for (size_t i = 0; i <= WebList::kMostUnsized; ++i) sums += fmt::format("{}  {}\n", kShaA, i);
  ScriptedServer server([&](const Request&) { return Reply{HttpAnswer(200, {}, sums)}; });
  auto listing = NewWebList()->Resolve(Named(server.Url("/m/")), {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument) << listing.error().message;
  EXPECT_EQ(server.Requests().size(), 1U);
}

TEST(WebListTest, ReadsTheListOncePerFill) {
  ScriptedServer server(ServeDirectory);
  auto source = NewWebList();
  ModelReference model = Named(server.Url("/m/"));
  Listing listing = source->Resolve(model, {}, {}).value();
  for (const ListedFile& file : listing.files) {
    EXPECT_TRUE(source->Locate(model, listing, file, {}, {}));
  }
  auto is_list = [](const Request& request) { return request.target == "/m/SHA256SUMS"; };
  EXPECT_EQ(std::ranges::count_if(server.Requests(), is_list), 1);
}

TEST(WebListTest, NoticesAFileThatChanged) {
  ScriptedServer server(ServeDirectory);
  auto source = NewWebList();
  ModelReference model = Named(server.Url("/m/"));
  Listing listing = source->Resolve(model, {}, {}).value();
  ListedFile other_size = listing.files[0], other_content = listing.files[0];
  other_size.size = 5;
  other_content.identity.value = kShaB;
  for (const ListedFile& file : {other_size, other_content}) {
    auto location = source->Locate(model, listing, file, {}, {});
    ASSERT_FALSE(location);
    EXPECT_EQ(location.error().code, Code::kOutOfRange);
  }
}

TEST(WebListTest, RefusesASecretThatIsAmbiguousOrHalf) {
  const std::map<std::string, std::string> kSecrets[] = {
      {{"token", "t"}, {"username", "u"}, {"password", "p"}},
      {{"username", "u"}},
      {{"password", "p"}},
      {{"HTTP_TOKEN", "a\nb"}},
      {{"username", "a:b"}, {"password", "p"}},
      {{"username", "u"}, {"password", "p\r\nX: y"}}};
  for (const auto& values : kSecrets) {
    auto listing = NewWebList()->Resolve(Named("http://127.0.0.1:1/m/"), {.values = values}, {});
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, Code::kUnauthenticated) << listing.error().message;
  }
}

TEST(WebListTest, SendsNoCredentialsOverPlainHttp) {
  auto listing =
      NewWebList()->Resolve(Named("http://192.0.2.1/m/"), {.values = {{"HTTP_TOKEN", "t"}}}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  EXPECT_THAT(listing.error().message, HasSubstr("not sent over plain http"));
}

}  // namespace
}  // namespace weighhouse::source
