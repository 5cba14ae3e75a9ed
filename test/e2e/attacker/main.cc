// Tries, as whoever it runs as, to change what is mounted at a directory. Prints one line per
// attempt that the kernel allowed and the number of attempts made; ends with 1 if any was allowed.
//
//   attacker DIRECTORY                  as it is mounted
//   attacker --remount DIRECTORY        after clearing the mount's read-only flag
//   attacker --clone TARGET DIRECTORY   on a clone of the mount at TARGET with the flag cleared
//   attacker --as ID …                  any of these as this user and group (such as the files'
//                                       owner), which leaves root's rights to files behind
//   attacker --read FILE                only prints the file

#include <sys/fsuid.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "test/e2e/attacker/attempts.h"

namespace weighhouse::attacker {
namespace {

struct Sums {
  int tried = 0;
  int allowed = 0;
};

void Try(const std::vector<Attempt>& attempts, const std::string& path, Sums& sums) {
  for (const Attempt& attempt : attempts) {
    sums.tried++;
    if (!attempt.succeeds(path)) continue;
    sums.allowed++;
    std::printf("allowed: %s %s\n", attempt.name, path.c_str());
  }
}

Sums Attack(const std::string& directory) {
  std::vector<std::string> files;
  std::vector<std::string> directories = {directory};
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(directory, error), end;
       !error && entry != end; entry.increment(error)) {
    (entry->is_directory(error) ? directories : files).push_back(entry->path().string());
  }
  Sums sums;
  for (const std::string& file : files) Try(FileAttempts(), file, sums);
  for (const std::string& one : directories) Try(DirectoryAttempts(), one, sums);
  return sums;
}

int Report(const Sums& sums) {
  std::printf("%d attempts, %d allowed\n", sums.tried, sums.allowed);
  return sums.tried == 0 || sums.allowed > 0 ? 1 : 0;
}

int Refused(const char* what) {
  std::printf("%s: %s\n", what, std::strerror(errno));
  return 2;
}

/// Takes `--as ID` from the front; the ids change with `Become`, after the mounts are prepared.
std::optional<unsigned> TakeId(std::vector<std::string>& arguments) {
  if (arguments.size() < 2 || arguments[0] != "--as") return std::nullopt;
  auto id = static_cast<unsigned>(std::stoul(arguments[1]));
  arguments.erase(arguments.begin(), arguments.begin() + 2);
  return id;
}

void Become(std::optional<unsigned> id) {
  if (!id) return;
  ::setfsgid(*id);
  ::setfsuid(*id);
}

int Print(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::cout << file.rdbuf();
  return file ? 0 : Refused("read");
}

}  // namespace
}  // namespace weighhouse::attacker

int main(int argc, char** argv) {
  using namespace weighhouse::attacker;
  std::vector<std::string> arguments(argv + 1, argv + argc);
  std::optional<unsigned> id = TakeId(arguments);
  if (arguments.size() == 3 && arguments[0] == "--clone") {
    if (!CloneWritable(arguments[2], arguments[1])) return Refused("clone");
    Become(id);
    return Report(Attack(arguments[1]));
  }
  if (arguments.size() == 2 && arguments[0] == "--remount") {
    if (!RemountWritable(arguments[1])) return Refused("remount");
    Become(id);
    return Report(Attack(arguments[1]));
  }
  if (arguments.size() == 2 && arguments[0] == "--read") return Print(arguments[1]);
  if (arguments.size() != 1) {
    std::fprintf(
        stderr, "usage: attacker [--as ID] [--remount | --clone TARGET] DIRECTORY | --read FILE\n");
    return 64;
  }
  Become(id);
  return Report(Attack(arguments[0]));
}
