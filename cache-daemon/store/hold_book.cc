#include "cache-daemon/store/hold_book.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/text.h"
#include "cache-daemon/store/json_fields.h"
#include "cache-daemon/store/volume_book.h"

namespace weighhouse::store {
namespace {

struct TextField {
  const char* name;
  std::string HoldRecord::* member;
};
constexpr TextField kTextFields[] = {
    {"volume_id", &HoldRecord::volume_id},
    {"snapshot_id", &HoldRecord::snapshot_id},
    {"model", &HoldRecord::model},
    {"request_fingerprint", &HoldRecord::request_fingerprint},
};

}  // namespace

std::string HoldToJson(const HoldRecord& hold) {
  nlohmann::json object = {{"bytes", hold.bytes},
                           {"taken", ToUnixSeconds(hold.taken)},
                           {"ends", ToUnixSeconds(hold.ends)}};
  for (const TextField& field : kTextFields) object[field.name] = hold.*field.member;
  return ToText(object);
}

Result<HoldRecord> ParseHold(std::string_view json, const std::string& id) {
  nlohmann::json object = TRY(ParseObject(json));
  HoldRecord hold;
  for (const TextField& field : kTextFields) {
    auto value = StringField(object, field.name);
    if (!value) return Fail(Code::kDataLoss, fmt::format("the field '{}' is missing", field.name));
    hold.*field.member = std::move(*value);
  }
  auto bytes = NumberField(object, "bytes");
  auto taken = NumberField(object, "taken");
  auto ends = NumberField(object, "ends");
  if (!bytes || !taken || !ends) {
    return Fail(Code::kDataLoss, "one of the fields 'bytes', 'taken' and 'ends' is missing");
  }
  hold.bytes = *bytes;
  hold.taken = FromUnixSeconds(*taken);
  hold.ends = FromUnixSeconds(*ends);
  if (VolumeKey(hold.volume_id) != id) return Fail(Code::kDataLoss, "it is of another volume");
  if (!hold.snapshot_id.empty() && !IsHex(hold.snapshot_id, 64)) {
    return Fail(Code::kDataLoss, "the field 'snapshot_id' is no snapshot's id");
  }
  return hold;
}

std::chrono::system_clock::duration RemainingOf(const HoldRecord& hold,
                                                std::chrono::system_clock::time_point now) {
  return std::min(hold.ends - now, hold.ends - hold.taken);
}

HoldBook::Entry* HoldBook::Find(const std::string& id) {
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

size_t HoldBook::CountOn(const std::string& snapshot_id) const {
  return static_cast<size_t>(std::ranges::count_if(
      entries_, [&](const auto& entry) { return entry.second.target() == snapshot_id; }));
}

}  // namespace weighhouse::store
