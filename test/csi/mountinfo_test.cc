#include "csi/mountinfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

std::vector<MountEntry> Parse(std::string_view text) {
  Result<std::vector<MountEntry>> mounts = ParseMountinfo(text);
  EXPECT_TRUE(mounts.has_value()) << mounts.error().message;
  return mounts.value_or(std::vector<MountEntry>());
}

TEST(MountinfoTest, ReadsEveryFieldOfALine) {
  auto mounts = Parse(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime shared:1 master:7 - ext3 /dev/root "
      "rw,seclabel,errors=continue\n");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].id, 36);
  EXPECT_EQ(mounts[0].parent_id, 35);
  EXPECT_EQ(mounts[0].device, "98:0");
  EXPECT_EQ(mounts[0].root, "/mnt1");
  EXPECT_EQ(mounts[0].mount_point, "/mnt2");
  EXPECT_TRUE(mounts[0].shared);
  EXPECT_TRUE(mounts[0].seclabel);
  EXPECT_EQ(mounts[0].filesystem, "ext3");
  EXPECT_EQ(mounts[0].source, "/dev/root");
}

TEST(MountinfoTest, TellsAnOverlayWithAnUpperLayer) {
  auto mounts = Parse(
      "1 0 0:1 / /a rw - overlay x rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
      "2 0 0:2 / /b ro - overlay x ro,lowerdir=/l:/m\n"
      "3 0 0:3 / /c rw - fuse x rw,upperdir=/u\n");
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_TRUE(mounts[0].upper_layer);
  EXPECT_FALSE(mounts[1].upper_layer);
  EXPECT_FALSE(mounts[2].upper_layer);
}

TEST(MountinfoTest, UndoesOctalEscapes) {
  auto mounts = Parse("1 0 0:1 /a\\040b\\011c\\012d\\134e /x\\0431\\04 rw - tmpfs a\\040b rw\n");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].root, "/a b\tc\nd\\e");
  EXPECT_EQ(mounts[0].mount_point, "/x#1\\04");
  EXPECT_EQ(mounts[0].source, "a b");
}

TEST(MountinfoTest, AcceptsNoOptionalFieldAndAnEmptySource) {
  auto mounts = Parse("1 0 0:1 / / rw - tmpfs  rw\n\n2 1 0:2 / /a rw - proc proc rw");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_FALSE(mounts[0].shared);
  EXPECT_EQ(mounts[0].source, "");
  EXPECT_EQ(mounts[1].mount_point, "/a");
}

TEST(MountinfoTest, OnlyMasterIsNotShared) {
  EXPECT_FALSE(Parse("1 0 0:1 / / rw master:3 - tmpfs t rw\n")[0].shared);
}

TEST(MountinfoTest, RefusesLinesOfAnotherShape) {
  for (const char* text : {"garbage\n", "1 0 0:1 / / rw tmpfs t rw\n", "x 0 0:1 / / rw - t t rw\n",
                           "1 0 0:1 / / rw - tmpfs\n", "1\n"}) {
    Result<std::vector<MountEntry>> mounts = ParseMountinfo(text);
    ASSERT_FALSE(mounts.has_value()) << text;
    EXPECT_EQ(mounts.error().code, Code::kInternal);
  }
}

constexpr std::string_view kNode =
    "20 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n"
    "21 20 8:2 / /var rw shared:2 - ext4 /dev/b rw\n"
    "22 21 8:3 / /var/lib/weighhouse rw shared:3 - xfs /dev/c rw\n"
    "30 21 8:3 /trees/files/x /var/lib/kubelet/p/mount ro - xfs /dev/c rw\n"
    "31 30 8:3 /trees/files/y /var/lib/kubelet/p/mount ro - xfs /dev/c rw\n";

TEST(MountinfoTest, CoveringMountIsTheDeepest) {
  auto mounts = Parse(kNode);
  EXPECT_EQ(CoveringMount(mounts, "/")->id, 20);
  EXPECT_EQ(CoveringMount(mounts, "/variable")->id, 20);
  EXPECT_EQ(CoveringMount(mounts, "/var/lib/kubelet")->id, 21);
  EXPECT_EQ(CoveringMount(mounts, "/var/lib/weighhouse/trees")->id, 22);
}

TEST(MountinfoTest, OfStackedMountsTheTopmostCounts) {
  auto mounts = Parse(kNode);
  EXPECT_EQ(MountAt(mounts, "/var/lib/kubelet/p/mount")->id, 31);
  EXPECT_EQ(MountAt(mounts, "/var/lib/kubelet/p"), nullptr);
}

TEST(MountinfoTest, AMountBelowALaterOneIsHidden) {
  auto mounts = Parse(std::string(kNode) + "40 21 8:9 / /var/lib rw - tmpfs t rw\n");
  EXPECT_EQ(CoveringMount(mounts, "/var/lib/weighhouse")->id, 40);
  EXPECT_EQ(MountAt(mounts, "/var/lib/kubelet/p/mount"), nullptr);
}

TEST(MountinfoTest, ACircleOfParentsEnds) {
  auto mounts = Parse("1 2 0:1 / /a rw - t t rw\n2 1 0:1 / /a rw - t t rw\n");
  EXPECT_EQ(CoveringMount(mounts, "/a"), nullptr);
  mounts = Parse(
      "5 1 0:1 / / rw - t t rw\n6 5 0:1 / /a rw - t t rw\n7 6 0:1 / /a rw - t t rw\n"
      "6 7 0:1 / /a rw - t t rw\n");
  EXPECT_NE(CoveringMount(mounts, "/a"), nullptr);
}

TEST(MountinfoTest, BelowIsByComponent) {
  EXPECT_TRUE(IsAtOrBelow("/a/b", "/a"));
  EXPECT_TRUE(IsAtOrBelow("/a", "/a"));
  EXPECT_TRUE(IsAtOrBelow("/a", "/"));
  EXPECT_FALSE(IsAtOrBelow("/ab", "/a"));
  EXPECT_FALSE(IsAtOrBelow("/", "/a"));
}

}  // namespace
}  // namespace weighhouse::csi
