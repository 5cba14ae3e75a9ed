// Who may use which origin, as the disk has it: never the credential, and never more than its
// source said.

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include "cache-daemon/store/grant_book.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

constexpr const char* kModelOrigin = "hf+https://hub.test/org/private";
constexpr const char* kSecretToken = "hf_a_token_that_nobody_may_see";

class GrantTest : public StoreTest {
 protected:
  GrantTest() { Open(); }
  GrantUse Use(std::string_view credential, const std::string& origin = kModelOrigin) const {
    return {.origin = origin,
            .credential = credential,
            .pod_namespace = "team-a",
            .asked = clock_.Steady()};
  }
  /// How long ago its source was asked.
  std::chrono::seconds Age(std::string_view credential) const {
    auto asked = store_->GrantAsked(kModelOrigin, credential, "");
    return std::chrono::round<std::chrono::seconds>(clock_.Steady() - asked.value());
  }
  Result<> Record(std::string_view credential, const std::string& origin = kModelOrigin) {
    return store_->RecordGrant(Use(credential, origin));
  }
  bool Has(std::string_view credential, const std::string& origin = kModelOrigin) const {
    return store_->GrantAsked(origin, credential, "").has_value();
  }
  std::string GrantsFile() const { return Root() / "grants" / (GrantsKey(kModelOrigin) + ".json"); }
};

TEST_F(GrantTest, IsOfItsCredentialAtItsOriginOnlyAndSurvivesAStart) {
  ASSERT_TRUE(Record(kSecretToken));
  for (int starts = 0; starts < 2; ++starts) {
    EXPECT_LE(Age(kSecretToken), std::chrono::seconds(1));
    EXPECT_FALSE(Has("another"));
    EXPECT_FALSE(Has(""));
    EXPECT_FALSE(Has(kSecretToken, "hf+https://hub.test/org/other"));
    EXPECT_EQ(store_->Count().grants, 1u);
    Reopen();
  }
  EXPECT_EQ(store_->recovery().grants, 1u);
}

TEST_F(GrantTest, KeepsNothingOfTheCredential) {
  ASSERT_TRUE(Record(kSecretToken));
  ASSERT_TRUE(Record(kSecretToken, "hf+https://hub.test/org/other"));
  std::set<std::string> macs;
  for (const auto& [name, content] : FilesBelow(Root())) {
    EXPECT_THAT(content, testing::Not(testing::HasSubstr(kSecretToken))) << name;
    EXPECT_THAT(content, testing::Not(testing::HasSubstr(Digest::Of(kSecretToken).Hex()))) << name;
    if (!name.starts_with("grants/")) continue;
    auto grants = ParseGrants(
        content,
        GrantsKey(name.contains(GrantsKey(kModelOrigin)) ? kModelOrigin
                                                         : "hf+https://hub.test/org/other"),
        ClockPair::Of(clock_));
    ASSERT_TRUE(grants.has_value()) << grants.error().message;
    EXPECT_THAT(grants->grants[0].namespaces, testing::ElementsAre("team-a"));
    macs.insert(grants->grants[0].mac);
  }
  EXPECT_EQ(macs.size(), 2u) << "two origins tell that they share a credential";
}

