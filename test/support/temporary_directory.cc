#include "test/support/temporary_directory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace weighhouse {
namespace {

[[noreturn]] void DieOfErrno(const std::string& what) {
  std::perror(what.c_str());
  std::abort();
}

}  // namespace

TemporaryDirectory::TemporaryDirectory()
    : TemporaryDirectory(std::getenv("TMPDIR") != nullptr ? std::getenv("TMPDIR") : "/tmp") {}

TemporaryDirectory::TemporaryDirectory(const std::filesystem::path& parent) {
  std::string name = (parent / "weighhouse-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) DieOfErrno("mkdtemp " + name);
  path_ = std::filesystem::canonical(name);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           path_, std::filesystem::directory_options::skip_permission_denied, ignored)) {
    if (entry.is_directory(ignored) && !entry.is_symlink(ignored)) {
      std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_all,
                                   std::filesystem::perm_options::add, ignored);
    }
  }
  std::filesystem::remove_all(path_, ignored);
}

void WriteTestFile(const std::filesystem::path& path, std::string_view content) {
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const std::filesystem::path fresh = path.string() + ".fresh";
  std::ofstream stream(fresh, std::ios::binary | std::ios::trunc);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) DieOfErrno("write " + fresh.string());
  if (std::rename(fresh.c_str(), path.c_str()) != 0) DieOfErrno("rename " + fresh.string());
}

std::string ReadTestFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) DieOfErrno("open " + path.string());
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::string PatternBytes(size_t size, uint64_t seed) {
  std::string bytes(size, '\0');
  uint64_t state = seed;
  for (size_t offset = 0; offset < size; offset += sizeof(state)) {
    uint64_t word = state += 0x9e3779b97f4a7c15ULL;  // splitmix64 (Steele et al., OOPSLA 2014)
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
    word ^= word >> 31;
    std::memcpy(bytes.data() + offset, &word, std::min(sizeof(word), size - offset));
  }
  return bytes;
}

}  // namespace weighhouse
