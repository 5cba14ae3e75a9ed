#include "agent/node_labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "agent/model_id.h"

namespace weighhouse::agent {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::string Label(const std::string& model) {
  return std::string(kLabelPrefix) + ModelIdOf(model).value();
}

void Add(pb::ListResponse& list, std::initializer_list<const char*> references,
         pb::Snapshot::State state = pb::Snapshot::COMPLETE) {
  pb::Snapshot& snapshot = *list.add_snapshots();
  for (const char* reference : references) snapshot.add_references(reference);
  snapshot.set_state(state);
}

TEST(WantedLabelsTest, AreOfCompleteModelsTheLastUsedFirst) {
  pb::ListResponse list;
  Add(list, {"hf://a/filling"}, pb::Snapshot::FILLING);
  Add(list, {"hf://a/one", "hf://a/one@v1"});
  Add(list, {"hf://a/half"}, pb::Snapshot::INCOMPLETE);
  Add(list, {"hf://a/two"});
  EXPECT_THAT(
      WantedLabels(list, 64),
      UnorderedElementsAre(Label("hf://a/one"), Label("hf://a/one@v1"), Label("hf://a/two")));
  EXPECT_THAT(WantedLabels(list, 1), ElementsAre(Label("hf://a/one")));
  EXPECT_THAT(WantedLabels(list, 0), IsEmpty());
}

TEST(WantedLabelsTest, HaveNoPlaceForWhatIsNoReference) {
  pb::ListResponse list;
  Add(list, {"???", "hf://a/one"});
  EXPECT_THAT(WantedLabels(list, 1), ElementsAre(Label("hf://a/one")));
}

TEST(LabelPatchTest, NamesOnlyWhatChangesAndOnlyOurs) {
  std::string gone = Label("hf://a/gone"), stays = Label("hf://a/stays"),
              wrong = Label("hf://a/wrong"), added = Label("hf://a/added");
  json node = {{"metadata",
                {{"labels",
                  {{gone, "cached"},
                   {stays, "cached"},
                   {wrong, "no"},
                   {"kubernetes.io/hostname", "n"},
                   {"other.model.csi.weighhouse.dev/x", "cached"}}}}}};
  Result<std::string> patch = LabelPatch({stays, wrong, added}, node.dump());
  EXPECT_EQ(
      json::parse(patch.value()),
      (json{{"metadata", {{"labels", {{gone, nullptr}, {wrong, "cached"}, {added, "cached"}}}}}}));
}

TEST(LabelPatchTest, IsNoneWhereNothingChanges) {
  std::string label = Label("hf://a/one");
  json node = {{"metadata", {{"labels", {{label, "cached"}}}}}};
  EXPECT_EQ(LabelPatch({label}, node.dump()).value(), "");
  EXPECT_EQ(LabelPatch({}, R"({"metadata":{"name":"n"}})").value(), "");
}

TEST(LabelPatchTest, RefusesWhatIsNoNode) {
  for (const char* other : {"", "[]", "{}", R"({"metadata":1})"}) {
    EXPECT_EQ(LabelPatch({}, other).error().code, Code::kInvalidArgument) << other;
  }
  EXPECT_EQ(LabelPatch({}, R"({"metadata":{"labels":null}})").value(), "");
}

}  // namespace
}  // namespace weighhouse::agent
