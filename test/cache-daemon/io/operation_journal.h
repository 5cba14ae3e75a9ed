#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace weighhouse::io {

/// A change of names, or a sync.
struct Operation {
  std::string kind;      ///< "create", "rename" …: PowerLossFilesystem chooses, DurableDisk knows
  std::string path;      ///< the name that a rename or a removal takes
  std::string argument;  ///< the other name, the mode, or the copy of what is synced
};

/// The operations on a disk in their true order, in a file that outlives the process: each is
/// written down before it is begun, and again when it has ended. A process may be killed between
/// any two instructions, by a thread that knows of no operation; whether the one that it was in
/// happened is then seen by the disk. Owned by one thread.
class OperationJournal {
 public:
  /// Goes on with the journal in the directory `record`, which is made if missing.
  explicit OperationJournal(const std::filesystem::path& record);

  /// One `End` follows each, before the next.
  void Begin(Operation operation);
  /// What failed may have happened nevertheless, such as the creation of a file that then could not
  /// be written.
  void End(bool succeeded);

  /// Those that happened.
  std::vector<Operation> Happened() const;

 private:
  struct Begun {
    Operation operation;
    std::string before;  ///< what its name was
  };

  std::optional<Begun> ReadUnended();
  static bool HasHappened(const Begun& begun);
  void Append(const std::string& line);

  const std::filesystem::path path_;
  UniqueFd file_;
  std::optional<Begun> begun_;
};

}  // namespace weighhouse::io
