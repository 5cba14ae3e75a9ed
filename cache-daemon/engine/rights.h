#pragma once

#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/model.h"
#include "base/mutex.h"
#include "base/rights_options.h"
#include "cache-daemon/store/store.h"

namespace weighhouse {

/// Who asks for a model.
struct Caller {
  const Credentials& credentials;
  /// Of the pod that the volume is for; empty: of none, such as a claim's or an admin's. CSI tells
  /// a secret's keys and values only, not what it is called: an inline volume's lies in the pod's
  /// own namespace, a claim's wherever its StorageClass says.
  std::string pod_namespace;
};

/// Presence is not permission: whether a snapshot that is here may be given to a caller when its
/// source isn't asked, or can't be. A public one may, one that an admin listed may, and any other
/// only to credentials that its source has accepted not too long ago. A grant belongs to an origin
/// and never to a digest: a manifest that names another's digests gets nothing by it. Thread-safe.
class Rights {
 public:
  /// Both outlive it.
  Rights(store::Store& store, const Clock& clock, RightsOptions options);

  /// From now on.
  void SetOptions(RightsOptions options) EXCLUDES(mutex_);

  /// Nobody need be asked. To be looked at only for what can't have changed: a commit.
  bool MayHaveUnasked(const store::Snapshot& snapshot, const ModelReference& model,
                      const Caller& caller) const EXCLUDES(mutex_);
  /// The source was asked and failed so: it is away, or it refused, which counts for nothing only
  /// where an admin says so.
  bool MayHaveAfter(Code failure, const store::Snapshot& snapshot, const ModelReference& model,
                    const Caller& caller) const EXCLUDES(mutex_);

  /// The source gave this caller a listing of the origin; it was asked at `asked`.
  void Allowed(const std::string& origin, const ModelReference& model, const Caller& caller,
               std::chrono::steady_clock::time_point asked) EXCLUDES(mutex_);
  /// The source refused this caller: what it said before holds no more, from this moment on.
  void Refused(const std::string& origin, const ModelReference& model, const Caller& caller);

  /// Whether a failure says that the caller has no right to the model, or that there is none.
  static bool IsRefusal(Code code);

 private:
  RightsOptions Options() const EXCLUDES(mutex_);
  /// The source said so at most so long ago.
  bool HasGrant(const std::string& origin, const ModelReference& model, const Caller& caller,
                std::chrono::seconds at_most) const;

  store::Store& store_;
  const Clock& clock_;
  mutable Mutex mutex_;
  RightsOptions options_ GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point swept_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse
