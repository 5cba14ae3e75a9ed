#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "cache-daemon/store/ingest_state.h"
#include "test/cache-daemon/store/resume_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

TEST_F(ResumeTest, WhatIsRecordedIsThereForTheNextIngest) {
  StartAndRecord();
  auto ingest = Start();
  EXPECT_EQ(ingest->resumed(), (std::vector{kHead, kTail}));
  ASSERT_TRUE(WriteStaged(*ingest, kContent, kRest).has_value());
  Finish(*ingest);
  ingest.reset();
  EXPECT_TRUE(Left().empty());
}

TEST_F(ResumeTest, WhatIsRecordedSurvivesARestart) {
  StartAndRecord();
  Reopen();
  EXPECT_EQ(store_->recovery().kept_ingests, 1u);
  EXPECT_EQ(store_->recovery().dropped_ingests, 0u);
  auto ingest = Start();
  EXPECT_EQ(ingest->resumed(), (std::vector{kHead, kTail}));
  EXPECT_EQ(fs::file_size(ingest->path()), 10 * kBlock) << "preallocated as before";
  EXPECT_EQ(filesystem_.Count("Allocate"), 1) << "xfs would want as much again to be free";
  ASSERT_TRUE(WriteStaged(*ingest, kContent, kRest).has_value());
  Finish(*ingest);
}

TEST_F(ResumeTest, NothingRecordedLeavesNothing) {
  ASSERT_TRUE(WriteStaged(*Start(), kContent, kHead).has_value());
  EXPECT_TRUE(Left().empty());
  EXPECT_TRUE(Start()->resumed().empty());
}

TEST_F(ResumeTest, DataIsSyncedBeforeItIsRecordedAndItsNamesAfter) {
  auto ingest = Start();
  size_t begun = filesystem_.Calls().size();
  ASSERT_TRUE(ingest->RecordDurable({kHead}).has_value());
  std::vector<std::string> operations;
  std::vector<std::string> calls = filesystem_.Calls();
  for (size_t i = begun; i < calls.size(); ++i) {
    operations.push_back(calls[i].substr(0, calls[i].find(' ')));
  }
  EXPECT_EQ(operations, (std::vector<std::string>{"SyncData", "WriteFile", "SyncFile", "Rename",
                                                  "SyncDirectory", "SyncDirectory"}));
}

TEST_F(ResumeTest, NothingIsRecordedOnceASyncHasFailed) {
  auto ingest = Start();
  filesystem_.FailAt({.operation = "SyncData", .error_number = EIO});
  EXPECT_FALSE(ingest->RecordDurable({kHead}).has_value());
  EXPECT_FALSE(ingest->RecordDurable({kHead}).has_value()) << "the pages may be lost for good";
  auto committed = ingest->Commit(kModel.SnapshotId(), Sha256Of(kContent), kContent.size(),
                                  Digest::Of(kContent));
  EXPECT_FALSE(committed.has_value()) << "nor may they be published";
  ingest.reset();
  EXPECT_TRUE(Left().empty());
}

TEST_F(ResumeTest, DiscardedBytesAreGoneForGood) {
  auto ingest = StartAndRecord();
  ingest->Discard();
  ingest.reset();
  EXPECT_TRUE(Left().empty());
  EXPECT_EQ(filesystem_.Count("SyncDirectory", "ingests/" + id_), 2) << "the state's name went";
  EXPECT_TRUE(Start()->resumed().empty());
}

TEST_F(ResumeTest, DiscardedBytesThatCantBeRemovedAreNotResumed) {
  auto ingest = StartAndRecord();
  ingest->Discard();
  filesystem_.FailAt(
      {.operation = "Unlink", .path = "/data", .times = io::Fault::kForever, .error_number = EIO});
  ingest.reset();
  filesystem_.ClearFaults();
  EXPECT_FALSE(Left().empty());
  EXPECT_TRUE(Start()->resumed().empty());
  Reopen();
  EXPECT_EQ(store_->recovery().kept_ingests, 0u);
}

TEST_F(ResumeTest, OtherIdentityOrSizeBeginsAnew) {
  StartAndRecord();
  EXPECT_TRUE(Start(Sha256Of("other"))->resumed().empty());
  StartAndRecord();
  EXPECT_TRUE(Start(Sha256Of(kContent), kContent.size() - 1)->resumed().empty());
  EXPECT_EQ(store_->Space()->used, 0u);
}

