#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "cli/options.h"

namespace CLI {
class App;
class Validator;
}  // namespace CLI

/// The flags of each command (Describe…), and what is wrong with flags that don't go together
/// (Wrong…; nothing if they do).
namespace weighhouse::cli {

void DescribePull(CLI::App& app, Options& options);
void DescribeKeep(CLI::App& app, Options& options);
void DescribeInspect(CLI::App& app, Options& options);
void DescribeList(CLI::App& app, Options& options);
void DescribeDiskUsage(CLI::App& app, Options& options);
void DescribeTop(CLI::App& app, Options& options);
void DescribeStorageClass(CLI::App& app, Options& options);
void DescribeEvict(CLI::App& app, Options& options);
void DescribeVerify(CLI::App& app, Options& options);
void DescribeConfigCheck(CLI::App& app, Options& options);
void DescribeModelId(CLI::App& app, Options& options);
void DescribeCompletion(CLI::App& app, Options& options);

std::optional<std::string> WrongPull(const Options& options);
std::optional<std::string> WrongKeep(const Options& options);
std::optional<std::string> WrongTop(const Options& options);
std::optional<std::string> WrongClaim(const Options& options);
std::optional<std::string> WrongEvict(const Options& options);
std::optional<std::string> WrongVerify(const Options& options);

// What several have in common
/// One of `choices`; the completions find them in its name.
CLI::Validator OneOf(const std::vector<std::string>& choices);
/// A model, and how it is asked for.
void DescribeModel(CLI::App& app, Options& options);
void DescribeLayout(CLI::App& app, Options& options);
/// The configuration whose list of what is kept changes.
void DescribeKeptFile(CLI::App& app, Options& options);
/// A flag that takes a size of more than 0 bytes; `take` gets its text too.
void AddSize(CLI::App& app, const char* flag, const char* meaning,
             std::function<void(const std::string&, Bytes)> take);
/// A flag that takes bytes a second: `least` or more, or 0 for no limit.
void AddRate(CLI::App& app, const char* flag, const char* meaning, Bytes least,
             std::function<void(Bytes)> take);

}  // namespace weighhouse::cli
