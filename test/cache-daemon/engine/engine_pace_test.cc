#include <chrono>

#include "test/cache-daemon/engine/engine_fixture.h"
#include "test/cache-daemon/engine/paced_server.h"

namespace weighhouse {
namespace {

class EnginePaceTest : public EngineTest {
 protected:
  /// How long it takes to fill `content` from a server with that pace.
  std::chrono::duration<double> TimeToFill(const std::string& name, const std::string& content,
                                           PacedServer::Pace pace) {
    PacedServer server(content, std::move(pace));
    auto begun = std::chrono::steady_clock::now();
    Result<AcquiredTree> tree = Acquire(Request(server.Url(name)));
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    EXPECT_TRUE(tree) << (tree ? "" : tree.error().message);
    if (!tree) return took;
    EXPECT_EQ(Digest::Of(Read(*tree, name)), Digest::Of(content));
    return took;
  }
};

TEST_F(EnginePaceTest, IsNotHeldUpByASlowFirstConnection) {
  std::string content = PatternBytes(64 * kMiB + 5, 3);
  OpenEngine();
  auto even = TimeToFill("even.bin", content, [](int) { return 12e6; });
  auto uneven =
      TimeToFill("uneven.bin", content, [](int number) { return number == 0 ? 0.5e6 : 12e6; });
  EXPECT_LE(uneven.count(), 2 * even.count());
}

TEST_F(EnginePaceTest, OpensMoreConnectionsWhileTheyBringMore) {
  OpenEngine();
  PacedServer server(PatternBytes(128 * kMiB, 4), [](int) { return 8e6; });
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(server.Url("model.bin"))));
  EXPECT_GT(server.fetching(), 8);
  Result<EngineInfo> info = engine_->Info();
  ASSERT_TRUE(info);
  ASSERT_EQ(info->hosts.size(), 1U);
  EXPECT_GT(info->hosts[0].allowance, 4U);
}

}  // namespace
}  // namespace weighhouse
