#include "cli/keep_patch.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/model.h"
#include "base/text.h"
#include "cache-daemon/config/document.h"

namespace weighhouse::cli {
namespace {

constexpr std::string_view kKey = "keep";
constexpr std::string_view kKeyLine = "keep:";
/// As deploy/daemonset has it where nothing is kept.
constexpr std::string_view kCommentedKeyLine = "#keep:";

using Lines = std::vector<std::string>;

Lines LinesOf(const std::string& text) {
  Lines lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string TextOf(const Lines& lines) { return Join(lines, "\n") + "\n"; }

/// Whether a line belongs to the key above it.
bool GoesOn(const std::string& line) {
  return line.empty() || std::string_view(" -#]").contains(line.front());
}

bool IsItem(const std::string& line) { return Trim(line).starts_with("- "); }

/// The lines of the list: [begin, end). Equal: it isn't there, and belongs there.
struct Place {
  size_t begin = 0, end = 0;
};

Place PlaceOf(const Lines& lines) {
  auto begins_with = [&](std::string_view what) {
    return std::ranges::find_if(lines,
                                [&](const std::string& line) { return line.starts_with(what); });
  };
  auto first = begins_with(kKeyLine);
  if (first == lines.end()) {
    auto comment = begins_with(kCommentedKeyLine);
    size_t at = (comment == lines.end() ? comment : comment + 1) - lines.begin();
    return {at, at};
  }
  auto end = std::find_if_not(first + 1, lines.end(), GoesOn);
  // What is said above the next key is about that.
  while (end > first + 1 && ((end - 1)->empty() || (end - 1)->starts_with('#'))) --end;
  return {static_cast<size_t>(first - lines.begin()), static_cast<size_t>(end - lines.begin())};
}

/// The list as it was, and as it is to be.
struct Change {
  std::vector<std::string> before;
  std::vector<size_t> removed;  ///< of `before`, from 0
  std::vector<std::string> added;

  std::vector<std::string> After() const {
    std::vector<std::string> after;
    for (size_t i = 0; i < before.size(); ++i) {
      if (std::ranges::find(removed, i) == removed.end()) after.push_back(before[i]);
    }
    after.insert(after.end(), added.begin(), added.end());
    return after;
  }
};

std::string ItemLine(std::string_view indent, const std::string& model) {
  return fmt::format("{}- {}", indent, Json(model).dump());
}

/// Item by item, so that the comments between them stay. Wrong where they aren't a line each, which
/// shows when it is read.
std::string ChangedByItem(Lines lines, const Change& change) {
  Place place = PlaceOf(lines);
  std::vector<size_t> items;
  for (size_t i = place.begin; i < place.end; ++i) {
    if (IsItem(lines[i])) items.push_back(i);
  }
  if (items.empty() || items.size() != change.before.size()) return "";
  std::string indent = lines[items.back()].substr(0, lines[items.back()].find('-'));
  Lines added;
  for (const std::string& model : change.added) added.push_back(ItemLine(indent, model));
  lines.insert(lines.begin() + items.back() + 1, added.begin(), added.end());
  std::vector<size_t> removed = change.removed;
  std::ranges::sort(removed, std::greater());
  for (size_t item : removed) lines.erase(lines.begin() + items[item]);
  return TextOf(lines);
}

/// With the list written anew.
std::string ChangedAsWhole(Lines lines, const Change& change) {
  Place place = PlaceOf(lines);
  std::vector<std::string> after = change.After();
  Lines list = {fmt::format("{}{}", kKeyLine, after.empty() ? " []" : "")};
  for (const std::string& model : after) list.push_back(ItemLine("", model));
  lines.erase(lines.begin() + place.begin, lines.begin() + place.end);
  lines.insert(lines.begin() + place.begin, list.begin(), list.end());
  return TextOf(lines);
}

std::vector<std::string> KeptBy(const config::Document& document) {
  auto value = document.values.find(kKey);
  return value == document.values.end() ? std::vector<std::string>() : value->second.items;
}

Result<std::vector<std::string>> FingerprintsOf(const std::vector<std::string>& models) {
  std::vector<std::string> fingerprints;
  for (const std::string& model : models) {
    ModelReference reference = TRY(ModelReference::Parse(model));
    fingerprints.push_back(reference.Fingerprint());
  }
  return fingerprints;
}

/// What `models`, which may name one twice, change of the list.
Result<Change> ChangeOf(std::vector<std::string> kept, KeepEdit edit,
                        const std::vector<std::string>& models) {
  std::vector<std::string> known = TRY(FingerprintsOf(kept));
  std::vector<std::string> given = TRY(FingerprintsOf(models));
  Change change{.before = std::move(kept)};
  for (size_t i = 0; i < models.size(); ++i) {
    if (std::find(given.begin(), given.begin() + i, given[i]) != given.begin() + i) continue;
    size_t at = std::ranges::find(known, given[i]) - known.begin();
    bool is_kept = at < known.size();
    if (edit == KeepEdit::kAdd && !is_kept) change.added.push_back(models[i]);
    if (edit == KeepEdit::kAdd) continue;
    if (!is_kept) {
      return Fail(Code::kNotFound,
                  fmt::format("{} is not on the list of what is kept: {}", Printable(models[i]),
                              known.empty() ? "it is empty" : Join(change.before, ", ")));
    }
    change.removed.push_back(at);
  }
  if (change.added.empty() && change.removed.empty()) {
    return Fail(Code::kAlreadyExists, fmt::format("the list of what is kept has that already: {}",
                                                  Printable(Join(change.before, ", "), 4000)));
  }
  return change;
}

/// Whether `after` says what `before` does, but for the list, which is `models`.
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
  Change change = TRY(ChangeOf(KeptBy(before), edit, models));
  std::vector<std::string> after = change.After();
  const config::ConfigKey& key = *config::FindKey(kKey);
  config::Config scratch;
  if (!key.apply({.is_list = true, .items = after}, scratch)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("keep would be [{}], and it can be {}",
                            Printable(Join(after, ", "), 4000), key.allowed));
  }
  Lines lines = LinesOf(text);
  for (std::string& changed :
       std::array{ChangedByItem(lines, change), ChangedAsWhole(lines, change)}) {
    if (changed.empty()) continue;
    Result<config::Document> read = config::ParseDocument(changed, name);
    if (read && OnlyListDiffers(before, *read, after)) return std::move(changed);
  }
  // A file in flow style, say, has no line that begins with the key.
  return Fail(Code::kInvalidArgument,
              fmt::format("{} can't be changed line by line, as it is written: set keep in it to "
                          "[{}] by hand",
                          name, Join(after, ", ")));
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

Json ConfigMapPatchJson(const std::string& text) { return {{"data", {{"config.yaml", text}}}}; }

}  // namespace weighhouse::cli
