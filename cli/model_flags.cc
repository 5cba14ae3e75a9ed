#include <set>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/command_flags.h"

namespace weighhouse::cli {
namespace {

/// As fill.bandwidthLimit.
constexpr Bytes kMinimumBandwidth = 64 * kKiB;

constexpr const char* kModelForms =
    "hf://org/name[@revision], modelscope://org/name[@revision], "
    "oci://registry/repository[:tag|@digest], s3://bucket/prefix, gs://bucket/prefix, "
    "https://host/path/file[#sha256=hex], https://host/directory-with-SHA256SUMS/, "
    "https://host/list.json#manifest or file:///path";

void DescribeHowAsked(CLI::App& app, Options& options) {
  app.add_option("--revision", options.revision,
                 "Branch, tag, refs/pr/N or commit; of oci:// a tag or digest");
  app.add_option("--allow", options.allow, "Only files that match GLOB (may be repeated)")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app.add_option("--ignore", options.ignore,
                 "No files that match GLOB (may be repeated); replaces the default ignore patterns")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app.add_option("--token-file", options.token_file,
                 "A file with an access token (default: the environment's HF_TOKEN, or "
                 "MODELSCOPE_API_TOKEN or HTTP_TOKEN, as the model's source wants); for oci:// a "
                 "Docker config.json with the registry's login")
      ->type_name("FILE");
}

/// What speaks against keeping what is pulled.
std::optional<std::string> WrongPullKeep(const Options& options) {
  if (!options.keep.after_pull) {
    if (options.keep.file.empty()) return std::nullopt;
    return "pull: --config goes with --keep: it names the configuration that is to keep the model";
  }
  if (options.allow || options.ignore) {
    return "pull: --keep goes with neither --allow nor --ignore: what is kept has the default "
           "patterns";
  }
  if (options.root && options.keep.file.empty())
    return "pull: --root has no configuration: --keep needs the file to change, --config FILE";
  return std::nullopt;
}

}  // namespace

CLI::Validator OneOf(const std::vector<std::string>& choices) {
  return CLI::IsMember(choices).description("").name(Join(choices, "|"));
}

void AddSize(CLI::App& app, const char* flag, const char* meaning,
             std::function<void(const std::string&, Bytes)> take) {
  app.add_option_function<std::string>(
         flag,
         [flag, take = std::move(take)](const std::string& text) {
           Result<Bytes> bytes = ParseBytes(text);
           if (!bytes) throw CLI::ValidationError(flag, bytes.error().message);
           if (*bytes == 0) throw CLI::ValidationError(flag, "give more than 0 bytes");
           take(text, *bytes);
         },
         meaning)
      ->type_name("BYTES");
}

void AddRate(CLI::App& app, const char* flag, const char* meaning, Bytes least,
             std::function<void(Bytes)> take) {
  app.add_option_function<std::string>(
         flag,
         [flag, least, take = std::move(take)](const std::string& text) {
           Result<Bytes> bytes = ParseBytes(text);
           if (!bytes) throw CLI::ValidationError(flag, bytes.error().message);
           if (*bytes > 0 && *bytes < least) {
             throw CLI::ValidationError(
                 flag, fmt::format("give at least {}Ki, or 0 for none", least / kKiB));
           }
           take(*bytes);
         },
         meaning)
      ->type_name("BYTES");
}

void DescribeModel(CLI::App& app, Options& options) {
  app.add_option("MODEL", options.subject, kModelForms)->required();
  DescribeHowAsked(app, options);
}

void DescribeLayout(CLI::App& app, Options& options) {
  app.add_option_function<std::string>(
         "--layout",
         [&](const std::string& name) {
           options.layout = name == "hub" ? Layout::kHub : Layout::kFiles;
         },
         "files (default): the model's files; hub: a Hugging Face cache directory")
      ->type_name("LAYOUT")
      ->check(OneOf({"files", "hub"}));
}

void DescribePull(CLI::App& app, Options& options) {
  app.add_option("MODEL", options.models, kModelForms)->required();
  DescribeHowAsked(app, options);
  DescribeLayout(app, options);
  AddRate(app, "--bandwidth-limit",
          "With --root: fetch at most so many bytes a second, such as 100Mi", kMinimumBandwidth,
          [&](Bytes bytes) { options.bandwidth_limit = bytes; });
  app.add_flag("--keep", options.keep.after_pull,
               "Then print the patch that `keep` prints, so that they also stay");
  DescribeKeptFile(app, options);
  app.add_flag("-q,--quiet", options.quiet, "No progress");
}

std::optional<std::string> WrongPull(const Options& options) {
  if (std::optional<std::string> wrong = WrongPullKeep(options)) return wrong;
  std::set<std::string> schemes;
  for (const std::string& model : options.models)
    schemes.insert(model.substr(0, model.find("://")));
  if (options.models.size() > 1 && !options.revision.empty())
    return "pull: --revision is for one model: give each its own, as in hf://org/name@revision";
  // A token is for one source; a Docker configuration says for which registry each login is.
  bool one_source =
      options.models.size() == 1 || (schemes.size() == 1 && !schemes.begin()->starts_with("http"));
  if (options.token_file && !one_source)
    return "pull: --token-file is for models of one source: pull the others by themselves";
  if (options.root || options.bandwidth_limit == 0) return std::nullopt;
  return "--bandwidth-limit goes with --root: with a daemon, fill.bandwidthLimit of its "
         "configuration counts";
}

void DescribeInspect(CLI::App& app, Options& options) { DescribeModel(app, options); }

}  // namespace weighhouse::cli
