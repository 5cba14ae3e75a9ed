#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weighhouse {

/// `text` without ASCII white space at both ends.
std::string_view Trim(std::string_view text);

/// ASCII lower case.
std::string ToLower(std::string_view text);

/// Splits at `separator`, trims the parts and drops the empty ones.
std::vector<std::string> SplitAndTrim(std::string_view text, char separator);

std::string Join(std::span<const std::string> parts, std::string_view separator);

/// The candidate nearest to `text` by Levenshtein distance (at most a third of its length), or "".
std::string_view Nearest(std::string_view text, std::span<const std::string_view> candidates);

/// `text` with control characters, what turns a line's direction, and bytes that aren't UTF-8
/// replaced by `?`, cut to `max_size` bytes: for putting what a stranger sent into a message or a
/// log line.
std::string Printable(std::string_view text, size_t max_size = 200);

/// Percent-encodes all but RFC 3986 unreserved characters and those in `keep`.
std::string PercentEncode(std::string_view text, std::string_view keep = "");

}  // namespace weighhouse
