// The head of a server's answer, line by line as libcurl hands it out; the first two bytes choose
// what was asked for.

#include <chrono>

#include "cache-daemon/source/http_headers.h"
#include "cache-daemon/source/hub/budget_window.h"
#include "cache-daemon/source/transfer_check.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

void CheckRange(std::string_view text) {
  std::optional<ContentRange> range = ParseContentRange(text);
  if (!range) return;
  CHECK(range->range.begin < range->range.end);
  if (range->total) CHECK(range->range.end <= *range->total);
}

void CheckBudget(const HttpHeaders& headers) {
  using std::chrono::hours;
  auto clock = std::chrono::system_clock::time_point(hours(500'000));
  auto now = BudgetWindow::Time(hours(1000));
  if (auto limit = ParseRateLimit(headers)) {
    CHECK(limit->reset.count() >= 0 && limit->reset <= hours(1));
  }
  BudgetWindow window;
  window.Learn(headers, clock, now);
  for (int i = 0; i < 3; ++i) {
    auto said = window.Begin(now);
    if (const auto* refused = std::get_if<BudgetWindow::Refused>(&said)) {
      // A server can have its own models wait for an hour, and then asks again.
      CHECK(refused->retry_after.count() > 0 &&
            refused->retry_after <= hours(1) + std::chrono::seconds(1));
      CHECK(std::holds_alternative<BudgetWindow::Admitted>(window.Begin(now + hours(2))));
      return;
    }
    CHECK(std::get<BudgetWindow::Admitted>(said).wait <= BudgetWindow::kLongestWait);
  }
}

void CheckDelay(const HttpHeaders& headers) {
  using std::chrono::hours;
  auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  auto delay = RetryDelay(headers, now);
  if (delay) CHECK(delay->count() >= 0 && *delay <= hours(1));
  Error failure = AnswerFailure(headers, headers.Find("body"), now);
  if (failure.retry_after) CHECK(*failure.retry_after <= hours(1));
  CHECK(failure.message.size() < 2000);
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(http_headers, bytes) {
  std::string_view rest = bytes;
  Bytes begin = fuzz::TakeByte(rest);
  ByteRange asked{begin, begin + fuzz::TakeByte(rest) + 1};
  HttpHeaders headers;
  size_t taken = 0;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end == std::string_view::npos ? end : end + 1);
    rest.remove_prefix(line.size());
    if (!headers.AddLine(line)) return;
    taken += line.size();
    CHECK(taken <= HttpHeaders::kMaxBytes);
  }
  CHECK(headers.status() >= 0 && headers.status() <= 999);
  CheckDelay(headers);
  CheckBudget(headers);
  CheckRange(headers.Find("content-range"));
  if (auto date = ParseHttpDate(headers.Find("retry-after"))) {
    CHECK(date->time_since_epoch().count() % 1'000'000'000 == 0);
  }
  std::string_view link = headers.Find("link");
  if (auto next = NextLink(link)) CHECK(link.contains("<" + *next + ">"));
  std::string_view etag = headers.Find("etag");
  CHECK(etag.contains(UnquoteEtag(etag)));
  // Whatever was said, bytes are only taken for those that were asked for.
  if (headers.status() != 206 || !CheckContent(headers, asked, 300)) return;
  auto range = ParseContentRange(headers.Find("content-range"));
  CHECK(range && range->range == asked);
  CHECK(!range->total || *range->total == 300);
}

}  // namespace weighhouse::source
