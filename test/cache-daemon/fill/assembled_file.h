#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cache-daemon/fill/file_assembly.h"
#include "test/cache-daemon/fill/fake_store.h"
#include "test/cache-daemon/fill/manual_transport.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::fill {

/// One assembly under test and what it said.
class AssembledFile {
 public:
  AssembledFile(std::shared_ptr<FillContext> context, FakeStore& store, std::string content,
                const ListedFile& file)
      : content_(std::move(content)) {
    FileAssembly::Events events = {
        .on_complete = [this] { ++completions_; },
        .on_disk_failed = [this](Error error) { errors_.push_back(std::move(error)); }};
    assembly_ = FileAssembly::Start(
        std::move(context), std::move(store.StartIngest("", file.identity, file.size).value()),
        {.identity = file.identity, .size = file.size, .checksum = {}}, FileAssembly::Resume::kUse,
        std::move(events));
  }
  ~AssembledFile() { assembly_->Abandon(); }
  AssembledFile(const AssembledFile&) = delete;
  AssembledFile& operator=(const AssembledFile&) = delete;

  FileAssembly& operator*() { return *assembly_; }
  FileAssembly* operator->() { return assembly_.get(); }
  bool complete() const { return completions_ == 1; }
  const std::vector<Error>& errors() const { return errors_; }

  bool Accept(ByteRange range) {
    return assembly_->Accept(range.begin,
                             std::as_bytes(std::span(content_)).subspan(range.begin, range.size()));
  }
  /// Gives all that lacks from `from` on, in file order, as buffers get free.
  void GiveAllFrom(ManualTransport& transport, Bytes from, Bytes until) {
    constexpr Bytes kChunk = 5000;
    while (std::optional<ByteRange> missing = assembly_->NextMissing(from)) {
      if (missing->begin >= until) return;
      ByteRange chunk{.begin = missing->begin,
                      .end = std::min({missing->end, missing->begin + kChunk, until})};
      ASSERT_TRUE(transport.RunUntil([&] { return !errors_.empty() || Accept(chunk); }));
      if (!errors_.empty()) return;
      from = chunk.end;
    }
  }
  void ExpectComplete(ManualTransport& transport, FakeStore& store) {
    ASSERT_TRUE(transport.RunUntil([&] { return complete() || !errors_.empty(); }));
    ASSERT_TRUE(errors_.empty()) << errors_.front().message;
    EXPECT_EQ(assembly_->Digests().sha256, Digest::Of(content_).Hex());
    EXPECT_EQ(ReadTestFile(store.path()).substr(0, content_.size()), content_);
  }

 private:
  const std::string content_;
  std::shared_ptr<FileAssembly> assembly_;  // shared with what it has under way
  int completions_ = 0;
  std::vector<Error> errors_;
};

}  // namespace weighhouse::fill
