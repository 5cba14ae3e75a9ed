#include "cache-daemon/fill/unpacked_bytes.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/text.h"
#include "cache-daemon/fill/zstd_bytes.h"

namespace weighhouse::fill {
namespace {

using Block = std::span<const std::byte>;

bool BeginsWith(Block bytes, std::string_view magic) {
  return bytes.size() >= magic.size() &&
         std::ranges::equal(magic, bytes.first(magic.size()), {},
                            [](char c) { return static_cast<std::byte>(c); });
}

/// RFC 1952 section 2.3.1
bool IsGzip(Block first) { return BeginsWith(first, "\x1f\x8b"); }

/// RFC 8878 sections 3.1.1 and 3.1.2
bool IsZstd(Block first) {
  bool skippable = first.size() >= 4 && (first[0] & std::byte{0xF0}) == std::byte{0x50} &&
                   BeginsWith(first.subspan(1), "\x2a\x4d\x18");
  return skippable || BeginsWith(first, "\x28\xb5\x2f\xfd");
}

std::unexpected<Error> CantUnpack(std::string_view why) {
  return Fail(Code::kInvalidArgument, fmt::format("the layer can't be unpacked: {}", why));
}

}  // namespace

struct UnpackedBytes::State {
  struct FreeArchive {
    void operator()(archive* reader) const { ::archive_read_free(reader); }
  };

  Result<> Open();
  Result<> OpenGzip();
  /// The next packed bytes.
  Result<Block> Packed();
  Result<Block> Gunzip();
  /// Why libarchive failed.
  Error Failure() const;
  static la_ssize_t Call(archive* opened, void* self, const void** data);

  ByteSource packed;
  Bytes most = 0;
  bool opened = false;
  std::optional<Block> peeked;
  std::optional<Error> failure;                // of `packed`, which libarchive can't carry
  std::unique_ptr<archive, FreeArchive> gzip;  // null: it isn't that
  std::optional<ZstdBytes> zstd;
  Bytes count = 0;
  Hasher hasher{Hasher::Algorithm::kSha256};
};

Result<Block> UnpackedBytes::State::Packed() {
  if (peeked) return *std::exchange(peeked, std::nullopt);
  return packed();
}

la_ssize_t UnpackedBytes::State::Call(archive* opened, void* self, const void** data) {
  auto* state = static_cast<State*>(self);
  Result<Block> block = state->Packed();
  if (!block) {
    ::archive_set_error(opened, EIO, "%s", "its source failed");
    state->failure = std::move(block).error();
    return -1;
  }
  *data = block->data();
  return static_cast<la_ssize_t>(block->size());
}

Error UnpackedBytes::State::Failure() const {
  if (failure) return *failure;
  const char* said = ::archive_error_string(gzip.get());
  return CantUnpack(Printable(said == nullptr ? "it is broken" : said, 200)).error();
}

Result<> UnpackedBytes::State::Open() {
  opened = true;
  Block first = TRY(packed());
  peeked = first;
  if (IsGzip(first)) return OpenGzip();
  if (IsZstd(first)) zstd.emplace([this] { return Packed(); });
  return {};
}

Result<> UnpackedBytes::State::OpenGzip() {
  gzip.reset(::archive_read_new());
  if (!gzip) return Fail(Code::kUnavailable, "there is no memory to unpack a layer");
  ::archive_read_support_format_raw(gzip.get());
  // This filter and no other: nothing is unpacked twice.
  bool ready = ::archive_read_append_filter(gzip.get(), ARCHIVE_FILTER_GZIP) == ARCHIVE_OK &&
               ::archive_read_open(gzip.get(), this, nullptr, &State::Call, nullptr) == ARCHIVE_OK;
  archive_entry* whole = nullptr;
  if (ready && ::archive_read_next_header(gzip.get(), &whole) == ARCHIVE_OK) return {};
  return std::unexpected(Failure());
}

Result<Block> UnpackedBytes::State::Gunzip() {
  const void* data = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  int result = ARCHIVE_OK;
  while (size == 0 && result == ARCHIVE_OK) {
    result = ::archive_read_data_block(gzip.get(), &data, &size, &offset);
  }
  if (result == ARCHIVE_EOF) return Block();
  if (result != ARCHIVE_OK) return std::unexpected(Failure());
  return Block(static_cast<const std::byte*>(data), size);
}

UnpackedBytes::UnpackedBytes(ByteSource packed, Bytes most) : state_(std::make_unique<State>()) {
  state_->packed = std::move(packed);
  state_->most = most;
}

UnpackedBytes::~UnpackedBytes() = default;

Result<Block> UnpackedBytes::Next() {
  if (!state_->opened) TRY(state_->Open());
  Block block = TRY(state_->gzip   ? state_->Gunzip()
                    : state_->zstd ? state_->zstd->Next()
                                   : state_->Packed());
  if (block.size() > state_->most - state_->count) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the layer has over {} unpacked, which is more than one of its size "
                            "may have: refused",
                            FormatBytes(state_->most)));
  }
  state_->count += block.size();
  state_->hasher.Update(block);
  return block;
}

Result<std::string> UnpackedBytes::Finish() {
  Block block;
  do {
    block = TRY(Next());
  } while (!block.empty());
  // What lies behind the compressed data is a part of the blob.
  while (state_->gzip) {
    block = TRY(state_->packed());
    if (block.empty()) break;
  }
  return state_->hasher.FinishHex();
}

}  // namespace weighhouse::fill
