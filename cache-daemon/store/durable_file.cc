#include "cache-daemon/store/durable_file.h"

#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

Result<> WriteDurably(io::Filesystem& filesystem, const std::string& path, std::string_view text,
                      DurableSteps steps,
                      std::optional<std::chrono::system_clock::time_point> modified) {
  std::string beside = RootLayout::TemporaryBeside(path);
  TRY(filesystem.WriteFile(beside, text));
  if (modified) TRY(filesystem.SetModified(beside, *modified));
  TRY(filesystem.SyncFile(beside));
  FaultPoint(steps.written);
  TRY(filesystem.Rename(beside, path, io::Replace::kAllowed));
  FaultPoint(steps.renamed);
  return filesystem.SyncDirectory(ParentOf(path));
}

}  // namespace weighhouse::store
