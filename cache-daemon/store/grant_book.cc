#include "cache-daemon/store/grant_book.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/hmac.h"
#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/json_fields.h"
#include "cache-daemon/store/tidy_names.h"

namespace weighhouse::store {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr Bytes kMaxGrantsFile = kMiB;
/// A time that is recorded may be so much older than the true one.
constexpr std::chrono::minutes kWorthAWrite{5};
/// A wall clock that is set right by so little takes nobody's rights away.
constexpr std::chrono::seconds kClockSlack{60};
/// Longer than any source may take for all that it is asked at once (source::kLongestResolve for
/// each): what it was asked before a refusal, and answers after it, is known for old.
constexpr std::chrono::minutes kRefusalLife{20};
constexpr size_t kMostRefusals = 10'000;
/// Kubernetes' limit of a namespace's name.
constexpr size_t kMaxNamespace = 63;

struct RecordedGrant {
  Grant grant;
  system_clock::time_point checked;
};

Result<RecordedGrant> ParseGrant(const nlohmann::json& object) {
  auto mac = StringField(object, "mac");
  auto checked = NumberField(object, "checked");
  const nlohmann::json* namespaces = ArrayField(object, "namespaces");
  if (!mac || !IsHex(*mac, 64) || !checked || namespaces == nullptr ||
      namespaces->size() > kMostGrantNamespaces) {
    return Fail(Code::kDataLoss, "a field of a grant is missing or wrong");
  }
  std::string choice = StringField(object, "choice").value_or("");
  if (!choice.empty() && !IsHex(choice, 64)) {
    return Fail(Code::kDataLoss, "the field 'choice' of a grant is wrong");
  }
  RecordedGrant recorded{.grant = {.mac = *mac, .choice = std::move(choice)},
                         .checked = FromUnixSeconds(*checked)};
  for (const nlohmann::json& name : *namespaces) {
    if (!name.is_string()) return Fail(Code::kDataLoss, "a grant's namespace is no text");
    recorded.grant.namespaces.push_back(name.get<std::string>());
  }
  return recorded;
}

steady_clock::time_point NewestAsked(const OriginGrants& grants) {
  auto newest = std::ranges::max_element(grants.grants, {}, &Grant::asked);
  return newest == grants.grants.end() ? steady_clock::time_point::min() : newest->asked;
}

/// True: it wasn't there.
bool AddNamespace(Grant& grant, const std::string& pod_namespace) {
  if (pod_namespace.empty() || pod_namespace.size() > kMaxNamespace) return false;
  if (std::ranges::find(grant.namespaces, pod_namespace) != grant.namespaces.end()) return false;
  if (grant.namespaces.size() >= kMostGrantNamespaces) {
    grant.namespaces.erase(grant.namespaces.begin());
  }
  grant.namespaces.push_back(pod_namespace);
  return true;
}

/// Not kept as it was said: patterns may be long.
std::string DigestOfChoice(std::string_view choice) {
  return choice.empty() ? "" : Digest::Of(choice).Hex();
}

/// In constant time, as far as what is found goes.
template <class Grants>
auto FindGrant(Grants& grants, std::string_view mac, std::string_view choice) {
  const std::string wanted = DigestOfChoice(choice);
  decltype(grants.grants.data()) found = nullptr;
  for (auto& grant : grants.grants) {
    if (EqualInConstantTime(grant.mac, mac) && grant.choice == wanted) found = &grant;
  }
  return found;
}

/// The namespace whose pod brought it first.
std::string_view OwnerOf(const Grant& grant) {
  return grant.namespaces.empty() ? std::string_view() : grant.namespaces.front();
}

/// Of the namespace that has most of them, the one that was asked for least lately.
void MakeRoom(std::vector<Grant>& grants) {
  std::map<std::string_view, size_t> counts;
  for (const Grant& grant : grants) ++counts[OwnerOf(grant)];
  grants.erase(std::ranges::min_element(grants, {}, [&](const Grant& grant) {
    return std::pair(-static_cast<int64_t>(counts[OwnerOf(grant)]), grant.asked);
  }));
}

}  // namespace

