#include "cache-daemon/config/document.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <optional>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "base/unique_fd.h"
#include "cache-daemon/source/proxies.h"

namespace weighhouse::config {
namespace {

constexpr size_t kMaxFileSize = kMiB;
constexpr std::string_view kOverrides = "overrides";
constexpr std::string_view kMatch = "match";

/// True if keys lie below `name`: `cache`, `sources.http`.
bool IsGroup(std::string_view name) {
  return std::ranges::any_of(ConfigKeys(), [&](const ConfigKey& key) {
    return key.name.starts_with(name) && key.name.substr(name.size()).starts_with('.');
  });
}

std::string UnknownKey(const std::string& key) {
  std::vector<std::string_view> names;
  for (const ConfigKey& known : ConfigKeys()) names.push_back(known.name);
  names.push_back(kOverrides);
  std::string_view nearest = Nearest(key, names);
  std::string shown = Printable(key);
  if (!nearest.empty()) return fmt::format("unknown key {}: did you mean {}?", shown, nearest);
  return fmt::format("unknown key {}: known are {}", shown, fmt::join(names, ", "));
}

/// The number of the first item with which the list is no longer allowed; nothing if none is at
/// fault, but that it is a list.
std::optional<size_t> FirstWrongItem(const ConfigKey& key, const ConfigValue& list) {
  ConfigValue begin{.is_list = true};
  Config scratch;
  if (!key.apply(begin, scratch)) return std::nullopt;
  for (size_t i = 0; i < list.items.size(); ++i) {
    begin.items.push_back(list.items[i]);
    if (!key.apply(begin, scratch)) return i;
  }
  return std::nullopt;
}

/// Remembers where a document begins.
class DocumentStart : public YAML::EventHandler {
 public:
  int line() const { return line_; }
  void OnDocumentStart(const YAML::Mark& mark) override { line_ = mark.line; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  int line_ = 0;
};

/// The line, from 0, at which a second document begins; nothing if there is one at most. Not by
/// YAML::LoadAll: of a document that begins with a comma it makes empty ones without end.
std::optional<int> SecondDocument(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStart start;
  if (!parser.HandleNextDocument(start) || !parser.HandleNextDocument(start)) return std::nullopt;
  return start.line();
}

/// Walks one document. `name_` is the file's, for errors.
class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Result<Document> Read(const YAML::Node& document) {
    Scope top{.values = document_.values, .is_top = true};
    if (!document.IsNull()) TRY(ReadGroup(document, "", top));
    return std::move(document_);
  }

 private:
  /// Where values go, and the keys that were seen there.
  struct Scope {
    ConfigValues& values;
    bool is_top = false;  ///< of the whole document, not of an override
    Override* match = nullptr;
    std::set<std::string> seen = {};
  };

  std::unexpected<Error> Wrong(const YAML::Node& at, std::string_view message) const {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}:{}: {}", name_, at.Mark().line + 1, message));
  }

  Result<> ReadGroup(const YAML::Node& group, const std::string& prefix, Scope& scope) {
    if (!group.IsMap()) {
      return Wrong(group, prefix.empty()
                              ? "the document must be a mapping of keys to values"
                              : fmt::format("{} must be a mapping of keys to values", prefix));
    }
    for (const auto& entry : group) {
      if (!entry.first.IsScalar()) return Wrong(entry.first, "a key must be plain text");
      std::string key = prefix.empty() ? entry.first.Scalar() : prefix + "." + entry.first.Scalar();
      if (!scope.seen.insert(key).second)
        return Wrong(entry.first, fmt::format("{} is given twice", Printable(key)));
      TRY(ReadEntry(entry.first, entry.second, key, scope));
    }
    return {};
  }

  Result<> ReadEntry(const YAML::Node& key_node, const YAML::Node& value, const std::string& key,
                     Scope& scope) {
    if (const ConfigKey* known = FindKey(key)) return Take(*known, key_node, value, scope);
    if (scope.is_top && key == kOverrides) return ReadOverrides(key_node, value);
    if (scope.match != nullptr && key == kMatch) return ReadMatch(key_node, value, *scope.match);
    if (!IsGroup(key)) return Wrong(key_node, UnknownKey(key));
    if (value.IsNull()) return {};
    return ReadGroup(value, key, scope);
  }

  Result<> Take(const ConfigKey& key, const YAML::Node& key_node, const YAML::Node& node,
                Scope& scope) {
    std::optional<ConfigValue> value = ValueOf(node);
    if (!value)
      return Wrong(key_node, fmt::format("{} has no usable value: give {}", key.name, key.allowed));
    Config scratch;
    if (!key.apply(*value, scratch)) return WrongValue(key, *value, node);
    scope.values.emplace(key.name, *std::move(value));
    return {};
  }

  std::unexpected<Error> WrongValue(const ConfigKey& key, const ConfigValue& value,
                                    const YAML::Node& node) const {
    std::optional<size_t> item;
    if (value.is_list) item = FirstWrongItem(key, value);
    if (item) {
      return Wrong(node[*item], fmt::format("{} has '{}': give {}", key.name,
                                            Printable(value.items[*item]), key.allowed));
    }
    std::string shown =
        value.is_list ? fmt::format("[{}]", Join(value.items, ", ")) : value.items.front();
    shown = source::WithoutUser(shown);  // a proxy's password
    return Wrong(node, fmt::format("{} is '{}': give {}", key.name, Printable(shown), key.allowed));
  }

