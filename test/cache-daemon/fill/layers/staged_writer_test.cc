#include "cache-daemon/fill/layers/staged_writer.h"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "cache-daemon/fill/layers/layer_reading.h"
#include "test/cache-daemon/fill/layers/packed_text.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::fill {
namespace {

/// A disk that fails its first write while the second is queued, which ends long after. It looks
/// whether the file is still open by then.
class FailingDisk final : public io::IoEngine {
 public:
  void Write(int fd, uint64_t, std::span<const std::byte>, Done done) override {
    if (!first_) {
      first_ = std::move(done);
      return;
    }
    first_(EIO);
    late_ = std::jthread([this, fd, done = std::move(done)] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      was_open_ = ::fcntl(fd, F_GETFD) != -1;
      done(0);
    });
  }
  void Read(int, uint64_t, std::span<std::byte>, Done done) override { done(ENOSYS); }
  std::string_view Name() const override { return "failing"; }

  /// Waits for the second write.
  std::optional<bool> WasOpen() {
    if (late_.joinable()) late_.join();
    return was_open_;
  }

 private:
  Done first_;
  std::optional<bool> was_open_;
  std::jthread late_;
};

class StagedWriterTest : public store::StoreTest {
 protected:
  StagedWriterTest() { Open(); }
  FailingDisk failing_;
};

TEST_F(StagedWriterTest, AFileIsClosedOnlyWhenNothingIsOnItsWayToIt) {
  std::unique_ptr<StagedWriter> writer = StagedWriter::Create(failing_).value();
  // A buffer and a half: a third write would wait for the first.
  std::string tar = source::oci::TarEntry("models/w", PatternBytes(3 * kMiB, 7)) + kTarEnd;
  LayerRoom room(*store_, std::string(64, 'f'));
  LayerReading reading(
      {.store = *store_, .writer = *writer, .room = room},
      {.origin = "oci+https://r/m", .anonymous = true},
      {.digest = Digest::Of(tar).Hex(), .size = tar.size(), .diff_id = {}, .prefix = "models/"},
      std::nullopt);
  Result<ReadLayer> read = reading.Run(Pieces(tar, 100'000));
  ASSERT_FALSE(read);
  EXPECT_TRUE(read.error().message.contains("write a file of a layer")) << read.error().message;
  EXPECT_EQ(failing_.WasOpen(), true) << "the second write met a closed file, or there was none";
}

}  // namespace
}  // namespace weighhouse::fill
