#pragma once

#include <expected>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cli/client.h"
#include "cli/exit_code.h"
#include "cli/options.h"

/// The commands. Each prints its result on stdout, as text or as one JSON object with stable names
/// (cli/README.md), and returns the exit code or why it failed.
namespace weighhouse::cli {

using Outcome = std::expected<int, Failure>;
/// The keys and values of a secret, as a pod's would hold them.
using SecretValues = std::map<std::string, std::string>;

/// These connect by themselves, because signals must be taken before the first thread is made.
Outcome Pull(const Options& options);
Outcome Verify(const Options& options);
Outcome Top(const Options& options);
Outcome List(const Options& options, Client& client);
Outcome DiskUsage(const Options& options, Client& client);
Outcome Status(const Options& options, Client& client);
/// `secret`: what ReadSecret said.
Outcome Inspect(const Options& options, Client& client, const SecretValues& secret);
/// Objects for Kubernetes that make claims on a model.
Outcome StorageClass(const Options& options, Client& client, const SecretValues& secret);
Outcome Evict(const Options& options, Client& client);
/// Whether a configuration file would be taken. Asks no daemon.
Outcome ConfigCheck(const Options& options);
/// The reference page of the configuration, as Markdown.
Outcome ConfigKeys(const Options& options);
/// What is wrong with this node, the value found, and the remedy. Changes nothing.
Outcome Doctor(const Options& options);
/// The id of a model reference in nodes' labels. Asks no daemon.
Outcome ModelId(const Options& options);
/// `weighhouse agent` has flags of its own, and is run before these are read (main.cc): wrong
/// usage.
Outcome AgentComesFirst(const Options& options);
/// A patch of the configuration's list of what is kept, or that list.
Outcome Keep(const Options& options);
/// The script that completes commands in a shell. Asks no daemon.
Outcome Completion(const Options& options);
/// weighhouse(1), in roff. Asks no daemon.
Outcome Manual(const Options& options);
Outcome Version(const Options& options);

/// The model that the arguments name, for a request.
pb::Model ModelOf(const Options& options);

/// What the model's source calls its token, in the environment and in a secret: HF_TOKEN,
/// HTTP_TOKEN or MODELSCOPE_API_TOKEN; .dockerconfigjson of an oci:// model. One of them never goes
/// to another source.
std::string TokenName(const Options& options);

/// The access token of --token-file, else of the environment's TokenName, trimmed; "" without one.
/// Of an oci:// model it is what a Docker config.json holds, from --token-file only.
/// kInvalidArgument if the file can't be read or holds no token. Before Client::Connect, which may
/// change the user.
Result<std::string> ReadToken(const Options& options);

/// The ids of the snapshots that `subject` names: a reference (without a revision: of any), or the
/// beginning of an id. kNotFound; kInvalidArgument if the beginning is too short or fits several.
Result<std::vector<std::string>> SnapshotIdsOf(const std::string& subject,
                                               const pb::ListResponse& list);

/// What the caller proves itself with to the model's source: what ReadToken says, as HF_TOKEN, for
/// oci:// as a Docker configuration; for s3:// the environment's AWS_… keys, region and endpoint;
/// for gs:// the service account in the file that GOOGLE_APPLICATION_CREDENTIALS names. Errors as
/// ReadToken's.
Result<SecretValues> ReadSecret(const Options& options);

/// Prints `failure` for people on stderr, and with json as an object on stdout.
void Report(const Failure& failure, Output output);

}  // namespace weighhouse::cli
