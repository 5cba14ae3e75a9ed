#include "cache-daemon/api/translate.h"

#include <chrono>

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;

const std::string kId(64, 'a');

pb::AcquireRequest ValidRequest() {
  pb::AcquireRequest request;
  request.set_lease_id(kId);
  request.mutable_holder()->set_target_path("/var/lib/kubelet/pods/u/volumes/v/mount");
  request.mutable_model()->set_uri("hf://org/name");
  return request;
}

TEST(TranslateTest, AnUpdateOfPublishesIsNeverMoreThanGrpcsClientsTake) {
  const std::string longest(4096, 'x');
  PublishView publish{.lease_id = kId,
                      .holder = {longest, longest, longest, longest, longest},
                      .model = longest,
                      .state = PublishView::Refused{{Code::kInternal, longest}}};
  std::vector<PublishView> publishes(1024, publish);
  pb::PublishesUpdate update = FromPublishes(publishes);
  EXPECT_LE(update.ByteSizeLong(), 4u << 20);
  EXPECT_GT(update.publishes_size(), 100);
  publishes.resize(100);
  EXPECT_EQ(FromPublishes(publishes).publishes_size(), 100);
}

TEST(TranslateTest, TakesAFullAcquireRequest) {
  pb::AcquireRequest request = ValidRequest();
  request.mutable_holder()->set_pod_uid("u");
  request.mutable_model()->set_revision("v1");
  request.mutable_model()->mutable_allow()->add_globs("*.json");
  request.mutable_model()->mutable_ignore();
  request.set_layout(pb::LAYOUT_HUB);
  (*request.mutable_credentials())["HF_TOKEN"] = "hf_secret";

  Result<AcquireRequest> taken = ToAcquireRequest(request);

  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->lease_id, kId);
  EXPECT_EQ(taken->holder.pod_uid, "u");
  EXPECT_EQ(taken->model.revision, "v1");
  EXPECT_EQ(taken->model.allow_patterns, std::vector<std::string>{"*.json"});
  ASSERT_TRUE(taken->model.ignore_patterns) << "present and empty means no restriction";
  EXPECT_TRUE(taken->model.ignore_patterns->empty());
  EXPECT_EQ(taken->layout, Layout::kHub);
  EXPECT_EQ(taken->credentials.First({"HF_TOKEN"}), "hf_secret");
}

TEST(TranslateTest, LeavesAbsentPatternsToTheDefaults) {
  Result<AcquireRequest> taken = ToAcquireRequest(ValidRequest());
  ASSERT_TRUE(taken);
  EXPECT_FALSE(taken->model.allow_patterns);
  EXPECT_FALSE(taken->model.ignore_patterns);
  EXPECT_EQ(taken->layout, Layout::kFiles);
}

TEST(TranslateTest, NeedsNoHolderWithoutALease) {
  pb::AcquireRequest request = ValidRequest();
  request.clear_lease_id();
  request.clear_holder();
  EXPECT_TRUE(ToAcquireRequest(request));
}

struct BadRequest {
  std::string name;
  void (*spoil)(pb::AcquireRequest&);
  std::string says;
};

class BadAcquireRequestTest : public ::testing::TestWithParam<BadRequest> {};

TEST_P(BadAcquireRequestTest, IsInvalidArgumentAndSaysWhy) {
  pb::AcquireRequest request = ValidRequest();
  GetParam().spoil(request);
  Result<AcquireRequest> taken = ToAcquireRequest(request);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kInvalidArgument);
  EXPECT_THAT(taken.error().message, HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadAcquireRequestTest,
    ::testing::Values(
        BadRequest{"ShortLease", [](pb::AcquireRequest& r) { r.set_lease_id("abc"); },
                   "lease_id 'abc' is not an id"},
        BadRequest{"UpperCaseLease",
                   [](pb::AcquireRequest& r) { r.set_lease_id(std::string(64, 'A')); },
                   "64 lower-case hexadecimal digits"},
        BadRequest{"LeaseWithoutTarget", [](pb::AcquireRequest& r) { r.clear_holder(); },
                   "holder.target_path is empty"},
        BadRequest{"ControlCharacterInHolder",
                   [](pb::AcquireRequest& r) { r.mutable_holder()->set_pod_name("a\nb"); },
                   "holder.pod_name 'a?b' has control characters"},
        BadRequest{"LongVolumeId",
                   [](pb::AcquireRequest& r) {
                     r.mutable_holder()->set_volume_id(std::string(5000, 'v'));
                   },
                   "holder.volume_id has 5000 bytes"},
        BadRequest{"UnknownScheme",
                   [](pb::AcquireRequest& r) { r.mutable_model()->set_uri("ftp://x"); }, "ftp://x"},
        BadRequest{"EmptyGlob",
                   [](pb::AcquireRequest& r) { r.mutable_model()->mutable_allow()->add_globs(""); },
                   "model.allow has an empty glob"},
        BadRequest{"UnknownLayout",
                   [](pb::AcquireRequest& r) { r.set_layout(static_cast<pb::Layout>(7)); },
                   "layout 7 is unknown"},
        BadRequest{"HugeCredential",
                   [](pb::AcquireRequest& r) {
                     (*r.mutable_credentials())["token"] = std::string(100000, 'x');
                   },
                   "the value of credentials 'token' has 100000 bytes"}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(TranslateTest, TakesAVolumeOnlyWithAnIdAndADigestThatAreSome) {
  pb::CreateVolumeRequest request;
  request.set_volume_id("wh-" + std::string(125, 'a'));
  request.set_request_digest(kId);
  request.mutable_model()->set_uri("hf://org/name");
  request.mutable_model()->set_commit(std::string(40, 'b'));
  Result<VolumeRequest> taken = ToVolumeRequest(request, {});
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->model.revision, std::string(40, 'b')) << "the commit is what is asked for";
  for (const std::string& id : {std::string(), std::string(129, 'a'), std::string("a\nb")}) {
    pb::CreateVolumeRequest bad = request;
    bad.set_volume_id(id);
    Result<VolumeRequest> refused = ToVolumeRequest(bad, {});
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("volume_id"));
  }
  request.set_request_digest("abc");
  EXPECT_THAT(ToVolumeRequest(request, {}).error().message, HasSubstr("request_digest 'abc'"));
  request.set_request_digest(kId);
  request.mutable_model()->set_uri("nonsense");
  EXPECT_EQ(ToVolumeRequest(request, {}).error().code, Code::kInvalidArgument);
}

