#pragma once

#include <memory>

#include "base/listen_address.h"
#include "cache-daemon/api/admin_pages.h"

namespace weighhouse::api {

/// Serves the status page, its document, /metrics, /healthz and /readyz by HTTP, on threads of its
/// own. Connections, those of one address, and the memory of each are bounded: whoever reaches the
/// port can at most keep others from these pages.
class AdminHttp {
 public:
  /// Listens when it returns. kFailedPrecondition: the address can't be had, and why. `pages`
  /// outlives it.
  static Result<std::unique_ptr<AdminHttp>> Start(const ListenAddress& address, AdminPages& pages);
  /// Closes the connections, and ends the threads once the pages under way are made.
  virtual ~AdminHttp() = default;
  /// Where it listens, with the port that was found free if none was given.
  virtual const ListenAddress& address() const = 0;
};

}  // namespace weighhouse::api
