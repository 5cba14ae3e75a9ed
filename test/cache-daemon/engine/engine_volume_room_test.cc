// What the scheduler is told of room for a model, and that CreateVolume finds it so.

#include <thread>

#include "test/cache-daemon/engine/volume_fixture.h"

namespace weighhouse {
namespace {

/// How the model and the cache are.
enum class State {
  kCached,
  kHalfCached,
  kFits,
  kFitsAfterEviction,
  kNoRoomNow,
  kLargerThanTheLimit,
};
/// What is known of it, and what is asked.
enum class Kind {
  kPublic,
  kUnseen,  ///< private, and never resolved here
  kCachedOnly,
};

struct Case {
  State state;
  Kind kind;
  bool known, fits, cached;
};

/// Room for three files of 1 MiB; the model has two of them.
class EngineVolumeRoomTest : public VolumeFixture, public testing::WithParamInterface<Case> {
 protected:
  static constexpr Bytes kModelBytes = 2 * kMiB;

  void Start(bool is_private) {
    AddFile("org/model", "1.bin", std::string(kMiB, '1'));
    AddFile("org/model", "2.bin", std::string(kMiB, '2'));
    if (is_private) AddFile("org/model", ".fixture.json", R"({"private": true})");
    AddFile("org/one", "one.bin", std::string(kMiB, 'a'));
    AddFile("org/two", "two.bin", std::string(kModelBytes, 'b'));
    StartHub();
    EngineOptions options = Options();
    options.store.limit = 3 * kMiB + 256 * kKiB;
    OpenEngine(options);
  }
  ModelFit FitOf(bool cached_only) {
    FitRequest request{.model = ModelReference::Parse("hf://org/model").value(),
                       .cached_only = cached_only};
    return engine_->FitOf(request).value();
  }
  void Reach(State state, const std::string& token) {
    switch (state) {
      case State::kCached:
        ASSERT_TRUE(Acquire(Request("hf://org/model", token)));
        break;
      case State::kHalfCached: {
        hub_->SetFaults(R"([{"side": "cdn", "path": "2.bin",
                             "action": {"kind": "status", "status": 404}}])");
        EXPECT_FALSE(Acquire(Request("hf://org/model", token)));
        ASSERT_TRUE(Becomes([&] { return FitOf(false).bytes_missing == kMiB; }));
        break;
      }
      case State::kFits:
        break;
      case State::kFitsAfterEviction:
        ASSERT_TRUE(Acquire(Request("hf://org/two")));
        break;
      case State::kNoRoomNow:
        ASSERT_TRUE(Acquire(LeasedRequest("hf://org/two", "pod")));
        break;
      case State::kLargerThanTheLimit: {
        EngineOptions options = Options();
        options.store.limit = kModelBytes - kMiB;
        ASSERT_TRUE(engine_->Reconfigure(options));
        break;
      }
    }
  }
};

TEST_P(EngineVolumeRoomTest, IsWhatCreateVolumeFinds) {
  const Case& now = GetParam();
  bool is_private = now.kind == Kind::kUnseen;
  bool cached_only = now.kind == Kind::kCachedOnly;
  Start(is_private);
  Reach(now.state, "");
  // The first question has the source be asked.
  if (now.known) {
    ASSERT_TRUE(Becomes([&] { return FitOf(cached_only).known; }));
  }
  ModelFit fit = FitOf(cached_only);
  Bytes available = engine_->Capacity()->available;
  EXPECT_EQ(fit.known, now.known);
  EXPECT_EQ(fit.fits, now.fits);
  EXPECT_EQ(fit.cached, now.cached);
  EXPECT_EQ(fit.bytes, now.known ? kModelBytes : 0);

  VolumeRequest request = Of("volume", "hf://org/model", kModelBytes);
  request.cached_only = cached_only;
  Result<store::VolumeRecord> created = engine_->CreateVolume(request);
  bool told = fit.known || cached_only ? fit.fits : available >= kModelBytes;
  EXPECT_EQ(created.has_value(), told) << (created ? "created" : created.error().message);
  if (!created) {
    EXPECT_EQ(created.error().code, Code::kResourceExhausted);
    EXPECT_EQ(HoldCount(), 0u);
    EXPECT_TRUE(Names("volumes").empty());
  }
}

