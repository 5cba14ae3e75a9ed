#pragma once

#include <string>

namespace weighhouse::api {

/// The page for people: one document that loads nothing but the status document (status_document.h)
/// and shows it. Its parts are status_page.html, .css and .js beside this file.
struct StatusPage {
  std::string html;
  /// Its Content-Security-Policy: its own style and script by their digests, questions to its own
  /// origin, and no markup made of text.
  std::string content_security_policy;
};

StatusPage MakeStatusPage();

}  // namespace weighhouse::api
