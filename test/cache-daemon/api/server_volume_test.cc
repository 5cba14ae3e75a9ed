#include <chrono>

#include "test/cache-daemon/api/server_fixture.h"

namespace weighhouse::api {
namespace {

using namespace std::chrono_literals;

TEST_F(ServerTest, TheNodeSocketCreatesTellsOfAndDeletesVolumes) {
  engine_.volume = store::VolumeRecord{.volume_id = "volume",
                                       .request_digest = kLease,
                                       .model = "hf://org/name@main",
                                       .commit = "commit",
                                       .model_bytes = 5,
                                       .capacity_bytes = 7,
                                       .created = std::chrono::system_clock::time_point(9s)};
  grpc::ClientContext contexts[3];
  pb::CreateVolumeRequest create;
  create.set_volume_id("volume");
  create.set_request_digest(kLease);
  create.mutable_model()->set_uri("hf://org/name");
  create.set_required_bytes(7);
  create.set_limit_bytes(8);
  create.set_cached_only(true);
  (*create.mutable_credentials())["HF_TOKEN"] = "hf_secret";
  pb::CreateVolumeResponse created;
  auto before = std::chrono::steady_clock::now();
  ASSERT_TRUE(node_->CreateVolume(&contexts[0], create, &created).ok());
  EXPECT_EQ(created.volume().volume_id(), "volume");
  EXPECT_EQ(created.volume().request_digest(), kLease);
  EXPECT_EQ(created.volume().model(), "hf://org/name@main");
  EXPECT_EQ(created.volume().commit(), "commit");
  EXPECT_EQ(created.volume().model_bytes(), 5u);
  EXPECT_EQ(created.volume().capacity_bytes(), 7u);
  EXPECT_EQ(created.volume().created_unix(), 9);
  EXPECT_EQ(engine_.created.required_bytes, 7u);
  EXPECT_EQ(engine_.created.limit_bytes, 8u);
  EXPECT_TRUE(engine_.created.cached_only);
  EXPECT_EQ(engine_.created.credentials.values.at("HF_TOKEN"), "hf_secret");
  EXPECT_GE(engine_.created.deadline, before + 1s);
  EXPECT_LE(engine_.created.deadline, std::chrono::steady_clock::now() + 2s);
  pb::GetVolumeRequest get;
  get.set_volume_id("volume");
  pb::GetVolumeResponse got;
  ASSERT_TRUE(node_->GetVolume(&contexts[1], get, &got).ok());
  EXPECT_EQ(got.volume().commit(), "commit");
  pb::DeleteVolumeRequest remove;
  remove.set_volume_id("volume");
  pb::DeleteVolumeResponse removed;
  ASSERT_TRUE(node_->DeleteVolume(&contexts[2], remove, &removed).ok());
  EXPECT_EQ(engine_.deleted, "volume");
}

TEST_F(ServerTest, CapacityTellsOfTheModelThatWasAskedAbout) {
  engine_.fit =
      ModelFit{.known = true, .fits = true, .cached = true, .bytes = 9, .bytes_missing = 4};
  grpc::ClientContext contexts[3];
  pb::CapacityRequest request;
  pb::CapacityResponse capacity;
  ASSERT_TRUE(node_->Capacity(&contexts[0], request, &capacity).ok());
  EXPECT_FALSE(capacity.has_model());
  request.mutable_model()->set_uri("hf://org/name");
  request.set_cached_only(true);
  ASSERT_TRUE(node_->Capacity(&contexts[1], request, &capacity).ok());
  EXPECT_EQ(engine_.fit_request.model.uri, "hf://org/name");
  EXPECT_TRUE(engine_.fit_request.cached_only);
  EXPECT_EQ(capacity.available(), 60 * kGiB);
  EXPECT_EQ(capacity.model().size(), pb::ModelFit::SIZE_KNOWN);
  EXPECT_TRUE(capacity.model().fits());
  EXPECT_TRUE(capacity.model().cached());
  EXPECT_EQ(capacity.model().bytes(), 9u);
  EXPECT_EQ(capacity.model().bytes_missing(), 4u);
  engine_.fit = ModelFit();
  ASSERT_TRUE(node_->Capacity(&contexts[2], request, &capacity).ok());
  EXPECT_EQ(capacity.model().size(), pb::ModelFit::SIZE_UNKNOWN);
}

}  // namespace
}  // namespace weighhouse::api