std::string GrantsKey(const std::string& origin) { return Digest::Of(origin).Hex(); }

system_clock::time_point ClockPair::ToWall(steady_clock::time_point time) const {
  return wall - std::chrono::duration_cast<system_clock::duration>(steady - time);
}

steady_clock::time_point ClockPair::ToSteady(system_clock::time_point time) const {
  return steady - std::max<steady_clock::duration>(wall - time, {});
}

std::string GrantsToJson(const OriginGrants& grants, const ClockPair& now) {
  nlohmann::json list = nlohmann::json::array();
  for (const Grant& grant : grants.grants) {
    list.push_back({{"mac", grant.mac},
                    {"checked", ToUnixSeconds(now.ToWall(grant.asked))},
                    {"namespaces", grant.namespaces}});
    if (!grant.choice.empty()) list.back()["choice"] = grant.choice;
  }
  return ToText({{"origin", grants.origin}, {"grants", std::move(list)}});
}

Result<OriginGrants> ParseGrants(std::string_view json, const std::string& key,
                                 const ClockPair& now) {
  nlohmann::json object = TRY(ParseObject(json));
  auto origin = StringField(object, "origin");
  const nlohmann::json* list = ArrayField(object, "grants");
  if (!origin || list == nullptr || list->size() > kMostGrants) {
    return Fail(Code::kDataLoss, "the field 'origin' or 'grants' is missing or wrong");
  }
  if (GrantsKey(*origin) != key) return Fail(Code::kDataLoss, "it is of another origin");
  OriginGrants grants{.origin = *origin};
  for (const nlohmann::json& each : *list) {
    RecordedGrant recorded = TRY(ParseGrant(each));
    if (recorded.checked > now.wall + kClockSlack) continue;
    recorded.grant.asked = now.ToSteady(recorded.checked);
    recorded.grant.recorded = recorded.grant.asked;
    grants.grants.push_back(std::move(recorded.grant));
  }
  return grants;
}

void GrantBook::Load(const std::string& key, OriginGrants grants) {
  if (!grants.grants.empty()) origins_.insert_or_assign(key, std::move(grants));
}

bool GrantBook::Put(const std::string& key, const std::string& mac, const GrantUse& use) {
  auto refused = refused_.find({key, mac});
  if (refused != refused_.end() && use.asked <= refused->second) return false;
  OriginGrants& grants = origins_[key];
  grants.origin = use.origin;
  if (Grant* grant = FindGrant(grants, mac, use.choice)) {
    bool other = AddNamespace(*grant, use.pod_namespace);
    // An answer that was on its way for longer takes nothing back.
    grant->asked = std::max(grant->asked, use.asked);
    return other || !grant->recorded || grant->asked >= *grant->recorded + kWorthAWrite;
  }
  if (grants.grants.size() >= kMostGrants) MakeRoom(grants.grants);
  Grant grant{.mac = mac, .choice = DigestOfChoice(use.choice), .asked = use.asked};
  AddNamespace(grant, use.pod_namespace);
  grants.grants.push_back(std::move(grant));
  return true;
}

bool GrantBook::Refuse(const std::string& key, const std::string& mac,
                       steady_clock::time_point now) {
  ForgetOldRefusals(now);
  refused_.insert_or_assign({key, mac}, now);
  auto origin = origins_.find(key);
  if (origin != origins_.end()) {
    size_t gone = std::erase_if(origin->second.grants, [&](const Grant& grant) {
      return EqualInConstantTime(grant.mac, mac);
    });
    if (gone > 0) stale_[key] = ++taken_back_;
    if (origin->second.grants.empty()) origins_.erase(origin);
  }
  return stale_.contains(key);
}

