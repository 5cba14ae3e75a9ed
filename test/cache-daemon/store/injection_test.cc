#include <cerrno>
#include <filesystem>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

const TestFiles kInjectionFiles = {{"a", "first"}, {"dir/b", "second"}};

/// Lets an operation of the store fail at each of its operations on the disk in turn. After each
/// failure nothing half-done may be seen; then the operation is tried again and must succeed; then
/// the store is opened again and must be whole.
class InjectionTest : public StoreTest {
 protected:
  void FailEverywhere(const std::function<void()>& prepare,
                      const std::function<Result<>()>& operation,
                      const std::function<void()>& check) {
    for (int step = 1;; ++step) {
      SCOPED_TRACE(fmt::format("step {}", step));
      Close();
      fs::remove_all(Root());
      Open();
      prepare();
      int before = filesystem_.Count();
      filesystem_.FailAt({.at = step, .error_number = step % 2 == 0 ? EIO : ENOSPC});
      auto failed = operation();
      bool reached = filesystem_.Count() - before >= step;
      filesystem_.ClearFaults();
      if (!bad_until_it_works_) ExpectOnlyTrueBytes(*store_);
      if (!reached) {
        ASSERT_TRUE(failed.has_value());
        ASSERT_GT(step, 3);
        return;
      }
      if (!failed.has_value()) {
        auto again = operation();
        ASSERT_TRUE(again.has_value()) << again.error().message;
      }
      check();
      Reopen();
      ExpectOnlyTrueBytes(*store_);
      ExpectNoGarbage(Root());
      check();
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
  }
  void Prepare() {
    ASSERT_TRUE(Fill(*store_, ListingOf(kInjectionFiles), kInjectionFiles).has_value());
  }
  const std::string id_ = ListingOf(kInjectionFiles).SnapshotId();
  bool bad_until_it_works_ = false;  // the operation is what finds a bad blob
};

TEST_F(InjectionTest, BeginSnapshot) {
  FailEverywhere([] {},
                 [&]() -> Result<> {
                   TRY(store_->BeginSnapshot(ListingOf(kInjectionFiles)));
                   return {};
                 },
                 [&] { EXPECT_TRUE(store_->FindSnapshot(id_).has_value()); });
}

TEST_F(InjectionTest, IngestAndCommit) {
  FailEverywhere(
      [&] { ASSERT_TRUE(store_->BeginSnapshot(ListingOf(kInjectionFiles)).has_value()); },
      [&]() -> Result<> {
        if (store_->FindSnapshot(id_)->files[0].blob) return {};
        return Put(*store_, id_, Sha256Of("first"), "first");
      },
      [&] {
        EXPECT_TRUE(store_->FindSnapshot(id_)->files[0].blob.has_value());
        EXPECT_EQ(store_->Space()->used, 4096u);
      });
}

TEST_F(InjectionTest, CommitOfTheSameIngestGoesOnWhereItStopped) {
  std::unique_ptr<Ingest> ingest;
  auto start = [&] { ingest = std::move(*store_->StartIngest(IngestIdOf(""), Sha256Of(""), 0)); };
  auto commit = [&] {
    return ingest->Commit(ListingOf({{"empty", ""}}).SnapshotId(), Sha256Of(""), 0, Digest::Of(""));
  };
  bool lost = false;
  FailEverywhere(
      [&] {
        ASSERT_TRUE(store_->BeginSnapshot(ListingOf({{"empty", ""}})).has_value());
        start();
      },
      [&] {
        if (std::exchange(lost, false)) {
          EXPECT_FALSE(commit().has_value()) << "what a failed sync left may be lost for good";
          ingest.reset();
          start();
        }
        auto committed = commit();
        lost = !committed.has_value() && committed.error().message.contains("SyncData");
        if (committed.has_value()) ingest.reset();
        return committed;
      },
      [&] {
        ingest.reset();
        EXPECT_TRUE(BlobExists(""));
      });
}

TEST_F(InjectionTest, CompleteSnapshot) {
  FailEverywhere(
      [&] {
        ASSERT_TRUE(store_->BeginSnapshot(ListingOf(kInjectionFiles)).has_value());
        for (const auto& [path, content] : kInjectionFiles) {
          ASSERT_TRUE(Put(*store_, id_, Sha256Of(content), content).has_value());
        }
      },
      [&] { return store_->CompleteSnapshot(id_); },
      [&] { EXPECT_TRUE(store_->FindSnapshot(id_)->complete); });
}

TEST_F(InjectionTest, EnsureTree) {
  for (Layout layout : {Layout::kFiles, Layout::kHub}) {
    std::string tree;
    FailEverywhere([&] { Prepare(); },
                   [&]() -> Result<> {
                     tree = TRY(store_->EnsureTree(id_, layout, "main"));
                     return {};
                   },
                   [&] {
                     EXPECT_EQ(store_->SnapshotOfTree(tree).value_or(""), id_);
                     EXPECT_EQ(FilesBelow(Absolute(tree)).size(), layout == Layout::kHub ? 3u : 2u);
                   });
  }
}

TEST_F(InjectionTest, Evict) {
  FailEverywhere(
      [&] {
        Prepare();
        ASSERT_TRUE(store_->EnsureTree(id_, Layout::kFiles, "").has_value());
        ASSERT_TRUE(store_->EnsureTree(id_, Layout::kHub, "main").has_value());
        ASSERT_TRUE(store_->RecordReference({std::string(64, 'f'), "hf://a/b", id_}).has_value());
      },
      [&]() -> Result<> {
        TRY(store_->Evict(id_));
        return {};
      },
      [&] {
        EXPECT_FALSE(store_->FindSnapshot(id_).has_value());
        EXPECT_FALSE(MayUse(ListingOptions().origin, "first"));
      });
}

TEST_F(InjectionTest, Quarantine) {
  const Digest sha256 = Digest::Of("first");
  bad_until_it_works_ = true;
  FailEverywhere(
      [&] {
        Prepare();
        ASSERT_TRUE(store_->EnsureTree(id_, Layout::kFiles, "").has_value());
        fs::remove(Names().Blob(sha256));
        WriteTestFile(Names().Blob(sha256), "rot");
        fs::permissions(Names().Blob(sha256), fs::perms(0444));
      },
      [&]() -> Result<> {
        std::optional<BadBlob> bad = TRY(store_->VerifyBlob(sha256, {}));
        if (!bad || bad->stays.empty()) return {};
        return Fail(Code::kUnknown, bad->stays);
      },
      [&] {
        EXPECT_FALSE(store_->FindSnapshot(id_)->complete);
        EXPECT_FALSE(BlobExists("first"));
      });
}

TEST_F(InjectionTest, BlobThatCouldNotBeRemovedGoesWithTheNextEviction) {
  Open();
  Prepare();
  filesystem_.FailAt({.operation = "Unlink", .path = "blobs/", .error_number = EIO});
  EXPECT_EQ(store_->Evict(id_).value(), 4096u);
  EXPECT_EQ(FilesBelow(Root() / "blobs").size(), 1u);
  TestFiles other = {{"x", "third"}};
  ASSERT_TRUE(Fill(*store_, ListingOf(other), other).has_value());
  EXPECT_EQ(store_->Evict(ListingOf(other).SnapshotId()).value(), 8192u);
  EXPECT_TRUE(FilesBelow(Root() / "blobs").empty());
}

TEST_F(InjectionTest, TreeThatCouldNotBeRemovedGoesWithTheNextEviction) {
  Open();
  Prepare();
  ASSERT_TRUE(store_->EnsureTree(id_, Layout::kFiles, "").has_value());
  filesystem_.FailAt({.operation = "Unlink", .path = ".gone-", .error_number = EIO});
  ASSERT_TRUE(store_->Evict(id_).has_value());
  EXPECT_FALSE(NamesBelow(Root() / "trees/files").empty());
  Prepare();
  ASSERT_TRUE(store_->Evict(id_).has_value());
  EXPECT_TRUE(NamesBelow(Root() / "trees/files").empty());
}

}  // namespace
}  // namespace weighhouse::store
