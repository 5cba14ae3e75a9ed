// RemoveTree and ReplaceFileDurably, over a disk that can fail.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/io/filesystem.h"
#include "test/cache-daemon/io/fault_filesystem.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class FileToolsTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }
  void MakeDirectory(const std::string& name) {
    ASSERT_TRUE(posix_.MakeDirectory(Path(name)).has_value());
  }
  void WriteFile(const std::string& name, std::string_view content = "x") {
    ASSERT_TRUE(posix_.WriteFile(Path(name), content).has_value());
  }
  std::string Content(const std::string& name) {
    return posix_.ReadFile(Path(name), kMiB).value_or("unreadable");
  }
  bool Exists(const std::string& name) { return posix_.Status(Path(name)).has_value(); }
  size_t Names() { return posix_.List(directory_.path()).value().size(); }

  TemporaryDirectory directory_;
  PosixFilesystem posix_;
  FaultFilesystem filesystem_{posix_};
};

class RemoveTreeTest : public FileToolsTest {
 protected:
  void MakeTree() {
    for (const char* name : {"tree", "tree/a", "tree/a/b", "tree/c"}) MakeDirectory(name);
    for (const char* name : {"tree/1", "tree/a/2", "tree/a/b/3"}) WriteFile(name);
  }
};

TEST_F(RemoveTreeTest, RemovesAllBelowAndNothingElse) {
  MakeTree();
  WriteFile("beside");
  ASSERT_TRUE(RemoveTree(filesystem_, Path("tree")).has_value());
  EXPECT_FALSE(Exists("tree"));
  EXPECT_TRUE(Exists("beside"));
}

TEST_F(RemoveTreeTest, AMissingPathIsFine) {
  EXPECT_TRUE(RemoveTree(filesystem_, Path("missing")).has_value());
}

TEST_F(RemoveTreeTest, RemovesASingleFile) {
  WriteFile("file");
  EXPECT_TRUE(RemoveTree(filesystem_, Path("file")).has_value());
  EXPECT_FALSE(Exists("file"));
}

TEST_F(RemoveTreeTest, RemovesLinksAndNotWhatTheyName) {
  MakeTree();
  MakeDirectory("outside");
  WriteFile("outside/precious", "kept");
  ASSERT_EQ(::symlink("../outside", Path("tree/link").c_str()), 0);
  ASSERT_EQ(::symlink(Path("outside").c_str(), Path("top").c_str()), 0);
  ASSERT_TRUE(RemoveTree(filesystem_, Path("tree")).has_value());
  ASSERT_TRUE(RemoveTree(filesystem_, Path("top")).has_value());
  EXPECT_FALSE(Exists("tree"));
  EXPECT_FALSE(Exists("top"));
  EXPECT_EQ(Content("outside/precious"), "kept");
}

