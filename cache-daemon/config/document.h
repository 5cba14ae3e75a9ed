#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache-daemon/config/config.h"

namespace weighhouse::config {

/// Who this node is, as far as it was told.
struct Node {
  std::string name;
  std::map<std::string, std::string> labels;
};

/// Reads "zone=a,pool=gpu". kInvalidArgument says what is wrong.
Result<std::map<std::string, std::string>> ParseLabels(std::string_view text);

/// Values for some nodes: those whose name fits one of the patterns (none: whatever it is) and that
/// have all the labels.
struct Override {
  std::vector<std::string> node_names;  ///< fnmatch(3) patterns
  std::map<std::string, std::string> node_labels;
  ConfigValues values;
  bool Matches(const Node& node) const;
};

/// What a configuration file says.
struct Document {
  ConfigValues values;
  std::vector<Override> overrides;
  /// The values for one node: of the overrides that match it the last one wins, key by key.
  ConfigValues For(const Node& node) const;
};

/// Reads a YAML document. kInvalidArgument: `<name>:<line>: …` with the key, the value and what is
/// allowed, or the nearest known key; not YAML; a key twice. Overrides are checked whether they
/// match or not.
Result<Document> ParseDocument(const std::string& text, std::string_view name);

/// The text of the file at `path`, links followed. kNotFound if it is absent.
Result<std::string> ReadDocument(const std::string& path);

}  // namespace weighhouse::config