std::string NameOf(const testing::TestParamInfo<Case>& test) {
  constexpr const char* kStates[] = {"Cached",    "HalfCached",        "Fits", "FitsAfterEviction",
                                     "NoRoomNow", "LargerThanTheLimit"};
  constexpr const char* kKinds[] = {"Public", "Unseen", "CachedOnly"};
  return std::string(kStates[static_cast<size_t>(test.param.state)]) +
         kKinds[static_cast<size_t>(test.param.kind)];
}

INSTANTIATE_TEST_SUITE_P(
    Cases, EngineVolumeRoomTest,
    testing::Values(Case{State::kCached, Kind::kPublic, true, true, true},
                    Case{State::kHalfCached, Kind::kPublic, true, true, false},
                    Case{State::kFits, Kind::kPublic, true, true, false},
                    Case{State::kFitsAfterEviction, Kind::kPublic, true, true, false},
                    Case{State::kNoRoomNow, Kind::kPublic, true, false, false},
                    Case{State::kLargerThanTheLimit, Kind::kPublic, true, false, false},
                    Case{State::kFits, Kind::kUnseen, false, false, false},
                    Case{State::kFitsAfterEviction, Kind::kUnseen, false, false, false},
                    Case{State::kNoRoomNow, Kind::kUnseen, false, false, false},
                    Case{State::kLargerThanTheLimit, Kind::kUnseen, false, false, false},
                    Case{State::kCached, Kind::kCachedOnly, true, true, true},
                    Case{State::kHalfCached, Kind::kCachedOnly, true, false, false},
                    Case{State::kFits, Kind::kCachedOnly, true, false, false},
                    Case{State::kFitsAfterEviction, Kind::kCachedOnly, true, false, false},
                    Case{State::kNoRoomNow, Kind::kCachedOnly, true, false, false},
                    Case{State::kLargerThanTheLimit, Kind::kCachedOnly, true, false, false}),
    NameOf);

TEST_F(EngineVolumeRoomTest, OfAHalfCachedModelItsOwnBytesMakeNone) {
  Start(false);
  Reach(State::kHalfCached, "");
  ASSERT_TRUE(Acquire(LeasedRequest("hf://org/one", "pod")));
  EngineOptions options = Options();
  options.store.limit = 2 * kMiB + 256 * kKiB;
  ASSERT_TRUE(engine_->Reconfigure(options));
  EXPECT_FALSE(FitOf(false).fits);
  EXPECT_EQ(CodeOf(Of("volume", "hf://org/model")), Code::kResourceExhausted);
}

TEST_F(EngineVolumeRoomTest, TwoThatWantTheLastBytesOneGetsThem) {
  Start(false);
  for (int round = 0; round < 20; ++round) {
    Result<store::VolumeRecord> one;
    Result<store::VolumeRecord> two;
    {
      std::jthread first([&] { one = engine_->CreateVolume(Of("one", "hf://org/model")); });
      std::jthread second([&] { two = engine_->CreateVolume(Of("two", "hf://org/two")); });
    }
    ASSERT_NE(one.has_value(), two.has_value()) << round;
    EXPECT_EQ((one ? two : one).error().code, Code::kResourceExhausted);
    EXPECT_EQ(HoldCount(), 1u);
    EXPECT_EQ(Names("volumes").size(), 1u);
    ASSERT_TRUE(engine_->DeleteVolume(one ? "one" : "two"));
    ASSERT_TRUE(Becomes([&] { return engine_->Info()->contents.snapshots_incomplete == 0; }));
  }
}

