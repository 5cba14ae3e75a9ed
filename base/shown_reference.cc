#include "base/shown_reference.h"

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse {
namespace {

/// `hf://name@branch` has a revision where URLs have a host.
bool MayEndWithRevision(std::string_view model) {
  return model.starts_with("hf://") || model.starts_with("modelscope://") || !model.contains("://");
}

}  // namespace

std::string ShownReference(std::string_view model) {
  size_t query = model.find('?');
  std::string_view plain = model.substr(0, query);
  std::string_view hidden = query == std::string_view::npos ? "" : "?…";
  size_t scheme = plain.find("://");
  size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  std::string_view host = plain.substr(begin, plain.find_first_of("/#", begin) - begin);
  size_t user = host.rfind('@');
  bool hides = user != std::string_view::npos &&
               (!MayEndWithRevision(plain) || host.substr(0, user).contains(':'));
  if (!hides) return Printable(plain) + std::string(hidden);
  return Printable(fmt::format("{}…{}", plain.substr(0, begin), plain.substr(begin + user))) +
         std::string(hidden);
}

}  // namespace weighhouse