TEST(TranslateTest, TakesASyncRequest) {
  pb::SyncLeasesRequest request;
  request.set_epoch_unix_ms(1234567);
  auto* live = request.add_live();
  live->set_lease_id(kId);
  live->set_tree("trees/files/" + kId);
  request.add_publishing_lease_ids(kId);
  request.add_pod_uids("uid-1");

  Result<SyncRequest> taken = ToSyncRequest(request);

  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->epoch.time_since_epoch(), std::chrono::milliseconds(1234567));
  ASSERT_EQ(taken->live.size(), 1u);
  EXPECT_EQ(taken->live[0].tree, "trees/files/" + kId);
  EXPECT_EQ(taken->pod_uids, std::vector<std::string>{"uid-1"});
}

TEST(TranslateTest, RefusesTreesOutsideTheTrees) {
  for (const char* tree :
       {"", "/etc", "blobs/sha256", "trees/../blobs", "trees/", "trees//x", "trees/x/.."}) {
    pb::SyncLeasesRequest request;
    request.set_epoch_unix_ms(1);
    auto* live = request.add_live();
    live->set_lease_id(kId);
    live->set_tree(tree);
    Result<SyncRequest> taken = ToSyncRequest(request);
    ASSERT_FALSE(taken) << tree;
    EXPECT_EQ(taken.error().code, Code::kInvalidArgument) << tree;
  }
}

TEST(TranslateTest, RefusesASyncWithoutAnEpoch) {
  EXPECT_FALSE(ToSyncRequest(pb::SyncLeasesRequest()));
}

TEST(TranslateTest, ShowsAFillingSnapshotWithItsRate) {
  SnapshotView view;
  view.snapshot.files.push_back({.listed = {.path = "a", .size = 100, .identity = {}}, .blob = {}});
  view.filling = fill::FillProgress{.bytes_total = 100, .bytes_done = 40, .bytes_per_second = 12.9};
  pb::Snapshot out = FromSnapshotView(view);
  EXPECT_EQ(out.state(), pb::Snapshot::FILLING);
  EXPECT_EQ(out.bytes(), 100u);
  EXPECT_EQ(out.bytes_present(), 40u);
  EXPECT_EQ(out.bytes_per_second(), 12u);
}

TEST(TranslateTest, SaysWhatIsKeptAndWhatOfItIsNotThere) {
  SnapshotView view;
  EXPECT_FALSE(FromSnapshotView(view).kept());
  view.kept = true;
  EXPECT_TRUE(FromSnapshotView(view).kept());
  EngineInfo info;
  info.keep = {{.model = "hf://org/name@v1", .snapshot_id = kId, .problem = ""},
               {.model = "hf://org/gone", .snapshot_id = "", .problem = "no\nsuch model"}};
  pb::InfoResponse out = FromEngineInfo(info, "1.0");
  ASSERT_EQ(out.keep_size(), 2);
  EXPECT_EQ(out.keep(0).model(), "hf://org/name@v1");
  EXPECT_EQ(out.keep(0).snapshot_id(), kId);
  EXPECT_EQ(out.keep(1).problem(), "no?such model");
}

TEST(TranslateTest, TellsIncompleteFromComplete) {
  SnapshotView view;
  EXPECT_EQ(FromSnapshotView(view).state(), pb::Snapshot::INCOMPLETE);
  view.snapshot.complete = true;
  EXPECT_EQ(FromSnapshotView(view).state(), pb::Snapshot::COMPLETE);
}

TEST(TranslateTest, NamesIdentitiesWithTheirKind) {
  StatView view;
  FileIdentity sha256{.kind = FileIdentity::Kind::kSha256, .value = kId};
  view.files.push_back({.listed = {.path = "a", .size = 1, .identity = sha256}, .present = true});
  pb::StatResponse out = FromStatView(view);
  EXPECT_EQ(out.files(0).identity(), "sha256:" + kId);
  EXPECT_TRUE(out.files(0).present());
  EXPECT_FALSE(out.files(0).selected());
}

TEST(TranslateTest, KeepsAStatusWithinGrpcsTrailers) {
  grpc::Status status =
      ToStatus(Error{.code = Code::kNotFound, .message = std::string(50000, 'x') + "\n"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_LT(status.error_message().size(), 2100u);
}

}  // namespace
}  // namespace weighhouse::api
