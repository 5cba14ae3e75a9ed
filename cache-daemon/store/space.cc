#include "cache-daemon/store/space.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace weighhouse::store {
namespace {

Bytes Minus(Bytes from, Bytes what) { return from > what ? from - what : 0; }

/// What the chosen ones among `candidates` free together.
class FreedBytes {
 public:
  explicit FreedBytes(std::span<const Candidate> candidates) {
    for (const Candidate& candidate : candidates) {
      for (const Candidate::Share& share : candidate.shares) users_[share.sha256] = share.users;
    }
  }
  void Add(const Candidate& candidate) {
    bytes_ += candidate.own;
    for (const Candidate::Share& share : candidate.shares) {
      if (--users_.at(share.sha256) == 0) bytes_ += share.size;
    }
  }
  void Remove(const Candidate& candidate) {
    bytes_ -= candidate.own;
    for (const Candidate::Share& share : candidate.shares) {
      if (users_.at(share.sha256)++ == 0) bytes_ -= share.size;
    }
  }
  Bytes bytes() const { return bytes_; }

 private:
  std::map<Digest, size_t> users_;  // those left
  Bytes bytes_ = 0;
};

}  // namespace

Bytes RoomOf(const HoldRoom& hold) {
  return Minus(std::min(Minus(hold.most, hold.present), hold.lacked), hold.filling);
}

void HoldSums::Add(Bytes room, Bytes allocated) {
  reserved += room;
  unallocated += Minus(room, allocated);
  beyond += Minus(allocated, room);
}

Bytes Available(const SpaceInputs& inputs) {
  Bytes by_limit = Minus(inputs.limit, inputs.held + inputs.reserved);
  Bytes by_disk = Minus(inputs.free + inputs.evictable, inputs.min_free + inputs.unallocated);
  return std::min(by_limit, by_disk);
}

Bytes Shortfall(const SpaceInputs& inputs, Bytes need) {
  Bytes unallocated = inputs.unallocated + Minus(need, inputs.resumable);
  Bytes over_limit = Minus(inputs.used + unallocated, inputs.limit);
  Bytes over_disk = Minus(inputs.min_free + unallocated, inputs.free);
  return std::max(over_limit, over_disk);
}

SpaceSums SumsOf(const SpaceInputs& inputs, Bytes filesystem_total) {
  return {.limit = inputs.limit,
          .used = inputs.used,
          .held = inputs.held,
          .reserved = inputs.reserved,
          .for_holds = inputs.for_holds,
          .unallocated = inputs.unallocated,
          .evictable = inputs.evictable,
          .available = Available(inputs),
          .filesystem_total = filesystem_total,
          .filesystem_free = inputs.free,
          .min_free = inputs.min_free};
}

std::string Describe(const SpaceSums& sums) {
  return fmt::format(
      "limit {}, held by pods or kept {}, reserved {} (by holds {}), evictable {}, free on disk {} "
      "of which {} are kept free",
      FormatBytes(sums.limit), FormatBytes(sums.held), FormatBytes(sums.reserved),
      FormatBytes(sums.for_holds), FormatBytes(sums.evictable), FormatBytes(sums.filesystem_free),
      FormatBytes(sums.min_free));
}

Result<> CheckFits(const SpaceInputs& inputs, Bytes filesystem_total, Bytes need) {
  Bytes disk = Minus(filesystem_total, inputs.min_free);
  if (need > inputs.limit) {
    return Fail(
        Code::kOutOfRange,
        fmt::format("need {}, but the cache's limit is {}: raise the limit, or ask for fewer "
                    "files",
                    FormatBytes(need), FormatBytes(inputs.limit)));
  }
  if (need > disk) {
    return Fail(
        Code::kOutOfRange,
        fmt::format("need {}, but the filesystem has {}, of which {} are kept free (limit {}): "
                    "use a larger disk, or ask for fewer files",
                    FormatBytes(need), FormatBytes(filesystem_total), FormatBytes(inputs.min_free),
                    FormatBytes(inputs.limit)));
  }
  if (need <= Available(inputs)) return {};
  return Fail(Code::kResourceExhausted,
              fmt::format("need {}; {}: wait for pods to end, keep less, or raise the limit",
                          FormatBytes(need), Describe(SumsOf(inputs, filesystem_total))));
}

std::optional<std::vector<std::string>> ChooseVictims(std::span<const Candidate> oldest_first,
                                                      Bytes bytes) {
  FreedBytes freed(oldest_first);
  std::vector<const Candidate*> chosen;
  for (const Candidate& candidate : oldest_first) {
    if (freed.bytes() >= bytes) break;
    freed.Add(candidate);
    chosen.push_back(&candidate);
  }
  if (freed.bytes() < bytes) return std::nullopt;

  std::vector<std::string> victims;
  for (auto candidate = chosen.rbegin(); candidate != chosen.rend(); ++candidate) {
    freed.Remove(**candidate);
    if (freed.bytes() >= bytes) continue;
    freed.Add(**candidate);
    victims.push_back((*candidate)->id);
  }
  std::ranges::reverse(victims);
  return victims;
}

Bytes FreeableBytes(std::span<const Candidate> candidates) {
  FreedBytes freed(candidates);
  for (const Candidate& candidate : candidates) freed.Add(candidate);
  return freed.bytes();
}

}  // namespace weighhouse::store
