#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace weighhouse::cli {

/// fmt::print to stdout without its exceptions: what can't be written shows when stdout is flushed
/// (FlushResult).
template <class... Arguments>
void Print(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  std::string text = fmt::format(format, std::forward<Arguments>(arguments)...);
  std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace weighhouse::cli
