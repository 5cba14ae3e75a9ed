#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/store.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {

/// What a store has answered for, in a file that outlives the process that was answered: a line
/// each. Owned by one thread.
class Promises {
 public:
  explicit Promises(std::filesystem::path file) : file_(std::move(file)) {}

  void Make(std::string_view kind, std::string_view what);
  /// None that begins so holds any longer.
  void Withdraw(std::string_view kind, std::string_view what);
  std::set<std::string> Standing() const;

 private:
  const std::filesystem::path file_;
};

/// What a blob that rots begins with.
inline constexpr std::string_view kRot = "rot";

/// What ended the process. Leases need not outlive the kernel, whose mounts they stand for.
enum class CrashOf { kProcess, kMachine };

/// Each promise that the store, opened after a crash, does not keep.
std::vector<std::string> Broken(Store& store, const Promises& promises, CrashOf crash);

/// Everything that a store does: two models are served, one of them evicted and one held for a
/// volume meanwhile, a fill is interrupted and gets wrong bytes, and two blobs rot while pods have
/// them, one of which is brought again. May be run again on what a crash left of it. The objects
/// must outlive it.
class CrashWorkload {
 public:
  CrashWorkload(Store& store, io::Filesystem& filesystem, Promises& promises)
      : store_(store), filesystem_(filesystem), promises_(promises) {}

  Result<> Run();
  /// Has the store verify what may rot: a power cut may bring a bad blob back whose way into
  /// quarantine was not on the disk yet, for the next scrub to find.
  Result<> Scrub();
  /// How many files `Run` must bring at most: those that no known snapshot has, once more the one
  /// that it discards and the one that rots and is brought again.
  size_t Lacking() const;
  /// Fails the test for each snapshot that isn't as `Run` leaves it.
  void ExpectDone() const;

 private:
  Result<> Bring(const Listing& listing, const TestFiles& files);
  Result<> Serve(const Listing& listing, const TestFiles& files, const std::string& pod);
  Result<> Leave(const std::string& pod);
  Result<> Hold(const Listing& listing);
  Result<> EndHold();
  Result<> Grant(const std::string& credential);
  Result<> Refuse(const std::string& credential);
  Result<> Evict(const Listing& listing, const std::string& pod);
  Result<> Interrupt();
  Result<> Spoil(const Listing& listing, const TestFiles& files, const std::string& pod);
  Result<> Rot(const std::string& blob);

  Store& store_;
  io::Filesystem& filesystem_;
  Promises& promises_;
};

}  // namespace weighhouse::store
