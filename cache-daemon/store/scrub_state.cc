#include "cache-daemon/store/scrub_state.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/text.h"
#include "cache-daemon/store/json_fields.h"

namespace weighhouse::store {

std::string ScrubStateToJson(const ScrubState& state) {
  return ToText({{"under_way", state.under_way},
                 {"position", state.position},
                 {"pass_begun", ToUnixSeconds(state.pass_begun)},
                 {"pass_ended", ToUnixSeconds(state.pass_ended)},
                 {"day", state.day},
                 {"read_today", state.read_today},
                 {"charged", state.charged},
                 {"failures", state.failures}});
}

Result<ScrubState> ParseScrubState(std::string_view json) {
  nlohmann::json object = TRY(ParseObject(json));
  auto under_way = BoolField(object, "under_way");
  auto position = StringField(object, "position");
  auto begun = NumberField(object, "pass_begun");
  auto ended = NumberField(object, "pass_ended");
  auto day = NumberField(object, "day");
  auto read_today = NumberField(object, "read_today");
  auto charged = NumberField(object, "charged");
  auto failures = NumberField(object, "failures");
  bool whole = under_way && position && begun && ended && day && read_today && charged && failures;
  if (!whole) return Fail(Code::kDataLoss, "a field is missing");
  if (!position->empty() && !IsHex(*position, 64)) {
    return Fail(Code::kDataLoss, fmt::format("'{}' is no blob", Printable(*position)));
  }
  return ScrubState{.under_way = *under_way,
                    .position = std::move(*position),
                    .pass_begun = FromUnixSeconds(*begun),
                    .pass_ended = FromUnixSeconds(*ended),
                    .day = *day,
                    .read_today = *read_today,
                    .charged = *charged,
                    .failures = *failures};
}

}  // namespace weighhouse::store
