#include "cache-daemon/daemon/config.h"

#include <fcntl.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <exception>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "base/unique_fd.h"

namespace weighhouse::daemon {
namespace {

constexpr size_t kMaxFileSize = kMiB;

const ConfigKey* FindKey(std::string_view name) {
  std::span<const ConfigKey> keys = ConfigKeys();
  auto found = std::ranges::find(keys, name, &ConfigKey::name);
  return found == keys.end() ? nullptr : &*found;
}

/// True if keys lie below `name`: `cache`, `sources.http`.
bool IsGroup(std::string_view name) {
  return std::ranges::any_of(ConfigKeys(), [&](const ConfigKey& key) {
    return key.name.starts_with(name) && key.name.substr(name.size()).starts_with('.');
  });
}

/// Walks one document. `name_` is the file's, for errors.
class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Result<Config> Read(const YAML::Node& document) {
    if (!document.IsNull()) TRY(ReadGroup(document, ""));
    return config_;
  }

 private:
  std::unexpected<Error> Wrong(const YAML::Node& at, std::string message) const {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}:{}: {}", name_, at.Mark().line + 1, message));
  }

  Result<> ReadGroup(const YAML::Node& group, const std::string& prefix) {
    if (!group.IsMap()) {
      return Wrong(group, prefix.empty()
                              ? "the document must be a mapping of keys to values"
                              : fmt::format("{} must be a mapping of keys to values", prefix));
    }
    for (const auto& entry : group) {
      if (!entry.first.IsScalar()) return Wrong(entry.first, "a key must be plain text");
      std::string key = prefix.empty() ? entry.first.Scalar() : prefix + "." + entry.first.Scalar();
      if (!seen_.insert(key).second)
        return Wrong(entry.first, fmt::format("{} is given twice", Printable(key)));
      TRY(ReadEntry(entry.first, entry.second, key));
    }
    return {};
  }

  Result<> ReadEntry(const YAML::Node& key_node, const YAML::Node& value, const std::string& key) {
    if (const ConfigKey* known = FindKey(key)) return Apply(*known, key_node, value);
    if (!IsGroup(key)) return Wrong(key_node, UnknownKey(key));
    if (value.IsNull()) return {};
    return ReadGroup(value, key);
  }

  static std::string UnknownKey(const std::string& key) {
    std::vector<std::string_view> names;
    for (const ConfigKey& known : ConfigKeys()) names.push_back(known.name);
    std::string_view nearest = Nearest(key, names);
    std::string shown = Printable(key);
    if (!nearest.empty()) return fmt::format("unknown key {}: did you mean {}?", shown, nearest);
    return fmt::format("unknown key {}: known are {}", shown, fmt::join(names, ", "));
  }

  Result<> Apply(const ConfigKey& key, const YAML::Node& key_node, const YAML::Node& node) {
    ConfigValue value;
    std::string shown;
    if (node.IsScalar()) {
      value.items.push_back(node.Scalar());
      shown = Printable(node.Scalar());
    } else if (node.IsSequence() &&
               std::ranges::all_of(node, [](const auto& n) { return n.IsScalar(); })) {
      value.is_list = true;
      for (const auto& item : node) value.items.push_back(item.Scalar());
      shown = Printable(fmt::format("[{}]", Join(value.items, ", ")));
    } else {
      return Wrong(key_node, fmt::format("{} has no usable value: give {}", key.name, key.allowed));
    }
    if (key.apply(value, config_)) return {};
    return Wrong(node, fmt::format("{} is '{}': give {}", key.name, shown, key.allowed));
  }

  const std::string_view name_;
  Config config_;
  std::set<std::string> seen_;
};

}  // namespace

Bytes SpaceShare::Of(Bytes filesystem_total) const {
  if (percent == 0) return bytes;
  return static_cast<Bytes>(std::floor(static_cast<double>(filesystem_total) * percent / 100));
}

Result<Config> ParseConfig(const std::string& text, std::string_view name) {
  try {  // yaml-cpp speaks in exceptions
    return Reader(name).Read(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}:{}: not YAML: {}", name, error.mark.line + 1, error.msg));
  } catch (const std::exception& error) {
    return Fail(Code::kInvalidArgument, fmt::format("{}: not YAML: {}", name, error.what()));
  }
}

Result<Config> LoadConfig(const std::string& path, Presence presence) {
  // Follows links, unlike io::Filesystem: kubelet mounts a ConfigMap's files as links.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT && presence == Presence::kOptional) return Config();
  std::string context = fmt::format("read the configuration {}", path);
  if (!fd) return FailErrno(errno, context);
  std::string text;
  std::array<char, 4096> piece;
  while (true) {
    ssize_t count = ::read(fd.get(), piece.data(), piece.size());
    if (count == 0) return ParseConfig(text, path);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno(errno, context);
    text.append(piece.data(), static_cast<size_t>(count));
    if (text.size() > kMaxFileSize) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("{}: more than {}", context, FormatBytes(kMaxFileSize)));
    }
  }
}

EngineOptions ToEngineOptions(const Config& config, Bytes filesystem_total) {
  EngineOptions options;
  options.store.root = config.root;
  if (config.limit) options.store.limit = config.limit->Of(filesystem_total);
  if (config.min_free) options.store.min_free = config.min_free->Of(filesystem_total);
  options.fill = config.fill;
  options.transport = config.transport;
  options.write_engine = config.write_engine;
  options.buffer_bytes = config.buffer_memory;
  options.hub_endpoint = config.hub_endpoint;
  options.local_roots = config.local_roots;
  options.allow_plain_http = config.allow_plain_http;
  options.scrub = config.scrub;
  options.verify_rate = config.verify_rate;
  options.resume_fills = true;
  return options;
}

}  // namespace weighhouse::daemon
