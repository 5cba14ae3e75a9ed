#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse::daemon {

/// Waits until something happens to a file, by its directory: kubelet changes a ConfigMap's files
/// by renaming a link beside them, and editors rename a new file over the old one. Used by one
/// thread.
class ConfigWatch {
 public:
  /// What happens from now on ends a Wait.
  static Result<std::unique_ptr<ConfigWatch>> Create(const std::string& file);

  /// Until something happened in the directory since the last Wait, `stop` is requested, or
  /// `longest` is over; a second at most where the directory is absent or can't be watched.
  void Wait(const std::stop_token& stop, std::chrono::milliseconds longest);
  /// Until `stop` is requested or `duration` is over.
  void Pause(const std::stop_token& stop, std::chrono::milliseconds duration) const;

 private:
  ConfigWatch(std::string directory, UniqueFd inotify, UniqueFd stopped)
      : directory_(std::move(directory)),
        inotify_(std::move(inotify)),
        stopped_(std::move(stopped)) {}
  /// False: it can't be watched now.
  bool Watch() const;

  const std::string directory_;
  const UniqueFd inotify_;  ///< none where the kernel gives none
  const UniqueFd stopped_;  ///< an eventfd: readable once a stop was requested
};

}  // namespace weighhouse::daemon
