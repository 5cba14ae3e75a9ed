#include "csi/published.h"

#include <utility>

namespace weighhouse::csi {

void PublishedTable::Put(const std::string& target, Publication publication) {
  MutexLock lock(mutex_);
  publications_.insert_or_assign(target, std::move(publication));
}

void PublishedTable::Adopt(const std::string& target, const Publication& publication) {
  MutexLock lock(mutex_);
  publications_.try_emplace(target, publication);
}

void PublishedTable::SetSizes(const std::string& target, VolumeSizes sizes) {
  MutexLock lock(mutex_);
  auto found = publications_.find(target);
  if (found != publications_.end()) found->second.sizes = sizes;
}

void PublishedTable::Erase(const std::string& target) {
  MutexLock lock(mutex_);
  publications_.erase(target);
}

std::optional<Publication> PublishedTable::Find(const std::string& target) const {
  MutexLock lock(mutex_);
  auto found = publications_.find(target);
  if (found == publications_.end()) return std::nullopt;
  return found->second;
}

std::vector<PublishedTable::Other> PublishedTable::OthersOf(const std::string& volume_id,
                                                            const std::string& target) const {
  MutexLock lock(mutex_);
  std::vector<Other> others;
  for (const auto& [path, publication] : publications_) {
    if (path == target || publication.volume_id != volume_id) continue;
    others.push_back({.target = path, .single_writer = publication.single_writer});
  }
  return others;
}

}  // namespace weighhouse::csi
