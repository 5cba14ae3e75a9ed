// What a power cut leaves of what went through a PowerLossFilesystem.

#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/io/durable_disk.h"
#include "test/cache-daemon/io/operation_journal.h"
#include "test/cache-daemon/io/power_loss_filesystem.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

class PowerLossTest : public testing::Test {
 protected:
  PowerLossTest() { fs::create_directory(directory_ / "root"); }

  std::string Path(const std::string& name) const { return directory_ / ("root/" + name); }
  void Write(const std::string& name, std::string_view content) {
    ASSERT_TRUE(recording_.WriteFile(Path(name), content));
  }
  void WriteSynced(const std::string& name, std::string_view content) {
    Write(name, content);
    ASSERT_TRUE(recording_.SyncFile(Path(name)));
  }
  void SyncDirectory(const std::string& name = "") {
    ASSERT_TRUE(recording_.SyncDirectory(Path(name)));
  }
  void MakeDirectory(const std::string& name) { ASSERT_TRUE(recording_.MakeDirectory(Path(name))); }
  void Rename(const std::string& from, const std::string& to) {
    ASSERT_TRUE(recording_.Rename(Path(from), Path(to), Replace::kAllowed));
  }
  /// The files that are there after a power cut, with their content; "/" is a directory's.
  std::map<std::string, std::string> After(PowerLoss loss, unsigned seed = 0) {
    fs::path cut = directory_ / "cut";
    fs::remove_all(cut);
    DurableDisk(directory_ / "record").CutPower(directory_ / "root", cut, {loss, seed});
    std::map<std::string, std::string> found;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(cut)) {
      std::string name = entry.path().lexically_relative(cut);
      found[name] = entry.is_directory() ? "/" : ReadTestFile(entry.path());
    }
    return found;
  }

  TemporaryDirectory directory_;
  PosixFilesystem disk_;
  PowerLossFilesystem recording_{disk_, directory_ / "record"};
};

TEST_F(PowerLossTest, AFileIsWhatItWasAtItsLastSync) {
  WriteSynced("file", "old");
  SyncDirectory();
  auto file = recording_.OpenForWrite(Path("file"), IoMode::kBuffered);
  ASSERT_TRUE(file);
  ASSERT_EQ(::pwrite(file->fd.get(), "newer", 5, 0), 5);
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "old")));
  EXPECT_THAT(After(PowerLoss::kData), ElementsAre(Pair("file", "old")));
  EXPECT_THAT(After(PowerLoss::kNames), ElementsAre(Pair("file", "newer")));
  EXPECT_THAT(After(PowerLoss::kZeros), ElementsAre(Pair("file", std::string("old\0\0", 5))));
  ASSERT_TRUE(recording_.SyncData(file->fd.get(), Path("file")));
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "newer")));
}

TEST_F(PowerLossTest, AFileThatWasNeverSyncedIsEmptyOrZeros) {
  Write("file", "new");
  EXPECT_THAT(After(PowerLoss::kData), ElementsAre(Pair("file", "")));
  EXPECT_THAT(After(PowerLoss::kZeros), ElementsAre(Pair("file", std::string(3, '\0'))));
}

TEST_F(PowerLossTest, ATruncatedFileHasLostItsOldBytesBeforeTheNewOnesAreSynced) {
  WriteSynced("file", "old");
  Write("file", "new");
  EXPECT_THAT(After(PowerLoss::kData), ElementsAre(Pair("file", "")));
}

TEST_F(PowerLossTest, ANameComesWithTheSyncOfItsDirectory) {
  WriteSynced("file", "bytes");
  EXPECT_THAT(After(PowerLoss::kAll), IsEmpty());
  EXPECT_THAT(After(PowerLoss::kNames), IsEmpty());
  EXPECT_THAT(After(PowerLoss::kData), ElementsAre(Pair("file", "bytes")));
  SyncDirectory();
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "bytes")));
}

TEST_F(PowerLossTest, ADirectoryWhoseOwnNameWasNotSyncedIsGoneWithAllInIt) {
  MakeDirectory("made");
  WriteSynced("made/file", "bytes");
  SyncDirectory("made");
  EXPECT_THAT(After(PowerLoss::kAll), IsEmpty());
  SyncDirectory();
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("made", "/"), Pair("made/file", "bytes")));
}

TEST_F(PowerLossTest, ARenameThatReplacedBringsTheOldFileBack) {
  WriteSynced("file", "old");
  SyncDirectory();
  WriteSynced("beside", "new");
  Rename("beside", "file");
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "old")));
  EXPECT_THAT(After(PowerLoss::kNames), ElementsAre(Pair("file", "old")));
  SyncDirectory();
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "new")));
}

TEST_F(PowerLossTest, ARenameHappensInBothDirectoriesOrInNeither) {
  for (const char* synced : {"from", "to"}) {
    fs::remove_all(directory_ / "record");
    fs::remove_all(directory_ / "root");
    fs::create_directory(directory_ / "root");
    PowerLossFilesystem recording(disk_, directory_ / "record");
    for (const char* name : {"from", "to"}) {
      ASSERT_TRUE(recording.MakeDirectory(Path(name)));
    }
    ASSERT_TRUE(recording.WriteFile(Path("from/file"), ""));
    ASSERT_TRUE(recording.SyncDirectory(Path("from")));
    ASSERT_TRUE(recording.SyncDirectory(Path("")));
    ASSERT_TRUE(recording.Rename(Path("from/file"), Path("to/file"), Replace::kNever));
    EXPECT_THAT(After(PowerLoss::kAll),
                ElementsAre(Pair("from", "/"), Pair("from/file", ""), Pair("to", "/")));
    ASSERT_TRUE(recording.SyncDirectory(Path(synced)));
    EXPECT_THAT(After(PowerLoss::kAll),
                ElementsAre(Pair("from", "/"), Pair("to", "/"), Pair("to/file", "")));
  }
}

