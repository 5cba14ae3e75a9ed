// The table of what GetCapacity says (design §7), without sockets.
#include "csi/capacity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using cache::v1::ModelFit;
using testing::Optional;

constexpr uint64_t kGiB = uint64_t{1} << 30;

cache::v1::CapacityResponse Response(ModelFit::Size size, bool fits, uint64_t bytes,
                                     uint64_t missing) {
  cache::v1::CapacityResponse response;
  response.set_available(7 * kGiB);
  ModelFit& fit = *response.mutable_model();
  fit.set_size(size);
  fit.set_fits(fits);
  fit.set_cached(size == ModelFit::SIZE_KNOWN && missing == 0);
  fit.set_bytes(bytes);
  fit.set_bytes_missing(missing);
  return response;
}

void ExpectAnswer(const CapacityAnswer& answer, uint64_t available, int64_t maximum) {
  EXPECT_EQ(answer.available, static_cast<int64_t>(available));
  EXPECT_THAT(answer.maximum, Optional(maximum));
}

TEST(CapacityTest, CachedIsMostOfAllWhateverTheRoom) {
  auto full = Response(ModelFit::SIZE_KNOWN, true, 3 * kGiB, 0);
  full.set_available(0);
  for (bool cached_only : {false, true}) {
    ExpectAnswer(CapacityForModel(full, cached_only), kAnySize, kAnySize);
  }
}

TEST(CapacityTest, AbsentAndFitsIsAnySizeScoredByTheRoom) {
  auto absent = Response(ModelFit::SIZE_KNOWN, true, 3 * kGiB, 3 * kGiB);
  ExpectAnswer(CapacityForModel(absent, false), 7 * kGiB, kAnySize);
}

TEST(CapacityTest, HalfCachedScoresAboveAbsentAndBelowCached) {
  auto half = Response(ModelFit::SIZE_KNOWN, true, 4 * kGiB, 2 * kGiB);
  ExpectAnswer(CapacityForModel(half, false), 9 * kGiB, kAnySize);
  auto huge = Response(ModelFit::SIZE_KNOWN, true, ~uint64_t{0}, 1);
  huge.set_available(~uint64_t{0});
  ExpectAnswer(CapacityForModel(huge, false), kAnySize - 1, kAnySize);
}

TEST(CapacityTest, WhatCannotFitIsNothing) {
  ExpectAnswer(CapacityForModel(Response(ModelFit::SIZE_KNOWN, false, 9 * kGiB, 9 * kGiB), false),
               0, 0);
  ExpectAnswer(CapacityForModel(Response(ModelFit::SIZE_KNOWN, false, 9 * kGiB, 1 * kGiB), false),
               0, 0);
}

TEST(CapacityTest, UnknownSizeIsTheRoomForBoth) {
  for (auto size : {ModelFit::SIZE_UNKNOWN, ModelFit::SIZE_UNSPECIFIED}) {
    ExpectAnswer(CapacityForModel(Response(size, false, 0, 0), false), 7 * kGiB,
                 static_cast<int64_t>(7 * kGiB));
  }
}

TEST(CapacityTest, CachedOnlyIsNothingWhereItIsNotCached) {
  ExpectAnswer(CapacityForModel(Response(ModelFit::SIZE_KNOWN, true, 4 * kGiB, 1), true), 0, 0);
  ExpectAnswer(CapacityForModel(Response(ModelFit::SIZE_UNKNOWN, false, 0, 0), true), 0, 0);
}

TEST(CapacityTest, OfTheNodeIsTheRoomWithoutALimitOfItsOwn) {
  cache::v1::CapacityResponse response;
  response.set_available(7 * kGiB);
  CapacityAnswer answer = CapacityOfNode(response);
  EXPECT_EQ(answer.available, static_cast<int64_t>(7 * kGiB));
  EXPECT_FALSE(answer.maximum.has_value());
}

}  // namespace
}  // namespace weighhouse::csi
