#include "csi/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::MatchesRegex;
using testing::Pair;

TEST(NodeTopologyTest, TheValueIsTheNodesIdWhereALabelHoldsIt) {
  for (const std::string& id : {std::string("node-1"), std::string("ip-10-0-0-1.ec2.internal"),
                                std::string("A_b.c"), std::string("7"), std::string(63, 'x')}) {
    EXPECT_THAT(NodeTopology::Of("csi.weighhouse.dev", id).ToMessage().segments(),
                ElementsAre(Pair("topology.csi.weighhouse.dev/node", id)));
  }
}

TEST(NodeTopologyTest, OtherwiseItIsADigestThatIsTheSameEachTime) {
  for (const std::string& id : {std::string(64, 'x'), std::string("node-"), std::string("-node"),
                                std::string("a/b"), std::string("a:b"), std::string("node.")}) {
    NodeTopology topology = NodeTopology::Of("csi.weighhouse.dev", id);
    EXPECT_THAT(topology.value, MatchesRegex("[0-9a-f]{40}")) << id;
    EXPECT_EQ(topology.value, NodeTopology::Of("csi.weighhouse.dev", id).value);
    EXPECT_NE(topology.value, NodeTopology::Of("csi.weighhouse.dev", id + "y").value);
  }
}

TEST(NodeTopologyTest, TheKeyIsTheDriversOwn) {
  EXPECT_EQ(NodeTopology::Of("models.example.org", "n").key, "topology.models.example.org/node");
}

TEST(NodeTopologyTest, AnEmptyTopologyOrRequirementIsEverywhere) {
  NodeTopology node = NodeTopology::Of("csi.weighhouse.dev", "n");
  EXPECT_TRUE(node.IsIn({}));
  EXPECT_TRUE(node.Satisfies({}));
}

TEST(NodeTopologyTest, ARequirementNeedsOneOfItsTopologies) {
  NodeTopology node = NodeTopology::Of("csi.weighhouse.dev", "n");
  NodeTopology other = NodeTopology::Of("csi.weighhouse.dev", "m");
  ::csi::v1::TopologyRequirement requirement;
  *requirement.add_preferred() = other.ToMessage();
  EXPECT_TRUE(node.Satisfies(requirement)) << "a preference requires nothing";
  *requirement.add_requisite() = other.ToMessage();
  EXPECT_FALSE(node.Satisfies(requirement));
  *requirement.add_requisite() = node.ToMessage();
  EXPECT_TRUE(node.Satisfies(requirement));
  (*requirement.mutable_requisite(1)->mutable_segments())["example.org/zone"] = "z";
  EXPECT_FALSE(node.Satisfies(requirement)) << "this node knows nothing of zones";
}

}  // namespace
}  // namespace weighhouse::csi
