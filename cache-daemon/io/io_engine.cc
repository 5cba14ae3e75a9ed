#include "cache-daemon/io/io_engine.h"

#include <utility>

#include <fmt/format.h>

#include "cache-daemon/io/pwrite_engine.h"
#include "cache-daemon/io/ring.h"
#include "cache-daemon/io/ring_refusal.h"

namespace weighhouse::io {

Result<IoEngineSelection> SelectIoEngine(IoEngineChoice choice) {
  if (choice == IoEngineChoice::kPwrite) {
    return IoEngineSelection{.engine = std::make_unique<PwriteEngine>()};
  }
  std::expected<std::unique_ptr<RingEngine>, RingRefusal> ring = RingEngine::Create();
  if (ring) return IoEngineSelection{.engine = std::move(*ring)};
  std::string reason = ExplainRefusal(ring.error(), ReadRingFacts());
  if (choice == IoEngineChoice::kIoUring) {
    return Fail(Code::kFailedPrecondition,
                fmt::format("io_uring was asked for and is denied: {}; or choose the pwrite engine",
                            reason));
  }
  return IoEngineSelection{.engine = std::make_unique<PwriteEngine>(),
                           .fallback_reason = std::move(reason)};
}

}  // namespace weighhouse::io
