#include "test/cache-daemon/store/store_fixture.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse::store {
namespace fs = std::filesystem;

std::chrono::system_clock::time_point TestClock::Now() const {
  MutexLock lock(mutex_);
  return now_;
}

void TestClock::Advance(std::chrono::seconds seconds) {
  MutexLock lock(mutex_);
  now_ += seconds;
  advanced_ += seconds;
}

std::chrono::steady_clock::time_point TestClock::Steady() const {
  MutexLock lock(mutex_);
  return std::chrono::steady_clock::now() + advanced_;
}

void TestClock::Set(std::chrono::seconds by) {
  MutexLock lock(mutex_);
  now_ += by;
}

FileIdentity Sha256Of(const std::string& content) {
  return {.kind = FileIdentity::Kind::kSha256, .value = Digest::Of(content).Hex()};
}

FileIdentity GitSha1Of(const std::string& content) {
  Hasher hasher(Hasher::Algorithm::kSha1);
  hasher.Update(fmt::format("blob {}", content.size()));
  hasher.Update(std::string_view("\0", 1));
  hasher.Update(content);
  return {.kind = FileIdentity::Kind::kGitSha1, .value = hasher.FinishHex()};
}

std::string IngestIdOf(const std::string& content) { return Digest::Of(content).Hex(); }

Listing ListingOf(const TestFiles& files, ListingOptions options) {
  Listing listing{.origin = options.origin,
                  .revision = options.revision,
                  .repository = options.repository,
                  .anonymous = options.anonymous};
  for (const auto& [path, content] : files) {
    listing.files.push_back(
        {.path = path, .size = content.size(), .identity = options.identify(content)});
  }
  return listing;
}

Result<> WriteStaged(Ingest& ingest, std::string_view content, ByteRange range) {
  // O_DIRECT takes whole aligned blocks only.
  size_t padded = (range.size() + 4095) / 4096 * 4096;
  std::unique_ptr<char, void (*)(void*)> buffer(
      static_cast<char*>(std::aligned_alloc(4096, std::max<size_t>(padded, 4096))), std::free);
  std::fill_n(buffer.get(), std::max<size_t>(padded, 4096), '\0');
  std::ranges::copy(content.substr(range.begin, range.size()), buffer.get());
  ssize_t written = ::pwrite(ingest.fd(), buffer.get(), padded, static_cast<off_t>(range.begin));
  if (written != static_cast<ssize_t>(padded)) return FailErrno(errno, "pwrite");
  return {};
}

Result<> Put(Store& store, const std::string& snapshot_id, const FileIdentity& identity,
             const std::string& content) {
  std::unique_ptr<Ingest> ingest =
      TRY(store.StartIngest(IngestIdOf(content), identity, content.size()));
  TRY(WriteStaged(*ingest, content, {.begin = 0, .end = content.size()}));
  return ingest->Commit(snapshot_id, identity, content.size(), Digest::Of(content));
}

Result<Snapshot> Fill(Store& store, const Listing& listing, const TestFiles& files) {
  Snapshot snapshot = TRY(store.BeginSnapshot(listing));
  for (const SnapshotFile& file : snapshot.files) {
    if (!file.blob) TRY(Put(store, snapshot.id, file.listed.identity, files.at(file.listed.path)));
  }
  TRY(store.CompleteSnapshot(snapshot.id));
  return *store.FindSnapshot(snapshot.id);
}

LeaseRecord LeaseOn(const std::string& snapshot_id, const std::string& name,
                    const std::string& tree) {
  return {.id = Digest::Of(name).Hex(),
          .snapshot_id = snapshot_id,
          .tree = tree,
          .volume_id = "csi-" + name,
          .target_path = "/pods/" + name,
          .pod_namespace = "default",
          .pod_name = name,
          .pod_uid = "uid-" + name,
          .request_fingerprint = "fingerprint",
          .boot_id = "boot",
          .taken = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000))};
}

HoldRecord HoldFor(const std::string& volume_id, const std::string& snapshot_id, Bytes bytes,
                   std::chrono::system_clock::time_point now) {
  return {.volume_id = volume_id,
          .snapshot_id = snapshot_id,
          .bytes = bytes,
          .model = "hf://org/name@main",
          .request_fingerprint = "fingerprint",
          .taken = now,
          .ends = now + std::chrono::minutes(10)};
}

std::vector<std::string> NamesBelow(const fs::path& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    names.push_back(entry.path().lexically_relative(directory));
  }
  std::ranges::sort(names);
  return names;
}

TestFiles FilesBelow(const fs::path& directory) {
  TestFiles files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    files[entry.path().lexically_relative(directory)] = ReadTestFile(entry.path());
  }
  return files;
}

void ExpectOnlyTrueBytes(Store& store) {
  fs::path root = store.root();
  for (const auto& [name, content] : FilesBelow(root / "blobs/sha256")) {
    std::string hex = Digest::Of(content).Hex();
    EXPECT_EQ(name, hex.substr(0, 2) + "/" + hex);
    EXPECT_EQ(fs::status(root / "blobs/sha256" / name).permissions(), fs::perms(0444)) << name;
  }
  for (const Snapshot& snapshot : store.Snapshots()) {
    if (!snapshot.complete) continue;
    auto tree = store.EnsureTree(snapshot.id, Layout::kFiles, "");
    ASSERT_TRUE(tree.has_value()) << tree.error().message;
    TestFiles files = FilesBelow(root / *tree);
    EXPECT_EQ(files.size(), snapshot.files.size());
    for (const SnapshotFile& file : snapshot.files) {
      ASSERT_TRUE(file.blob.has_value());
      EXPECT_EQ(Digest::Of(files[file.listed.path]), *file.blob) << file.listed.path;
    }
  }
}

void ExpectNoGarbage(const fs::path& root) {
  for (const fs::directory_entry& ingest : fs::directory_iterator(root / "ingests")) {
    EXPECT_EQ(NamesBelow(ingest.path()), (std::vector<std::string>{"data", "state"}));
  }
  for (const std::string& name : NamesBelow(root)) {
    std::string last = fs::path(name).filename();
    EXPECT_FALSE(last.starts_with('.') || last.ends_with(".new")) << name;
  }
}

StoreTest::StoreTest() {
  options_.root = Root();
  options_.min_free = 0;
  options_.boot_id = "boot";
}

StoreTest::~StoreTest() = default;

Result<std::unique_ptr<Store>> StoreTest::TryOpen() {
  return Store::Open(filesystem_, clock_, options_);
}

void StoreTest::Open() {
  auto opened = TryOpen();
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  store_ = std::move(*opened);
}

void StoreTest::Reopen() {
  Close();
  Open();
}

bool StoreTest::MayUse(const std::string& origin, const std::string& content) const {
  return !store_->UsableFiles(ListingOf({{"file", content}}, {.origin = origin})).empty();
}

bool StoreTest::BlobExists(const std::string& content) const {
  return fs::exists(Names().Blob(Digest::Of(content)));
}

}  // namespace weighhouse::store
