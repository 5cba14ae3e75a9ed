#include "test/csi/fake_mounter.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "csi/beneath.h"
#include "csi/volume_mount.h"

namespace weighhouse::csi {
namespace {

std::string PathOf(int fd) { return std::filesystem::read_symlink(DescriptorPath(fd)).string(); }

}  // namespace

FakeMounter::FakeMounter() {
  MutexLock lock(mutex_);
  entries_.push_back({.id = 1,
                      .parent_id = 0,
                      .device = "8:1",
                      .root = "/",
                      .mount_point = "/",
                      .shared = true,
                      .filesystem = "ext4",
                      .source = "/dev/fake"});
}

Result<std::vector<MountEntry>> FakeMounter::Mounts() const {
  MutexLock lock(mutex_);
  ++reads_;
  changed_.NotifyAll();
  std::vector<MountEntry> entries = entries_;
  while (reads_held_) changed_.Wait(lock);
  if (read_failure_) return std::unexpected(*read_failure_);
  return entries;
}

void FakeMounter::Add(MountEntry entry) {
  const MountEntry* parent = CoveringMount(entries_, entry.mount_point);
  entry.id = next_id_++;
  entry.parent_id = parent->id;
  entries_.push_back(std::move(entry));
}

Result<> FakeMounter::Mount(const MountOrder& order) {
  bool overlay =
      order.protection == Protection::kOverlay || order.protection == Protection::kScratch;
  MountEntry entry{.device = overlay ? "0:99" : "8:1",
                   .root = overlay ? "/" : PathOf(order.tree),
                   .mount_point = PathOf(order.target),
                   .filesystem = overlay ? "overlay" : "ext4",
                   .source = std::string(kOverlaySourcePrefix) + order.tree_name,
                   .upper_layer = order.protection == Protection::kScratch};
  MutexLock lock(mutex_);
  auto failure = failures_.find(order.protection);
  if (failure != failures_.end()) return std::unexpected(failure->second);
  Add(std::move(entry));
  ++mounts_made_;
  last_protection_ = order.protection;
  last_scratch_size_ = order.scratch_size;
  return {};
}

Result<> FakeMounter::Unmount(int parent, const std::string& name) {
  std::string path = PathOf(parent) + "/" + name;
  MutexLock lock(mutex_);
  const MountEntry* top = MountAt(entries_, path);
  if (top == nullptr) return weighhouse::Fail(Code::kNotFound, "nothing is mounted there");
  entries_.erase(entries_.begin() + (top - entries_.data()));
  return {};
}

void FakeMounter::SetShared(bool shared) {
  MutexLock lock(mutex_);
  entries_.front().shared = shared;
}

void FakeMounter::Fail(Protection protection, Error error) {
  MutexLock lock(mutex_);
  failures_.insert_or_assign(protection, std::move(error));
}

void FakeMounter::FailReads(std::optional<Error> error) {
  MutexLock lock(mutex_);
  read_failure_ = std::move(error);
}

void FakeMounter::AddForeign(const std::string& path) {
  MutexLock lock(mutex_);
  Add({.device = "0:50", .root = "/", .mount_point = path, .filesystem = "tmpfs", .source = "x"});
}

void FakeMounter::MarkDeleted(const std::string& path) {
  MutexLock lock(mutex_);
  for (MountEntry& entry : entries_) {
    if (entry.mount_point == path) entry.root += "//deleted";
  }
}

int FakeMounter::mounts_made() const {
  MutexLock lock(mutex_);
  return mounts_made_;
}

int FakeMounter::reads() const {
  MutexLock lock(mutex_);
  return reads_;
}

void FakeMounter::HoldReads() {
  MutexLock lock(mutex_);
  reads_held_ = true;
}

void FakeMounter::OpenReads() {
  {
    MutexLock lock(mutex_);
    reads_held_ = false;
  }
  changed_.NotifyAll();
}

void FakeMounter::WaitForReads(int count) const {
  MutexLock lock(mutex_);
  while (reads_ < count) changed_.Wait(lock);
}

Protection FakeMounter::last_protection() const {
  MutexLock lock(mutex_);
  return last_protection_;
}

Bytes FakeMounter::last_scratch_size() const {
  MutexLock lock(mutex_);
  return last_scratch_size_;
}

int FakeMounter::CountAt(const std::string& path) const {
  MutexLock lock(mutex_);
  return static_cast<int>(std::ranges::count(entries_, path, &MountEntry::mount_point));
}

}  // namespace weighhouse::csi
