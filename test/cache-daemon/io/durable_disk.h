#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weighhouse::io {

/// What a power cut takes. All of it is what POSIX allows, but for this, which ext4's and xfs's
/// journals give: a rename happens in both of its directories or in neither, and a name that is on
/// the disk has the mode that the file had then.
enum class PowerLoss {
  kAll,    ///< every byte and every change of a name that was not synced
  kNames,  ///< creations, links, renames and removals in directories that were not synced since
  kData,   ///< what was written since the file's sync; a file without one is empty
  kZeros,  ///< as kData, but files keep their lengths, and read as zeros where they were not synced
  /// Any of what was not synced, later changes of names without earlier ones, and of each file the
  /// old bytes, the new ones or blocks of both; but one name's changes come in their order.
  kSome,
};
inline constexpr PowerLoss kPowerLosses[] = {PowerLoss::kAll, PowerLoss::kNames, PowerLoss::kData,
                                             PowerLoss::kZeros, PowerLoss::kSome};
std::string_view PowerLossName(PowerLoss loss);

/// One power cut. What kSome takes is up to `seed`.
struct PowerCut {
  PowerLoss loss = PowerLoss::kAll;
  unsigned seed = 0;
};
/// Those to try after the crash with this number: each kind, and WEIGHHOUSE_CRASH_CUTS in the
/// environment is how many more that take some.
std::vector<PowerCut> PowerCutsAfter(unsigned crash);

/// The names and bytes that are on the disk for good, made of what a PowerLossFilesystem recorded.
/// Not thread-safe.
class DurableDisk {
 public:
  /// `record` is the directory that PowerLossFilesystem wrote to. Directories that were never made
  /// in it were there before. Ends the program if the record makes no sense.
  explicit DurableDisk(const std::filesystem::path& record);

  /// Makes `target` (which isn't there) what the directory `source` is after the power cut; nothing
  /// if `source` isn't there any more. What wasn't lost is read from `source`.
  void CutPower(const std::filesystem::path& source, const std::filesystem::path& target,
                PowerCut cut) const;

 private:
  struct Node;
  using Names = std::map<std::string, std::shared_ptr<Node>>;  // shared by the names of one file

  /// A file or a directory, whatever names it has.
  struct Node {
    bool directory = false;
    Names names;         ///< as the processes saw them
    Names synced_names;  ///< as the disk has them
    unsigned mode = 0;
    unsigned synced_mode = 0;
    std::filesystem::path synced;  ///< a copy of what the disk has of the file; empty: nothing
  };
  /// A name and the directory that it is in.
  struct Place {
    std::shared_ptr<Node> directory;
    std::string name;
    bool operator==(const Place&) const = default;
  };
  /// A change of names that the disk may not have yet: both are changed, or neither.
  struct Change {
    std::optional<Place> from;  ///< loses its name
    std::optional<Place> to;    ///< gets it
    std::shared_ptr<Node> node;

    bool operator==(const Change&) const = default;
    bool IsIn(const Node& directory) const;
    bool SharesNameWith(const Change& other) const;
  };
  struct Copy;

  /// What one recorded operation did, to a file or to a name; false if it isn't of that kind.
  bool ReplayFile(std::string_view operation, const std::string& path, const std::string& argument);
  bool ReplayName(std::string_view operation, const std::string& path, const std::string& argument);
  void Create(const Place& place, bool directory, unsigned mode);
  void Rename(const Place& from, const Place& to);
  void SyncDirectory(Node& directory);
  /// The unsynced changes that are `wanted`, and what came before them to their names, in order.
  std::vector<Change> Select(const std::function<bool(const Change&)>& wanted) const;
  Place PlaceOf(const std::filesystem::path& path);
  std::shared_ptr<Node> FileAt(const std::filesystem::path& path);
  std::shared_ptr<Node> DirectoryAt(const std::filesystem::path& path);

  std::shared_ptr<Node> top_;
  std::vector<Change> unsynced_;
};

}  // namespace weighhouse::io
