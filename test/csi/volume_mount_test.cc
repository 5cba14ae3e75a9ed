#include "csi/volume_mount.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using Kind = VolumeMounts::Kind;

const std::string kId(64, 'a');
const std::string kTarget = "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/m/mount";

/// A node whose cache lies at /var/lib/weighhouse on the root filesystem.
VolumeMounts Node(const std::string& lines, const std::string& cache_root = "/var/lib/weighhouse") {
  Result<std::vector<MountEntry>> mounts =
      ParseMountinfo("20 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n" + lines);
  EXPECT_TRUE(mounts.has_value());
  return VolumeMounts(*mounts, cache_root);
}

std::string Bind(const std::string& device, const std::string& root, const std::string& point) {
  return "50 20 " + device + " " + root + " " + point + " ro - ext4 /dev/a rw\n";
}

TEST(VolumeMountTest, ATreeHasTheFormOfOne) {
  EXPECT_TRUE(IsTreePath("trees/files/" + kId));
  EXPECT_TRUE(IsTreePath("trees/hub/" + kId));
  EXPECT_TRUE(IsTreePath("trees/files/" + kId + "-2"));
  EXPECT_TRUE(IsTreePath("trees/hub/" + kId + "-10"));
  for (const std::string& wrong :
       {"trees/files/" + kId + "/x", "trees/files/" + kId + "a", "trees/files/" + kId + "-",
        "trees/files/" + kId + "-0", "trees/files/" + kId + "-2x", "trees/files/" + kId + "-2/x",
        "trees/files/" + kId + "-1234567890", "/trees/files/" + kId, "trees/files/../files/" + kId,
        "trees/other/" + kId, std::string("trees/files/"), "trees/files/" + std::string(64, 'A'),
        std::string()}) {
    EXPECT_FALSE(IsTreePath(wrong)) << wrong;
  }
}

TEST(VolumeMountTest, FindsAVolumeOfACacheInsideTheRootFilesystem) {
  auto node = Node(Bind("8:1", "/var/lib/weighhouse/trees/files/" + kId, kTarget));
  EXPECT_EQ(node.At(kTarget).kind, Kind::kVolume);
  EXPECT_EQ(node.At(kTarget).tree, "trees/files/" + kId);
}

TEST(VolumeMountTest, FindsAVolumeOfACacheOnItsOwnFilesystem) {
  auto node = Node("21 20 8:7 / /var/lib/weighhouse rw - xfs /dev/n rw\n" +
                   Bind("8:7", "/trees/hub/" + kId, kTarget));
  EXPECT_EQ(node.At(kTarget).tree, "trees/hub/" + kId);
}

TEST(VolumeMountTest, FindsAVolumeOfACacheThatIsBoundElsewhere) {
  auto node = Node("21 20 8:7 /disk/cache /cache rw - xfs /dev/n rw\n" +
                       Bind("8:7", "/disk/cache/trees/files/" + kId, kTarget),
                   "/cache");
  EXPECT_EQ(node.At(kTarget).tree, "trees/files/" + kId);
}

TEST(VolumeMountTest, FindsAnOverlayByItsSource) {
  auto node =
      Node("50 20 0:33 / " + kTarget + " ro - overlay weighhouse:trees/files/" + kId + " ro\n");
  EXPECT_EQ(node.At(kTarget).tree, "trees/files/" + kId);
  node = Node("50 20 0:33 / " + kTarget + " ro - overlay overlay ro\n");
  EXPECT_EQ(node.At(kTarget).kind, Kind::kForeign);
}

TEST(VolumeMountTest, TellsOthersApart) {
  EXPECT_EQ(Node("").At(kTarget).kind, Kind::kNone);
  EXPECT_EQ(Node(Bind("8:2", "/var/lib/weighhouse/trees/files/" + kId, kTarget)).At(kTarget).kind,
            Kind::kForeign);
  EXPECT_EQ(Node(Bind("8:1", "/var/lib/weighhouse2/trees/files/" + kId, kTarget)).At(kTarget).kind,
            Kind::kForeign);
  EXPECT_EQ(Node(Bind("8:1", "/var/lib/weighhouse/trees/files/" + kId + "/sub", kTarget))
                .At(kTarget)
                .kind,
            Kind::kForeign);
  EXPECT_EQ(Node(Bind("8:1", "/var/lib/weighhouse/blobs", kTarget)).At(kTarget).kind,
            Kind::kForeign);
}

TEST(VolumeMountTest, ATreeThatIsGoneFromTheDiskIsDead) {
  auto node = Node(Bind("8:1", "/var/lib/weighhouse/trees/files/" + kId + "//deleted", kTarget));
  EXPECT_EQ(node.At(kTarget).kind, Kind::kDead);
  EXPECT_TRUE(node.Below("/var/lib/kubelet").empty());
}

TEST(VolumeMountTest, ListsEachVolumeOnceAndOnlyBelowTheRoot) {
  std::string tree = "/var/lib/weighhouse/trees/files/" + kId;
  auto node = Node("50 20 8:1 " + tree + " " + kTarget + " ro - ext4 /dev/a rw\n" + "51 50 8:1 " +
                   tree + " " + kTarget + " ro - ext4 /dev/a rw\n" + "52 20 8:1 " + tree +
                   " /elsewhere ro - ext4 /dev/a rw\n");
  auto volumes = node.Below("/var/lib/kubelet");
  ASSERT_EQ(volumes.size(), 1U);
  EXPECT_EQ(volumes[0].mount_point, kTarget);
}

}  // namespace
}  // namespace weighhouse::csi
