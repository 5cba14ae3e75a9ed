#include "cache-daemon/store/lease_book.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cache-daemon/store/json_fields.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {
namespace {

struct TextField {
  const char* name;
  std::string LeaseRecord::* member;
};
constexpr TextField kTextFields[] = {
    {"snapshot_id", &LeaseRecord::snapshot_id},
    {"tree", &LeaseRecord::tree},
    {"volume_id", &LeaseRecord::volume_id},
    {"target_path", &LeaseRecord::target_path},
    {"pod_namespace", &LeaseRecord::pod_namespace},
    {"pod_name", &LeaseRecord::pod_name},
    {"pod_uid", &LeaseRecord::pod_uid},
    {"request_fingerprint", &LeaseRecord::request_fingerprint},
    {"boot_id", &LeaseRecord::boot_id},
};

void Decrement(std::map<std::string, size_t>& counts, const std::string& key) {
  auto found = counts.find(key);
  CHECK(found != counts.end());
  if (--found->second == 0) counts.erase(found);
}

size_t CountOf(const std::map<std::string, size_t>& counts, const std::string& key) {
  auto found = counts.find(key);
  return found == counts.end() ? 0 : found->second;
}

/// What CountsFor counts by.
const std::string& KeyFor(const LeaseRecord& lease) {
  return lease.tree.empty() ? lease.snapshot_id : lease.tree;
}

}  // namespace

std::string LeaseToJson(const LeaseRecord& lease) {
  nlohmann::json object = {{"taken", ToUnixSeconds(lease.taken)}};
  for (const TextField& field : kTextFields) object[field.name] = lease.*field.member;
  return ToText(object);
}

Result<LeaseRecord> ParseLease(std::string_view json, const std::string& id) {
  nlohmann::json object = TRY(ParseObject(json));
  LeaseRecord lease;
  lease.id = id;
  for (const TextField& field : kTextFields) {
    auto value = StringField(object, field.name);
    if (!value) return Fail(Code::kDataLoss, fmt::format("the field '{}' is missing", field.name));
    lease.*field.member = std::move(*value);
  }
  auto taken = NumberField(object, "taken");
  if (!taken) return Fail(Code::kDataLoss, "the field 'taken' is missing");
  lease.taken = FromUnixSeconds(*taken);
  bool tree_is_safe = lease.tree.empty() || IsSafeRelativePath(lease.tree);
  if (!tree_is_safe) return Fail(Code::kDataLoss, "the field 'tree' is not a path below the root");
  return lease;
}

std::map<std::string, size_t>& LeaseBook::CountsFor(const LeaseRecord& lease) {
  return lease.tree.empty() ? on_any_tree_ : on_tree_;
}

void LeaseBook::Put(const LeaseRecord& lease) {
  Remove(lease.id);
  leases_.emplace(lease.id, lease);
  ++on_snapshot_[lease.snapshot_id];
  ++CountsFor(lease)[KeyFor(lease)];
}

void LeaseBook::Remove(const std::string& id) {
  auto found = leases_.find(id);
  if (found == leases_.end()) return;
  Decrement(on_snapshot_, found->second.snapshot_id);
  Decrement(CountsFor(found->second), KeyFor(found->second));
  leases_.erase(found);
}

const LeaseRecord* LeaseBook::Find(const std::string& id) const {
  auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : &found->second;
}

size_t LeaseBook::CountOnSnapshot(const std::string& snapshot_id) const {
  return CountOf(on_snapshot_, snapshot_id);
}

bool LeaseBook::HoldsTree(const std::string& tree, const std::string& snapshot_id) const {
  return CountOf(on_tree_, tree) > 0 || CountOf(on_any_tree_, snapshot_id) > 0;
}

bool LeaseBook::HoldsVolume(const std::string& volume_id) const {
  return std::ranges::any_of(
      leases_, [&](const auto& lease) { return lease.second.volume_id == volume_id; });
}

std::vector<LeaseRecord> LeaseBook::All() const {
  std::vector<LeaseRecord> all;
  all.reserve(leases_.size());
  for (const auto& [id, lease] : leases_) all.push_back(lease);
  return all;
}

}  // namespace weighhouse::store
