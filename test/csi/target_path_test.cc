#include "csi/target_path.h"

#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::csi {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::string_view kRoot = "/var/lib/kubelet";

TEST(TargetPathTest, ReadsKubeletsForm) {
  auto target = TargetPath::Parse(
      "/var/lib/kubelet/pods/3f-uid/volumes/kubernetes.io~csi/model/mount", kRoot);
  ASSERT_TRUE(target.has_value()) << target.error().message;
  EXPECT_EQ(target->pod_uid, "3f-uid");
  EXPECT_EQ(target->parent, "pods/3f-uid/volumes/kubernetes.io~csi/model");
  EXPECT_EQ(target->name, "mount");
}

TEST(TargetPathTest, AcceptsOtherPlacesBelowTheRootWithoutAPod) {
  auto target = TargetPath::Parse("/var/lib/kubelet/sanity/target", kRoot);
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(target->pod_uid, "");
  EXPECT_EQ(target->parent, "sanity");
  target = TargetPath::Parse("/var/lib/kubelet/target", kRoot);
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(target->parent, ".");
}

TEST(TargetPathTest, RefusesWhatIsNotBelowTheRoot) {
  for (const std::string& path :
       {std::string("/etc/target"), std::string("/var/lib/kubelet"),
        std::string("/var/lib/kubelet2/t"), std::string("relative/path"),
        std::string("/var/lib/kubelet/../t"), std::string("/var/lib/kubelet/pods/../../../etc"),
        std::string("/var/lib/kubelet/./t"), std::string("/var/lib/kubelet//t"),
        std::string("/var/lib/kubelet/t/"), std::string("/"), std::string(),
        "/var/lib/kubelet/" + std::string(5000, 'x'), std::string("/var/lib/kubelet/a\0b", 19)}) {
    auto target = TargetPath::Parse(path, kRoot);
    ASSERT_FALSE(target.has_value()) << path;
    EXPECT_EQ(target.error().code, Code::kInvalidArgument);
  }
}

TEST(TargetPathTest, TheLeaseIsTheDigestOfThePath) {
  auto target = TargetPath::Parse("/var/lib/kubelet/target", kRoot);
  EXPECT_EQ(target->LeaseId(), Digest::Of("/var/lib/kubelet/target").Hex());
  EXPECT_EQ(target->LeaseId().size(), 64U);
}

class TargetDirectoryTest : public testing::Test {
 protected:
  TargetDirectoryTest() {
    fs::create_directories(directory_.path() / "root/pods/u");
    fs::create_directories(directory_.path() / "outside");
    auto root = OpenRootDirectory((directory_.path() / "root").string());
    EXPECT_TRUE(root.has_value());
    root_ = std::move(*root);
  }
  TargetPath Target(const std::string& relative) {
    std::string root = (directory_.path() / "root").string();
    return *TargetPath::Parse(root + "/" + relative, root);
  }
  TemporaryDirectory directory_;
  RootDirectory root_;
};

TEST_F(TargetDirectoryTest, MakesTheLastComponentOnly) {
  TargetPath target = Target("pods/u/mount");
  auto parent = OpenTargetParent(root_, target);
  ASSERT_TRUE(parent.has_value());
  ASSERT_TRUE(MakeTarget(parent->get(), target).has_value());
  ASSERT_TRUE(MakeTarget(parent->get(), target).has_value()) << "an empty one is fine";
  EXPECT_TRUE(fs::is_directory(target.path));
  EXPECT_EQ(target.MountPoint(root_), fs::canonical(target.path).string());
  ASSERT_TRUE(RemoveTarget(parent->get(), target).has_value());
  ASSERT_TRUE(RemoveTarget(parent->get(), target).has_value()) << "gone is fine";
  EXPECT_FALSE(fs::exists(target.path));
  EXPECT_EQ(OpenTargetParent(root_, Target("pods/gone/mount")).error().code, Code::kNotFound);
}

TEST_F(TargetDirectoryTest, RefusesASymlinkAnywhere) {
  fs::create_directory_symlink(directory_.path() / "outside", directory_.path() / "root/pods/link");
  auto parent = OpenTargetParent(root_, Target("pods/link/mount"));
  ASSERT_FALSE(parent.has_value());
  EXPECT_EQ(parent.error().code, Code::kInvalidArgument);
  EXPECT_THAT(parent.error().message, HasSubstr("symbolic link"));

  TargetPath target = Target("pods/link");
  parent = OpenTargetParent(root_, target);
  ASSERT_TRUE(parent.has_value());
  EXPECT_EQ(MakeTarget(parent->get(), target).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(fs::is_symlink(target.path)) << "left alone";
}

TEST_F(TargetDirectoryTest, RefusesADirectoryWithFilesAndKeepsThem) {
  TargetPath target = Target("pods/u/mount");
  WriteTestFile(fs::path(target.path) / "precious", "x");
  auto parent = OpenTargetParent(root_, target);
  ASSERT_TRUE(parent.has_value());
  EXPECT_EQ(MakeTarget(parent->get(), target).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(RemoveTarget(parent->get(), target).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(ReadTestFile(fs::path(target.path) / "precious"), "x");
}

TEST_F(TargetDirectoryTest, AFileInItsPlaceIsRefused) {
  TargetPath target = Target("pods/u/mount");
  WriteTestFile(target.path, "x");
  auto parent = OpenTargetParent(root_, target);
  EXPECT_EQ(MakeTarget(parent->get(), target).error().code, Code::kInvalidArgument);
  EXPECT_EQ(RemoveTarget(parent->get(), target).error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace weighhouse::csi
