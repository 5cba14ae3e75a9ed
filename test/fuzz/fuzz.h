#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weighhouse::fuzz {

/// Reads what a stranger may send, `bytes`, and CHECKs what must hold of it whatever it is: that
/// nothing crashes is the least.
using Target = void (*)(std::string_view bytes);

struct NamedTarget {
  std::string name;
  Target target;
};

/// Those that are linked into this program.
std::vector<NamedTarget>& Targets();

struct Registration {
  Registration(const char* name, Target target) { Targets().push_back({name, target}); }
};

/// Takes the text up to the next `separator` off `rest`; all of it if there is none.
inline std::string_view TakeUntil(std::string_view& rest, char separator) {
  size_t end = rest.find(separator);
  std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

/// Takes one byte off `rest`; 0 if there is none.
inline unsigned char TakeByte(std::string_view& rest) {
  if (rest.empty()) return 0;
  auto byte = static_cast<unsigned char>(rest.front());
  rest.remove_prefix(1);
  return byte;
}

}  // namespace weighhouse::fuzz

/// WEIGHHOUSE_FUZZ_TARGET(name, bytes) { … }: the one target of a file called `name_fuzz.cc`, whose
/// seeds are in seeds/name. In the `fuzz` preset each is a libFuzzer program of its own; elsewhere
/// all of them are in one program that runs the seeds (run_seeds.cc).
#define WEIGHHOUSE_FUZZ_TARGET(name, bytes)                                               \
  static void Fuzz_##name(std::string_view bytes);                                        \
  static const ::weighhouse::fuzz::Registration registration_##name(#name, &Fuzz_##name); \
  static void Fuzz_##name(std::string_view bytes)
