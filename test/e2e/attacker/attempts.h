#pragma once

#include <string>
#include <vector>

namespace weighhouse::attacker {

/// One way to change something that must not change.
struct Attempt {
  const char* name;
  /// True if the kernel let it happen. Whatever could be undone is not: the caller compares digests
  /// afterwards.
  bool (*succeeds)(const std::string& path);
};

/// Ways to change one file's bytes, name or attributes.
const std::vector<Attempt>& FileAttempts();

/// Ways to add to, take from or change a directory.
const std::vector<Attempt>& DirectoryAttempts();

/// Clones the mount at `path`, clears its read-only flag, and puts the clone on `target`, as
/// container runtimes do for volumes that a pod did not mark readOnly. False with errno set if the
/// kernel refuses.
bool CloneWritable(const std::string& path, const std::string& target);

/// Clears the read-only flag of the mount at `path` itself.
bool RemountWritable(const std::string& path);

}  // namespace weighhouse::attacker
