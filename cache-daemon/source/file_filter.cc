#include "cache-daemon/source/file_filter.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

using Patterns = std::vector<std::string>;

enum class Scope {
  kPath,               ///< the whole path
  kName,               ///< the last component, in any directory
  kBesideSafetensors,  ///< the last component, in a directory that has safetensors of its own
};

struct DefaultRule {
  const char* pattern;
  Scope scope;
};

/// What is left out by default of a model that has safetensors (true file lists:
/// facts/model-sources.md 8, and the tests). No rule matches `*.safetensors` outside of the
/// directories named first, so `consolidated*.safetensors` stays: vLLM chooses its loader by it.
/// Configuration, tokenizers, code, licences and README.md stay because nothing here names them.
constexpr std::array kDefaultRules = {
    // The same weights in the layout of another runtime, a directory each.
    DefaultRule{"original/*", Scope::kPath},
    DefaultRule{"metal/*", Scope::kPath},
    DefaultRule{"coreml/*", Scope::kPath},
    DefaultRule{"onnx/*", Scope::kPath},
    DefaultRule{"openvino/*", Scope::kPath},
    // Formats that are only ever a copy for another runtime.
    DefaultRule{"*.gguf", Scope::kName},
    DefaultRule{"*.ggml", Scope::kName},
    DefaultRule{"*.tflite", Scope::kName},
    DefaultRule{"*.mlmodel*", Scope::kName},
    // Formats that are a copy beside safetensors, and the only weights of a sub-module elsewhere.
    DefaultRule{"*.bin", Scope::kBesideSafetensors},
    DefaultRule{"*.pt", Scope::kBesideSafetensors},
    DefaultRule{"*.pth", Scope::kBesideSafetensors},
    DefaultRule{"*.ckpt", Scope::kBesideSafetensors},
    DefaultRule{"*.h5", Scope::kBesideSafetensors},
    DefaultRule{"*.msgpack", Scope::kBesideSafetensors},
    DefaultRule{"*.ot", Scope::kBesideSafetensors},
    DefaultRule{"*.onnx*", Scope::kBesideSafetensors},
    DefaultRule{"*.nemo", Scope::kBesideSafetensors},
    // What a training run left behind.
    DefaultRule{"training_args.bin", Scope::kName},
    DefaultRule{"optimizer*.bin", Scope::kName},
    DefaultRule{"optimizer*.pt", Scope::kName},
    DefaultRule{"scheduler.pt", Scope::kName},
    DefaultRule{"scaler.pt", Scope::kName},
    DefaultRule{"runs/*", Scope::kPath},
    DefaultRule{".eval_results/*", Scope::kPath},
    // The page's pictures and papers, and git's own files.
    DefaultRule{"*.png", Scope::kName},
    DefaultRule{"*.jpg", Scope::kName},
    DefaultRule{"*.jpeg", Scope::kName},
    DefaultRule{"*.gif", Scope::kName},
    DefaultRule{"*.mp4", Scope::kName},
    DefaultRule{"*.pdf", Scope::kName},
    DefaultRule{".git*", Scope::kName},
};

/// Weights that stay though a rule names them: no other file holds them.
constexpr std::array kNeverACopy = {"mm_projector.bin"};

std::string DirectoryOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool Matches(const char* pattern, const std::string& text) {
  return fnmatch(pattern, text.c_str(), FNM_NOESCAPE) == 0;
}

/// The default rules for one listing.
class DefaultFilter {
 public:
  explicit DefaultFilter(const std::vector<ListedFile>& files) {
    for (const ListedFile& file : files) {
      bool weights = file.path.ends_with(".safetensors") && !Dropped(file.path, Scope::kPath);
      if (weights) directories_with_safetensors_.insert(DirectoryOf(file.path));
    }
  }

  bool Drops(const std::string& path) const {
    if (directories_with_safetensors_.empty()) return false;
    if (Dropped(path, Scope::kPath)) return true;
    std::string name = NameOf(path);
    if (std::ranges::find(kNeverACopy, name) != kNeverACopy.end()) return false;
    if (Dropped(name, Scope::kName)) return true;
    return directories_with_safetensors_.contains(DirectoryOf(path)) &&
           Dropped(name, Scope::kBesideSafetensors);
  }

 private:
  static bool Dropped(const std::string& text, Scope scope) {
    return std::ranges::any_of(kDefaultRules, [&](const DefaultRule& rule) {
      return rule.scope == scope && Matches(rule.pattern, text);
    });
  }

  std::unordered_set<std::string> directories_with_safetensors_;
};

bool MatchesAny(const Patterns& patterns, const std::string& path) {
  return std::ranges::any_of(patterns,
                             [&](const auto& each) { return MatchesPattern(each, path); });
}

Result<> CheckPatterns(const std::optional<Patterns>& patterns, std::string_view list) {
  if (!patterns) return {};
  if (patterns->size() > kMaxPatterns) {
    return Fail(Code::kInvalidArgument, fmt::format("{} has {} patterns: give at most {}", list,
                                                    patterns->size(), kMaxPatterns));
  }
  for (const std::string& pattern : *patterns) {
    bool bad = pattern.empty() || pattern.size() > kMaxPatternBytes || pattern.contains('\0');
    if (!bad) continue;
    return Fail(Code::kInvalidArgument,
                fmt::format("{}: '{}' is no pattern: give 1 to {} bytes, such as *.json", list,
                            Printable(pattern, 60), kMaxPatternBytes));
  }
  return {};
}

std::string Describe(const std::optional<Patterns>& patterns) {
  if (!patterns) return "the defaults";
  return fmt::format("[{}]", Printable(Join(*patterns, ", ")));
}

}  // namespace

bool MatchesPattern(const std::string& pattern, const std::string& path) {
  if (!pattern.ends_with('/')) return Matches(pattern.c_str(), path);
  return Matches((pattern + "*").c_str(), path);
}

Result<Listing> ApplyPatterns(const Listing& listing, const ModelReference& reference) {
  const auto& allow = reference.allow_patterns;
  const auto& ignore = reference.ignore_patterns;
  TRY(CheckPatterns(allow, "allowPatterns"));
  TRY(CheckPatterns(ignore, "ignorePatterns"));
  bool restricted = allow && !allow->empty();
  bool use_defaults = !ignore && !restricted;
  DefaultFilter defaults(listing.files);
  Listing taken = listing;
  std::erase_if(taken.files, [&](const ListedFile& file) {
    if (restricted && !MatchesAny(*allow, file.path)) return true;
    if (use_defaults) return defaults.Drops(file.path);
    return ignore && MatchesAny(*ignore, file.path);
  });
  if (taken.files.empty()) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("none of the {} files is left: allowPatterns {}, ignorePatterns {}; mind "
                    "that patterns match the whole path and that case counts",
                    listing.files.size(), restricted ? Describe(allow) : "[*]",
                    use_defaults ? Describe(ignore) : Describe(ignore.value_or(Patterns{}))));
  }
  return taken;
}

}  // namespace weighhouse::source