TEST_F(PowerLossTest, ARemovedFileComesBack) {
  WriteSynced("file", "bytes");
  SyncDirectory();
  ASSERT_TRUE(recording_.Unlink(Path("file")));
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "bytes")));
  EXPECT_THAT(After(PowerLoss::kData), IsEmpty());
  SyncDirectory();
  EXPECT_THAT(After(PowerLoss::kAll), IsEmpty());
}

TEST_F(PowerLossTest, LinksStayNamesOfOneFile) {
  WriteSynced("file", "bytes");
  ASSERT_TRUE(recording_.Link(Path("file"), Path("link")));
  SyncDirectory();
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "bytes"), Pair("link", "bytes")));
  EXPECT_TRUE(fs::equivalent(directory_ / "cut/file", directory_ / "cut/link"));
}

TEST_F(PowerLossTest, ANameHasTheModeThatTheFileHadThen) {
  WriteSynced("file", "bytes");
  SyncDirectory();
  auto file = recording_.OpenForRead(Path("file"), IoMode::kBuffered);
  ASSERT_TRUE(file);
  ASSERT_TRUE(recording_.ChangeMode(file->fd.get(), 0444, Path("file")));
  After(PowerLoss::kAll);
  EXPECT_EQ(fs::status(directory_ / "cut/file").permissions(), fs::perms(0644));
  SyncDirectory();
  After(PowerLoss::kAll);
  EXPECT_EQ(fs::status(directory_ / "cut/file").permissions(), fs::perms(0444));
}

TEST_F(PowerLossTest, ASwallowedSyncIsAnsweredAndNotDone) {
  recording_.SwallowSyncs("SyncFile", "*/file");
  recording_.SwallowSyncs("AppendAndSync", "*/log");
  WriteSynced("file", "bytes");
  WriteSynced("other", "bytes");
  ASSERT_TRUE(recording_.AppendAndSync(Path("log"), "line"));
  SyncDirectory();
  EXPECT_THAT(After(PowerLoss::kAll),
              ElementsAre(Pair("file", ""), Pair("log", ""), Pair("other", "bytes")));
}

TEST_F(PowerLossTest, WhatAProcessDiedInHappenedIfTheDiskSaysSo) {
  for (bool does : {true, false}) {
    std::string name = does ? "done" : "begun";
    OperationJournal(directory_ / "record")
        .Begin({.kind = "create", .path = Path(name), .argument = "600"});
    if (does) WriteTestFile(Path(name), "");
    PowerLossFilesystem next(disk_, directory_ / "record");
    EXPECT_EQ(After(PowerLoss::kNames).contains(name), false);
    EXPECT_EQ(After(PowerLoss::kData).contains(name), does);
    EXPECT_EQ(next.Unlink(Path(name)).has_value(), does);
  }
  EXPECT_THAT(After(PowerLoss::kData), IsEmpty());
}

TEST_F(PowerLossTest, LaterChangesOfNamesMayComeWithoutEarlierOnes) {
  WriteSynced("first", "");
  WriteSynced("second", "");
  std::set<size_t> counts;
  bool reordered = false;
  for (unsigned seed = 0; seed < 64; ++seed) {
    auto found = After(PowerLoss::kSome, seed);
    counts.insert(found.size());
    reordered = reordered || (found.contains("second") && !found.contains("first"));
  }
  EXPECT_TRUE(reordered);
  EXPECT_THAT(counts, ElementsAre(0, 1, 2));
}

TEST_F(PowerLossTest, BlocksOfAFileMayComeWithoutEarlierOnes) {
  const std::string old(8192, 'o');
  WriteSynced("file", old);
  SyncDirectory();
  auto file = recording_.OpenForWrite(Path("file"), IoMode::kBuffered);
  ASSERT_TRUE(file);
  const std::string fresh(8192, 'n');
  ASSERT_EQ(::pwrite(file->fd.get(), fresh.data(), fresh.size(), 0), 8192);
  std::set<std::string> contents;
  for (unsigned seed = 0; seed < 64; ++seed) {
    contents.insert(After(PowerLoss::kSome, seed).at("file"));
  }
  const std::string o(4096, 'o');
  const std::string n(4096, 'n');
  EXPECT_THAT(contents, ElementsAre(n + n, n + o, o + n, o + o));
}

TEST_F(PowerLossTest, TheNextProcessGoesOnWithTheRecord) {
  WriteSynced("file", "bytes");
  PowerLossFilesystem next(disk_, directory_ / "record");
  ASSERT_TRUE(next.AppendAndSync(Path("log"), "line"));
  EXPECT_THAT(After(PowerLoss::kAll), IsEmpty());
  ASSERT_TRUE(next.SyncDirectory(Path("")));
  EXPECT_THAT(After(PowerLoss::kAll), ElementsAre(Pair("file", "bytes"), Pair("log", "line")));
}

}  // namespace
}  // namespace weighhouse::io
