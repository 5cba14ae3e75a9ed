#include "cache-daemon/api/recent_error.h"

#include "base/text.h"

namespace weighhouse::api {
namespace {

constexpr size_t kMaxMessage = 1000;

}  // namespace

cache::v1::RecentError FromRecentError(const RecentError& error) {
  cache::v1::RecentError out;
  out.set_time_unix(
      std::chrono::duration_cast<std::chrono::seconds>(error.time.time_since_epoch()).count());
  out.set_level(error.level);
  out.set_message(Printable(error.message, kMaxMessage));
  out.set_times(error.times);
  return out;
}

}  // namespace weighhouse::api
