#include "agent/node_labels.h"

#include <nlohmann/json.hpp>

#include "agent/model_id.h"

namespace weighhouse::agent {
namespace {

using nlohmann::json;

}  // namespace

std::set<std::string> WantedLabels(const pb::ListResponse& list, size_t most) {
  std::set<std::string> wanted;
  for (const pb::Snapshot& snapshot : list.snapshots()) {
    if (snapshot.state() != pb::Snapshot::COMPLETE) continue;
    for (const std::string& reference : snapshot.references()) {
      if (wanted.size() >= most) return wanted;
      Result<std::string> id = ModelIdOf(reference);
      if (id) wanted.insert(std::string(kLabelPrefix) + *id);
    }
  }
  return wanted;
}

Result<std::string> LabelPatch(const std::set<std::string>& wanted, const std::string& node) {
  json object = json::parse(node, nullptr, false);
  if (!object.is_object() || !object.contains("metadata") || !object["metadata"].is_object()) {
    return Fail(Code::kInvalidArgument, "the API server answered with no Node object");
  }
  json had = object["metadata"].value("labels", json::object());
  if (!had.is_object()) had = json::object();  // null: none
  json changes = json::object();
  for (const auto& [name, value] : had.items()) {
    if (name.starts_with(kLabelPrefix) && !wanted.contains(name)) changes[name] = nullptr;
  }
  for (const std::string& name : wanted) {
    if (had.value(name, json()) != kLabelValue) changes[name] = kLabelValue;
  }
  if (changes.empty()) return std::string();
  return json{{"metadata", {{"labels", std::move(changes)}}}}.dump();
}

}  // namespace weighhouse::agent
