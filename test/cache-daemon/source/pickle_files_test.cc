#include "cache-daemon/source/pickle_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using enum PicklePolicy;

Listing Files(std::initializer_list<const char*> paths) {
  Listing listing;
  for (const char* path : paths) listing.files.push_back({.path = path, .size = 1});
  return listing;
}

std::vector<std::string> PathsOf(const Result<Listing>& listing) {
  EXPECT_TRUE(listing) << listing.error().message;
  std::vector<std::string> paths;
  for (const ListedFile& file : listing->files) paths.push_back(file.path);
  return paths;
}

TEST(PickleFilesTest, AreToldByTheirNames) {
  for (const char* path : {"pytorch_model.bin", "a/b.pt", "a.pth", "x.ckpt", "x.pkl", "x.pickle",
                           "x.joblib", "A.BIN", "dir/X.Pt"}) {
    EXPECT_TRUE(IsPickle(path)) << path;
  }
  for (const char* path :
       {"model.safetensors", "bin", "a.bin/b.json", "a.pt.json", "x.gguf", "tokenizer.json"}) {
    EXPECT_FALSE(IsPickle(path)) << path;
  }
}

TEST(PickleFilesTest, AreLeftOutBesideSafetensorsOnly) {
  Listing all = Files({"model.safetensors", "pytorch_model.bin", "config.json", "sub/weights.bin",
                       "mm_projector.bin"});
  EXPECT_EQ(PathsOf(ApplyPicklePolicy(kAllow, all, all)).size(), 5U);
  EXPECT_THAT(
      PathsOf(ApplyPicklePolicy(kLeaveOutBesideSafetensors, all, all)),
      ElementsAre("model.safetensors", "config.json", "sub/weights.bin", "mm_projector.bin"));
  Listing pickles_only = Files({"pytorch_model.bin", "config.json"});
  EXPECT_THAT(PathsOf(ApplyPicklePolicy(kLeaveOutBesideSafetensors, pickles_only, pickles_only)),
              ElementsAre("pytorch_model.bin", "config.json"));
  // By what the source has, not by what was asked for.
  auto nothing = ApplyPicklePolicy(kLeaveOutBesideSafetensors, all, Files({"pytorch_model.bin"}));
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, Code::kPermissionDenied);
  EXPECT_THAT(nothing.error().message,
              AllOf(HasSubstr("pytorch_model.bin"), HasSubstr("sources.pickle")));
}

TEST(PickleFilesTest, AreRefusedWithTheirNames) {
  Listing all = Files({"model.safetensors", "a.bin", "b.bin", "c.pt", "d.pkl"});
  auto refused = ApplyPicklePolicy(kRefuse, all, all);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_THAT(refused.error().message,
              AllOf(HasSubstr("a.bin, b.bin, c.pt and 1 more"), HasSubstr("ignorePatterns")));
  EXPECT_THAT(PathsOf(ApplyPicklePolicy(kRefuse, all, Files({"model.safetensors"}))),
              ElementsAre("model.safetensors"));
}

}  // namespace
}  // namespace weighhouse::source
