#include "test/cache-daemon/fill/fake_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::fill {

class FakeStore::StagedIngest final : public store::Ingest {
 public:
  StagedIngest(FakeStore& store, UniqueFd fd, bool direct, std::vector<ByteRange> resumed)
      : store_(store), fd_(std::move(fd)), direct_(direct), resumed_(std::move(resumed)) {}
  ~StagedIngest() override {
    MutexLock lock(store_.mutex_);
    store_.busy_ = false;
  }
  int fd() const override { return fd_.get(); }
  bool direct() const override { return direct_; }
  const std::string& path() const override { return store_.path_; }
  const std::vector<ByteRange>& resumed() const override { return resumed_; }
  Result<Bytes> ShareBlocks(int) override { return 0; }
  Result<> RecordDurable(const std::vector<ByteRange>& written) override {
    if (store_.on_record_) TRY(store_.on_record_());
    MutexLock lock(store_.mutex_);
    store_.recorded_ = written;
    store_.recordings_.push_back(written);
    return {};
  }
  void Discard() override {
    MutexLock lock(store_.mutex_);
    store_.recorded_.clear();
    ++store_.discards_;
  }
  Result<> Seal() override { return {}; }
  Result<> Commit(const std::string&, const FileIdentity&, Bytes size,
                  const Digest& sha256) override {
    EXPECT_EQ(::ftruncate(fd_.get(), static_cast<off_t>(size)), 0);
    MutexLock lock(store_.mutex_);
    store_.committed_ = sha256;
    return {};
  }

 private:
  FakeStore& store_;
  const UniqueFd fd_;
  const bool direct_;
  const std::vector<ByteRange> resumed_;
};

void FakeStore::Leave(std::string_view content, std::vector<ByteRange> recorded) {
  WriteTestFile(path_, content);
  MutexLock lock(mutex_);
  recorded_ = std::move(recorded);
}

Result<std::unique_ptr<store::Ingest>> FakeStore::StartIngest(const std::string&,
                                                              const FileIdentity&, Bytes size) {
  MutexLock lock(mutex_);
  if (busy_) return Fail(Code::kAlreadyExists, "busy");
  UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_TRUE(static_cast<bool>(fd));
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>((size + 4095) / 4096 * 4096)), 0);
  bool direct = ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_DIRECT) == 0;
  busy_ = true;
  return std::make_unique<StagedIngest>(*this, std::move(fd), direct, recorded_);
}

Result<store::Snapshot> FakeStore::BeginSnapshot(const Listing& listing) {
  store::Snapshot snapshot;
  MutexLock lock(mutex_);
  for (const ListedFile& file : listing.files) {
    snapshot.files.push_back({.listed = file, .blob = committed_});
  }
  return snapshot;
}

std::vector<ByteRange> FakeStore::recorded() {
  MutexLock lock(mutex_);
  return recorded_;
}

std::vector<std::vector<ByteRange>> FakeStore::recordings() {
  MutexLock lock(mutex_);
  return recordings_;
}

int FakeStore::discards() {
  MutexLock lock(mutex_);
  return discards_;
}

std::optional<Digest> FakeStore::committed() {
  MutexLock lock(mutex_);
  return committed_;
}

}  // namespace weighhouse::fill
