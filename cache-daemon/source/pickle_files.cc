#include "cache-daemon/source/pickle_files.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

constexpr std::array<std::string_view, 7> kPickleEndings = {".bin", ".pt",     ".pth",   ".ckpt",
                                                            ".pkl", ".pickle", ".joblib"};
/// Weights that no safetensors hold (as the default patterns know it).
constexpr std::string_view kNoCopy = "mm_projector.bin";
constexpr size_t kNamedFiles = 3;

std::string_view ParentOf(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string NamesOf(const std::vector<std::string>& paths) {
  std::vector<std::string> shown(paths.begin(),
                                 paths.begin() + std::min(paths.size(), kNamedFiles));
  std::string text = Printable(Join(shown, ", "));
  if (paths.size() > kNamedFiles) text += fmt::format(" and {} more", paths.size() - kNamedFiles);
  return text;
}

std::vector<std::string> PicklesOf(const Listing& listing) {
  std::vector<std::string> pickles;
  for (const ListedFile& file : listing.files) {
    if (IsPickle(file.path)) pickles.push_back(file.path);
  }
  return pickles;
}

void LeaveOutCopies(const Listing& all, Listing& selected) {
  std::set<std::string_view> directories;
  for (const ListedFile& file : all.files) {
    if (ToLower(file.path).ends_with(".safetensors")) directories.insert(ParentOf(file.path));
  }
  std::erase_if(selected.files, [&](const ListedFile& file) {
    std::string_view name = std::string_view(file.path).substr(file.path.rfind('/') + 1);
    return IsPickle(file.path) && name != kNoCopy && directories.contains(ParentOf(file.path));
  });
}

}  // namespace

bool IsPickle(std::string_view path) {
  std::string lower = ToLower(path);
  return std::ranges::any_of(kPickleEndings,
                             [&](std::string_view ending) { return lower.ends_with(ending); });
}

Result<Listing> ApplyPicklePolicy(PicklePolicy policy, const Listing& all, Listing selected) {
  if (policy == PicklePolicy::kAllow) return selected;
  std::vector<std::string> pickles = PicklesOf(selected);
  if (pickles.empty()) return selected;
  if (policy == PicklePolicy::kRefuse) {
    return Fail(Code::kPermissionDenied,
                fmt::format("{}: pickles run code when they are loaded, and an admin refuses them "
                            "(sources.pickle): choose a model with safetensors, or leave these "
                            "files out with ignorePatterns",
                            NamesOf(pickles)));
  }
  LeaveOutCopies(all, selected);
  if (!selected.files.empty()) return selected;
  return Fail(Code::kPermissionDenied,
              fmt::format("{}: nothing is left without pickles beside safetensors, which an admin "
                          "leaves out (sources.pickle): ask for the safetensors",
                          NamesOf(pickles)));
}

}  // namespace weighhouse::source
