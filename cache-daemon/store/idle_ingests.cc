#include "cache-daemon/store/idle_ingests.h"

#include <utility>

namespace weighhouse::store {

void IdleIngests::Add(const std::string& id, IngestContent content, Bytes allocated) {
  bool fresh =
      entries_.emplace(id, Entry{.content = std::move(content), .allocated = allocated}).second;
  CHECK(fresh);
}

const IdleIngests::Entry* IdleIngests::Find(const std::string& id) const {
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

void IdleIngests::SetLeaving(const std::string& id, bool leaving) {
  entries_.at(id).leaving = leaving;
}

}  // namespace weighhouse::store
