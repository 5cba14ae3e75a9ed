#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/completion_script.h"
#include "cli/json_text.h"
#include "cli/manual_page.h"
#include "cli/print.h"
#include "cli/program_spec.h"

namespace weighhouse::cli {
namespace {

std::string ScriptFor(const std::string& shell) {
  ProgramSpec spec = SpecOfProgram();
  if (shell == "bash") return BashCompletion(spec);
  return shell == "zsh" ? ZshCompletion(spec) : FishCompletion(spec);
}

}  // namespace

Outcome Completion(const Options& options) {
  std::string script = ScriptFor(options.subject);
  if (options.output == Output::kJson) {
    PrintJson({{"shell", options.subject}, {"script", script}});
  } else {
    Print("{}", script);
  }
  return kOk;
}

Outcome Manual(const Options& options) {
  std::string page = ManualPage(SpecOfProgram());
  if (options.output == Output::kJson) {
    PrintJson({{"page", page}});
  } else {
    Print("{}", page);
  }
  return kOk;
}

}  // namespace weighhouse::cli
