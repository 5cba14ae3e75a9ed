#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>

#include "base/unique_fd.h"

namespace weighhouse::cli {

/// Signals that are read instead of caught. They are blocked for the thread that makes it and the
/// threads that are made after: make it before any, and from then on until the process ends.
class Signals {
 public:
  explicit Signals(std::initializer_list<int> numbers);

  /// Readable when one has come.
  int fd() const { return fd_.get(); }
  /// The next one that has come; nothing: none has. Doesn't wait.
  std::optional<int> Take() const;

 private:
  UniqueFd fd_;
};

}  // namespace weighhouse::cli
