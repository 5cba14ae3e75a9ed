#include "cache-daemon/source/source_registry.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/source/scripted_server.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;

Code CreateCode(SourceOptions options) {
  auto registry = SourceRegistry::Create(std::move(options));
  return registry ? Code{} : registry.error().code;
}

TEST(SourceRegistryTest, GivesEachSchemeItsSource) {
  auto registry = SourceRegistry::Create({.local_roots = {"/models/"}});
  ASSERT_TRUE(registry);
  auto hub = (*registry)->For({.uri = "hf://org/name"});
  auto https = (*registry)->For({.uri = "https://h/f"}),
       http = (*registry)->For({.uri = "http://localhost/f"});
  auto file = (*registry)->For({.uri = "file:///models/m"});
  ASSERT_TRUE(hub && https && http && file);
  EXPECT_EQ(*https, *http);
  EXPECT_NE(*hub, *https);
  EXPECT_NE(*hub, *file);
  auto s3 = (*registry)->For({.uri = "s3://b/p"}), gcs = (*registry)->For({.uri = "gs://b/p"});
  ASSERT_TRUE(s3 && gcs);
  EXPECT_NE(*s3, *gcs);
}

TEST(SourceRegistryTest, SaysThatAnAdminMustAllowLocalModels) {
  auto registry = SourceRegistry::Create({});
  ASSERT_TRUE(registry);
  auto file = (*registry)->For({.uri = "file:///models/m"});
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kPermissionDenied);
  EXPECT_THAT(file.error().message, HasSubstr("sources.local.roots"));
  EXPECT_EQ((*registry)->For({.uri = "ftp://b/p"}).error().code, Code::kInvalidArgument);
}

TEST(SourceRegistryTest, AllowsOtherLocalRootsWhileItIsUsed) {
  auto registry = SourceRegistry::Create({.local_roots = {"/models"}});
  ASSERT_TRUE(registry);
  auto under_way = (*registry)->For({.uri = "file:///models/m"});
  ASSERT_TRUE(under_way);
  ASSERT_TRUE((*registry)->Allow({}));
  EXPECT_EQ((*registry)->For({.uri = "file:///models/m"}).error().code, Code::kPermissionDenied);
  ASSERT_TRUE((*registry)->Allow({.local_roots = {"/models"}}));
  EXPECT_TRUE((*registry)->For({.uri = "file:///models/m"}));
  EXPECT_EQ((*registry)->Allow({.local_roots = {"models"}}).error().code, Code::kInvalidArgument);
  EXPECT_TRUE((*registry)->For({.uri = "file:///models/m"})) << "as before";
}

TEST(SourceRegistryTest, ServesOnlyWhatIsAllowed) {
  auto registry = SourceRegistry::Create({.allow = {"hf://org/*", "https://models.example/a/*"}});
  ASSERT_TRUE(registry);
  auto code = [&](const char* uri) {
    auto source = (*registry)->For({.uri = uri});
    return source ? Code{} : source.error().code;
  };
  for (const char* uri : {"hf://org/name", "https://models.example/a/b?key=1"}) {
    EXPECT_EQ(code(uri), Code{}) << uri;
  }
  for (const char* uri :
       {"hf://other/name", "hf://org", "https://models.example/b", "https://models.example/a/../b",
        "https://models.example/a/%2E%2e/b", "https://other.example/?https://models.example/a/b",
        "https://models.example.evil/a/b", "HF://org/name"}) {
    EXPECT_EQ(code(uri), Code::kPermissionDenied) << uri;
  }
  EXPECT_THAT((*registry)->For({.uri = "hf://other/name"}).error().message,
              testing::AllOf(HasSubstr("hf://other/name"), HasSubstr("sources.allow"),
                             HasSubstr("hf://org/*")));
  ASSERT_TRUE((*registry)->Allow({.allow = {}}));
  EXPECT_EQ(code("hf://org/name"), Code::kPermissionDenied);
  ASSERT_TRUE((*registry)->Allow({}));
  EXPECT_EQ(code("https://models.example/a/../b"), Code{});
}

TEST(SourceRegistryTest, JudgesTheServiceThatASecretNamesByItsOwnName) {
  auto registry = SourceRegistry::Create({.allow = {"s3://ours/*", "s3+https://known.example/*"},
                                          .buckets = {.s3_endpoint = "http://192.0.2.1:9000"}});
  ASSERT_TRUE(registry);
  auto check = [&](std::map<std::string, std::string> secret) {
    return (*registry)->CheckFor({.uri = "s3://ours/model"}, {std::move(secret)}, {});
  };
  EXPECT_TRUE(check({}));
  EXPECT_TRUE(check({{"AWS_ENDPOINT_URL", "http://192.0.2.1:9000/"}})) << "the configured one";
  EXPECT_TRUE(check({{"AWS_ENDPOINT_URL", "https://known.example"}}));
  for (const char* key : {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}) {
    Result<> elsewhere = check({{key, "https://Evil.example:443/"}});
    ASSERT_FALSE(elsewhere) << key;
    EXPECT_EQ(elsewhere.error().code, Code::kPermissionDenied);
    EXPECT_THAT(elsewhere.error().message,
                testing::StartsWith("s3+https://evil.example/ours/model: "));
  }
  ASSERT_TRUE((*registry)->Allow({.deny = {"s3+https://evil.example/*"}}));
  for (const char* name : {"https://evil.example", "https://EVIL.example.:443"}) {
    EXPECT_FALSE(check({{"AWS_ENDPOINT_URL", name}})) << name;
  }
  EXPECT_TRUE(check({{"AWS_ENDPOINT_URL", "https://known.example"}}));
}

TEST(SourceRegistryTest, RefusesOptionsThatCantWork) {
  EXPECT_EQ(CreateCode({.hub_endpoint = "ftp://h"}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.hub_endpoint = "huggingface.co"}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.hub_endpoint = "https://user:pw@h"}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.hub_endpoint = "https://h/?a=b"}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.local_roots = {"models"}}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.ca_file = "/nowhere.pem"}), Code::kFailedPrecondition);
  EXPECT_EQ(CreateCode({.hub_endpoint = "https://mirror.example/prefix/"}), Code{});
  EXPECT_EQ(CreateCode({.buckets = {.s3_endpoint = "minio:9000"}}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.buckets = {.s3_region = "EU"}}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.buckets = {.gcs_endpoint = "https://h/?a=b"}}), Code::kInvalidArgument);
  EXPECT_EQ(CreateCode({.buckets = {.s3_endpoint = "http://127.0.0.1:9000/"}}), Code{});
}

TEST(SourceRegistryTest, TakesTheEnvironmentsEndpointWhereNoneIsGiven) {
  ScriptedServer server([](const ScriptedServer::Request&) {
    return ScriptedServer::Reply{HttpAnswer(404, {"X-Error-Code: RevisionNotFound"}, "")};
  });
  setenv("HF_ENDPOINT", server.Url("/prefix/").c_str(), 1);
  auto registry = SourceRegistry::Create({});
  unsetenv("HF_ENDPOINT");
  ASSERT_TRUE(registry);
  auto hub = (*registry)->For({.uri = "hf://org/name"}).value();
  EXPECT_EQ(hub->Resolve({.uri = "hf://org/name", .revision = "refs/pr/4"}, {}, {}).error().code,
            Code::kNotFound);
  EXPECT_EQ(server.Requests()[0].target, "/prefix/api/models/org/name/revision/refs%2Fpr%2F4");
}

}  // namespace
}  // namespace weighhouse::source