TEST_F(ResumeTest, ChangedFileUpstreamNeverMeetsTheOldBytes) {
  StartAndRecord();
  // What a source resolves the changed file to: another identity, so another snapshot and ingest.
  Listing changed = ListingOf({{"weights", std::string(kContent.size(), 'x')}});
  ASSERT_TRUE(store_->BeginSnapshot(changed).has_value());
  auto ingest =
      store_->StartIngest(IngestIdOf("changed"), changed.files[0].identity, changed.files[0].size);
  EXPECT_TRUE((*ingest)->resumed().empty());
  ASSERT_TRUE(store_->Evict(kModel.SnapshotId()).has_value());
  EXPECT_EQ(Left().size(), 2u) << "only the new one's directory and data";
}

TEST_F(ResumeTest, FailedCommitCanBeResumedAlthoughItCutAndSealedTheFile) {
  auto ingest = StartAndRecord();
  ASSERT_TRUE(WriteStaged(*ingest, kContent, kRest).has_value());
  filesystem_.FailAt({.operation = "AppendAndSync", .error_number = ENOSPC});
  ASSERT_FALSE(
      ingest->Commit(kModel.SnapshotId(), Sha256Of(kContent), kContent.size(), Digest::Of(kContent))
          .has_value());
  ingest.reset();
  EXPECT_EQ(fs::file_size(Names().IngestData(id_)), kContent.size());
  Reopen();
  ingest = Start();
  EXPECT_EQ(ingest->resumed().size(), 2u);
  EXPECT_TRUE(WriteStaged(*ingest, kContent, kTail).has_value());
  Finish(*ingest);
}

/// What the disk may have made of an ingest's files: nothing of it is resumed, and nothing fails.
struct Damage {
  const char* name;
  std::function<void(const std::string& state, const std::string& data)> harm;
};

class DamagedIngestTest : public ResumeTest, public testing::WithParamInterface<Damage> {};

TEST_P(DamagedIngestTest, BeginsAnew) {
  for (bool restart : {false, true}) {
    StartAndRecord();
    if (restart) Close();
    GetParam().harm(State(), Names().IngestData(id_));
    if (restart) {
      Open();
      EXPECT_EQ(store_->recovery().dropped_ingests, 1u);
      EXPECT_TRUE(Left().empty());
    }
    auto ingest = Start();
    EXPECT_TRUE(ingest->resumed().empty());
    EXPECT_EQ(store_->Space()->used, 10 * kBlock);
    ingest.reset();
    EXPECT_EQ(store_->Space()->used, 0u);
  }
}

/// Another state, with a right checksum.
std::function<void(const std::string&, const std::string&)> Claim(std::vector<ByteRange> ranges) {
  return [ranges](const std::string& state, const std::string&) {
    IngestContent content{.identity = Sha256Of(kContent), .size = kContent.size()};
    WriteTestFile(state, IngestStateToText({.content = content, .durable = ranges}));
  };
}

std::function<void(const std::string&, const std::string&)> EditState(
    std::function<std::string(std::string)> edit) {
  return [edit](const std::string& state, const std::string&) {
    WriteTestFile(state, edit(ReadTestFile(state)));
  };
}

std::string OneOtherDigit(std::string text) {
  text.at(text.find("12288")) = '2';
  return text;
}

std::string WithChecksum(const std::string& text) { return text + Digest::Of(text).Hex() + "\n"; }

std::string NewerVersion(std::string text) {
  text.resize(text.size() - 65);
  text.at(text.find("\"version\": 1") + 11) = '2';
  return WithChecksum(text);
}

INSTANTIATE_TEST_SUITE_P(
    All, DamagedIngestTest,
    testing::Values(
        Damage{"EmptyState", EditState([](const std::string&) { return ""; })},
        Damage{"TornState",
               EditState([](const std::string& text) { return text.substr(0, text.size() / 2); })},
        Damage{"ZeroedState",
               EditState([](const std::string& text) { return std::string(text.size(), '\0'); })},
        Damage{"OneDigitOfARange", EditState(OneOtherDigit)},
        Damage{"NoJson", EditState([](const std::string&) { return WithChecksum("nonsense\n"); })},
        Damage{"NewerVersion", EditState(NewerVersion)},
        Damage{"BeyondTheSize", Claim({{.begin = 0, .end = kContent.size() + 1}})},
        Damage{"Unsorted", Claim({kTail, kHead})},
        Damage{"Overlapping", Claim({kHead, {.begin = kBlock, .end = 4 * kBlock}})},
        Damage{"EmptyRange", Claim({{.begin = kBlock, .end = kBlock}})},
        Damage{"NoState", [](const std::string& state, const std::string&) { fs::remove(state); }},
        Damage{"NoData", [](const std::string&, const std::string& data) { fs::remove(data); }},
        Damage{"ShortData",
               [](const std::string&, const std::string& data) {
                 fs::resize_file(data, kContent.size() - 1);
               }}),
    [](const auto& test) { return test.param.name; });

