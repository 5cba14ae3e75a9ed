#include "csi/volume_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::UnorderedElementsAre;

Error Refused(const StringMap& attributes) {
  Result<VolumeContext> context = VolumeContext::Parse(attributes);
  EXPECT_FALSE(context.has_value());
  return context ? Error{} : context.error();
}

TEST(VolumeContextTest, ReadsEveryParameter) {
  auto context = VolumeContext::Parse({{"model", " hf://org/name "},
                                       {"revision", "v1"},
                                       {"allowPatterns", "*.json, *.safetensors"},
                                       {"ignorePatterns", R"(["a,b", "c"])"},
                                       {"layout", "hub"},
                                       {"csi.storage.k8s.io/pod.name", "p"},
                                       {"csi.storage.k8s.io/pod.namespace", "n"},
                                       {"csi.storage.k8s.io/pod.uid", "u"},
                                       {"storage.kubernetes.io/csiProvisionerIdentity", "x"}});
  ASSERT_TRUE(context.has_value()) << context.error().message;
  EXPECT_EQ(context->model.uri, "hf://org/name");
  EXPECT_EQ(context->model.revision, "v1");
  EXPECT_THAT(context->model.allow_patterns, Optional(ElementsAre("*.json", "*.safetensors")));
  EXPECT_THAT(context->model.ignore_patterns, Optional(ElementsAre("a,b", "c")));
  EXPECT_EQ(context->layout, Layout::kHub);
  EXPECT_EQ(context->pod_name, "p");
  EXPECT_EQ(context->pod_namespace, "n");
  EXPECT_EQ(context->pod_uid, "u");
}

TEST(VolumeContextTest, AbsentPatternsAreTheDefaultsAndEmptyOnesNoRestriction) {
  auto context = VolumeContext::Parse({{"model", "hf://org/name"}, {"ignorePatterns", ""}});
  ASSERT_TRUE(context.has_value());
  EXPECT_FALSE(context->model.allow_patterns.has_value());
  EXPECT_THAT(context->model.ignore_patterns, Optional(IsEmpty()));
  context = VolumeContext::Parse({{"model", "hf://org/name"}, {"ignorePatterns", "[]"}});
  EXPECT_THAT(context->model.ignore_patterns, Optional(IsEmpty()));
}

TEST(VolumeContextTest, MissingModelIsRefused) {
  for (const StringMap& attributes : {StringMap{}, StringMap{{"model", "  "}}}) {
    Error error = Refused(attributes);
    EXPECT_EQ(error.code, Code::kInvalidArgument);
    EXPECT_THAT(error.message, HasSubstr("`model`"));
  }
}

TEST(VolumeContextTest, UnknownParameterIsNamedWithTheNearestKnownOne) {
  Error error = Refused({{"model", "hf://org/name"}, {"revison", "x"}});
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("`revison`"));
  EXPECT_THAT(error.message, HasSubstr("`revision`"));
  error = Refused({{"model", "hf://org/name"}, {"zzzzzz", "x"}});
  EXPECT_THAT(error.message, HasSubstr("known are model"));
  error = Refused({{"model", "hf://org/name"}, {"bad\nkey", "x"}});
  EXPECT_THAT(error.message, HasSubstr("`bad?key`"));
}

TEST(VolumeContextTest, MalformedValuesAreRefused) {
  for (const StringMap& attributes :
       {StringMap{{"model", "ftp://x"}}, StringMap{{"model", "hf://a/b"}, {"layout", "tree"}},
        StringMap{{"model", "hf://a/b"}, {"allowPatterns", "[1]"}},
        StringMap{{"model", "hf://a/b"}, {"allowPatterns", "[\"a\""}},
        StringMap{{"model", "hf://a/b"}, {"allowPatterns", "[\"\"]"}},
        StringMap{{"model", "hf://a/b"}, {"allowPatterns", std::string(300, 'x')}},
        StringMap{{"model", "hf://a/b"}, {"ignorePatterns", "a\tb\x01"}},
        StringMap{{"model", "hf://a/b@x"}, {"revision", "y"}}}) {
    EXPECT_EQ(Refused(attributes).code, Code::kInvalidArgument);
  }
}

TEST(VolumeContextTest, TheCommitThatARevisionMeantIsTaken) {
  std::string commit(40, 'a');
  auto context =
      VolumeContext::Parse({{"model", "hf://org/name"}, {"revision", "main"}, {"commit", commit}});
  ASSERT_TRUE(context.has_value()) << context.error().message;
  EXPECT_EQ(context->model.revision, "main");
  EXPECT_EQ(context->model.commit, commit);
  EXPECT_THAT(Refused({{"model", "hf://org/name"}, {"commit", std::string(41, 'a')}}).message,
              HasSubstr("40 lower-case"));
  EXPECT_THAT(Refused({{"model", "file:///m"}, {"commit", commit}}).message,
              HasSubstr("no commits"));
}

TEST(VolumeContextTest, WhereClaimsAreProvisionedIsTheStorageClassesWord) {
  for (const char* key : {"cachedOnly", "placement"}) {
    EXPECT_THAT(Refused({{"model", "hf://org/name"}, {key, "x"}}).message,
                AllOf(HasSubstr(key), HasSubstr("StorageClass")));
    EXPECT_TRUE(CheckParameters({{key, "x"}}, ParameterPlace::kStorageClass).has_value());
  }
  EXPECT_FALSE(CheckParameters({{"commit", "x"}}, ParameterPlace::kStorageClass).has_value());
}

