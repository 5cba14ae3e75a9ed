#include "cache-daemon/store/reference_book.h"

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "cache-daemon/store/json_fields.h"

namespace weighhouse::store {

std::string ReferenceToJson(const ReferenceRecord& reference) {
  return ToText({{"text", reference.text}, {"snapshot_id", reference.snapshot_id}});
}

Result<ReferenceRecord> ParseReference(std::string_view json, const std::string& fingerprint) {
  nlohmann::json object = TRY(ParseObject(json));
  auto text = StringField(object, "text");
  auto snapshot_id = StringField(object, "snapshot_id");
  if (!text || !snapshot_id || !IsHex(*snapshot_id, 64)) {
    return Fail(Code::kDataLoss, "the field 'text' or 'snapshot_id' is missing or wrong");
  }
  return ReferenceRecord{.fingerprint = fingerprint, .text = *text, .snapshot_id = *snapshot_id};
}

void ReferenceBook::Put(const ReferenceRecord& reference) {
  references_[reference.fingerprint] = reference;
}

const ReferenceRecord* ReferenceBook::Find(const std::string& fingerprint) const {
  auto found = references_.find(fingerprint);
  return found == references_.end() ? nullptr : &found->second;
}

std::vector<ReferenceRecord> ReferenceBook::All() const {
  std::vector<ReferenceRecord> all;
  all.reserve(references_.size());
  for (const auto& [fingerprint, reference] : references_) all.push_back(reference);
  return all;
}

std::vector<std::string> ReferenceBook::Naming(const std::string& snapshot_id) const {
  std::vector<std::string> fingerprints;
  for (const auto& [fingerprint, reference] : references_) {
    if (reference.snapshot_id == snapshot_id) fingerprints.push_back(fingerprint);
  }
  return fingerprints;
}

}  // namespace weighhouse::store
