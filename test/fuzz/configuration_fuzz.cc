// The configuration file.

#include <algorithm>

#include "cache-daemon/config/document.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::config {

WEIGHHOUSE_FUZZ_TARGET(configuration, bytes) {
  Result<Document> document = ParseDocument(std::string(bytes), "f");
  if (!document) {
    const std::string& message = document.error().message;
    CHECK(document.error().code == Code::kInvalidArgument && message.starts_with("f:"));
    CHECK(message.size() < 8000);
    CHECK(std::ranges::none_of(message, [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
    return;
  }
  // Whatever was taken has a meaning, on every node.
  for (const Node& node : {Node{}, Node{.name = "gpu-1", .labels = {{"pool", "gpu"}}}}) {
    ConfigValues values = document->For(node);
    Config config = ConfigOf(values);
    CHECK(config.root.starts_with('/') && config.fill.connections > 0);
    ReloadPlan none = PlanReload(values, values);
    CHECK(none.applied.empty() && none.pending.empty());
    ReloadPlan from_nothing = PlanReload({}, values);
    CHECK(from_nothing.applied.size() + from_nothing.pending.size() <= values.size());
  }
}

}  // namespace weighhouse::config
