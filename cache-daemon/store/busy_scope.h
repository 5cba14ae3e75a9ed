#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/digest.h"
#include "cache-daemon/store/index.h"

namespace weighhouse::store {

/// Holds one busy name of a store, such as a snapshot's id, while an operation on it does I/O. Who
/// waits for one holds no mutex and no other name, except that a snapshot's may be held while
/// waiting for a reference's (whose holder waits for nothing). Move-only.
class BusyScope {
 public:
  /// Waits until the name is free; kAborted after a minute.
  static Result<BusyScope> Take(StoreState& state, std::string name);
  BusyScope(BusyScope&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)), name_(std::move(other.name_)) {}
  BusyScope& operator=(BusyScope&&) = delete;
  ~BusyScope();

 private:
  BusyScope(StoreState* state, std::string name) : state_(state), name_(std::move(name)) {}
  StoreState* state_;
  std::string name_;
};

/// Keeps a blob's file from being swept or quarantined. Move-only.
class BlobPin {
 public:
  /// Waits until the blob is not leaving; kAborted after a minute. For one that is not here yet,
  /// `size` is what it will have.
  static Result<BlobPin> Take(StoreState& state, const Digest& sha256, Bytes size);
  /// Takes over a pin of the index.
  BlobPin(StoreState& state, const Digest& sha256) : state_(&state), sha256_(sha256) {}
  BlobPin(BlobPin&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)), sha256_(other.sha256_) {}
  BlobPin& operator=(BlobPin&&) = delete;
  ~BlobPin();

 private:
  StoreState* state_;
  Digest sha256_;
};

}  // namespace weighhouse::store
