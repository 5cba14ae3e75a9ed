#include "cache-daemon/store/root.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

class RootTest : public StoreTest {
 protected:
  /// The message with which Open refuses.
  std::string Refusal(Code code = Code::kFailedPrecondition) {
    auto opened = TryOpen();
    if (opened.has_value()) return "was opened";
    EXPECT_EQ(opened.error().code, code) << opened.error().message;
    return opened.error().message;
  }
};

TEST_F(RootTest, IsMadeWhereItIsMissing) {
  Open();
  EXPECT_TRUE(ReadTestFile(Root() / "format").starts_with("1\n" + store_->root_id()));
  EXPECT_EQ(store_->root_id().size(), 32u);
  EXPECT_EQ(fs::status(Root()).permissions(), fs::perms(0755));
  EXPECT_EQ(store_->root(), Root());
  EXPECT_EQ(store_->boot_id(), "boot");
}

TEST_F(RootTest, KeepsItsIdAndReadsTheMachinesBootId) {
  options_.boot_id.clear();
  Open();
  std::string id = store_->root_id();
  EXPECT_EQ(store_->boot_id().size(), 36u);
  Reopen();
  EXPECT_EQ(store_->root_id(), id);
}

TEST_F(RootTest, MayBeAnEmptyFilesystemAndEndInASlash) {
  fs::create_directories(Root() / "lost+found");
  options_.root += "/";
  Open();
  EXPECT_TRUE(fs::exists(Root() / "lost+found"));
  EXPECT_EQ(store_->root(), Root());
}

TEST_F(RootTest, MayBeWhatAKilledFirstStartLeft) {
  WriteTestFile(Root() / "lock", "");
  WriteTestFile(Root() / "format.0.new", "1");
  WriteTestFile(Root() / ".probe", "");
  WriteTestFile(Root() / ".probe-link", "");
  Open();
  ExpectNoGarbage(Root());
}

TEST_F(RootTest, RefusesSomebodyElsesDirectory) {
  WriteTestFile(Root() / "precious.txt", "mine");
  EXPECT_TRUE(Refusal().contains("holds 'precious.txt'"));
  EXPECT_EQ(NamesBelow(Root()), std::vector<std::string>{"precious.txt"});
}

TEST_F(RootTest, RefusesWhatIsNoDirectory) {
  WriteTestFile(Root(), "");
  EXPECT_TRUE(Refusal().contains("is not a directory"));
  options_.root = "relative/path";
  EXPECT_TRUE(Refusal(Code::kInvalidArgument).contains("is not an absolute path"));
}

TEST_F(RootTest, SaysWhereItCantBeMade) {
  options_.root = directory_ / "missing/root";
  EXPECT_TRUE(Refusal().contains(fmt::format("create it and give it to uid {}", ::geteuid())));
}

TEST_F(RootTest, SaysWhoMayNotWrite) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::create_directory(Root());
  fs::permissions(Root(), fs::perms(0555));
  std::string message = Refusal();
  EXPECT_TRUE(message.contains(fmt::format("is not writable for uid {}", ::geteuid()))) << message;
  EXPECT_TRUE(message.contains("chown")) << message;
}

TEST_F(RootTest, RefusesAnotherFormat) {
  Open();
  Close();
  WriteTestFile(Root() / "format", "2\nabc\n");
  EXPECT_TRUE(Refusal().contains("has format '2', and this program knows 1 only"));
  WriteTestFile(Root() / "format", "1\nnot an id\n");
  EXPECT_TRUE(Refusal().contains("root's id"));
  WriteTestFile(Root() / "format", "");
  EXPECT_TRUE(Refusal().contains("has format ''"));
}

TEST_F(RootTest, TouchesNothingOfAnotherFormat) {
  Open();
  Close();
  WriteTestFile(Root() / "format", "2\n" + std::string(32, 'a') + "\n");
  WriteTestFile(Root() / "lock", "4711\n");
  EXPECT_TRUE(Refusal().contains("has format '2'"));
  EXPECT_EQ(ReadTestFile(Root() / "lock"), "4711\n");
  fs::remove(Root() / "lock");
  std::vector<std::string> before = NamesBelow(Root());
  EXPECT_TRUE(Refusal().contains("has format '2'"));
  EXPECT_EQ(NamesBelow(Root()), before);
}

TEST_F(RootTest, HasOneOwnerAndSaysWhich) {
  Open();
  EXPECT_TRUE(Refusal().contains(fmt::format("is in use by process {}:", ::getpid())));
  Close();
  Open();
}

TEST_F(RootTest, NeedsHardLinks) {
  filesystem_.FailAt({.operation = "Link", .path = ".probe", .error_number = EPERM});
  EXPECT_TRUE(Refusal().contains("without hard links"));
  filesystem_.ClearFaults();
  Open();
}

TEST_F(RootTest, FullDiskIsNotCalledUnwritable) {
  filesystem_.FailAt({.operation = "WriteFile", .path = ".probe", .error_number = ENOSPC});
  EXPECT_TRUE(Refusal(Code::kResourceExhausted).contains("free some space"));
}

TEST_F(RootTest, FailureAtAnyStepOfTheFirstStartIsMendedByTheNext) {
  Open();
  Close();
  int steps = filesystem_.Count();
  for (int step = 1; step <= steps; ++step) {
    fs::remove_all(Root());
    filesystem_.FailAt({.at = step, .error_number = EIO});
    auto opened = TryOpen();
    filesystem_.ClearFaults();
    if (opened.has_value()) continue;
    auto second = TryOpen();
    ASSERT_TRUE(second.has_value()) << "after step " << step << ": " << second.error().message;
  }
}

TEST(RootLayoutTest, TakesOnlyPathsThatStayBelow) {
  for (const char* path : {"a", "a/b", "..a", "a..", ".hidden", "a b", "ä/ö"}) {
    EXPECT_TRUE(IsSafeRelativePath(path)) << path;
  }
  for (const char* path :
       {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\x01"}) {
    EXPECT_FALSE(IsSafeRelativePath(path)) << path;
  }
  EXPECT_TRUE(IsSafeRelativePath(std::string(255, 'a')));
  EXPECT_FALSE(IsSafeRelativePath(std::string(256, 'a')));
}

TEST(RootLayoutTest, HubTreesNameDependsOnAllThatIsNamedInside) {
  std::string base = RootLayout::HubTree("s", "org/name", "c", "main");
  EXPECT_NE(base, RootLayout::HubTree("s", "org/name", "c", ""));
  EXPECT_NE(base, RootLayout::HubTree("s", "org/other", "c", "main"));
  EXPECT_NE(base, RootLayout::HubTree("t", "org/name", "c", "main"));
  EXPECT_EQ(RootLayout::HubDirectory("org/name"), "models--org--name");
}

}  // namespace
}  // namespace weighhouse::store
