#include "cache-daemon/fill/connection_governor.h"

#include <algorithm>
#include <array>
#include <utility>

#include <spdlog/spdlog.h>

namespace weighhouse::fill {
namespace {

/// So many files of a fill share its connections first: one file's bytes are hashed one after the
/// other, so two keep the hashers busy, and more would only hold more memory.
constexpr size_t kFilesAtOnce = 2;
/// Hosts beyond this many, without connections, are forgotten.
constexpr size_t kHostsKept = 64;

HostConnections FiguresOf(const SourceHost& host) {
  return {.host = host.name(),
          .connections = host.connections().size(),
          .allowance = host.pace().allowance(),
          .bytes_per_second = host.connections().empty() ? 0 : host.pace().rate()};
}

}  // namespace

ConnectionGovernor::ConnectionGovernor(Options options, const Clock& clock,
                                       std::function<void()> wake)
    : options_(options), clock_(clock), wake_(std::move(wake)) {}

void ConnectionGovernor::SetLimits(Options options) {
  options_ = options;
  for (auto& [name, host] : hosts_) host->pace().SetLimit(options.per_host, clock_.Steady());
  Wake();
}

SourceHost& ConnectionGovernor::HostNamed(const std::string& name) {
  std::unique_ptr<SourceHost>& host = hosts_[name];
  if (!host) host = std::make_unique<SourceHost>(name, options_.per_host, clock_.Steady());
  SourceHost& found = *host;
  if (hosts_.size() > kHostsKept) {
    std::erase_if(hosts_, [&](const auto& each) {
      bool claimed = std::ranges::any_of(
          entries_, [&](const Entry& entry) { return entry.host == each.second.get(); });
      return !claimed && each.second->connections().empty() && each.second.get() != &found;
    });
  }
  return found;
}

ConnectionGovernor::Entry* ConnectionGovernor::Find(const ConnectionUser& user) {
  auto found = std::ranges::find(entries_, &user, &Entry::user);
  return found == entries_.end() ? nullptr : &*found;
}

const ConnectionGovernor::Entry* ConnectionGovernor::Find(const ConnectionUser& user) const {
  auto found = std::ranges::find(entries_, &user, &Entry::user);
  return found == entries_.end() ? nullptr : &*found;
}

void ConnectionGovernor::SetClaim(ConnectionUser& user, ConnectionClaim claim) {
  SourceHost* host = &HostNamed(claim.host);
  Entry* entry = Find(user);
  if (entry == nullptr)
    entry = &entries_.emplace_back(Entry{.user = &user, .claim = {}, .host = host});
  entry->claim = std::move(claim);
  entry->host = host;
  if (entry->wants) Wake();
}

void ConnectionGovernor::Leave(const ConnectionUser& user) {
  CHECK(!in_use_.contains(&user));
  std::erase_if(entries_, [&](const Entry& entry) { return entry.user == &user; });
  Wake();  // the file after it may now go first
}

std::unique_ptr<Connection> ConnectionGovernor::TryTake(ConnectionUser& user) {
  Entry* entry = Find(user);
  CHECK(entry != nullptr);
  entry->wants = true;
  Entry* best = Best();
  if (best == entry) {
    entry->wants = false;
    return std::make_unique<Connection>(*this, *entry->host, user, clock_.Steady());
  }
  if (best != nullptr || Yielding(*entry) != nullptr) Wake();
  return nullptr;
}

void ConnectionGovernor::StopWanting(const ConnectionUser& user) {
  if (Entry* entry = Find(user)) entry->wants = false;
}

std::unique_ptr<Connection> ConnectionGovernor::TryTakeHedge(ConnectionUser& user) {
  Entry* entry = Find(user);
  CHECK(entry != nullptr);
  auto now = clock_.Steady();
  size_t extra = entry->host->pace().MayExceed(now) ? 1 : 0;
  bool room = entry->host->connections().size() < entry->host->pace().allowance() + extra &&
              total_in_use_ < options_.total + extra;
  if (!room) return nullptr;
  return std::make_unique<Connection>(*this, *entry->host, user, now);
}

void ConnectionGovernor::Offer() {
  woken_ = false;
  while (Entry* best = Best()) {
    ConnectionUser& user = *best->user;
    size_t before = InUse(user);
    best->wants = false;
    user.OnConnectionFree();
    // One that asks again without taking would be the best for ever.
    if (InUse(user) == before) StopWanting(user);
  }
  for (const Entry& entry : entries_) {
    ConnectionUser* yielding = entry.wants ? Yielding(entry) : nullptr;
    if (yielding != nullptr) return yielding->OnYield();  // which wakes us again
  }
}

void ConnectionGovernor::OnLimited(const ConnectionUser& user) {
  if (Entry* entry = Find(user)) entry->host->pace().OnLimited();
}

void ConnectionGovernor::Tick() {
  auto now = clock_.Steady();
  for (auto& [name, host] : hosts_) {
    size_t before = host->pace().allowance();
    host->Tick(now);
    size_t after = host->pace().allowance();
    if (after != before) {
      spdlog::debug("{}: {} connections allowed instead of {}, at {}", name, after, before,
                    FormatRate(host->pace().rate()));
    }
  }
  Wake();
}

ConnectionGovernor::Entry* ConnectionGovernor::Best() {
  if (total_in_use_ >= options_.total) return nullptr;
  Entry* best = nullptr;
  Rank best_rank{};
  for (Entry& entry : entries_) {
    if (!entry.wants || !entry.host->HasRoom()) continue;
    Rank rank = RankOf(entry);
    if (best != nullptr && rank >= best_rank) continue;
    best = &entry;
    best_rank = rank;
  }
  return best;
}

ConnectionGovernor::Rank ConnectionGovernor::RankOf(const Entry& entry) const {
  bool prefetch = entry.claim.priority == FillPriority::kPrefetch;
  size_t order = !prefetch ? 1 : InUse(FillPriority::kPrefetch) == 0 ? 0 : 2;
  size_t files_before = 0;
  for (const Entry& other : entries_) {
    if (&other == &entry) break;
    if (other.host == entry.host && other.claim.fill == entry.claim.fill) ++files_before;
  }
  return {order, FillInUse(entry), files_before / kFilesAtOnce, InUse(*entry.user)};
}

size_t ConnectionGovernor::FillInUse(const Entry& entry) const {
  size_t count = 0;
  for (const Connection* connection : entry.host->connections()) {
    const Entry* other = Find(connection->user());
    if (other != nullptr && other->claim.fill == entry.claim.fill) ++count;
  }
  return count;
}

size_t ConnectionGovernor::InUse(const ConnectionUser& user) const {
  auto found = in_use_.find(&user);
  return found == in_use_.end() ? 0 : found->second;
}

size_t ConnectionGovernor::InUse(FillPriority priority) const {
  size_t count = 0;
  for (const Entry& entry : entries_) {
    if (entry.claim.priority == priority) count += InUse(*entry.user);
  }
  return count;
}

ConnectionUser* ConnectionGovernor::Yielding(const Entry& entry) const {
  if (entry.claim.priority != FillPriority::kWaitedFor) return nullptr;
  bool host_full = !entry.host->HasRoom();
  if (!host_full && total_in_use_ < options_.total) return nullptr;
  if (InUse(FillPriority::kPrefetch) <= 1) return nullptr;
  const Entry* most = nullptr;
  for (const Entry& other : entries_) {
    bool prefetch = other.claim.priority == FillPriority::kPrefetch;
    bool helps = !host_full || other.host == entry.host;
    if (!prefetch || !helps || InUse(*other.user) == 0) continue;
    if (most == nullptr || InUse(*other.user) >= InUse(*most->user)) most = &other;
  }
  return most == nullptr ? nullptr : most->user;
}

size_t ConnectionGovernor::ExpectedConnections(const ConnectionUser& user) const {
  const Entry* entry = Find(user);
  CHECK(entry != nullptr);
  size_t elsewhere = total_in_use_ - entry->host->connections().size();
  size_t here = std::max(entry->host->pace().allowance(), entry->host->connections().size());
  return std::min(options_.total, elsewhere + here);
}

std::vector<HostConnections> ConnectionGovernor::Hosts() const {
  std::vector<HostConnections> figures;
  figures.reserve(hosts_.size());
  for (const auto& [name, host] : hosts_) figures.push_back(FiguresOf(*host));
  return figures;
}

std::optional<HostConnections> ConnectionGovernor::HostOf(const ConnectionUser& user) const {
  const Entry* entry = Find(user);
  if (entry == nullptr) return std::nullopt;
  return FiguresOf(*entry->host);
}

void ConnectionGovernor::Wake() {
  if (std::exchange(woken_, true)) return;
  wake_();
}

void ConnectionGovernor::OnOpened(const Connection& connection) {
  ++in_use_[&connection.user()];
  ++total_in_use_;
}

void ConnectionGovernor::OnClosed(const Connection& connection) {
  auto found = in_use_.find(&connection.user());
  if (--found->second == 0) in_use_.erase(found);
  --total_in_use_;
  Wake();
}

}  // namespace weighhouse::fill
