#include <gtest/gtest.h>

#include "base/model.h"

namespace weighhouse {
namespace {

TEST(ModelReferenceTextTest, LeavesASignedUrlsQueryOut) {
  auto reference = ModelReference::Parse("https://bucket.example/model.gguf?X-Signature=secret");
  ASSERT_TRUE(reference) << reference.error().message;
  EXPECT_EQ(reference->ToString(), "https://bucket.example/model.gguf?…");
}

TEST(ModelReferenceTextTest, LeavesAFilesNameAsItIs) {
  EXPECT_EQ(ModelReference::Parse("file:///srv/what?.gguf")->ToString(), "file:///srv/what?.gguf");
}

TEST(ModelReferenceTextTest, KnowsTheDefaultRevision) {
  EXPECT_EQ(ModelReference::Parse("hf://org/name")->RevisionOrDefault(), "main");
  EXPECT_EQ(ModelReference::Parse("hf://org/name@v1")->RevisionOrDefault(), "v1");
  EXPECT_EQ(ModelReference::Parse("file:///srv/model")->RevisionOrDefault(), "");
}

}  // namespace
}  // namespace weighhouse
