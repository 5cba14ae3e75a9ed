#include "cli/status_text.h"

#include <algorithm>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;
using ::testing::HasSubstr;
using ::testing::Not;

const Screen kPipe{};
constexpr Screen Terminal(size_t width, bool colour = false) {
  return {.terminal = true, .colour = colour, .width = width};
}

pb::CapacityResponse Space(Bytes used, Bytes held, Bytes unallocated) {
  pb::CapacityResponse space;
  space.set_limit(100 * kGiB);
  space.set_used(used);
  space.set_held(held);
  space.set_evictable(used - held);
  space.set_unallocated(unallocated);
  return space;
}

void AddModel(StatusView& view, const std::string& name, pb::Snapshot::State state) {
  pb::Snapshot& snapshot = *view.list.add_snapshots();
  snapshot.add_references("hf://org/" + name + "@main");
  snapshot.set_revision(std::string(40, 'c'));
  snapshot.set_bytes(100 * kMiB);
  snapshot.set_bytes_present(state == pb::Snapshot::COMPLETE ? 100 * kMiB : 25 * kMiB);
  snapshot.set_state(state);
}

TEST(StatusTextTest, TheBarShowsWhatIsHeldEvictableAndPromised) {
  auto bar = [](const pb::CapacityResponse& space) { return CapacityBar(space, 12, Paint(false)); };
  EXPECT_EQ(bar(Space(0, 0, 0)), "[          ]");
  EXPECT_EQ(bar(Space(60 * kGiB, 20 * kGiB, 10 * kGiB)), "[##====+   ]");
  EXPECT_EQ(bar(Space(99 * kGiB, 99 * kGiB, 0)), "[######### ]") << "full only when it is";
  EXPECT_EQ(bar(Space(100 * kGiB, 0, 0)), "[==========]");
  EXPECT_EQ(bar(Space(150 * kGiB, 50 * kGiB, 50 * kGiB)), "[##=====+++]") << "over the limit";
  EXPECT_EQ(bar(pb::CapacityResponse()), "[          ]") << "without a limit";
}

TEST(StatusTextTest, FillsAreLinesInAPipeAndBarsOnATerminal) {
  StatusView view;
  AddModel(view, "name", pb::Snapshot::FILLING);
  view.list.mutable_snapshots(0)->set_bytes_per_second(25 * kMiB);
  EXPECT_EQ(FillsText(view, kPipe),
            "fills        1\n"
            "  hf://org/name@cccccccccccc: 25.0/100.0 MiB (25 %), 25.0 MiB/s, 3.0 s left\n");
  EXPECT_EQ(FillsText(view, Terminal(120)),
            "fills        1\n"
            "  hf://org/name@cccccccccccc   25 %  [==========>                             ]  "
            "25.0/100.0 MiB "
            " 25.0 MiB/s, 3.0 s left\n")
      << FillsText(view, Terminal(120));
  EXPECT_THAT(FillsText(view, Terminal(80)),
              HasSubstr("\n  hf://org/name@cccccccccccc\n   25 %  [=======> "));
}

TEST(StatusTextTest, OnlyTheFirstModelsAndLeasesAreShown) {
  StatusView view;
  for (int i = 0; i < 12; ++i) {
    AddModel(view, fmt::format("m{}", i), pb::Snapshot::COMPLETE);
    pb::Holder& holder = *view.list.mutable_snapshots(i)->add_leases();
    holder.set_pod_namespace("team");
    holder.set_pod_name(fmt::format("pod-{}", i));
  }
  std::string models = ModelsText(view, kPipe);
  EXPECT_THAT(models, HasSubstr("models       12, 12 complete\n  MODEL"));
  EXPECT_THAT(models, HasSubstr("hf://org/m9 "));
  EXPECT_THAT(models, Not(HasSubstr("m10")));
  EXPECT_THAT(models, HasSubstr("\n  and 2 more: weighhouse ls\n"));
  std::string leases = LeasesText(view, kPipe);
  EXPECT_THAT(leases, HasSubstr("leases       12\n  POD"));
  EXPECT_THAT(leases, HasSubstr("\n  team/pod-0  hf://org/m0@cccccccccccc\n"));
  EXPECT_THAT(leases, HasSubstr("\n  and 2 more: "));
}

