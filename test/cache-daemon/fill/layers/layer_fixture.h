#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache-daemon/fill/layers/layer_reads.h"
#include "test/cache-daemon/fill/layers/packed_text.h"
#include "test/cache-daemon/fill/manual_transport.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::fill {

/// Says where layers are as the test has it answer. Thread-safe.
class LayerSource final : public source::Source {
 public:
  /// Given the account's name; whether it may have the layer.
  using Answer = std::function<Result<>(const std::string& account)>;
  explicit LayerSource(Answer answer) : answer_(std::move(answer)) {}
  int locates() const { return locates_; }

  Result<Listing> Resolve(const ModelReference&, const Credentials&, std::stop_token) override {
    return Fail(Code::kUnimplemented, "a fake");
  }
  Result<source::FileLocation> Locate(const ModelReference&, const Listing&, const ListedFile&,
                                      const Credentials& credentials, std::stop_token) override {
    ++locates_;
    auto account = credentials.values.find("account");
    TRY(answer_(account == credentials.values.end() ? "" : account->second));
    return source::FileLocation{
        .url = "fake:", .expires_at = std::chrono::steady_clock::now() + std::chrono::hours(1)};
  }

 private:
  const Answer answer_;
  std::atomic<int> locates_ = 0;
};

/// One layer that all sources have, a store, and a thread that is the transport's loop.
class LayerTest : public store::StoreTest {
 protected:
  LayerTest();
  ~LayerTest() override;

  PackedLayer Layer() const {
    return {.digest = Digest::Of(layer_).Hex(), .size = layer_.size(), .diff_id = {}, .prefix = {}};
  }
  /// What `origin` lists: that layer.
  Listing Listed(const std::string& origin, bool anonymous = true) const {
    return {.origin = origin,
            .revision = "sha256:" + std::string(64, 'a'),
            .repository = {},
            .anonymous = anonymous,
            .files = {},
            .packed = {Layer()}};
  }
  /// Has it read for `account` ("": nobody's).
  std::future<Result<LayersRead>> Ask(std::shared_ptr<LayerSource> source, Listing listing,
                                      const std::string& account = "");
  /// Runs `task` on the strand, and waits for it.
  void OnStrand(const std::function<void()>& task);
  /// Ends what is under way.
  void Stop();

  const std::string layer_ =
      source::oci::TarEntry("w.bin", PatternBytes(300'000, 3)) + std::string(1024, '\0');
  ManualTransport transport_{layer_};
  io::IoEngineSelection io_;
  std::unique_ptr<io::BufferPool> buffers_;
  std::unique_ptr<io::BufferPool> read_buffers_;
  std::shared_ptr<FillContext> context_;  // shared: see FillContext
  std::unique_ptr<LayerReads> reads_;
  std::jthread loop_;
};

}  // namespace weighhouse::fill
