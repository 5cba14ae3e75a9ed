#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

constexpr Bytes kMaxStateSize = 64 * kKiB;

}  // namespace

// Not synced: what a power cut takes of it costs that some blobs are read again.
Result<> StoreImpl::RecordScrub(const ScrubState& state) {
  std::string path = layout_.ScrubFile();
  std::string beside = RootLayout::TemporaryBeside(path);
  TRY(filesystem_.WriteFile(beside, ScrubStateToJson(state)));
  FaultPoint("scrub.written");
  TRY(filesystem_.Rename(beside, path, io::Replace::kAllowed));
  FaultPoint("scrub.recorded");
  return {};
}

ScrubState StoreImpl::ReadScrub() {
  auto text = filesystem_.ReadFile(layout_.ScrubFile(), kMaxStateSize);
  if (!text.has_value() && text.error().code == Code::kNotFound) return {};
  auto state = text.has_value() ? ParseScrubState(*text) : std::unexpected(text.error());
  if (state.has_value()) return *state;
  LogRepeated(LogLevel::kWarning, fmt::format("store: the scrub begins anew: {}: {}",
                                              layout_.ScrubFile(), state.error().message));
  return {};
}

}  // namespace weighhouse::store
