#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/fill/filler.h"
#include "cache-daemon/store/layer_record.h"

namespace weighhouse::fill {

/// One who wants layers read.
struct LayerAsker {
  /// With `packed` layers: which of them aren't known is read, whole. Without: of the snapshot that
  /// the listing is, the files of layers that it lacks.
  LayerRequest request;
  std::weak_ptr<FillObserver> observer;
  LayersDone done;
};

/// Whose the layers are that one asks for.
store::LayerOrigin OriginOf(const LayerRequest& request);

/// Those for whom a flight reads, the first with whose credentials it does first. All may see the
/// same: who has no login shares no flight with one that reads with a login, whose layers would
/// else be written down as everybody's. Thread-safe.
class LayerAskers {
 public:
  using Asker = std::shared_ptr<const LayerAsker>;  // shared: its thread works with the first

  explicit LayerAskers(LayerAsker first);

  /// Takes `asker` in. False, and it stays as it is: nobody comes in any more, or it may see what
  /// the others may not, or the other way round.
  bool Join(LayerAsker& asker) EXCLUDES(mutex_);
  Asker First() const EXCLUDES(mutex_);
  std::vector<Asker> All() const EXCLUDES(mutex_);
  /// The first one was refused: takes it out, so that the next one is the first. Null where there
  /// is no other: from then on nobody comes in, or it would be told that refusal as its own.
  Asker DropFirst() EXCLUDES(mutex_);
  /// Nobody comes in any more.
  std::vector<Asker> Close() EXCLUDES(mutex_);
  FillPriority priority() const EXCLUDES(mutex_);

 private:
  const store::LayerOrigin origin_;
  mutable Mutex mutex_;
  std::deque<Asker> askers_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace weighhouse::fill
