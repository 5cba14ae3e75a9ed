#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/units.h"

namespace weighhouse::store {

/// What is allocated for `size` bytes: whole 4 KiB blocks.
constexpr Bytes RoundUpToBlock(Bytes size) { return (size + 4095) / 4096 * 4096; }

/// Which blobs are here and how many snapshots list each. Guarded by the store's mutex; does no
/// I/O.
///
/// Invariant: a file below blobs/ belongs to an entry that is present or leaving, or to a commit
/// that has pinned it. Only an entry without users and pins may be swept.
class BlobIndex {
 public:
  enum class State {
    kAbsent,   ///< listed by a snapshot, not here (yet, or no more)
    kPresent,  ///< from kAbsent by MarkPresent: verified and durable
    kLeaving,  ///< from kPresent by BeginLeaving: its file is being removed or moved into
               ///< quarantine
  };

  /// One more snapshot lists it.
  void AddUser(const Digest& sha256, Bytes size);
  void DropUser(const Digest& sha256);

  /// One more snapshot that lists it is in use, or one less. A holder is a user, too.
  void AddHolder(const Digest& sha256);
  void DropHolder(const Digest& sha256);
  bool IsHeld(const Digest& sha256) const;

  /// An operation puts its file in place or counts on it: until Unpin it is neither swept nor
  /// quarantined. Not while leaving.
  void Pin(const Digest& sha256, Bytes size);
  void Unpin(const Digest& sha256);
  bool IsPinned(const Digest& sha256) const;

  void MarkPresent(const Digest& sha256);
  /// Recovery found it, of this size. Quickest in the digests' order.
  void AddPresent(const Digest& sha256, Bytes size);
  bool IsPresent(const Digest& sha256) const;

  void BeginLeaving(const Digest& sha256);
  /// The file is gone.
  void MarkAbsent(const Digest& sha256);
  /// It could not be removed: it is here still.
  void MarkStayed(const Digest& sha256);
  bool IsLeaving(const Digest& sha256) const;

  /// A number that changes whenever the file behind the name may be another one; 0 if it isn't
  /// present.
  uint64_t Version(const Digest& sha256) const;
  /// As listed; 0 if unknown.
  Bytes SizeOf(const Digest& sha256) const;
  size_t Users(const Digest& sha256) const;

  /// Those present that nobody lists.
  std::vector<std::pair<Digest, Bytes>> Unlisted() const;
  /// All that are present.
  std::vector<std::pair<Digest, Bytes>> Present() const;
  size_t present_count() const { return present_count_; }
  /// Allocated by those present or leaving, in blocks.
  Bytes allocated() const { return allocated_; }
  /// Allocated by those present that are held.
  Bytes held() const { return held_; }

 private:
  struct Entry {
    Bytes size = 0;
    State state = State::kAbsent;
    uint64_t version = 0;
    size_t users = 0;
    size_t holders = 0;
    size_t pins = 0;
    Bytes held() const {
      return holders > 0 && state == State::kPresent ? RoundUpToBlock(size) : 0;
    }
  };
  /// Changes the entry, and what is held with it.
  template <class Change>
  void Update(Entry& entry, Change change) {
    held_ -= entry.held();
    change();
    held_ += entry.held();
  }
  const Entry* Find(const Digest& sha256) const;
  State StateOf(const Digest& sha256) const;
  void EraseIfUnused(const Digest& sha256);

  std::map<Digest, Entry> entries_;
  uint64_t last_version_ = 0;
  size_t present_count_ = 0;
  Bytes allocated_ = 0;
  Bytes held_ = 0;
};

}  // namespace weighhouse::store
