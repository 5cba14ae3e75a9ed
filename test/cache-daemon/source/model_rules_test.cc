#include "cache-daemon/source/model_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr Code kAllowed{};
constexpr Code kRefused = Code::kPermissionDenied;

Code CodeFor(const ModelRules& rules, const std::string& uri, const Asker& asker = {}) {
  Result<> checked = CheckModel(rules, uri, asker);
  return checked ? Code{} : checked.error().code;
}

NamespaceRule Rule(std::string_view text) { return NamespaceRule::Parse(text).value(); }

TEST(ModelRulesTest, DenialsWinAndNameTheirList) {
  ModelRules rules{.allow = {"hf://org/*"}, .deny = {"hf://org/secret*"}};
  EXPECT_EQ(CodeFor(rules, "hf://org/open"), kAllowed);
  EXPECT_EQ(CodeFor(rules, "hf://org/secret-1"), kRefused);
  EXPECT_EQ(CodeFor(rules, "hf://other/open"), kRefused);
  EXPECT_THAT(CheckModel(rules, "hf://org/secret-1", {}).error().message,
              AllOf(HasSubstr("hf://org/secret-1"), HasSubstr("sources.deny"),
                    HasSubstr("hf://org/secret*")));
  EXPECT_EQ(CodeFor({.deny = {"*"}}, "hf://org/open"), kRefused);
}

TEST(ModelRulesTest, WhatIsDeniedIsSoHoweverItIsWritten) {
  ModelRules rules{.deny = {"https://models.example/private/*", "hf://Evil/*", "file:///secret/*"}};
  for (const char* uri : {"https://models.example/private/a",
                          "https://MODELS.example/private/a",
                          "https://models.example:443/private/a",
                          "https://models.example./private/a",
                          "https://models.example/%70rivate/a",
                          "https://models.example//private/a",
                          "https://models.example/public/../private/a",
                          "https://models.example/./private/a",
                          "https://models.example/public/%2e%2e/private/a",
                          "https://models.example/private%2Fa",
                          "https://models.example/public/..%2fprivate/a",
                          "https://models.example/public%2F../a",
                          "https://models.example/public/.%2E/private/a",
                          "https://models.example/a/%252e%252e/b",
                          "https://models.example/public/..%252fprivate/a",
                          "https://models.example/a/..%5cb",
                          "https://models.example/a/..;x/private/a",
                          "https://models.example/%2570rivate/a",
                          "https://models.example/private/a?x",
                          "https://models.example/PRIVATE/a",
                          "hf://evil/a",
                          "hf://EVIL/a",
                          "file:///secret/a"}) {
    EXPECT_EQ(CodeFor(rules, uri), kRefused) << uri;
  }
  for (const char* uri : {"https://models.example/public/a", "https://other.example/private/a",
                          "hf://evil-2/a", "file:///public/a"}) {
    EXPECT_EQ(CodeFor(rules, uri), kAllowed) << uri;
  }
}

TEST(ModelRulesTest, WhatIsAllowedIsNotLeftByDotsHoweverTheyAreWritten) {
  ModelRules rules{.allow = {"https://models.example/public/*"}};
  for (const char* uri :
       {"https://models.example/public/../private/a",
        "https://models.example/public/..%2fprivate/a",
        "https://models.example/public/%2e%2e%2Fprivate/a",
        "https://models.example/public/..%252fprivate/a",
        "https://models.example/public/..%5Cprivate/a",
        "https://models.example/public/..;/private/a", "https://models.example/public/.."}) {
    EXPECT_EQ(CodeFor(rules, uri), kRefused) << uri;
  }
  for (const char* uri :
       {"https://models.example/public/a%20b", "https://models.example/public/a..b",
        "https://models.example/public/100%", "https://models.example/public/..a"}) {
    EXPECT_EQ(CodeFor(rules, uri), kAllowed) << uri;
  }
}

TEST(ModelRulesTest, ANamespaceMayUseWhatItsRulesName) {
  ModelRules rules{.allow = {"hf://*"},
                   .allow_by_namespace = {Rule("team-a=hf://a/*"), Rule("team-*=hf://shared/*"),
                                          Rule("team-a=https://models.example/*")}};
  EXPECT_EQ(CodeFor(rules, "hf://a/x", {"team-a"}), kAllowed);
  EXPECT_EQ(CodeFor(rules, "hf://shared/x", {"team-a"}), kAllowed);
  EXPECT_EQ(CodeFor(rules, "hf://b/x", {"team-a"}), kRefused);
  EXPECT_EQ(CodeFor(rules, "hf://a/x", {"team-b"}), kRefused);
  EXPECT_EQ(CodeFor(rules, "hf://b/x", {"other"}), kAllowed) << "no rule is about it";
  EXPECT_EQ(CodeFor(rules, "https://models.example/x", {"team-a"}), kRefused) << "sources.allow";
  EXPECT_THAT(CheckModel(rules, "hf://b/x", {"team-a"}).error().message,
              AllOf(HasSubstr("sources.allowByNamespace"), HasSubstr("team-a"),
                    HasSubstr("hf://shared/*")));
}

TEST(ModelRulesTest, ANamespaceIsDeniedWhatItsRulesName) {
  ModelRules rules{.deny_by_namespace = {Rule("kube-*=*"), Rule("team-a=hf://b/*")}};
  EXPECT_EQ(CodeFor(rules, "hf://b/x", {"kube-system"}), kRefused);
  EXPECT_EQ(CodeFor(rules, "hf://B/x", {"team-a"}), kRefused);
  EXPECT_EQ(CodeFor(rules, "hf://a/x", {"team-a"}), kAllowed);
}

TEST(ModelRulesTest, NobodyOfAnUnknownNamespaceMayUseAnythingWhereThereAreRulesForIt) {
  ModelRules rules{.deny_by_namespace = {Rule("kube-*=*")}};
  EXPECT_EQ(CodeFor(rules, "hf://b/x", {""}), kRefused);
  EXPECT_EQ(CodeFor({}, "hf://b/x", {""}), kAllowed);
  EXPECT_EQ(CodeFor(rules, "hf://b/x", {}), kAllowed) << "an admin's wish";
}

TEST(NamespaceRuleTest, RefusesWhatIsNone) {
  EXPECT_EQ(Rule(" a = hf://b/* ").model, "hf://b/*");
  EXPECT_EQ(Rule("a=https://h/x?y=z").model, "https://h/x?y=z");
  for (const std::string& text :
       {std::string(), std::string("a"), std::string("a=b"), std::string("=hf://b/*"),
        std::string("a="), "a=hf://" + std::string(500, 'x')}) {
    EXPECT_FALSE(NamespaceRule::Parse(text)) << text;
  }
}

}  // namespace
}  // namespace weighhouse::source
