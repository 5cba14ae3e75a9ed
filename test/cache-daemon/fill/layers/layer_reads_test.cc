#include "cache-daemon/fill/layers/layer_reads.h"

#include <gmock/gmock.h>

#include "test/cache-daemon/fill/layers/layer_fixture.h"

namespace weighhouse::fill {
namespace {

using store::LayerOrigin;

constexpr char kOrigin[] = "oci+https://registry.test/models/one";
constexpr std::chrono::seconds kReadPatience{30};

/// Lets who asks wait until the test opens it.
class Gate {
 public:
  void Open() { opened_.set_value(); }
  void Wait() { open_.wait(); }
  /// Somebody waits.
  void Arrive() {
    if (!known_.exchange(true)) arrived_.set_value();
  }
  bool Reached() {
    return arrived_.get_future().wait_for(kReadPatience) == std::future_status::ready;
  }

 private:
  std::atomic<bool> known_ = false;
  std::promise<void> opened_, arrived_;
  std::shared_future<void> open_ = opened_.get_future();
};

class LayerReadsTest : public LayerTest {
 protected:
  static Code CodeOf(const Result<LayersRead>& read) { return read ? Code{} : read.error().code; }
  bool Known(const LayerOrigin& origin) { return store_->FindLayer(origin, Layer()).has_value(); }
  /// A stranger's, who may see what all may see.
  bool KnownToAll() { return Known({.origin = "oci+https://stranger", .anonymous = true}); }
  static bool Comes(const std::future<Result<LayersRead>>& read) {
    return read.wait_for(kReadPatience) == std::future_status::ready;
  }
};

TEST_F(LayerReadsTest, WhatALoginReadIsNotWrittenDownAsEverybodys) {
  Gate gate;
  auto source = std::make_shared<LayerSource>([&](const std::string& account) -> Result<> {
    if (!account.empty()) return {};
    gate.Arrive();
    gate.Wait();
    return Fail(Code::kUnauthenticated, "it is private by now");
  });
  auto nobodys = Ask(source, Listed(kOrigin, true));
  ASSERT_TRUE(gate.Reached());
  auto own = Ask(source, Listed(kOrigin, false), "b");
  gate.Open();
  ASSERT_TRUE(Comes(nobodys) && Comes(own));
  EXPECT_EQ(CodeOf(nobodys.get()), Code::kUnauthenticated);
  Result<LayersRead> read = own.get();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(Known({.origin = kOrigin, .anonymous = false}));
  EXPECT_FALSE(KnownToAll());
}

TEST_F(LayerReadsTest, WhoHasNoLoginReadsForHimself) {
  Gate gate;
  auto source = std::make_shared<LayerSource>([&](const std::string& account) -> Result<> {
    if (account.empty()) return Fail(Code::kPermissionDenied, "only with a login");
    gate.Arrive();
    gate.Wait();
    return {};
  });
  auto own = Ask(source, Listed(kOrigin, false), "b");
  ASSERT_TRUE(gate.Reached());
  auto nobodys = Ask(source, Listed(kOrigin, true));
  gate.Open();
  ASSERT_TRUE(Comes(nobodys) && Comes(own));
  EXPECT_TRUE(own.get());
  EXPECT_EQ(CodeOf(nobodys.get()), Code::kPermissionDenied) << "the source's own word to it";
  EXPECT_FALSE(KnownToAll());
}

TEST_F(LayerReadsTest, AStrangerWhoNamesALayerHoldsUpNobody) {
  Gate gate;
  auto stranger = std::make_shared<LayerSource>([&](const std::string&) -> Result<> {
    gate.Arrive();
    gate.Wait();
    return Fail(Code::kNotFound, "there is no such layer");
  });
  auto source = std::make_shared<LayerSource>([](const std::string&) -> Result<> { return {}; });
  auto never = Ask(stranger, Listed("oci+https://evil.test/x"));
  ASSERT_TRUE(gate.Reached());
  auto read = Ask(source, Listed(kOrigin));
  EXPECT_TRUE(Comes(read)) << "it waits for the stranger";
  gate.Open();
  ASSERT_TRUE(Comes(never) && Comes(read));
  EXPECT_TRUE(read.get());
}

TEST_F(LayerReadsTest, ALayerOfOneOriginIsReadOnceForTwoOfItsModels) {
  Gate gate;
  auto source = std::make_shared<LayerSource>([&](const std::string&) -> Result<> {
    gate.Arrive();
    gate.Wait();
    return {};
  });
  auto first = Ask(source, Listed(kOrigin));
  ASSERT_TRUE(gate.Reached());
  Listing other = Listed(kOrigin);
  other.revision = "sha256:" + std::string(64, 'b');
  auto second = Ask(source, other);
  gate.Open();
  ASSERT_TRUE(Comes(first) && Comes(second));
  EXPECT_TRUE(first.get() && second.get());
  EXPECT_EQ(source->locates(), 1);
}

}  // namespace
}  // namespace weighhouse::fill
