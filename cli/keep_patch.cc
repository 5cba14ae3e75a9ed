#include "cli/keep_patch.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/model.h"
#include "base/text.h"
#include "cache-daemon/config/document.h"
#include "cli/json_text.h"

namespace weighhouse::cli {
namespace {

constexpr std::string_view kKey = "keep";

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

bool GoesOn(const std::string& line) {
  return line.empty() || line.front() == ' ' || line.front() == '-' || line.front() == '#' ||
         line.front() == ']';
}

/// The lines of the key, which stands at the beginning of a line; equal: it isn't there.
std::pair<size_t, size_t> LinesOfKey(const std::vector<std::string>& lines) {
  auto first = std::ranges::find_if(
      lines, [](const std::string& line) { return line.starts_with(std::string(kKey) + ":"); });
  if (first == lines.end()) return {lines.size(), lines.size()};
  auto end = std::find_if_not(first + 1, lines.end(), GoesOn);
  // What is said above the next key is about that.
  while (end > first + 1 && ((end - 1)->empty() || (end - 1)->starts_with('#'))) --end;
  return {first - lines.begin(), end - lines.begin()};
}

std::string WithList(const std::string& text, const std::vector<std::string>& models) {
  std::vector<std::string> lines = LinesOf(text);
  auto [begin, end] = LinesOfKey(lines);
  std::vector<std::string> list = {fmt::format("{}:{}", kKey, models.empty() ? " []" : "")};
  for (const std::string& model : models) list.push_back("- " + Json(model).dump());
  lines.erase(lines.begin() + begin, lines.begin() + end);
  lines.insert(lines.begin() + begin, list.begin(), list.end());
  return Join(lines, "\n") + "\n";
}

std::vector<std::string> KeptBy(const config::Document& document) {
  auto value = document.values.find(kKey);
  return value == document.values.end() ? std::vector<std::string>() : value->second.items;
}

Result<std::string> FingerprintOf(const std::string& model) {
  ModelReference reference = TRY(ModelReference::Parse(model));
  return reference.Fingerprint();
}

Result<std::vector<std::string>> Edited(std::vector<std::string> kept, KeepEdit edit,
                                        const std::vector<std::string>& models) {
  std::vector<std::string> fingerprints;
  for (const std::string& model : kept) {
    std::string fingerprint = TRY(FingerprintOf(model));
    fingerprints.push_back(std::move(fingerprint));
  }
  size_t before = kept.size();
  for (const std::string& model : models) {
    std::string fingerprint = TRY(FingerprintOf(model));
    auto known = std::ranges::find(fingerprints, fingerprint);
    if (edit == KeepEdit::kAdd && known == fingerprints.end()) {
      kept.push_back(model);
      fingerprints.push_back(fingerprint);
    }
    if (edit == KeepEdit::kAdd) continue;
    if (known == fingerprints.end()) {
      return Fail(Code::kNotFound,
                  fmt::format("{} is not on the list of what is kept: {}", Printable(model),
                              kept.empty() ? "it is empty" : Join(kept, ", ")));
    }
    kept.erase(kept.begin() + (known - fingerprints.begin()));
    fingerprints.erase(known);
  }
  if (kept.size() == before)
    return Fail(Code::kAlreadyExists, "what is to be kept is on the list already");
  return kept;
}

/// Whether `after` says what `before` does, but for the list.
bool OnlyListDiffers(const config::Document& before, const config::Document& after,
                     const std::vector<std::string>& models) {
  auto rest = [](config::Document document) {
    document.values.erase(kKey);
    return document.values;
  };
  return rest(before) == rest(after) && KeptBy(after) == models &&
         before.overrides.size() == after.overrides.size();
}

}  // namespace

Result<std::string> EditKeep(const std::string& text, const std::string& name, KeepEdit edit,
                             const std::vector<std::string>& models) {
  config::Document before = TRY(config::ParseDocument(text, name));
  std::vector<std::string> wanted = TRY(Edited(KeptBy(before), edit, models));
  std::string changed = WithList(text, wanted);
  Result<config::Document> after = config::ParseDocument(changed, name);
  // A file in flow style, say, has no line that begins with the key.
  if (!after || !OnlyListDiffers(before, *after, wanted)) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("{} can't be changed line by line{}: set keep in it to [{}] by hand", name,
                    after ? "" : ", because " + after.error().message, Join(wanted, ", ")));
  }
  return changed;
}

std::string ConfigMapPatch(const std::string& text) {
  std::string patch =
      "# kubectl --namespace weighhouse-system patch configmap weighhouse-config --type merge "
      "--patch-file FILE\n"
      "# It replaces the file as a whole, for all nodes, with what this node has of it and the new "
      "list.\n"
      "data:\n"
      "  config.yaml: |2\n";
  for (const std::string& line : LinesOf(text)) patch += line.empty() ? "\n" : "    " + line + "\n";
  return patch;
}

}  // namespace weighhouse::cli
