#pragma once

#include <algorithm>
#include <chrono>
#include <string>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {

/// The models of these tests, each of which has its own files.
inline constexpr const char* kModel = "hf://org/model";
inline constexpr const char* kOther = "hf://org/other";
inline constexpr const char* kPrivate = "hf://org/private";

/// For tests that create volumes.
class VolumeFixture : public EngineTest {
 protected:
  /// Waits for the source for as long as it takes. The digest is that of what is given here.
  static VolumeRequest Of(const std::string& volume, const std::string& model, Bytes bytes = 0) {
    return {.volume_id = volume,
            .request_digest = Digest::Of(model + " " + std::to_string(bytes)).Hex(),
            .model = ModelReference::Parse(model).value(),
            .required_bytes = bytes,
            .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1)};
  }
  /// Of a CreateVolume that must fail.
  Code CodeOf(const VolumeRequest& request) {
    Result<store::VolumeRecord> created = engine_->CreateVolume(request);
    EXPECT_FALSE(created) << created->volume_id;
    return created ? Code::kUnknown : created.error().code;
  }
  /// The next answer to what the Hub is asked waits for `hub_->ClearFaults()`.
  void PauseHub() {
    hub_->SetFaults(
        R"([{"side": "hub", "path": "/api/", "times": 1, "action": {"kind": "pause"}}])");
  }
  /// One that doesn't wait for what is paused.
  static VolumeRequest InAHurry(VolumeRequest request) {
    request.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    return request;
  }
  size_t HoldCount() { return engine_->Info()->holds.size(); }
  /// The revision that a reference of that text means; "": there is none.
  std::string MeantBy(const std::string& reference) {
    for (const SnapshotView& view : engine_->List()) {
      if (std::ranges::count(view.references, reference) > 0) return view.snapshot.revision;
    }
    return "";
  }
  /// Waits until so many models are complete.
  bool BecomesComplete(size_t models) {
    return Becomes([&] { return engine_->Info()->contents.snapshots_complete == models; });
  }
};

}  // namespace weighhouse
