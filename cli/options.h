#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "base/model.h"
#include "base/units.h"
#include "cli/doctor_options.h"

namespace weighhouse::cli {

enum class Command {
  kPull,
  kKeep,
  kList,
  kDiskUsage,
  kStatus,
  kTop,
  kInspect,
  kEvict,
  kVerify,
  kStorageClass,
  kConfigCheck,
  kConfigKeys,
  kDoctor,
  kModelId,
  kAgent,
  kCompletion,
  kManual,
  kVersion
};
enum class Output { kText, kJson };
enum class SortBy { kUsed, kSize, kName, kState };

/// What `storageclass` is told beyond the model.
struct ClaimOptions {
  bool scratch = false;      ///< --access scratch
  std::string scratch_size;  ///< a quantity, as it was given; empty: the plugin's default
  bool cached_only = false;
  std::string placement;               ///< "node", "any"; empty: the plugin's default
  std::string name;                    ///< empty: made of the model's
  std::string namespace_ = "default";  ///< the claim's
  std::string access_mode;             ///< empty: ReadOnlyMany, with `scratch` ReadWriteMany
  std::optional<Bytes> limit;  ///< what an empty node takes; unset: as the cache that is asked
};

/// What `keep` is told beyond the models.
struct KeepOptions {
  bool list = false;
  bool remove = false;
  bool after_pull = false;  ///< of pull: --keep
  std::string file;         ///< pull, too; empty: the daemon's configuration
};

/// The command line. What a command doesn't know stays at its default.
struct Options {
  Command command = Command::kVersion;

  // Of every command
  std::string socket = "/run/weighhouse/admin.sock";
  std::optional<std::string> root;  ///< set: the engine runs in this process, on this directory
  Output output = Output::kText;
  std::string hf_endpoint;        ///< with `root`; empty: the engine's default
  bool allow_plain_http = false;  ///< with `root`

  /// inspect, storageclass, evict, model-id: a model reference (evict: also a snapshot's id);
  /// verify: either; config check: a file; completion: a shell; else empty.
  std::string subject;
  std::vector<std::string> models;  ///< pull, keep: all that are named; `subject` is empty
  std::string revision;
  std::optional<std::vector<std::string>> allow, ignore;  ///< unset: the defaults
  std::optional<std::string> token_file;
  Layout layout = Layout::kFiles;            ///< pull, storageclass
  bool quiet = false;                        ///< pull, verify: no progress
  Bytes bandwidth_limit = 0;                 ///< pull with `root`: bytes a second; 0: none
  std::optional<SortBy> sort;                ///< ls, du; unset: the command's own
  bool reverse = false;                      ///< ls, du
  std::chrono::milliseconds interval{2000};  ///< top
  std::optional<uint64_t> count;             ///< top: looks; unset: until it is told to end
  bool all = false;                          ///< verify
  std::optional<Bytes> rate;  ///< verify: bytes a second; 0: no limit; unset: the daemon's
  bool quarantine = false;    ///< evict
  ClaimOptions claim;         ///< storageclass
  DoctorOptions doctor;
  KeepOptions keep;
};

/// What is to be printed instead of a command's work.
struct Printout {
  std::string text;
  int exit_code = 0;  ///< 0 for --help and --version, kUsage for a mistake
};

std::expected<Options, Printout> ParseOptions(int argc, const char* const* argv);

}  // namespace weighhouse::cli
