#include "cache-daemon/store/grant_book.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/digest.h"
#include "base/hmac.h"
#include "base/text.h"
#include "cache-daemon/store/json_fields.h"

namespace weighhouse::store {
namespace {

using std::chrono::system_clock;

constexpr Bytes kMaxGrantsFile = kMiB;
/// A time that is recorded may be so much older than the true one.
constexpr std::chrono::minutes kWorthAWrite{5};
/// Kubernetes' limit of a namespace's name.
constexpr size_t kMaxNamespace = 63;

Result<Grant> ParseGrant(const nlohmann::json& object) {
  auto mac = StringField(object, "mac");
  auto checked = NumberField(object, "checked");
  const nlohmann::json* namespaces = ArrayField(object, "namespaces");
  if (!mac || !IsHex(*mac, 64) || !checked || namespaces == nullptr ||
      namespaces->size() > kMostGrantNamespaces) {
    return Fail(Code::kDataLoss, "a field of a grant is missing or wrong");
  }
  Grant grant{
      .mac = *mac, .checked = FromUnixSeconds(*checked), .recorded = FromUnixSeconds(*checked)};
  for (const nlohmann::json& name : *namespaces) {
    if (!name.is_string()) return Fail(Code::kDataLoss, "a grant's namespace is no text");
    grant.namespaces.push_back(name.get<std::string>());
  }
  return grant;
}

system_clock::time_point NewestCheck(const OriginGrants& grants) {
  auto newest = std::ranges::max_element(grants.grants, {}, &Grant::checked);
  return newest == grants.grants.end() ? system_clock::time_point() : newest->checked;
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

}  // namespace

std::string GrantsKey(const std::string& origin) { return Digest::Of(origin).Hex(); }

std::string GrantsToJson(const OriginGrants& grants) {
  nlohmann::json list = nlohmann::json::array();
  for (const Grant& grant : grants.grants) {
    list.push_back({{"mac", grant.mac},
                    {"checked", ToUnixSeconds(grant.checked)},
                    {"namespaces", grant.namespaces}});
  }
  return ToText({{"origin", grants.origin}, {"grants", std::move(list)}});
}

Result<OriginGrants> ParseGrants(std::string_view json, const std::string& key) {
  nlohmann::json object = TRY(ParseObject(json));
  auto origin = StringField(object, "origin");
  const nlohmann::json* list = ArrayField(object, "grants");
  if (!origin || list == nullptr || list->size() > kMostGrants) {
    return Fail(Code::kDataLoss, "the field 'origin' or 'grants' is missing or wrong");
  }
  if (GrantsKey(*origin) != key) return Fail(Code::kDataLoss, "it is of another origin");
  OriginGrants grants{.origin = *origin};
  for (const nlohmann::json& each : *list) {
    Grant grant = TRY(ParseGrant(each));
    grants.grants.push_back(std::move(grant));
  }
  return grants;
}

const Grant* FindGrant(const OriginGrants& grants, std::string_view mac) {
  const Grant* found = nullptr;
  for (const Grant& grant : grants.grants) {
    if (EqualInConstantTime(grant.mac, mac)) found = &grant;
  }
  return found;
}

bool PutGrant(OriginGrants& grants, const std::string& mac, const GrantUse& use) {
  grants.origin = use.origin;
  if (const Grant* known = FindGrant(grants, mac)) {
    Grant& grant = grants.grants[static_cast<size_t>(known - grants.grants.data())];
    bool other = AddNamespace(grant, use.pod_namespace);
    // An answer that was on its way for longer takes nothing back; a clock that was set back does.
    bool newer = use.checked > grant.checked || use.checked + kWorthAWrite < grant.checked;
    if (newer) grant.checked = use.checked;
    return other || grant.checked >= grant.recorded + kWorthAWrite ||
           grant.checked < grant.recorded;
  }
  if (grants.grants.size() >= kMostGrants) {
    grants.grants.erase(std::ranges::min_element(grants.grants, {}, &Grant::checked));
  }
  Grant grant{.mac = mac, .checked = use.checked};
  AddNamespace(grant, use.pod_namespace);
  grants.grants.push_back(std::move(grant));
  return true;
}

void MarkRecorded(OriginGrants& grants) {
  for (Grant& grant : grants.grants) grant.recorded = grant.checked;
}

bool RemoveGrant(OriginGrants& grants, std::string_view mac) {
  return std::erase_if(grants.grants,
                       [&](const Grant& grant) { return EqualInConstantTime(grant.mac, mac); }) > 0;
}

void GrantBook::Put(const std::string& key, OriginGrants grants) {
  if (grants.grants.empty()) {
    origins_.erase(key);
  } else {
    origins_.insert_or_assign(key, std::move(grants));
  }
}

const OriginGrants* GrantBook::Find(const std::string& key) const {
  auto found = origins_.find(key);
  return found == origins_.end() ? nullptr : &found->second;
}

std::optional<std::string> GrantBook::Surplus(size_t most) const {
  if (origins_.size() <= most) return std::nullopt;
  auto oldest = std::ranges::min_element(
      origins_, {}, [](const auto& origin) { return NewestCheck(origin.second); });
  return oldest->first;
}

std::vector<std::string> GrantBook::CheckedBefore(system_clock::time_point time) const {
  std::vector<std::string> keys;
  for (const auto& [key, grants] : origins_) {
    bool old = std::ranges::any_of(grants.grants,
                                   [&](const Grant& grant) { return grant.checked < time; });
    if (old) keys.push_back(key);
  }
  return keys;
}

size_t GrantBook::count() const {
  size_t count = 0;
  for (const auto& [key, grants] : origins_) count += grants.grants.size();
  return count;
}

Result<GrantBook> ReadGrants(io::Filesystem& filesystem, const RootLayout& layout,
                             bool key_is_new) {
  constexpr std::string_view kSuffix = ".json";
  GrantBook book;
  std::vector<io::DirectoryEntry> entries = TRY(filesystem.List(layout.GrantsDirectory()));
  for (const io::DirectoryEntry& entry : entries) {
    std::string path = fmt::format("{}/{}", layout.GrantsDirectory(), entry.name);
    std::string key = entry.name.substr(0, entry.name.find('.'));
    Result<OriginGrants> grants = Fail(Code::kDataLoss, "its name is no key");
    if (IsHex(key, 64) && entry.name == key + std::string(kSuffix)) {
      Result<std::string> text = filesystem.ReadFile(path, kMaxGrantsFile);
      grants = text ? ParseGrants(*text, key) : std::unexpected(std::move(text).error());
    }
    if (grants && !key_is_new) {
      book.Put(key, *std::move(grants));
      continue;
    }
    bool unfinished = RootLayout::IsTemporary(entry.name);
    if (!grants && !unfinished) {
      spdlog::warn("store: dropped {}: {}", Printable(path), grants.error().message);
    }
    Result<> removed = io::RemoveTree(filesystem, path);
    if (!removed) spdlog::warn("store: garbage stays: {}", removed.error().message);
  }
  // What a process left that died before its sync is taken for durable from here on.
  TRY(filesystem.SyncDirectory(layout.GrantsDirectory()));
  return book;
}

}  // namespace weighhouse::store
