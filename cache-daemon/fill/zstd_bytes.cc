#include "cache-daemon/fill/zstd_bytes.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <bit>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace weighhouse::fill {
namespace {

Error Broken(size_t result) {
  switch (::ZSTD_getErrorCode(result)) {
    case ZSTD_error_memory_allocation:
      return {.code = Code::kUnavailable, .message = "there is no memory to unpack a layer"};
    case ZSTD_error_frameParameter_windowTooLarge:
      return {.code = Code::kInvalidArgument,
              .message = fmt::format("the layer's zstd window is over {}, which is refused: "
                                     "compress it without --ultra and --long",
                                     FormatBytes(ZstdBytes::kMostWindow))};
    default:
      return {
          .code = Code::kInvalidArgument,
          .message = fmt::format("the layer can't be unpacked: {}", ::ZSTD_getErrorName(result))};
  }
}

}  // namespace

struct ZstdBytes::State {
  struct FreeStream {
    void operator()(ZSTD_DStream* made) const { ::ZSTD_freeDStream(made); }
  };

  /// What the decoder has by now, which may be nothing.
  Result<std::span<const std::byte>> Decompress();

  ByteSource packed;
  std::unique_ptr<ZSTD_DStream, FreeStream> stream;
  ZSTD_inBuffer input{};
  std::vector<std::byte> output;
  bool in_frame = false;  // it may have more to give, or want more
  bool ended = false;     // `packed`
};

Result<std::span<const std::byte>> ZstdBytes::State::Decompress() {
  ZSTD_outBuffer unpacked{.dst = output.data(), .size = output.size(), .pos = 0};
  size_t result = ::ZSTD_decompressStream(stream.get(), &unpacked, &input);
  if (::ZSTD_isError(result) != 0) return std::unexpected(Broken(result));
  in_frame = result != 0;
  return std::span<const std::byte>(output).first(unpacked.pos);
}

ZstdBytes::ZstdBytes(ByteSource packed) : state_(std::make_unique<State>()) {
  state_->packed = std::move(packed);
  state_->stream.reset(::ZSTD_createDStream());
  state_->output.resize(::ZSTD_DStreamOutSize());
  if (state_->stream) {
    constexpr int kLog = std::countr_zero(kMostWindow);
    ::ZSTD_DCtx_setParameter(state_->stream.get(), ZSTD_d_windowLogMax, kLog);
  }
}

ZstdBytes::~ZstdBytes() = default;

Result<std::span<const std::byte>> ZstdBytes::Next() {
  State& state = *state_;
  if (!state.stream) return Fail(Code::kUnavailable, "there is no memory to unpack a layer");
  while (true) {
    bool has_input = state.input.pos < state.input.size;
    if (has_input || state.in_frame) {
      std::span<const std::byte> block = TRY(state.Decompress());
      if (!block.empty()) return block;
      if (state.input.pos < state.input.size) continue;
    }
    if (state.ended && state.in_frame) {
      return Fail(Code::kInvalidArgument, "the layer can't be unpacked: it is cut off");
    }
    if (state.ended) return std::span<const std::byte>();
    std::span<const std::byte> more = TRY(state.packed());
    state.ended = more.empty();
    state.input = {.src = more.data(), .size = more.size(), .pos = 0};
  }
}

}  // namespace weighhouse::fill
