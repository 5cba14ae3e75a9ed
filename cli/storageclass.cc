#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/model.h"
#include "cli/claim_objects.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/yaml_text.h"

namespace weighhouse::cli {
namespace {

/// What the cache takes when it is empty: its limit, but no more than its filesystem has beside
/// what stays free there.
Bytes EmptyCacheTakes(const pb::CapacityResponse& capacity) {
  Bytes kept_free = std::min(capacity.filesystem_total(), capacity.min_free());
  return std::min(capacity.limit(), capacity.filesystem_total() - kept_free);
}

Result<ClaimFacts> FactsOf(const Options& options, Client& client, const SecretValues& secret) {
  ClaimFacts facts{.layout = options.layout, .options = options.claim};
  facts.model = TRY(ModelReference::Parse(options.subject, options.revision));
  facts.model.allow_patterns = options.allow;
  facts.model.ignore_patterns = options.ignore;
  pb::StatRequest request;
  *request.mutable_model() = ModelOf(options);
  request.mutable_credentials()->insert(secret.begin(), secret.end());
  pb::StatResponse stat = TRY(client.Stat(request));
  facts.commit = facts.model.IsCommit(stat.revision()) ? stat.revision() : "";
  facts.model_bytes = stat.bytes_selected();
  facts.recommended_bytes = stat.recommended_claim_bytes();
  if (options.claim.limit) {
    facts.limit = *options.claim.limit;
  } else if (!options.claim.cached_only) {
    pb::CapacityResponse capacity = TRY(client.Capacity());
    facts.limit = EmptyCacheTakes(capacity);
  }
  return facts;
}

}  // namespace

Outcome StorageClass(const Options& options, Client& client, const SecretValues& secret) {
  Result<ClaimFacts> facts = FactsOf(options, client, secret);
  if (!facts) return std::unexpected(ToFailure(facts.error()));
  Result<Json> objects = MakeClaimObjects(*facts);
  if (!objects) return std::unexpected(ToFailure(objects.error()));
  if (options.output == Output::kJson) {
    PrintJson({{"apiVersion", "v1"}, {"kind", "List"}, {"items", *objects}});
    return kOk;
  }
  std::string text;
  for (const Json& object : *objects) {
    if (!text.empty()) text += "---\n";
    text += ToYaml(object, ClaimComments(*facts, object));
  }
  Print("{}", text);
  return kOk;
}

}  // namespace weighhouse::cli
