#pragma once

#include <string>

namespace weighhouse::config {

/// docs/configuration.md, made of the table of keys: Markdown.
std::string ReferencePage();

}  // namespace weighhouse::config
