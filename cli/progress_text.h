#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/units.h"

namespace weighhouse::cli {

/// How far one fill is.
struct Progress {
  Bytes total = 0;
  Bytes done = 0;
  Bytes per_second = 0;  ///< 0: not known
  uint64_t files_total = 0;
  uint64_t files_done = 0;
  std::string waiting_for;  ///< why nothing moves; empty while it does
};

/// Whole per cent, rounded down: 100 only when everything is there.
unsigned Percent(Bytes done, Bytes total);

/// How long the rest takes at this rate; nothing while that is unknown or not worth saying (over 99
/// h).
std::optional<std::chrono::seconds> TimeLeft(const Progress& progress);

/// "12.1/32.4 GiB": both in the unit of the total.
std::string FormatPart(Bytes done, Bytes total);

/// One line of at most `width` columns for a terminal: name, per cent, bar, bytes, rate, time left.
/// What doesn't fit is left out, the least important first.
std::string ProgressBar(const std::string& name, const Progress& progress, size_t width);

/// One line for a log: "hf://…: 12.1/32.4 GiB (37 %), 1.2 GiB/s, 17 s left, 3 of 12 files".
std::string ProgressLine(const std::string& name, const Progress& progress);

/// The sums of a finished pull.
struct Pulled {
  std::string model;
  std::string revision;
  std::string tree;  ///< absolute
  Bytes bytes = 0;
  Bytes bytes_fetched = 0;
  uint64_t files = 0;
  std::chrono::milliseconds took{0};
};

/// "ready: hf://org/name@main (commit 0123456789ab): 87.3 MiB in 310 ms (281.6 MiB/s); 12 files;
/// tree: /…".
std::string ReadyLine(const Pulled& pulled);

/// A commit's first 12 digits; anything else as it is.
std::string ShortRevision(const std::string& revision);

/// "just now", "5 min ago", "3 h ago", "12 d ago".
std::string FormatAge(std::chrono::seconds age);

}  // namespace weighhouse::cli
