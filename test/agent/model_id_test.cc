#include "agent/model_id.h"

#include <gtest/gtest.h>

namespace weighhouse::agent {
namespace {

std::string Id(const std::string& model) {
  Result<std::string> id = ModelIdOf(model);
  return id ? *id : "error: " + id.error().message;
}

// What stands in people's manifests: it never changes. printf %s hf://org/name@main | sha256sum
TEST(ModelIdTest, NeverChanges) { EXPECT_EQ(Id("hf://org/name@main"), "6c415ad26f068f9c"); }

TEST(ModelIdTest, IsTheSameForTheRevisionThatNoneMeans) {
  EXPECT_EQ(Id("hf://org/name"), Id("hf://org/name@main"));
  EXPECT_EQ(Id("oci://r.example/a/b"), Id("oci://r.example/a/b:latest"));
  EXPECT_NE(Id("hf://org/name"), Id("hf://org/name@v1"));
  EXPECT_NE(Id("hf://org/name"), Id("modelscope://org/name"));
}

TEST(ModelIdTest, IsALabelsName) {
  std::string id = Id("https://host.example/a/model.gguf");
  EXPECT_EQ(id.size(), 16U);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
}

TEST(ModelIdTest, LeavesOutWhatMayBeASignature) {
  EXPECT_EQ(Id("https://host.example/m.gguf?sig=1"), Id("https://host.example/m.gguf?sig=2"));
}

TEST(ModelIdTest, RefusesWhatIsNoModel) {
  EXPECT_EQ(ModelIdOf("org/name").error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace weighhouse::agent
