#include <fmt/format.h>
#include <gmock/gmock.h>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

constexpr char kUri[] = "hf://acme/matrix";
constexpr Bytes kRange = 2 * kMiB;
constexpr Bytes kSize = 4 * kRange + 1;

/// A byte of the file; the fault hits the request that asks for it.
struct Position {
  const char* name;
  Bytes offset;
};
constexpr Position kPositions[] = {{"FirstRange", 0},
                                   {"MiddleRange", kRange + 5},
                                   {"LastRange", 4 * kRange - 1},
                                   {"TailByte", 4 * kRange}};

constexpr std::optional<Code> kModel;  ///< no error: the model comes

/// What the CDN does, and how the fill ends if it does it once, and if it does it for ever.
struct CdnFault {
  const char* name;
  std::string action;
  std::optional<Code> once;
  std::optional<Code> for_ever;
};

std::vector<CdnFault> CdnFaults() {
  auto status = [](int number) { return fmt::format(R"("kind":"status","status":{})", number); };
  return {
      {"CutBeforeAByte", R"("kind":"cut","after":0)", kModel, Code::kUnavailable},
      {"Reset", R"("kind":"cut","after":0,"reset":true)", kModel, Code::kUnavailable},
      {"Stall", R"("kind":"stall","after":0,"seconds":60)", kModel, Code::kUnavailable},
      {"WrongByte", R"("kind":"corrupt","at":OFFSET)", kModel, Code::kDataLoss},
      {"MoreBytes", R"("kind":"long_body")", kModel, Code::kDataLoss},
      {"FewerBytes", R"("kind":"short_length")", kModel, Code::kDataLoss},
      {"OtherContentRange", R"("kind":"content_range","value":"bytes 1-2/3")", kModel,
       Code::kDataLoss},
      {"OtherTotal", R"("kind":"content_range","value":"bytes BEGIN-END/98765432100")", kModel,
       Code::kDataLoss},
      {"NoContentRange", R"("kind":"header","name":"Content-Range")", kModel, Code::kDataLoss},
      {"Encoded", R"("kind":"header","name":"Content-Encoding","value":"gzip")", kModel,
       Code::kDataLoss},
      {"RangeIgnored", R"("kind":"ignore_range")", kModel, kModel},
      {"OtherEtag", R"("kind":"etag","value":"\"other\"")", kModel, kModel},
      {"SignatureExpired", R"("kind":"expire")", kModel, Code::kUnavailable},
      {"Redirect", R"("kind":"redirect","location":"/elsewhere")", kModel, Code::kUnavailable},
      {"InternalError", status(500), kModel, Code::kUnavailable},
      {"Unavailable", status(503), kModel, Code::kUnavailable},
      {"TooManyRequests", status(429), kModel, Code::kUnavailable},
      {"FileIsShorter", status(416), kModel, Code::kDataLoss},
      {"FileChanged", status(412), kModel, Code::kDataLoss},
      {"FileIsGone", status(404), Code::kNotFound, Code::kNotFound},
  };
}

/// One Hub for all, because each case is short; a cache for each.
class FaultMatrixTest : public EngineTest {
 protected:
  static void SetUpTestSuite() {
    models_directory_ = new TemporaryDirectory();
    WriteTestFile(*models_directory_ / "acme/matrix/model.safetensors", Content());
    auto hub = FixtureHub::Start(models_directory_->path().string());
    ASSERT_TRUE(hub) << hub.error().message;
    shared_hub_ = hub->release();
  }
  static void TearDownTestSuite() {
    delete std::exchange(shared_hub_, nullptr);
    delete std::exchange(models_directory_, nullptr);
  }
  static const std::string& Content() {
    static const std::string content = PatternBytes(kSize, 31);
    return content;
  }
  void SetUp() override {
    ASSERT_NE(shared_hub_, nullptr);
    shared_hub_->ClearFaults();
    EngineOptions options = Options();
    options.hub_endpoint = shared_hub_->hub_url();
    options.fill.range_size = kRange;
    options.fill.max_attempts = 3;
    options.fill.max_active_files = 2;
    options.buffer_bytes = 16 * kMiB;
    options.transport.stall_timeout = std::chrono::milliseconds(250);
    OpenEngine(options);
  }
  void ExpectComplete(const Result<AcquiredTree>& tree) {
    ASSERT_TRUE(tree) << tree.error().message;
    EXPECT_EQ(Digest::Of(Read(*tree, "model.safetensors")), Digest::Of(Content()));
    EXPECT_THAT(Names("ingests"), ::testing::IsEmpty());
  }
  /// A verified model, or one clear error, nothing of it to be seen, and a model at the next try.
  void ExpectEnd(std::optional<Code> code) {
    Result<AcquiredTree> tree = Acquire(LeasedRequest(kUri, "pod"));
    if (!code) return ExpectComplete(tree);
    ASSERT_FALSE(tree);
    EXPECT_EQ(tree.error().code, code) << tree.error().message;
    EXPECT_THAT(tree.error().message, ::testing::HasSubstr("model.safetensors"));
    EXPECT_THAT(Names("trees/files"), ::testing::IsEmpty());
    EXPECT_EQ(Names("leases").size(), IsTemporary(*code) ? 1U : 0U);
    shared_hub_->ClearFaults();
    ExpectComplete(Acquire(LeasedRequest(kUri, "pod")));
  }

  static inline TemporaryDirectory* models_directory_ = nullptr;
  static inline FixtureHub* shared_hub_ = nullptr;
};

using Case = std::tuple<CdnFault, Position, int>;