TEST(VolumeContextTest, AScratchVolumeHasASize) {
  auto size = [](StringMap attributes) {
    attributes["model"] = "hf://org/name";
    auto context = VolumeContext::Parse(attributes);
    EXPECT_TRUE(context.has_value()) << context.error().message;
    return context ? context->scratch_size : 0;
  };
  EXPECT_EQ(size({}), 0U);
  EXPECT_EQ(size({{"access", "readOnly"}}), 0U);
  EXPECT_EQ(size({{"access", "scratch"}}), kGiB);
  EXPECT_EQ(size({{"access", " scratch "}, {"scratchSize", " 2Gi "}}), 2 * kGiB);
  EXPECT_EQ(size({{"access", "scratch"}, {"scratchSize", "1Mi"}}), kMiB);
}

TEST(VolumeContextTest, WhatIsNoAccessOrNoSizeIsRefusedAndNamed) {
  auto message = [](StringMap attributes) {
    attributes["model"] = "hf://org/name";
    Error error = Refused(attributes);
    EXPECT_EQ(error.code, Code::kInvalidArgument);
    return error.message;
  };
  EXPECT_THAT(message({{"access", "readwrite"}}), HasSubstr("`readwrite`"));
  EXPECT_THAT(message({{"scratchSize", "1Gi"}}), HasSubstr("`access: scratch`"));
  EXPECT_THAT(message({{"access", "readOnly"}, {"scratchSize", "1Gi"}}),
              HasSubstr("`access: scratch`"));
  for (const char* size : {"0", "1Ki", "2000Gi", "-1", "much", "1 Gi"}) {
    EXPECT_THAT(message({{"access", "scratch"}, {"scratchSize", size}}), HasSubstr("scratchSize"))
        << size;
  }
}

TEST(VolumeContextTest, LimitsCountAndSize) {
  std::string many = "a";
  for (int i = 0; i < 64; ++i) many += ",b";
  EXPECT_THAT(Refused({{"model", "hf://a/b"}, {"allowPatterns", many}}).message,
              HasSubstr("at most 64"));
  std::string large(5000, 'x');
  EXPECT_THAT(Refused({{"model", "hf://a/b"}, {"allowPatterns", large}}).message,
              HasSubstr("at most 4096"));
  EXPECT_TRUE(VolumeContext::Parse(
                  {{"model", "hf://a/b"}, {"csi.storage.k8s.io/serviceAccount.tokens", large}})
                  .has_value());
}

TEST(VolumeContextTest, InlineVolumesAreTold) {
  std::string inline_id = "csi-" + std::string(64, 'a');
  EXPECT_TRUE(IsInlineVolume(inline_id, {}));
  EXPECT_TRUE(IsInlineVolume("x", {{"csi.storage.k8s.io/ephemeral", "true"}}));
  EXPECT_FALSE(IsInlineVolume("x", {{"csi.storage.k8s.io/ephemeral", "false"}}));
  EXPECT_FALSE(IsInlineVolume("csi-abc", {}));
}

TEST(VolumeContextTest, AForgedEphemeralKeyDoesNotHideAnInlineVolume) {
  std::string inline_id = "csi-" + std::string(64, 'a');
  EXPECT_TRUE(IsInlineVolume(inline_id, {{"csi.storage.k8s.io/ephemeral", "false"}}));
}

TEST(VolumeContextTest, PodInfoMustBeCompleteAndMatchTheTarget) {
  VolumeContext context;
  EXPECT_EQ(CheckPodInfo(context, "u").error().code, Code::kFailedPrecondition);
  context.pod_name = "p";
  context.pod_namespace = "n";
  EXPECT_THAT(CheckPodInfo(context, "u").error().message, HasSubstr("podInfoOnMount"));
  context.pod_uid = "u";
  EXPECT_TRUE(CheckPodInfo(context, "u").has_value());
  EXPECT_TRUE(CheckPodInfo(context, "").has_value());
  EXPECT_EQ(CheckPodInfo(context, "other").error().code, Code::kFailedPrecondition);
}

TEST(VolumeContextTest, OnlyKnownCredentialsAreTaken) {
  auto credentials = SelectCredentials({{"HF_TOKEN", "a"}, {"token", "b"}, {"other", "c"}});
  ASSERT_TRUE(credentials.has_value());
  EXPECT_THAT(credentials->values,
              UnorderedElementsAre(testing::Pair("HF_TOKEN", "a"), testing::Pair("token", "b")));
}

TEST(VolumeContextTest, KeysOfBucketsAreCredentials) {
  auto credentials = SelectCredentials({{"AWS_ACCESS_KEY_ID", "a"},
                                        {"AWS_SECRET_ACCESS_KEY", "b"},
                                        {"AWS_ENDPOINT_URL", "c"},
                                        {"gcloud-application-credentials.json", "{}"}});
  ASSERT_TRUE(credentials.has_value());
  EXPECT_EQ(credentials->values.size(), 4U);
}

TEST(VolumeContextTest, ASecretWithoutAKnownKeyIsRefusedByTheNamesOfItsKeys) {
  auto credentials = SelectCredentials({{"HF_TOKN", "s3cret"}, {"other", "s3cret"}});
  ASSERT_FALSE(credentials.has_value());
  EXPECT_EQ(credentials.error().code, Code::kInvalidArgument);
  EXPECT_THAT(credentials.error().message,
              AllOf(HasSubstr("HF_TOKN, other"), HasSubstr("HF_TOKEN, token"),
                    testing::Not(HasSubstr("s3cret"))));
}

TEST(VolumeContextTest, NoSecretAndKubeletsOwnKeysAreNoCredentials) {
  for (const StringMap& secrets :
       {StringMap{}, StringMap{{"csi.storage.k8s.io/serviceAccount.tokens", "{}"}}}) {
    auto credentials = SelectCredentials(secrets);
    ASSERT_TRUE(credentials.has_value()) << credentials.error().message;
    EXPECT_TRUE(credentials->values.empty());
  }
}

}  // namespace
}  // namespace weighhouse::csi
