#include "cache-daemon/api/configuration_status.h"

#include "base/text.h"

namespace weighhouse::api {
namespace {

constexpr size_t kMaxText = 1000;

}  // namespace

cache::v1::ConfigurationStatus FromConfigurationStatus(const ConfigurationStatus& status) {
  cache::v1::ConfigurationStatus out;
  out.set_file(Printable(status.file, kMaxText));
  out.set_applied_unix(
      std::chrono::duration_cast<std::chrono::seconds>(status.applied.time_since_epoch()).count());
  out.set_reloads(status.reloads);
  out.set_failures(status.failures);
  out.set_error(Printable(status.error, kMaxText));
  for (const std::string& key : status.pending) out.add_applies_at_restart(key);
  for (const std::string& warning : status.warnings) {
    out.add_warnings(Printable(warning, kMaxText));
  }
  return out;
}

}  // namespace weighhouse::api
