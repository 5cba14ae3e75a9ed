#include "csi/flights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Admission = Flights::Admission;

class Recorder final : public Interruptible {
 public:
  void Interrupt(Interruption reason) override { reason_ = reason; }
  Interruption reason_ = Interruption::kNone;
};

TEST(FlightsTest, AnUnpublishInterruptsAndKeepsOthersOut) {
  Flights flights;
  auto flight = std::make_shared<Recorder>();
  EXPECT_EQ(flights.Add("/a", "lease", flight), Admission::kAdmitted);
  flights.BeginUnpublish("/a");
  EXPECT_EQ(flight->reason_, Interruption::kUnpublished);
  flights.Remove("/a");
  EXPECT_EQ(flights.Add("/a", "lease", flight), Admission::kUnpublishing);
  EXPECT_EQ(flights.Add("/b", "other", flight), Admission::kAdmitted);
  flights.EndUnpublish("/a");
  EXPECT_EQ(flights.Add("/a", "lease", flight), Admission::kAdmitted);
}

TEST(FlightsTest, TwoUnpublishesOfOneTargetCountTwice) {
  Flights flights;
  flights.BeginUnpublish("/a");
  flights.BeginUnpublish("/a");
  flights.EndUnpublish("/a");
  EXPECT_EQ(flights.Add("/a", "lease", {}), Admission::kUnpublishing);
}

TEST(FlightsTest, StoppingInterruptsAllAndAdmitsNone) {
  Flights flights;
  auto flight = std::make_shared<Recorder>();
  flights.Add("/a", "lease", flight);
  flights.Stop();
  EXPECT_EQ(flight->reason_, Interruption::kStopping);
  EXPECT_EQ(flights.Add("/b", "lease", flight), Admission::kStopping);
  EXPECT_FALSE(flights.WaitUntilEmpty(std::chrono::steady_clock::now()));
  flights.Remove("/a");
  EXPECT_TRUE(flights.WaitUntilEmpty(std::chrono::steady_clock::now()));
}

TEST(FlightsTest, AWatchNotesFlightsThatEndOrBeginMeanwhile) {
  Flights flights;
  flights.Add("/before", "a", {});
  flights.Add("/over", "b", {});
  flights.Remove("/over");
  flights.BeginWatch();
  flights.Remove("/before");
  flights.Add("/during", "c", {});
  flights.Remove("/during");
  EXPECT_THAT(flights.EndWatch(), UnorderedElementsAre("a", "c"));
  flights.Add("/after", "d", {});
  flights.BeginWatch();
  EXPECT_THAT(flights.EndWatch(), ElementsAre("d"));
  flights.Remove("/after");
  flights.BeginWatch();
  EXPECT_THAT(flights.EndWatch(), IsEmpty());
}

}  // namespace
}  // namespace weighhouse::csi
