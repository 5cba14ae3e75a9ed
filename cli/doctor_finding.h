#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/paint.h"

namespace weighhouse::cli {

/// How one check ended.
enum class CheckState {
  kOk,
  kSkip,  ///< it could not be looked at, or was left out on purpose: the value says why
  kWarn,  ///< works, but costs something or may bring trouble
  kFail,  ///< the daemon won't start, or pods won't get their models
};

/// One check's outcome. `remedy` is empty where nothing is wrong, and only there.
struct Finding {
  CheckState state = CheckState::kOk;
  std::string name;    ///< stable: docs/schemas/doctor.json lists them
  std::string value;   ///< what was found
  std::string remedy;  ///< what to do
};

inline Finding Sound(std::string name, std::string value) {
  return {CheckState::kOk, std::move(name), std::move(value), ""};
}
inline Finding Skipped(std::string name, std::string why) {
  return {CheckState::kSkip, std::move(name), std::move(why), ""};
}
inline Finding Warning(std::string name, std::string value, std::string remedy) {
  return {CheckState::kWarn, std::move(name), std::move(value), std::move(remedy)};
}
inline Finding Failed(std::string name, std::string value, std::string remedy) {
  return {CheckState::kFail, std::move(name), std::move(value), std::move(remedy)};
}

using Findings = std::vector<Finding>;

/// "ok", "skip", "warn", "fail": as in JSON.
std::string_view StateName(CheckState state);

size_t CountOf(std::span<const Finding> findings, CheckState state);

/// One line a check, the remedy below it, and a line that sums up. Nothing in it controls a
/// terminal but our own colours.
std::string FindingsText(std::span<const Finding> findings, const Paint& paint);

}  // namespace weighhouse::cli