void GrantBook::ForgetOldRefusals(steady_clock::time_point now) {
  std::erase_if(refused_, [&](const auto& entry) { return entry.second + kRefusalLife < now; });
  if (refused_.size() < kMostRefusals) return;
  refused_.erase(
      std::ranges::min_element(refused_, {}, [](const auto& entry) { return entry.second; }));
}

void GrantBook::RemoveBefore(const std::string& key, steady_clock::time_point time) {
  auto origin = origins_.find(key);
  if (origin == origins_.end()) return;
  std::erase_if(origin->second.grants, [&](const Grant& grant) { return grant.asked < time; });
  stale_[key] = ++taken_back_;
  if (origin->second.grants.empty()) origins_.erase(origin);
}

GrantBook::Copy GrantBook::CopyOf(const std::string& key) const {
  Copy copy;
  auto origin = origins_.find(key);
  if (origin != origins_.end()) copy.grants = origin->second;
  auto stale = stale_.find(key);
  if (stale != stale_.end()) copy.stale = stale->second;
  return copy;
}

void GrantBook::MarkRecorded(const std::string& key, const Copy& written) {
  auto stale = stale_.find(key);
  if (stale != stale_.end() && stale->second == written.stale) stale_.erase(stale);
  auto origin = origins_.find(key);
  if (origin == origins_.end()) return;
  for (Grant& grant : origin->second.grants) {
    auto same = std::ranges::find_if(written.grants.grants, [&](const Grant& each) {
      return each.mac == grant.mac && each.choice == grant.choice;
    });
    grant.recorded.reset();
    if (same != written.grants.grants.end()) grant.recorded = same->asked;
  }
}

const Grant* GrantBook::Find(const std::string& key, std::string_view mac,
                             std::string_view choice) const {
  auto origin = origins_.find(key);
  return origin == origins_.end() ? nullptr : FindGrant(origin->second, mac, choice);
}

std::optional<std::string> GrantBook::Surplus(size_t most) const {
  if (origins_.size() <= most) return std::nullopt;
  auto oldest = std::ranges::min_element(
      origins_, {}, [](const auto& origin) { return NewestAsked(origin.second); });
  return oldest->first;
}

std::vector<std::string> GrantBook::AskedBefore(steady_clock::time_point time) const {
  std::vector<std::string> keys;
  for (const auto& [key, grants] : origins_) {
    bool old =
        std::ranges::any_of(grants.grants, [&](const Grant& grant) { return grant.asked < time; });
    if (old) keys.push_back(key);
  }
  return keys;
}

size_t GrantBook::count() const {
  size_t count = 0;
  for (const auto& [key, grants] : origins_) count += grants.grants.size();
  return count;
}

Result<GrantBook> ReadGrants(io::Filesystem& filesystem, const RootLayout& layout, bool key_is_new,
                             const ClockPair& now) {
  constexpr std::string_view kSuffix = ".json";
  GrantBook book;
  std::vector<std::string> names = TRY(TidyNames(filesystem, layout.GrantsDirectory()));
  for (const std::string& name : names) {
    std::string path = fmt::format("{}/{}", layout.GrantsDirectory(), name);
    std::string key = name.substr(0, name.find('.'));
    Result<OriginGrants> grants = Fail(Code::kDataLoss, "its name is no key");
    if (IsHex(key, 64) && name == key + std::string(kSuffix)) {
      Result<std::string> text = filesystem.ReadFile(path, kMaxGrantsFile);
      grants = text ? ParseGrants(*text, key, now) : std::unexpected(std::move(text).error());
    }
    if (grants && !key_is_new) {
      book.Load(key, *std::move(grants));
      continue;
    }
    if (!grants)
      LogRepeated(LogLevel::kWarning,
                  fmt::format("store: dropped {}: {}", Printable(path), grants.error().message));
    RemoveGarbage(filesystem, path);
  }
  // What a process left that died before its sync is taken for durable from here on.
  TRY(filesystem.SyncDirectory(layout.GrantsDirectory()));
  return book;
}

}  // namespace weighhouse::store