TEST_F(RemoveTreeTest, RemovesFromReadOnlyDirectories) {
  MakeTree();
  for (const char* name : {"tree/a/b", "tree/a", "tree/c", "tree"}) {
    ASSERT_EQ(::chmod(Path(name).c_str(), 0555), 0);
  }
  Result<> removed = RemoveTree(filesystem_, Path("tree"));
  EXPECT_TRUE(removed.has_value()) << removed.error().message;
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(RemoveTreeTest, SaysWhatCouldNotBeRemovedAndCanBeRepeated) {
  MakeTree();
  filesystem_.FailAt({.operation = "Unlink", .path = "tree/a/b/3", .error_number = EIO});
  Result<> removed = RemoveTree(filesystem_, Path("tree"));
  ASSERT_FALSE(removed.has_value());
  EXPECT_THAT(removed.error().message, HasSubstr("tree/a/b/3"));
  EXPECT_TRUE(Exists("tree/a/b/3"));
  EXPECT_TRUE(RemoveTree(filesystem_, Path("tree")).has_value());
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(RemoveTreeTest, TriesWhatIsDeniedOnceMoreAndNotForEver) {
  MakeTree();
  filesystem_.FailAt(
      {.operation = "Unlink", .path = "b/3", .times = Fault::kForever, .error_number = EACCES});
  Result<> removed = RemoveTree(filesystem_, Path("tree"));
  ASSERT_FALSE(removed.has_value());
  EXPECT_EQ(removed.error().code, Code::kFailedPrecondition);
  EXPECT_EQ(filesystem_.Count("Unlink", "b/3"), 2);
}

TEST_F(RemoveTreeTest, WhatVanishesMeanwhileIsFine) {
  MakeTree();
  filesystem_.FailAt({.operation = "Unlink", .path = "tree/1", .error_number = ENOENT});
  filesystem_.FailAt({.operation = "List", .path = "tree/c", .error_number = ENOENT});
  Result<> removed = RemoveTree(filesystem_, Path("tree"));
  ASSERT_FALSE(removed.has_value());  // tree/1 is there in truth, so the last rmdir says so
  EXPECT_THAT(removed.error().message, HasSubstr("not empty"));
  EXPECT_FALSE(Exists("tree/a"));
}

class ReplaceFileTest : public FileToolsTest {};

TEST_F(ReplaceFileTest, CreatesAndReplaces) {
  ASSERT_TRUE(ReplaceFileDurably(filesystem_, Path("file"), "one").has_value());
  EXPECT_EQ(Content("file"), "one");
  ASSERT_TRUE(ReplaceFileDurably(filesystem_, Path("file"), "two").has_value());
  EXPECT_EQ(Content("file"), "two");
  EXPECT_EQ(Names(), 1U);
}

TEST_F(ReplaceFileTest, SyncsTheBytesBeforeTheNameAndTheDirectoryAfter) {
  ASSERT_TRUE(ReplaceFileDurably(filesystem_, Path("file"), "one").has_value());
  EXPECT_THAT(
      filesystem_.Calls(),
      ElementsAre(StartsWith("WriteFile " + Path("file.")), StartsWith("SyncFile " + Path("file.")),
                  EndsWith(" " + Path("file")), "SyncDirectory " + directory_.path().string()));
}

TEST_F(ReplaceFileTest, LeavesTheOldFileAndNothingBesideWhenAStepFails) {
  WriteFile("file", "old");
  for (const char* step : {"WriteFile", "SyncFile", "Rename"}) {
    filesystem_.FailAt({.operation = step, .error_number = ENOSPC});
    Result<> replaced = ReplaceFileDurably(filesystem_, Path("file"), "new");
    ASSERT_FALSE(replaced.has_value()) << step;
    EXPECT_EQ(replaced.error().code, Code::kResourceExhausted);
    EXPECT_THAT(replaced.error().message, HasSubstr(step));
    EXPECT_EQ(Content("file"), "old") << step;
    EXPECT_EQ(Names(), 1U) << step;
  }
}

TEST_F(ReplaceFileTest, SaysWhenTheNameMayNotBeDurable) {
  filesystem_.FailAt({.operation = "SyncDirectory", .error_number = EIO});
  EXPECT_FALSE(ReplaceFileDurably(filesystem_, Path("file"), "new").has_value());
  EXPECT_EQ(Content("file"), "new");
}

TEST_F(ReplaceFileTest, ACrashLeavesAtMostANameThatSaysWhatItIs) {
  WriteFile("file", "old");
  filesystem_.FailAt({.operation = "Rename", .error_number = EIO});
  filesystem_.FailAt({.operation = "Unlink", .error_number = EIO});
  EXPECT_FALSE(ReplaceFileDurably(filesystem_, Path("file"), "new").has_value());
  std::vector<DirectoryEntry> entries = posix_.List(directory_.path()).value();
  ASSERT_EQ(entries.size(), 2U);
  for (const DirectoryEntry& entry : entries) {
    EXPECT_TRUE(entry.name == "file" || entry.name.ends_with(kBesideSuffix)) << entry.name;
  }
}

TEST_F(ReplaceFileTest, ReadersNeverSeeAMixture) {
  const std::string one(20000, '1');
  const std::string two(30000, '2');
  WriteFile("file", one);
  {
    std::vector<std::jthread> writers;
    for (const std::string& content : {one, two}) {
      writers.emplace_back([this, content] {
        for (int i = 0; i < 50; ++i) {
          ASSERT_TRUE(ReplaceFileDurably(posix_, Path("file"), content).has_value());
        }
      });
    }
    for (int i = 0; i < 200; ++i) {
      std::string seen = Content("file");
      ASSERT_TRUE(seen == one || seen == two) << seen.size();
    }
  }
  EXPECT_EQ(Names(), 1U);
}

}  // namespace
}  // namespace weighhouse::io