  /// Nothing: neither a scalar nor a list of scalars.
  static std::optional<ConfigValue> ValueOf(const YAML::Node& node) {
    if (node.IsScalar()) return ConfigValue{.is_list = false, .items = {node.Scalar()}};
    if (!node.IsSequence()) return std::nullopt;
    ConfigValue value{.is_list = true};
    for (const auto& item : node) {
      if (!item.IsScalar()) return std::nullopt;
      value.items.push_back(item.Scalar());
    }
    return value;
  }

  Result<> ReadOverrides(const YAML::Node& key_node, const YAML::Node& list) {
    if (list.IsNull()) return {};
    if (!list.IsSequence())
      return Wrong(key_node, "overrides must be a list of mappings, each with a match");
    for (const auto& entry : list) {
      if (!entry.IsMap()) return Wrong(entry, "an override must be a mapping with a match");
      Override& added = document_.overrides.emplace_back();
      Scope scope{.values = added.values, .match = &added};
      TRY(ReadGroup(entry, "", scope));
      if (!scope.seen.contains(std::string(kMatch)))
        return Wrong(entry, "an override needs a match: give nodeName, nodeLabels or both");
    }
    return {};
  }

  Result<> ReadMatch(const YAML::Node& key_node, const YAML::Node& match, Override& added) {
    if (!match.IsMap() || match.size() == 0)
      return Wrong(key_node, "match must be a mapping: give nodeName, nodeLabels or both");
    std::set<std::string> seen;
    for (const auto& entry : match) {
      std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      if (!seen.insert(key).second)
        return Wrong(entry.first, fmt::format("match.{} is given twice", Printable(key)));
      if (key == "nodeName") {
        TRY(ReadNodeNames(entry.second, added));
      } else if (key == "nodeLabels") {
        TRY(ReadNodeLabels(entry.second, added));
      } else {
        return Wrong(
            entry.first,
            fmt::format("unknown key match.{}: known are nodeName, nodeLabels", Printable(key)));
      }
    }
    return {};
  }

  Result<> ReadNodeNames(const YAML::Node& node, Override& added) {
    std::optional<ConfigValue> value = ValueOf(node);
    bool usable =
        value && !value->items.empty() && std::ranges::none_of(value->items, &std::string::empty);
    if (!usable)
      return Wrong(node, "match.nodeName: give a pattern such as gpu-*, or a list of them");
    added.node_names = std::move(value->items);
    return {};
  }

  Result<> ReadNodeLabels(const YAML::Node& node, Override& added) {
    if (!node.IsMap() || node.size() == 0)
      return Wrong(node, "match.nodeLabels: give labels and their values, such as {pool: gpu}");
    for (const auto& label : node) {
      if (!label.first.IsScalar() || !label.second.IsScalar())
        return Wrong(label.first, "match.nodeLabels: a label and its value must be plain text");
      if (!added.node_labels.emplace(label.first.Scalar(), label.second.Scalar()).second)
        return Wrong(label.first, fmt::format("match.nodeLabels.{} is given twice",
                                              Printable(label.first.Scalar())));
    }
    return {};
  }

  const std::string_view name_;
  Document document_;
};

}  // namespace

Result<std::map<std::string, std::string>> ParseLabels(std::string_view text) {
  std::map<std::string, std::string> labels;
  for (const std::string& part : SplitAndTrim(text, ',')) {
    size_t sign = part.find('=');
    if (sign == 0 || sign == std::string::npos) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("'{}' is no label: give label=value, separated by commas", Printable(part)));
    }
    labels[part.substr(0, sign)] = part.substr(sign + 1);
  }
  return labels;
}

bool Override::Matches(const Node& node) const {
  bool named = node_names.empty() || std::ranges::any_of(node_names, [&](const std::string& name) {
                 return ::fnmatch(name.c_str(), node.name.c_str(), 0) == 0;
               });
  return named && std::ranges::all_of(node_labels, [&](const auto& label) {
           auto found = node.labels.find(label.first);
           return found != node.labels.end() && found->second == label.second;
         });
}

ConfigValues Document::For(const Node& node) const {
  ConfigValues merged = values;
  for (const Override& each : overrides) {
    if (!each.Matches(node)) continue;
    for (const auto& [name, value] : each.values) merged.insert_or_assign(name, value);
  }
  return merged;
}

Result<Document> ParseDocument(const std::string& text, std::string_view name) {
  try {  // yaml-cpp speaks in exceptions
    if (std::optional<int> line = SecondDocument(text)) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("{}:{}: a second document: give one, without '---' in it", name, *line + 1));
    }
    return Reader(name).Read(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return Fail(Code::kInvalidArgument, fmt::format("{}:{}: not YAML: {}", name,
                                                    error.mark.line + 1, Printable(error.msg)));
  } catch (const std::exception& error) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}: not YAML: {}", name, Printable(error.what())));
  }
}

Result<std::string> ReadDocument(const std::string& path) {
  // Follows links, unlike io::Filesystem: kubelet mounts a ConfigMap's files as links.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string context = fmt::format("read the configuration {}", path);
  if (!fd) return FailErrno(errno, context);
  std::string text;
  std::array<char, 4096> piece;
  while (true) {
    ssize_t count = ::read(fd.get(), piece.data(), piece.size());
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno(errno, context);
    text.append(piece.data(), static_cast<size_t>(count));
    if (text.size() > kMaxFileSize) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("{}: more than {}", context, FormatBytes(kMaxFileSize)));
    }
  }
}

}  // namespace weighhouse::config