void Replace(std::string& text, std::string_view word, Bytes number) {
  size_t place = text.find(word);
  if (place != std::string::npos) text.replace(place, word.size(), std::to_string(number));
}

std::string NameOf(const ::testing::TestParamInfo<Case>& test) {
  const auto& [fault, position, times] = test.param;
  return fmt::format("{}In{}{}", fault.name, position.name, times == 1 ? "Once" : "ForEver");
}

class CdnFaultTest : public FaultMatrixTest, public ::testing::WithParamInterface<Case> {};

TEST_P(CdnFaultTest, EndsInAModelOrOneError) {
  const auto& [fault, position, times] = GetParam();
  std::string offset = std::to_string(position.offset);
  std::string action = fault.action;
  Bytes begin = position.offset / kRange * kRange;
  Replace(action, "OFFSET", position.offset);
  Replace(action, "BEGIN", begin);
  Replace(action, "END", std::min(begin + kRange, kSize) - 1);
  shared_hub_->SetFaults(fmt::format(R"([{{"side":"cdn","covers":{},"times":{},"action":{{{}}}}}])",
                                     offset, times, action));
  ExpectEnd(times == 1 ? fault.once : fault.for_ever);
}

INSTANTIATE_TEST_SUITE_P(All, CdnFaultTest,
                         ::testing::Combine(::testing::ValuesIn(CdnFaults()),
                                            ::testing::ValuesIn(kPositions),
                                            ::testing::Values(1, -1)),
                         NameOf);

/// What the Hub answers where a file is located, once or for ever.
class HubFaultTest : public FaultMatrixTest,
                     public ::testing::WithParamInterface<std::tuple<CdnFault, int>> {};

std::string HubFaultName(const ::testing::TestParamInfo<std::tuple<CdnFault, int>>& test) {
  const auto& [fault, times] = test.param;
  return fmt::format("{}{}", fault.name, times == 1 ? "Once" : "ForEver");
}

TEST_P(HubFaultTest, EndsInAModelOrOneError) {
  const auto& [fault, times] = GetParam();
  shared_hub_->SetFaults(fmt::format(
      R"([{{"side":"hub","path":"/resolve/","times":{},"action":{{{}}}}}])", times, fault.action));
  ExpectEnd(times == 1 ? fault.once : fault.for_ever);
}

INSTANTIATE_TEST_SUITE_P(
    All, HubFaultTest,
    ::testing::Combine(
        ::testing::Values(
            CdnFault{"ServerError", R"("kind":"status","status":502)", kModel, Code::kUnavailable},
            CdnFault{"TooManyRequests", R"("kind":"status","status":429)", kModel,
                     Code::kUnavailable},
            CdnFault{"Refusal", R"("kind":"status","status":403)", Code::kPermissionDenied,
                     Code::kPermissionDenied},
            CdnFault{"UrlThatIsDeadAlready", R"("kind":"expire")", kModel, Code::kUnavailable},
            CdnFault{"Cut", R"("kind":"cut","after":0,"reset":true)", kModel, kModel},
            CdnFault{"OtherDigest",
                     R"("kind":"etag","value":"\")" + std::string(64, 'e') + R"(\"")",
                     Code::kDataLoss, Code::kDataLoss},
            CdnFault{"OtherSize", R"("kind":"header","name":"X-Linked-Size","value":"3")",
                     Code::kDataLoss, Code::kDataLoss}),
        ::testing::Values(1, -1)),
    HubFaultName);

TEST_F(FaultMatrixTest, ARangeThatNeverGetsBeyondItsFirstBytesIsGivenUp) {
  shared_hub_->SetFaults(R"([{"side":"cdn","covers":0,"action":{"kind":"cut","after":1000}}])");
  ExpectEnd(Code::kUnavailable);
}

class ManyShardsTest : public EngineTest {};

/// DeepSeek-V3's shape: 163 shards and 12 small files.
TEST_F(ManyShardsTest, AreLocatedOnceEachDespiteAStallAnExpiryAndABurstOfErrors) {
  constexpr int kShards = 163, kSmall = 12;
  for (int i = 0; i < kShards; ++i) {
    AddFile("acme/deep", fmt::format("model-{:05}-of-00163.safetensors", i + 1),
            PatternBytes(i < 2 ? 12 * kMiB : 96 * kKiB + static_cast<Bytes>(i), 100 + i));
  }
  for (int i = 0; i < kSmall; ++i)
    AddFile("acme/deep", fmt::format("{}.json", i), std::to_string(i));
  StartHub();
  hub_->SetFaults(R"([
    {"side":"cdn","skip":3,"times":1,"action":{"kind":"stall","after":1000,"seconds":60}},
    {"side":"cdn","skip":9,"times":1,"action":{"kind":"expire"}},
    {"side":"cdn","skip":20,"times":12,"action":{"kind":"status","status":503}}])");
  EngineOptions options = Options();
  options.fill.range_size = 2 * kMiB;
  OpenEngine(options);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("hf://acme/deep")));
  EXPECT_EQ(tree.files, kShards + kSmall);
  EXPECT_EQ(Digest::Of(Read(tree, "model-00001-of-00163.safetensors")),
            Digest::Of(PatternBytes(12 * kMiB, 100)));
  EXPECT_LE(hub_->Stat("resolve_calls"), kShards + kSmall + 3);
  EXPECT_GE(hub_->Stat("resolve_calls"), kShards + kSmall + 1) << "the expiry was met";
}

}  // namespace
}  // namespace weighhouse
