#include "cache-daemon/store/volume_book.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "cache-daemon/store/json_fields.h"

namespace weighhouse::store {
namespace {

struct TextField {
  const char* name;
  std::string VolumeRecord::* member;
};
constexpr TextField kTextFields[] = {
    {"volume_id", &VolumeRecord::volume_id},
    {"request_digest", &VolumeRecord::request_digest},
    {"model", &VolumeRecord::model},
    {"commit", &VolumeRecord::commit},
};

}  // namespace

std::string VolumeKey(const std::string& volume_id) { return Digest::Of(volume_id).Hex(); }

std::string VolumeToJson(const VolumeRecord& volume) {
  nlohmann::json object = {{"model_bytes", volume.model_bytes},
                           {"capacity_bytes", volume.capacity_bytes},
                           {"created", ToUnixSeconds(volume.created)}};
  for (const TextField& field : kTextFields) object[field.name] = volume.*field.member;
  return ToText(object);
}

Result<VolumeRecord> ParseVolume(std::string_view json, const std::string& key) {
  nlohmann::json object = TRY(ParseObject(json));
  VolumeRecord volume;
  for (const TextField& field : kTextFields) {
    auto value = StringField(object, field.name);
    if (!value) return Fail(Code::kDataLoss, fmt::format("the field '{}' is missing", field.name));
    volume.*field.member = std::move(*value);
  }
  auto model_bytes = NumberField(object, "model_bytes");
  auto capacity_bytes = NumberField(object, "capacity_bytes");
  auto created = NumberField(object, "created");
  if (!model_bytes || !capacity_bytes || !created) {
    return Fail(Code::kDataLoss,
                "one of the fields 'model_bytes', 'capacity_bytes' and 'created' is missing");
  }
  volume.model_bytes = *model_bytes;
  volume.capacity_bytes = *capacity_bytes;
  volume.created = FromUnixSeconds(*created);
  if (VolumeKey(volume.volume_id) != key) {
    return Fail(Code::kDataLoss, "it is of another volume");
  }
  return volume;
}

const VolumeRecord* VolumeBook::Find(const std::string& key) const {
  auto found = volumes_.find(key);
  return found == volumes_.end() ? nullptr : &found->second;
}

std::vector<VolumeRecord> VolumeBook::CreatedBy(std::chrono::system_clock::time_point time) const {
  std::vector<VolumeRecord> old;
  for (const auto& [key, volume] : volumes_) {
    if (volume.created <= time) old.push_back(volume);
  }
  return old;
}

}  // namespace weighhouse::store
