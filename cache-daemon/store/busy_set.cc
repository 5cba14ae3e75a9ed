#include "cache-daemon/store/busy_set.h"

#include "base/error.h"

namespace weighhouse::store {

void BusySet::Add(const std::string& name) {
  bool added = names_.insert(name).second;
  CHECK(added);
}

void BusySet::Remove(const std::string& name) {
  size_t removed = names_.erase(name);
  CHECK(removed == 1);
}

}  // namespace weighhouse::store
