#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace weighhouse {

/// A fresh directory below TMPDIR (or /tmp) that vanishes with the object, also where its
/// directories were made unwritable. Ends the program if it can't be made.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  /// Below `parent` instead.
  explicit TemporaryDirectory(const std::filesystem::path& parent);
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  /// Absolute.
  const std::filesystem::path& path() const { return path_; }
  /// The path of `name` below it.
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Writes `content` to the file `path`, making its directories and replacing what was there by
/// rename. Ends the program if it can't.
void WriteTestFile(const std::filesystem::path& path, std::string_view content);

/// The file's content; ends the program if it can't be read.
std::string ReadTestFile(const std::filesystem::path& path);

/// `size` bytes that depend on `seed` alone and do not repeat within any practical length.
std::string PatternBytes(size_t size, uint64_t seed);

}  // namespace weighhouse