TEST_F(GrantTest, KeyIsTheDaemonsAloneAndOfThisCache) {
  struct stat status{};
  ASSERT_EQ(::stat((Root() / "grant-key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  std::string key = ReadTestFile(Root() / "grant-key");
  Reopen();
  EXPECT_EQ(ReadTestFile(Root() / "grant-key"), key);
}

TEST_F(GrantTest, DigestOfASecretIsOfThisCacheAlone) {
  std::string digest = store_->DigestOfSecret("apikey=canary");
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_NE(digest, Digest::Of("apikey=canary").Hex());
  EXPECT_NE(digest, store_->DigestOfSecret("apikey=canarz"));
  Reopen();
  EXPECT_EQ(store_->DigestOfSecret("apikey=canary"), digest) << "after a restart too";
  Close();
  std::filesystem::remove(Root() / "grant-key");
  Open();
  EXPECT_NE(store_->DigestOfSecret("apikey=canary"), digest);
}

TEST_F(GrantTest, LostKeyLosesGrantsAndNothingElse) {
  TestFiles files = {{"a", "content"}};
  ASSERT_TRUE(Fill(*store_, ListingOf(files), files));
  for (const char* damage : {"", "no key\n"}) {
    ASSERT_TRUE(Record(kSecretToken));
    Close();
    std::filesystem::remove(Root() / "grant-key");
    if (*damage != 0) std::ofstream(Root() / "grant-key") << damage;
    Open();
    EXPECT_FALSE(Has(kSecretToken));
    EXPECT_TRUE(NamesBelow(Root() / "grants").empty());
    EXPECT_EQ(store_->Count().snapshots_complete, 1u);
  }
}

TEST_F(GrantTest, TakenBackIsGoneAtOnceAndForGood) {
  ASSERT_TRUE(Record("leaving"));
  ASSERT_TRUE(Record("staying"));
  ASSERT_TRUE(store_->DropGrant(kModelOrigin, "leaving"));
  ASSERT_TRUE(store_->DropGrant(kModelOrigin, "leaving")) << "again";
  EXPECT_FALSE(Has("leaving"));
  EXPECT_TRUE(Has("staying"));
  Reopen();
  EXPECT_FALSE(Has("leaving"));
  EXPECT_TRUE(Has("staying"));
  ASSERT_TRUE(store_->DropGrant(kModelOrigin, "staying"));
  EXPECT_TRUE(NamesBelow(Root() / "grants").empty());
}

TEST_F(GrantTest, IsOfTheFilesThatWereAskedForAndGoesWithThoseOfOthers) {
  auto has = [&](std::string_view choice) {
    return store_->GrantAsked(kModelOrigin, "leaving", choice).has_value();
  };
  GrantUse use = Use("leaving");
  for (const char* choice : {"one", "two"}) {
    use.choice = choice;
    ASSERT_TRUE(store_->RecordGrant(use));
  }
  ASSERT_TRUE(Record("staying"));
  for (int starts = 0; starts < 2; ++starts) {
    EXPECT_TRUE(has("one") && has("two"));
    EXPECT_FALSE(has("") || has("three"));
    EXPECT_EQ(store_->Count().grants, 3u);
    Reopen();
  }
  ASSERT_TRUE(store_->DropGrant(kModelOrigin, "leaving"));
  for (int starts = 0; starts < 2; ++starts) {
    EXPECT_FALSE(has("one") || has("two"));
    EXPECT_TRUE(Has("staying"));
    Reopen();
  }
}

TEST_F(GrantTest, TakenBackOnADiskThatFailsIsGoneAllTheSame) {
  for (const char* operation : {"WriteFile", "SyncFile", "Rename", "SyncDirectory"}) {
    SCOPED_TRACE(operation);
    ASSERT_TRUE(Record("leaving"));
    ASSERT_TRUE(Record("staying"));
    filesystem_.FailAt({.operation = operation, .path = "grants", .error_number = EIO});
    static_cast<void>(store_->DropGrant(kModelOrigin, "leaving"));
    EXPECT_FALSE(Has("leaving"));
    Reopen();
    EXPECT_FALSE(Has("leaving")) << "rather none at all than one that was taken back";
    static_cast<void>(store_->DropGrant(kModelOrigin, "staying"));
  }
}

TEST_F(GrantTest, TakenBackStaysSoWhateverWasAskedBefore) {
  GrantUse slow = Use("leaving");
  ASSERT_TRUE(store_->DropGrant(kModelOrigin, "leaving"));
  ASSERT_TRUE(store_->RecordGrant(slow));
  EXPECT_FALSE(Has("leaving")) << "its answer came late";
  ASSERT_TRUE(Record("leaving"));
  EXPECT_TRUE(Has("leaving")) << "asked again, it may";
}

TEST_F(GrantTest, TakenBackWhileTheDiskIsBusyIsGoneAtOnce) {
  ASSERT_TRUE(Record("leaving"));
  std::jthread drops;
  filesystem_.Before("SyncFile", "grants", [&] {
    drops = std::jthread([&] { EXPECT_TRUE(store_->DropGrant(kModelOrigin, "leaving")); });
    auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (Has("leaving") && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
    EXPECT_FALSE(Has("leaving"));
  });
  ASSERT_TRUE(Record("other"));
  drops.join();
  EXPECT_FALSE(Has("leaving"));
  Reopen();
  EXPECT_FALSE(Has("leaving"));
  EXPECT_TRUE(Has("other"));
}

TEST_F(GrantTest, TakenBackWhileTheDiskIsBusyIsGoneThoughTheNextWriteFails) {
  ASSERT_TRUE(Record("leaving"));
  std::jthread drops;
  filesystem_.Before("SyncFile", "grants", [&] {
    filesystem_.FailAt({.operation = "WriteFile", .path = "grants", .error_number = ENOSPC});
    drops = std::jthread([&] { static_cast<void>(store_->DropGrant(kModelOrigin, "leaving")); });
    auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (Has("leaving") && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  });
  ASSERT_TRUE(Record("other"));
  drops.join();
  EXPECT_FALSE(Has("leaving"));
  Reopen();
  EXPECT_FALSE(Has("leaving")) << "rather none at all than one that was taken back";
}

TEST_F(GrantTest, OfTheFutureIsNone) {
  ASSERT_TRUE(Record(kSecretToken));
  clock_.Set(std::chrono::seconds(-30));
  Reopen();
  EXPECT_TRUE(Has(kSecretToken)) << "as by a clock that is set right";
  clock_.Set(std::chrono::hours(-1));
  Reopen();
  EXPECT_FALSE(Has(kSecretToken));
}

TEST_F(GrantTest, ThatFailedToBeWrittenIsTakenBackFromTheDiskToo) {
  filesystem_.FailAt({.operation = "SyncDirectory", .path = "grants", .error_number = EIO});
  EXPECT_FALSE(Record("leaving"));
  ASSERT_TRUE(store_->DropGrant(kModelOrigin, "leaving"));
  Reopen();
  EXPECT_FALSE(Has("leaving"));
}

TEST_F(GrantTest, UnreadableIsNone) {
  ASSERT_TRUE(Record(kSecretToken));
  std::string good = ReadTestFile(GrantsFile());
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() / 2), std::string(good.size(), '\0'),
        std::string("{\"origin\": \"other\", \"grants\": []}"), std::string("[]")}) {
    Close();
    std::ofstream(GrantsFile(), std::ios::trunc) << bad;
    Open();
    EXPECT_FALSE(Has(kSecretToken)) << bad;
    EXPECT_TRUE(NamesBelow(Root() / "grants").empty());
  }
}

TEST_F(GrantTest, TimeIsThatOfTheLastCheckAndWrittenOnlyWhereItIsWorthIt) {
  ASSERT_TRUE(Record(kSecretToken));
  int writes = filesystem_.Count("WriteFile", "grants");
  clock_.Advance(std::chrono::minutes(4));
  ASSERT_TRUE(Record(kSecretToken));
  EXPECT_LE(Age(kSecretToken), std::chrono::seconds(1));
  EXPECT_EQ(filesystem_.Count("WriteFile", "grants"), writes);
  clock_.Advance(std::chrono::minutes(2));
  ASSERT_TRUE(Record(kSecretToken));
  EXPECT_EQ(filesystem_.Count("WriteFile", "grants"), writes + 1);
  Reopen();
  EXPECT_LE(Age(kSecretToken), std::chrono::seconds(1));
  GrantUse elsewhere = Use(kSecretToken);
  elsewhere.pod_namespace = "team-b";
  ASSERT_TRUE(store_->RecordGrant(elsewhere));
  EXPECT_THAT(
      ParseGrants(ReadTestFile(GrantsFile()), GrantsKey(kModelOrigin), ClockPair::Of(clock_))
          ->grants[0]
          .namespaces,
      testing::ElementsAre("team-a", "team-b"));
}

TEST_F(GrantTest, AreBoundedForAnOriginAndTheLeastLatelyCheckedGoes) {
  for (size_t number = 0; number <= kMostGrants; ++number) {
    ASSERT_TRUE(Record("credential " + std::to_string(number)));
    clock_.Advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(store_->Count().grants, kMostGrants);
  EXPECT_FALSE(Has("credential 0"));
  EXPECT_TRUE(Has("credential 1"));
}

TEST_F(GrantTest, OneTenantDrivesOutNoOthers) {
  ASSERT_TRUE(Record("of another"));
  for (size_t number = 0; number < 2 * kMostGrants; ++number) {
    GrantUse use = Use(kSecretToken);
    std::string credential = "credential " + std::to_string(number);
    use.credential = credential;
    use.pod_namespace = "many";
    ASSERT_TRUE(store_->RecordGrant(use));
  }
  EXPECT_EQ(store_->Count().grants, kMostGrants);
  EXPECT_TRUE(Has("of another"));
}

TEST_F(GrantTest, OldOnesAreForgotten) {
  ASSERT_TRUE(Record("old"));
  ASSERT_TRUE(Record("old", "hf+https://hub.test/org/other"));
  clock_.Advance(std::chrono::hours(2));
  ASSERT_TRUE(Record("young"));
  store_->DropGrantsBefore(clock_.Steady() - std::chrono::hours(1));
  EXPECT_FALSE(Has("old"));
  EXPECT_TRUE(Has("young"));
  EXPECT_EQ(NamesBelow(Root() / "grants").size(), 1u);
}

TEST_F(GrantTest, AnOlderRootGetsItsDirectoryAndKey) {
  Close();
  std::filesystem::remove(Root() / "grants");
  std::filesystem::remove(Root() / "grant-key");
  Open();
  EXPECT_TRUE(Record(kSecretToken));
}

TEST(GrantBookTest, ForgetsTheOriginThatWasCheckedLeastLately) {
  GrantBook book;
  for (int number : {2, 1, 3}) {
    std::string origin = "origin " + std::to_string(number);
    auto asked = std::chrono::steady_clock::time_point(std::chrono::seconds(number));
    book.Load(GrantsKey(origin), {.origin = origin, .grants = {{.mac = "mac", .asked = asked}}});
  }
  EXPECT_EQ(book.Surplus(3), std::nullopt);
  EXPECT_EQ(book.Surplus(2), GrantsKey("origin 1"));
}

}  // namespace
}  // namespace weighhouse::store
