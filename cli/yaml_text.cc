#include "cli/yaml_text.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace weighhouse::cli {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kPlain =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
/// What YAML 1.1 takes for booleans and nothing, in any case.
constexpr std::array<std::string_view, 9> kWords = {"true", "false", "yes", "no", "on",
                                                    "off",  "null",  "y",   "n"};

/// "500Gi": a number to nobody but Kubernetes.
bool IsQuantity(std::string_view text) {
  return text.ends_with('i') && text.size() > 2 && kLetters.contains(text[text.size() - 2]) &&
         text.substr(0, text.size() - 2).find_first_not_of("0123456789") == std::string_view::npos;
}

/// Whether YAML reads the text as it stands as that string. ':' only as in "hf://".
bool IsPlain(std::string_view text) {
  size_t scheme = text.find("://");
  std::string_view rest = scheme == std::string_view::npos ? text : text.substr(scheme + 3);
  std::string_view before = text.substr(0, scheme == std::string_view::npos ? 0 : scheme);
  bool plain = !text.empty() && kLetters.contains(text.front()) &&
               before.find_first_not_of(kPlain) == std::string_view::npos &&
               rest.find_first_not_of(kPlain) == std::string_view::npos;
  return plain && std::ranges::find(kWords, ToLower(text)) == kWords.end();
}

std::string Scalar(const Json& value) {
  const auto* text = value.get_ptr<const Json::string_t*>();
  if (text != nullptr && (IsPlain(*text) || IsQuantity(*text))) return *text;
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);  // JSON is YAML
}

class Writer {
 public:
  explicit Writer(const YamlComments& comments) : comments_(comments) {}

  void Write(const Json& object, const std::string& pointer, size_t depth) {
    for (const auto& [key, value] : object.items()) {
      std::string member = fmt::format("{}/{}", pointer, key);
      std::string indent(2 * depth, ' ');
      Comment(member, indent);
      if (value.is_object()) {
        out_ += fmt::format("{}{}:\n", indent, Scalar(key));
        Write(value, member, depth + 1);
      } else {
        out_ += fmt::format("{}{}: {}\n", indent, Scalar(key), Scalar(value));
      }
    }
  }
  void Comment(const std::string& pointer, const std::string& indent) {
    auto found = comments_.find(pointer);
    if (found == comments_.end()) return;
    std::string_view rest = found->second;
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      out_ += line.empty() ? fmt::format("{}#\n", indent) : fmt::format("{}# {}\n", indent, line);
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  const YamlComments& comments_;
  std::string out_;
};

}  // namespace

std::string ToYaml(const Json& object, const YamlComments& comments) {
  Writer writer(comments);
  writer.Comment("", "");
  writer.Write(object, "", 0);
  return writer.Take();
}

}  // namespace weighhouse::cli
