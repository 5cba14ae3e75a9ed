#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::store {

/// What the arithmetic of space works on: bytes of real allocation (design: Space).
struct SpaceInputs {
  Bytes limit = 0;
  Bytes used = 0;      ///< everything allocated below the root: blobs, ingests, quarantine, copies
  Bytes held = 0;      ///< H: what may not be evicted, reservations' own blobs excepted
  Bytes reserved = 0;  ///< R: promised to fills and by holds, what they allocated of it included
  Bytes unallocated = 0;  ///< U: the part of R not yet allocated
  Bytes for_holds = 0;    ///< of R
  Bytes evictable = 0;    ///< E
  Bytes resumable = 0;    ///< of E: ingests that the next promise's fill goes on with or joins
  Bytes free = 0;         ///< of the filesystem, for us
  Bytes min_free = 0;
};

/// What the holds on one snapshot keep room for.
struct HoldRoom {
  Bytes lacked = 0;   ///< by the snapshot
  Bytes present = 0;  ///< of it
  Bytes most = 0;     ///< promised for all of it
  Bytes filling = 0;  ///< what its fills were promised and have not committed yet
};

/// What is reserved for it beside what its fills were promised: of what it lacks as much as was
/// promised, and no byte twice.
Bytes RoomOf(const HoldRoom& hold);

/// What all holds keep.
struct HoldSums {
  Bytes reserved = 0;
  Bytes unallocated = 0;          ///< of `reserved`
  Bytes beyond = 0;               ///< allocated for held snapshots, and no part of `reserved`
  Bytes idle = 0;                 ///< allocated by those of `ingests` that no fill has
  Bytes active = 0;               ///< and by the others
  std::set<std::string> ingests;  ///< of held snapshots, promised to no fill

  /// Adds a hold's room, and what was allocated of it.
  void Add(Bytes room, Bytes allocated);
};

/// min(limit − H − R, free − minFree + E − U), not below 0: what one more promise may be at most.
Bytes Available(const SpaceInputs& inputs);

/// What must be evicted before `need` more bytes may be promised, `resumable` left alone: it is a
/// part of `need` that is allocated. Meaningful if `need` is at most Available().
Bytes Shortfall(const SpaceInputs& inputs, Bytes need);

SpaceSums SumsOf(const SpaceInputs& inputs, Bytes filesystem_total);

/// kOutOfRange if `need` can never fit (it names need and limit), kResourceExhausted with the sums
/// if not now.
Result<> CheckFits(const SpaceInputs& inputs, Bytes filesystem_total, Bytes need);

/// An idle snapshot, or an ingest that no fill has, as eviction sees it.
struct Candidate {
  struct Share {
    Digest sha256;
    Bytes size = 0;    ///< allocated
    size_t users = 0;  ///< how many snapshots list the blob, idle or not, this one included
  };
  std::string id;
  std::vector<Share> shares;
  Bytes own = 0;  ///< what goes with it besides blobs (copies in its trees, staged bytes)
};

/// Which of `oldest_first` to evict so that at least `bytes` are freed: the least recently used
/// ones, without those that the others make needless (the newest of them are spared first). Nothing
/// if all together don't free as much. A blob is freed with the last snapshot that lists it.
std::optional<std::vector<std::string>> ChooseVictims(std::span<const Candidate> oldest_first,
                                                      Bytes bytes);

/// What all of them free together.
Bytes FreeableBytes(std::span<const Candidate> candidates);

}  // namespace weighhouse::store
