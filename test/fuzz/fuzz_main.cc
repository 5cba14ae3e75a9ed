// A libFuzzer program's entry: hands on to the one target that is linked with it.

#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::fuzz {

std::vector<NamedTarget>& Targets() {
  static std::vector<NamedTarget> targets;
  return targets;
}

}  // namespace weighhouse::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const weighhouse::fuzz::Target target = [] {
    CHECK(weighhouse::fuzz::Targets().size() == 1);
    return weighhouse::fuzz::Targets().front().target;
  }();
  target({reinterpret_cast<const char*>(data), size});
  return 0;
}
