#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse {

/// A running fixture Hub (test/fixture_hub): a Hugging Face Hub and its CDN on loopback ports of
/// the kernel's choice. It ends with this object, and also if the test dies. Control calls that
/// fail end the test program with a message: no test can go on without them. Thread-safe.
class FixtureHub {
 public:
  /// Serves `models_directory`/org/name/**. `extra_arguments` as in `fixture_hub.py --help`. The
  /// script is found below the environment's WEIGHHOUSE_SOURCE_DIR, else below the source tree this
  /// was compiled from. kUnavailable if it does not start; what it wrote to standard error says
  /// why.
  static Result<std::unique_ptr<FixtureHub>> Start(const std::string& models_directory,
                                                   std::vector<std::string> extra_arguments = {});
  ~FixtureHub();
  FixtureHub(const FixtureHub&) = delete;
  FixtureHub& operator=(const FixtureHub&) = delete;

  /// `http://127.0.0.1:P`: what HF_ENDPOINT would be.
  const std::string& hub_url() const { return hub_url_; }
  /// `http://localhost:Q`: another host name than the Hub's.
  const std::string& cdn_url() const { return cdn_url_; }

  /// Puts a JSON list of fault rules in place of those in force (test/fixture_hub/README.md).
  void SetFaults(std::string_view json);
  void ClearFaults();
  /// From now on the JSON list's tokens and no others are valid.
  void SetTokens(std::string_view json);
  /// Sets counters and log back.
  void Reset();
  /// Reads the models' directory again: changed content becomes a new commit on main.
  void Rescan();

  /// The counters as JSON text.
  std::string Stats();
  /// One counter, such as "cdn_requests"; ends the program if there is none of that name.
  int64_t Stat(std::string_view key);
  /// The commit on main of `org/name`; "" if there is no such repository.
  std::string Commit(const std::string& repo);
  /// The requests since the last reset as a JSON list of {side, method, path, file, range, status,
  /// bytes, authorization}.
  std::string Log();

  /// The body of GET `path` on the Hub, whatever the status. Redirects are not followed.
  std::string Get(const std::string& path);
  /// POSTs `body` to `path` on the Hub.
  void Post(const std::string& path, std::string_view body);

 private:
  FixtureHub(pid_t pid, UniqueFd standard_input)
      : pid_(pid), standard_input_(std::move(standard_input)) {}
  std::string Call(const char* method, const std::string& path, std::string_view body);

  pid_t pid_;
  UniqueFd standard_input_;  ///< The child ends when this closes.
  std::string hub_url_;
  std::string cdn_url_;
};

}  // namespace weighhouse