TEST(StatusTextTest, OneScreenWhateverThereIs) {
  StatusView view;
  view.space = Space(60 * kGiB, 20 * kGiB, 0);
  for (int i = 0; i < 10'000; ++i) {
    AddModel(view, fmt::format("m{}", i),
             i % 2 == 0 ? pb::Snapshot::FILLING : pb::Snapshot::COMPLETE);
    view.list.mutable_snapshots(i)->add_leases()->set_pod_name("pod");
    view.info.add_holds()->set_volume_id("v");
    view.info.add_hosts()->set_host("h");
    view.info.add_keep()->set_problem("p");
    view.info.mutable_configuration()->add_warnings("w");
    view.info.mutable_integrity()->add_damaged();
  }
  std::string text = StatusText(view, kPipe);
  EXPECT_LT(std::ranges::count(text, '\n'), 130);
  EXPECT_THAT(text, HasSubstr("fills        5000\n"));
  EXPECT_THAT(text, HasSubstr("\n  and 4990 more: weighhouse ls --sort state\n"));
  EXPECT_THAT(text, HasSubstr("\n  and 9990 more: weighhouse status --output json\n"));
  Screen low = Terminal(200);
  EXPECT_THAT(ModelsText(view, low), HasSubstr("\n  and 9996 more: weighhouse ls\n"));
  low.height = 5;
  EXPECT_THAT(LeasesText(view, low), HasSubstr("\n  and 9997 more: weighhouse ls --output json\n"));
  low.height = 100;
  EXPECT_THAT(FillsText(view, low), HasSubstr("\n  and 4990 more: "));
}

TEST(StatusTextTest, AColourThatIsCutOffEndsWithItsLine) {
  StatusView view;
  AddModel(view, "name", pb::Snapshot::COMPLETE);
  std::istringstream lines(ModelsText(view, Terminal(20, true)));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(!line.contains("\x1b[32m") || line.ends_with("\x1b[0m")) << line;
  }
}

TEST(StatusTextTest, ALeaseWithoutAPodIsItsPath) {
  StatusView view;
  AddModel(view, "name", pb::Snapshot::COMPLETE);
  view.list.mutable_snapshots(0)->add_leases()->set_target_path("/var/lib/x/mount");
  EXPECT_THAT(LeasesText(view, kPipe), HasSubstr("  /var/lib/x/mount  hf://org/name@"));
}

TEST(StatusTextTest, ErrorsAreTheNewestFirstAndAFew) {
  pb::InfoResponse info;
  EXPECT_EQ(ErrorsText(info, Paint(false)), "");
  for (int i = 0; i < 7; ++i) {
    pb::RecentError& error = *info.add_recent_errors();
    error.set_level("warning");
    error.set_message(fmt::format("trouble {}", i));
    error.set_times(i == 6 ? 3 : 1);
  }
  std::string text = ErrorsText(info, Paint(false));
  EXPECT_THAT(text, HasSubstr("went wrong   7 lately\n"));
  EXPECT_THAT(text, HasSubstr("d ago, warning: trouble 6 (3 times)\n"));
  EXPECT_THAT(text, HasSubstr("warning: trouble 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("trouble 1")));
}

TEST(StatusTextTest, OnATerminalTablesAndBarsAreNoWiderThanThat) {
  StatusView view;
  view.space = Space(60 * kGiB, 20 * kGiB, 0);
  AddModel(view, "a-model-with-a-name-that-is-quite-long-indeed", pb::Snapshot::COMPLETE);
  AddModel(view, "name", pb::Snapshot::FILLING);
  view.list.mutable_snapshots(0)->add_leases()->set_pod_name("pod");
  for (size_t width : {40, 80}) {
    std::string shown = FillsText(view, Terminal(width)) + ModelsText(view, Terminal(width)) +
                        LeasesText(view, Terminal(width));
    std::istringstream lines(shown);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(DisplayWidth(line), width) << line;
    EXPECT_THAT(shown, HasSubstr("complete"));
    std::istringstream space(SpaceText(view.space, Terminal(width)));
    std::string bar;
    std::getline(space, bar);
    EXPECT_LE(DisplayWidth(bar), width) << bar;
  }
}

TEST(StatusTextTest, ColoursAreAddedAndNothingElse) {
  StatusView view;
  view.space = Space(60 * kGiB, 20 * kGiB, 0);
  AddModel(view, "name", pb::Snapshot::COMPLETE);
  std::string plain = StatusText(view, Terminal(80, false));
  std::string coloured = StatusText(view, Terminal(80, true));
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  EXPECT_THAT(coloured, HasSubstr("\x1b[32mcomplete\x1b[0m"));
  std::string without;
  for (size_t i = 0; i < coloured.size(); ++i) {
    if (coloured[i] == '\x1b')
      i = coloured.find('m', i);
    else
      without += coloured[i];
  }
  EXPECT_EQ(without, plain);
}

}  // namespace
}  // namespace weighhouse::cli
