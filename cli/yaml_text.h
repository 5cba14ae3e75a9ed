#pragma once

#include <map>
#include <string>

#include "cli/json_text.h"

namespace weighhouse::cli {

/// Text by the member that it stands above, named by the keys that lead there ("/spec/resources";
/// "": the whole). Its lines are separated by '\n' and have no '#' of their own.
using YamlComments = std::map<std::string, std::string>;

/// `object` as one YAML document: objects as blocks, arrays on one line, strings quoted where YAML
/// would read them as something else. Ends with a newline.
std::string ToYaml(const Json& object, const YamlComments& comments);

}  // namespace weighhouse::cli
