#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "cache-daemon/fill/file_fill.h"
#include "test/cache-daemon/fill/fill_fixture.h"

namespace weighhouse::fill {

/// Knows where everything is, for a while.
class FakeSource final : public source::Source {
 public:
  explicit FakeSource(const Clock& clock) : clock_(clock) {}
  int locates() const { return locates_; }

  Result<Listing> Resolve(const ModelReference&, const Credentials&, std::stop_token) override {
    return Fail(Code::kUnimplemented, "a fake");
  }
  Result<source::FileLocation> Locate(const ModelReference&, const Listing&, const ListedFile&,
                                      const Credentials&, std::stop_token) override {
    ++locates_;
    return source::FileLocation{.url = "fake:",
                                .expires_at = clock_.Steady() + std::chrono::hours(1)};
  }

 private:
  const Clock& clock_;
  std::atomic<int> locates_ = 0;
};

/// One file that is filled, with the test as its scheduler.
class FileFillFixture : public FillTest {
 protected:
  void SetUp() override {
    FillTest::SetUp();
    if (IsSkipped()) return;
    MakeContext(8);
    transport_.SkipWaits();
  }
  void TearDown() override {
    if (fill_) fill_->Stop();
    fill_.reset();
    FillTest::TearDown();
  }
  void Begin(const std::string& content) {
    transport_.set_content(content);
    fill_ = std::make_shared<FileFill>(context(), FileOf(content), "id",
                                       [this](Result<> outcome) { outcome_ = std::move(outcome); });
    context_->on_buffers_freed = [this] { fill_->ResumePaused(); };
    auto request = std::make_shared<FillRequest>();
    request->source = source_;
    fill_->AddAsker(request);
    fill_->Start();
  }
  bool RunToTheEnd() {
    return transport_.RunUntil([this] { return outcome_.has_value(); });
  }
  void ExpectCommitted(const std::string& content) {
    ASSERT_TRUE(RunToTheEnd());
    ASSERT_TRUE(*outcome_) << outcome_->error().message;
    EXPECT_EQ(store_.committed(), Digest::Of(content));
    EXPECT_EQ(ReadTestFile(store_.path()), content);
  }

  std::shared_ptr<FakeSource> source_ = std::make_shared<FakeSource>(clock_);  // as requests do
  std::shared_ptr<FileFill> fill_;  // shared with what it has under way
  std::optional<Result<>> outcome_;
};

}  // namespace weighhouse::fill