TEST_F(ResumeTest, RecoveryKeepsOnlyWhatAnIncompleteSnapshotLacks) {
  StartAndRecord();
  Close();
  fs::remove(Names().SnapshotRecord(kModel.SnapshotId()));
  Open();
  EXPECT_EQ(store_->recovery().kept_ingests, 0u);
  EXPECT_EQ(store_->recovery().dropped_ingests, 1u);
  EXPECT_TRUE(Left().empty());
}

TEST_F(ResumeTest, RecoveryRemovesAHalfWrittenState) {
  StartAndRecord();
  Close();
  WriteTestFile(Names().Ingest(id_) + "/.state.new", "half");
  Open();
  ExpectNoGarbage(Root());
  EXPECT_EQ(Start()->resumed().size(), 2u);
}

TEST_F(ResumeTest, StagedBytesGoWhenTheirFileCameAnotherWay) {
  StartAndRecord();
  // Public, so it may be given to the other snapshot.
  Listing other = ListingOf({{"weights", kContent}}, {.revision = std::string(40, 'b')});
  std::string id = store_->BeginSnapshot(other)->id;
  auto ingest = store_->StartIngest(IngestIdOf("another id"), Sha256Of(kContent), kContent.size());
  ASSERT_TRUE(WriteStaged(**ingest, kContent, {.begin = 0, .end = kContent.size()}).has_value());
  ASSERT_TRUE(
      (*ingest)->Commit(id, Sha256Of(kContent), kContent.size(), Digest::Of(kContent)).has_value());
  ingest->reset();
  EXPECT_FALSE(Left().empty());
  ASSERT_TRUE(store_->CompleteSnapshot(kModel.SnapshotId()).has_value());
  EXPECT_TRUE(Left().empty());
}

/// A power cut at each step of a recording: the disk dies at that step, and of what wasn't synced
/// by then either nothing is left, or all.
class PowerCutTest : public ResumeTest, public testing::WithParamInterface<bool> {
 protected:
  /// Records the rest of the file on a disk that dies at operation `step`. True if it came through.
  bool RecordUntilCut(int step) {
    auto ingest = StartAndRecord();
    std::string state_before = ReadTestFile(State());
    EXPECT_TRUE(WriteStaged(*ingest, kContent, kRest).has_value());
    filesystem_.FailAt({.at = step, .times = io::Fault::kForever, .error_number = EIO});
    size_t begun = filesystem_.Calls().size();
    bool recorded = ingest->RecordDurable({{.begin = 0, .end = kContent.size()}}).has_value();
    std::vector<std::string> done = filesystem_.Calls();
    done.resize(std::min(done.size(), begun + static_cast<size_t>(step) - 1));
    done.erase(done.begin(), done.begin() + static_cast<std::ptrdiff_t>(begun));
    auto passed = [&](const std::string& operation) {
      return std::ranges::any_of(
          done, [&](const std::string& call) { return call.starts_with(operation); });
    };
    bool loses_unsynced = !GetParam();
    if (loses_unsynced && !passed("SyncData")) {
      std::string zeros(kContent.size(), '\0');
      EXPECT_TRUE(WriteStaged(*ingest, zeros, kRest).has_value());
    }
    if (loses_unsynced && !passed("SyncDirectory")) WriteTestFile(State(), state_before);
    ingest.reset();
    Close();
    filesystem_.ClearFaults();
    return recorded;
  }
  static void ExpectTrue(const Ingest& ingest) {
    std::string staged = ReadTestFile(ingest.path());
    for (const ByteRange& range : ingest.resumed()) {
      std::string_view there = std::string_view(staged).substr(range.begin, range.size());
      EXPECT_TRUE(there == std::string_view(kContent).substr(range.begin, range.size()))
          << "false bytes at " << range.begin;
    }
  }
};

TEST_P(PowerCutTest, AtAnyStepOfARecordingBringsBackTrueBytesOnly) {
  bool recorded = false;
  int step = 0;
  while (!recorded) {
    SCOPED_TRACE(fmt::format("step {}", ++step));
    recorded = RecordUntilCut(step);
    Open();
    ExpectNoGarbage(Root());
    auto resumed = Start();
    ASSERT_FALSE(resumed->resumed().empty()) << "what was recorded before is lost";
    ExpectTrue(*resumed);
    EXPECT_TRUE(!recorded || resumed->resumed()[0].size() == kContent.size());
    resumed->Discard();
  }
  EXPECT_GT(step, 4);
}

INSTANTIATE_TEST_SUITE_P(All, PowerCutTest, testing::Bool(), [](const auto& test) {
  return test.param ? "KeepingWhatIsNotSynced" : "LosingWhatIsNotSynced";
});

}  // namespace
}  // namespace weighhouse::store
