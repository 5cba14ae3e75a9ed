#pragma once

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse::csi {

/// A test of real mounts. The whole program runs in a mount namespace of its own, from before its
/// first test, so nothing it mounts shows outside or outlives it; the host's mounts may be private
/// or shared. Skips without root.
class RootTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// A directory that is a shared mount, as the kubelet root is on a node. Canonical.
  const std::filesystem::path& shared() const { return shared_; }
  /// Turns it private.
  void MakePrivate() const;

 private:
  TemporaryDirectory directory_;
  std::filesystem::path shared_;
};

}  // namespace weighhouse::csi
