#include <array>

#include "cache-daemon/config/key_tables.h"
#include "cache-daemon/config/value_readers.h"

namespace weighhouse::config {
namespace {

using enum TakesEffect;

constexpr std::array kRightsKeys = {
    ConfigKey{
        "rights.policy", kAtOnce, "verify or neverVerifyAllowlisted", "verify",
        "Whether everybody's rights to a private model that is here are verified, or those to "
        "the models of `rights.neverVerify` are not: these are anybody's while they are here.",
        [](const ConfigValue& value, Config& config) {
          using enum RightsOptions::Policy;
          return TakeChoice<RightsOptions::Policy>(
              value, {{"verify", kVerify}, {"neverVerifyAllowlisted", kNeverVerifyAllowlisted}},
              config.rights.policy);
        }},
    ConfigKey{"rights.neverVerify", kAtOnce,
              "a list of at most 100 globs of model URIs, such as [\"hf://org/*\"]", "[]",
              "With policy neverVerifyAllowlisted: models that everybody may have once they are "
              "here, whoever brought them.",
              [](const ConfigValue& value, Config& config) {
                return TakePatterns(value, config.rights.never_verify);
              }},
    ConfigKey{"rights.grantTtl", kAtOnce, "seconds from 0s to 2592000s, such as 86400s", "86400s",
              "How long a private model that is here is given, while its source is away, to "
              "credentials that the source has accepted. A shorter one takes effect on those that "
              "are recorded, too; 0s: never.",
              [](const ConfigValue& value, Config& config) {
                return TakeSeconds(value, 0, 2592000, config.rights.grant_ttl);
              }},
    ConfigKey{"rights.recheckAfter", kAtOnce, "seconds from 0s to 86400s, such as 300s", "300s",
              "How long the source isn't asked again whether credentials that it has accepted may "
              "have a commit that is here. What it takes back meanwhile goes unnoticed; 0s: it is "
              "asked each time.",
              [](const ConfigValue& value, Config& config) {
                return TakeSeconds(value, 0, 86400, config.rights.recheck_after);
              }},
};

}  // namespace

std::span<const ConfigKey> RightsKeys() { return kRightsKeys; }

}  // namespace weighhouse::config
