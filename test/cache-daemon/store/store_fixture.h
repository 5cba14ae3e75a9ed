#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"
#include "cache-daemon/store/store.h"
#include "test/cache-daemon/io/fault_filesystem.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::store {

/// Wall-clock time that only a test moves; steady time is the machine's, and moves on by what a
/// test advances. Thread-safe.
class TestClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override EXCLUDES(mutex_);
  std::chrono::steady_clock::time_point Steady() const override EXCLUDES(mutex_);
  void Advance(std::chrono::seconds seconds) EXCLUDES(mutex_);
  /// Moves the wall clock only, as somebody who sets it.
  void Set(std::chrono::seconds by) EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::chrono::system_clock::time_point now_ GUARDED_BY(mutex_){
      std::chrono::seconds(1'800'000'000)};
  std::chrono::seconds advanced_ GUARDED_BY(mutex_){0};
};

/// What the store counts in: one block of the disk.
inline constexpr Bytes kBlock = 4096;

/// A model for tests: paths, and the content of each.
using TestFiles = std::map<std::string, std::string>;

FileIdentity Sha256Of(const std::string& content);
/// git's blob id of `content`.
FileIdentity GitSha1Of(const std::string& content);
std::string IngestIdOf(const std::string& content);

/// A listing of `files` whose identities are sha256, or what `identify` makes of the content.
struct ListingOptions {
  std::string origin = "hf+https://hub.test/org/name";
  std::string revision = std::string(40, 'a');
  std::string repository = "org/name";
  bool anonymous = true;
  FileIdentity (*identify)(const std::string& content) = Sha256Of;
};
Listing ListingOf(const TestFiles& files, ListingOptions options = {});

/// Writes `range` of `content` where it belongs; it begins with a block.
Result<> WriteStaged(Ingest& ingest, std::string_view content, ByteRange range);
/// Stages `content` in an ingest of its own and commits it.
Result<> Put(Store& store, const std::string& snapshot_id, const FileIdentity& identity,
             const std::string& content);
/// Begins the snapshot, brings every file that it lacks, and completes it.
Result<Snapshot> Fill(Store& store, const Listing& listing, const TestFiles& files);

LeaseRecord LeaseOn(const std::string& snapshot_id, const std::string& name,
                    const std::string& tree = "");

/// For ten minutes from `now`: of a snapshot, or of bytes where `snapshot_id` is empty.
HoldRecord HoldFor(const std::string& volume_id, const std::string& snapshot_id, Bytes bytes,
                   std::chrono::system_clock::time_point now);

/// The names below `directory`, files and directories, relative to it, sorted.
std::vector<std::string> NamesBelow(const std::filesystem::path& directory);
/// Every file below `directory` with its content.
TestFiles FilesBelow(const std::filesystem::path& directory);

/// Fails the test for each thing that no cache may show to anybody: a blob that isn't what its name
/// says, a tree of a complete snapshot with a file that isn't, half-written files.
void ExpectOnlyTrueBytes(Store& store);
/// Fails the test for each file that recovery should have removed. What is left of ingests must be
/// fit to be resumed.
void ExpectNoGarbage(const std::filesystem::path& root);

/// A store in a directory of its own, on a disk that fails when told.
class StoreTest : public testing::Test {
 protected:
  StoreTest();
  ~StoreTest() override;

  /// Opens the store; a failure fails the test.
  void Open();
  void Close() { store_.reset(); }
  /// As a process that died and was started again.
  void Reopen();
  Result<std::unique_ptr<Store>> TryOpen();
  std::filesystem::path Root() const { return directory_ / "root"; }
  std::string Absolute(const std::string& relative) const { return Root() / relative; }
  RootLayout Names() const { return RootLayout(Root()); }
  bool BlobExists(const std::string& content) const;
  /// Whether a listing of `origin` that names the content's sha256 finds it here.
  bool MayUse(const std::string& origin, const std::string& content) const;

  TemporaryDirectory directory_;
  io::PosixFilesystem disk_;
  io::FaultFilesystem filesystem_{disk_};
  TestClock clock_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

}  // namespace weighhouse::store
