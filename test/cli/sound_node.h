#pragma once

#include <linux/magic.h>

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/doctor_finding.h"
#include "cli/doctor_judgements.h"

/// What the tests of `doctor` have in common: facts that are well, and questions about findings.
namespace weighhouse::cli {

/// A node on which nothing is wrong.
inline Facts SoundNode() {
  Facts facts;
  facts.configuration = {.file = "/etc/weighhouse/config.yaml", .present = true};
  facts.kernel = {.release = "6.1.0-13-amd64", .huge_pages = "madvise", .has_overlay = true};
  facts.limits = {.daemon = 12, .memory_locked = 8 * kMiB, .open_files = 1024};
  facts.daemon_uid = 64100;
  facts.root = "/cache";
  facts.root_facts = RootFacts{.path = "/cache",
                               .is_directory = true,
                               .owner = 64100,
                               .mode = 0755,
                               .device = 7,
                               .inode = 2,
                               .filesystem = EXT4_SUPER_MAGIC,
                               .total = 100 * kGiB,
                               .free = 50 * kGiB,
                               .inodes = 100'000,
                               .inodes_free = 90'000,
                               .has_cache = true};
  facts.probe = ProbeFacts{.uid = 64100, .read_back = true};
  facts.kubelet_dir = "/var/lib/kubelet";
  facts.kubelet =
      KubeletFacts{.path = "/var/lib/kubelet", .device = 8, .mount_point = "/", .shared = true};
  facts.admin_path = "/run/weighhouse/admin.sock";
  facts.node_path = "/run/weighhouse/node.sock";
  SocketFacts socket{.path = facts.admin_path, .is_socket = true, .owner = 64100, .mode = 0660};
  socket.info.emplace();
  socket.info->set_root_device(7);
  socket.info->set_root_inode(2);
  facts.admin = socket;
  facts.node = socket;
  facts.authorities = {.file = "/ca.pem", .certificates = 140};
  facts.source_url = "https://hub.example";
  facts.source = SourceFacts{.url = "https://hub.example/",
                             .encrypted = true,
                             .status = 200,
                             .ahead = std::chrono::seconds(1)};
  facts.built = std::chrono::sys_seconds(std::chrono::seconds(1'700'000'000));
  facts.now = facts.built + std::chrono::seconds(86'400);
  return facts;
}

/// The finding of that name; one that fails the test if there is none.
inline Finding Named(const Findings& findings, std::string_view name) {
  for (const Finding& finding : findings) {
    if (finding.name == name) return finding;
  }
  ADD_FAILURE() << "no check called " << name;
  return {};
}

/// All findings that aren't ok, as "state name".
inline std::vector<std::string> Wrong(const Findings& findings) {
  std::vector<std::string> wrong;
  for (const Finding& finding : findings) {
    if (finding.state != CheckState::kOk)
      wrong.push_back(std::string(StateName(finding.state)) + " " + finding.name);
  }
  return wrong;
}

inline void ExpectIs(const Finding& finding, CheckState state, std::string_view value,
                     std::string_view remedy) {
  EXPECT_EQ(StateName(finding.state), StateName(state)) << finding.name << ": " << finding.value;
  EXPECT_THAT(finding.value, testing::HasSubstr(value));
  EXPECT_THAT(finding.remedy, testing::HasSubstr(remedy));
  EXPECT_EQ(finding.remedy.empty(), state == CheckState::kOk || state == CheckState::kSkip)
      << finding.remedy;
}

}  // namespace weighhouse::cli
