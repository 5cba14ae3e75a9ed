#include "cli/object_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::cli {
namespace {

using ::testing::AllOf;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string NameOf(std::string_view model, std::string_view revision = "",
                   std::string_view words = "", std::string_view identity = "",
                   bool exact = false) {
  return ObjectNameOf(ModelReference::Parse(model, revision).value(), words, identity, exact);
}

TEST(ObjectNameTest, IsTheModelsInTheAlphabetOfLabels) {
  EXPECT_EQ(NameOf("hf://Qwen/Qwen2.5-1.5B-Instruct"), "qwen-qwen2-5-1-5b-instruct");
  EXPECT_EQ(NameOf("hf://org/a__b.-c_"), "org-a-b-c");
  EXPECT_EQ(NameOf("file:///mnt/models/Tiny/"), "mnt-models-tiny");
  EXPECT_EQ(NameOf("https://host.example:8443/a/b.gguf?signature=1"), "host-example-8443-a-b-gguf");
}

TEST(ObjectNameTest, NamesARevisionUnlessItIsTheDefault) {
  EXPECT_EQ(NameOf("hf://org/name", "main"), "org-name");
  EXPECT_EQ(NameOf("hf://org/name@v1.0"), "org-name-v1-0");
  EXPECT_EQ(NameOf("hf://org/name", "refs/pr/7"), "org-name-refs-pr-7");
  EXPECT_EQ(NameOf("hf://org/name", "0123456789abcdef0123456789abcdef01234567"),
            "org-name-0123456789ab");
}

TEST(ObjectNameTest, EndsInWordsAndWhereTheyDoNotSayAllInAHash) {
  EXPECT_EQ(NameOf("hf://org/name", "v1", "-hub"), "org-name-v1-hub");
  std::string one = NameOf("hf://org/name", "", "-hub", "one", true);
  EXPECT_THAT(one, AllOf(StartsWith("org-name-hub-"), SizeIs(21)));
  EXPECT_NE(one, NameOf("hf://org/name", "", "-hub", "two", true));
  EXPECT_EQ(one, NameOf("hf://org/name", "", "-hub", "one", true));
}

TEST(ObjectNameTest, IsAtMostALabelLong) {
  std::string fits(58, 'a');  // with "org-" 62
  EXPECT_EQ(NameOf("hf://org/" + fits + "b"), "org-" + fits + "b");
  std::string cut = NameOf("hf://org/" + fits + "bb", "", "", "identity");
  EXPECT_THAT(cut, AllOf(StartsWith("org-aaaa"), SizeIs(63)));
  EXPECT_TRUE(IsNamespaceName(cut)) << cut;
  EXPECT_NE(cut, NameOf("hf://org/" + fits + "cc", "", "", "other identity"));
  std::string dash = NameOf("hf://org/" + std::string(49, 'a') + "-" + std::string(20, 'b'));
  EXPECT_TRUE(IsNamespaceName(dash)) << dash;
  EXPECT_THAT(dash, ::testing::Not(::testing::HasSubstr("--")));
}

TEST(ObjectNameTest, ExistsWhereTheModelHasNoLetterForIt) {
  std::string name = NameOf("file:///\xE6\xA8\xA1", "", "", "identity");
  EXPECT_THAT(name, AllOf(StartsWith("model-"), SizeIs(14)));
  EXPECT_NE(name, NameOf("file:///\xE5\x9E\x8B", "", "", "other"));
}

TEST(ObjectNameTest, ChecksNamesAsTheApiServerDoes) {
  for (const char* good : {"a", "a-b", "1.b", "a.b-c.d", "0"}) EXPECT_TRUE(IsObjectName(good));
  for (const char* bad : {"", "-a", "a-", ".a", "a.", "a..b", "a.-b", "A", "a_b", "a/b", "a b"})
    EXPECT_FALSE(IsObjectName(bad)) << bad;
  EXPECT_TRUE(IsObjectName(std::string(240, 'a')));
  EXPECT_FALSE(IsObjectName(std::string(241, 'a')));
  EXPECT_TRUE(IsNamespaceName(std::string(63, 'a')));
  EXPECT_FALSE(IsNamespaceName(std::string(64, 'a')));
  EXPECT_FALSE(IsNamespaceName("a.b"));
}

}  // namespace
}  // namespace weighhouse::cli
