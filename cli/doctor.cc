#include <unistd.h>

#include <cstdio>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/doctor_finding.h"
#include "cli/doctor_gather.h"
#include "cli/doctor_judgements.h"
#include "cli/json_text.h"
#include "cli/print.h"

namespace weighhouse::cli {
namespace {

void PrintFindings(const Findings& findings, Output output) {
  if (output == Output::kText) {
    Print("{}", FindingsText(findings, ColourFor(STDOUT_FILENO)));
    return;
  }
  Json checks = Json::array();
  for (const Finding& finding : findings) {
    checks.push_back({{"name", finding.name},
                      {"state", StateName(finding.state)},
                      {"value", finding.value},
                      {"remedy", finding.remedy}});
  }
  PrintJson({{"failures", CountOf(findings, CheckState::kFail)},
             {"warnings", CountOf(findings, CheckState::kWarn)},
             {"checks", checks}});
}

}  // namespace

Outcome Doctor(const Options& options) {
  TimedProbes probes;
  Findings findings = Judge(GatherFacts(options, probes));
  PrintFindings(findings, options.output);
  int exit_code = CountOf(findings, CheckState::kFail) == 0 ? kOk : kFailed;
  // A probe that hangs still uses what a return from main would take away.
  if (probes.left_behind() > 0) ::_exit(std::fflush(stdout) == 0 ? exit_code : kFailed);
  return exit_code;
}

}  // namespace weighhouse::cli
