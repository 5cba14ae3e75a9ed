#include "test/csi/private_namespace.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weighhouse::csi {
namespace {

/// Enters the namespace while the program has one thread: threads made later are in it too.
class PrivateNamespace final : public testing::Environment {
 public:
  void SetUp() override {
    if (geteuid() != 0) return;
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << std::strerror(errno);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << std::strerror(errno);
  }
};

[[maybe_unused]] const auto* const kEnvironment =
    testing::AddGlobalTestEnvironment(new PrivateNamespace);

}  // namespace

void RootTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "mounting needs root";
  shared_ = std::filesystem::canonical(directory_.path());
  ASSERT_EQ(mount(shared_.c_str(), shared_.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(mount("none", shared_.c_str(), nullptr, MS_SHARED, nullptr), 0);
}

void RootTest::TearDown() {
  if (!shared_.empty()) umount2(shared_.c_str(), MNT_DETACH);
}

void RootTest::MakePrivate() const {
  ASSERT_EQ(mount("none", shared_.c_str(), nullptr, MS_PRIVATE, nullptr), 0);
}

}  // namespace weighhouse::csi
