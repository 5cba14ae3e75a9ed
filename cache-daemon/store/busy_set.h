#pragma once

#include <set>
#include <string>

#include "base/mutex.h"

namespace weighhouse::store {

/// The names (snapshot ids, `lease/<id>`, `hold/<id>`, `volume/<key>`, `reference/<fingerprint>`,
/// `quarantine/<sha256>`) on which an operation with I/O is under way, so that no mutex need be
/// held over the I/O. Guarded by the store's mutex; who waits for a name waits on the store's
/// condition variable.
class BusySet {
 public:
  bool Contains(const std::string& name) const { return names_.contains(name); }
  void Add(const std::string& name);
  void Remove(const std::string& name);

 private:
  std::set<std::string> names_;
};

}  // namespace weighhouse::store