TEST_F(EngineVolumeRoomTest, OfABranchThatMovedIsThatOfWhatItsSourceSaidLast) {
  Start(false);
  ASSERT_TRUE(Acquire(Request("hf://org/model")));
  AddFile("org/model", "3.bin", std::string(kMiB, '3'));
  hub_->Rescan();
  hub_->SetFaults(R"([{"side": "hub", "action": {"kind": "pause"}}])");
  EXPECT_EQ(FitOf(false).bytes, kModelBytes) << "nobody has answered yet";
  hub_->ClearFaults();
  EXPECT_TRUE(Becomes([&] { return FitOf(false).bytes == 3 * kMiB; }));
  EXPECT_EQ(FitOf(false).bytes_missing, kMiB);
}

TEST_F(EngineVolumeRoomTest, IsAskedForOnceAndNothingIsFetched) {
  Start(false);
  for (int i = 0; i < 100; ++i) FitOf(false);
  ASSERT_TRUE(Becomes([&] { return FitOf(false).known; }));
  int64_t asked = hub_->Stat("api_calls");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(FitOf(false).known);
  EXPECT_EQ(hub_->Stat("api_calls"), asked);
  EXPECT_LE(asked, 4) << "one question";
  EXPECT_EQ(hub_->Stat("cdn_requests"), 0);
  EXPECT_TRUE(Names("snapshots").empty());
}

TEST_F(EngineVolumeRoomTest, APublishThatThereIsNoneForIsCountedUntilThereIs) {
  Start(false);
  AcquireRequest holder = LeasedRequest("hf://org/two", "holder");
  ASSERT_TRUE(Acquire(holder));
  AcquireRequest waiting = LeasedRequest("hf://org/model", "waiting");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Acquire(waiting).error().code, Code::kResourceExhausted);
  }
  EXPECT_EQ(engine_->Info()->refused_for_space, 1u) << "however often it is tried";
  ASSERT_TRUE(engine_->Release(holder.lease_id));
  ASSERT_TRUE(Acquire(waiting));
  EXPECT_EQ(engine_->Info()->refused_for_space, 0u);
}

TEST_F(EngineVolumeRoomTest, APublishThatGotItsRoomCountsNoMoreWhileItIsFilled) {
  Start(false);
  AcquireRequest holder = LeasedRequest("hf://org/two", "holder");
  ASSERT_TRUE(Acquire(holder));
  AcquireRequest waiting = LeasedRequest("hf://org/model", "waiting");
  EXPECT_EQ(Acquire(waiting).error().code, Code::kResourceExhausted);
  ASSERT_TRUE(engine_->Release(holder.lease_id));
  hub_->SetFaults(R"([{"side": "cdn", "path": "2.bin",
                       "action": {"kind": "delay", "seconds": 120}}])");
  auto observer = std::make_shared<RecordingObserver>();
  engine_->Acquire(waiting, observer);
  EXPECT_TRUE(Becomes([&] { return engine_->Info()->refused_for_space == 0; }));
  EXPECT_EQ(engine_->Info()->fills_active, 1u) << "it is still on its way";
}

TEST_F(EngineVolumeRoomTest, APublishWhoseSourceIsAwayInBetweenIsStillRefused) {
  Start(false);
  ASSERT_TRUE(Acquire(LeasedRequest("hf://org/two", "holder")));
  AcquireRequest waiting = LeasedRequest("hf://org/model", "waiting");
  EXPECT_EQ(Acquire(waiting).error().code, Code::kResourceExhausted);
  hub_.reset();
  EXPECT_EQ(Acquire(waiting).error().code, Code::kUnavailable);
  EXPECT_EQ(engine_->Info()->refused_for_space, 1u);
}

TEST_F(EngineVolumeRoomTest, APublishThatIsGivenUpCountsNoMore) {
  Start(false);
  ASSERT_TRUE(Acquire(LeasedRequest("hf://org/two", "holder")));
  AcquireRequest waiting = LeasedRequest("hf://org/model", "waiting");
  EXPECT_EQ(Acquire(waiting).error().code, Code::kResourceExhausted);
  ASSERT_TRUE(engine_->Release(waiting.lease_id));
  EXPECT_EQ(engine_->Info()->refused_for_space, 0u);
}

}  // namespace
}  // namespace weighhouse
