// Models whose files are known only when their layers have been read: what each of the engine's
// calls makes of them.

#include <gmock/gmock.h>

#include "test/cache-daemon/engine/layer_registry.h"
#include "test/cache-daemon/engine/volume_fixture.h"
#include "test/cache-daemon/source/oci/tar_text.h"

namespace weighhouse {
namespace {

using source::oci::TarEntry;
using testing::HasSubstr;
using testing::IsEmpty;

class EngineLayersTest : public VolumeFixture {
 protected:
  EngineLayersTest() { OpenEngine(); }

  void ExpectModel(const Result<AcquiredTree>& tree) {
    ASSERT_TRUE(tree) << tree.error().message;
    EXPECT_EQ(Read(*tree, "config.json"), "{}");
    EXPECT_EQ(Digest::Of(Read(*tree, "w.safetensors")), Digest::Of(weights_));
    EXPECT_EQ(tree->files, 2U);
    EXPECT_THAT(Names("ingests"), IsEmpty());
  }

  const std::string weights_ = PatternBytes(2 * kMiB + 5, 50);
  const std::string tar_ =
      TarEntry("models/config.json", "{}") + TarEntry("models/w.safetensors", weights_) +
      TarEntry("models/w.bin", "left out, as safetensors are there") + std::string(1024, '\0');
  LayerRegistry registry_{{tar_}};
};

TEST_F(EngineLayersTest, AcquireReadsThemAndLeavesOutWhatPatternsDo) {
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(registry_.uri(), "pod")));
  EXPECT_EQ(first.bytes_fetched, tar_.size());
  ExpectModel(first);
  // The pattern that leaves nothing out finds the others by reading again, and no blob twice.
  AcquireRequest all = LeasedRequest(registry_.uri(), "other");
  all.model.ignore_patterns.emplace();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(all));
  EXPECT_EQ(tree.files, 3U);
  EXPECT_EQ(tree.bytes_fetched, tar_.size());
  EXPECT_EQ(Read(tree, "w.bin"), "left out, as safetensors are there");
  EXPECT_THAT(Names("ingests"), IsEmpty());
}

TEST_F(EngineLayersTest, StatSaysThatTheyMustBeReadFirst) {
  AcquireRequest request = Request(registry_.uri());
  Result<StatView> unread = engine_->Stat(request.model, {});
  ASSERT_FALSE(unread);
  EXPECT_EQ(unread.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(unread.error().message, HasSubstr("pull or prefetch it"));
  ExpectModel(Acquire(request));
  ASSERT_OK_AND_ASSIGN(read, engine_->Stat(request.model, {}));
  EXPECT_EQ(read.files.size(), 3U);
  EXPECT_EQ(read.bytes_missing, 0U);
}

TEST_F(EngineLayersTest, PrefetchKnowsNoSnapshotUntilTheyAreRead) {
  const ModelReference model = Request(registry_.uri()).model;
  ASSERT_OK_AND_ASSIGN(unknown, engine_->Prefetch(model, {}));
  EXPECT_EQ(unknown, "");
  ASSERT_TRUE(Becomes([&] {
    auto views = engine_->List();
    return views.size() == 1 && views[0].snapshot.complete;
  }));
  ASSERT_OK_AND_ASSIGN(known, engine_->Prefetch(model, {}));
  EXPECT_EQ(known, engine_->List()[0].snapshot.id);
  EXPECT_THAT(engine_->List()[0].references, testing::ElementsAre(model.ToString()));
}

TEST_F(EngineLayersTest, KeptModelsAreRead) {
  EngineOptions options = Options();
  options.keep = {Request(registry_.uri()).model};
  OpenEngine(options);
  ASSERT_TRUE(Becomes([&] {
    auto kept = engine_->Info()->keep;
    return kept.size() == 1 && !kept[0].snapshot_id.empty();
  }));
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(registry_.uri())));
  EXPECT_EQ(tree.bytes_fetched, 0U);
  ExpectModel(tree);
}

TEST_F(EngineLayersTest, AVolumeHoldsWhatIsPackedAtLeastAndHasItRead) {
  VolumeRequest request = Of("claim", registry_.uri());
  ASSERT_OK_AND_ASSIGN(fit, engine_->FitOf({.model = request.model}));
  EXPECT_FALSE(fit.known);
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(request));
  EXPECT_THAT(volume.commit, HasSubstr("sha256:"));
  EXPECT_EQ(volume.model_bytes, 0U);
  ASSERT_OK_AND_ASSIGN(info, engine_->Info());
  ASSERT_EQ(info.holds.size(), 1U);
  EXPECT_GE(info.holds[0].bytes, tar_.size());
  ASSERT_TRUE(Becomes([&] {
    auto views = engine_->List();
    return views.size() == 1 && views[0].snapshot.complete;
  }));
  // By the same request again it is the same volume.
  ASSERT_OK_AND_ASSIGN(again, engine_->CreateVolume(request));
  EXPECT_EQ(again.commit, volume.commit);
  ExpectModel(Acquire(LeasedRequest(registry_.uri(), "claim")));
}

TEST_F(EngineLayersTest, OnlyWhatIsCachedIsNoAnswerForWhatIsNot) {
  VolumeRequest request = Of("claim", registry_.uri());
  request.cached_only = true;
  Result<store::VolumeRecord> refused = engine_->CreateVolume(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  ExpectModel(Acquire(Request(registry_.uri())));
  EXPECT_TRUE(engine_->CreateVolume(request));
}

TEST_F(EngineLayersTest, WhatWasEvictedIsReadAgain) {
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(registry_.uri())));
  ASSERT_TRUE(engine_->Evict(tree.snapshot_id, ""));
  EXPECT_THAT(engine_->List(), IsEmpty());
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(again, Acquire(Request(registry_.uri())));
  EXPECT_EQ(again.snapshot_id, tree.snapshot_id);
  ExpectModel(again);
}

}  // namespace
}  // namespace weighhouse
