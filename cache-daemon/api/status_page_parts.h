#pragma once

#include <string_view>

namespace weighhouse::api {

// The files status_page.html, .css and .js as the build found them (status_page_parts.cc.in).
extern const std::string_view kStatusPageHtml;
extern const std::string_view kStatusPageStyle;
extern const std::string_view kStatusPageScript;

}  // namespace weighhouse::api
