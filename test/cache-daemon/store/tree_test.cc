#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include <gmock/gmock.h>

#include "cache-daemon/store/tree_builder.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

const TestFiles kTreeFiles = {
    {"config.json", "{}"}, {"onnx/model.onnx", "graph"}, {"w.bin", "weights"}};

class TreeTest : public StoreTest {
 protected:
  TreeTest() {
    Open();
    snapshot_ = *Fill(*store_, ListingOf(kTreeFiles), kTreeFiles);
  }
  std::string Tree(Layout layout, const std::string& revision = "") {
    auto tree = store_->EnsureTree(snapshot_.id, layout, revision);
    EXPECT_TRUE(tree.has_value()) << tree.error().message;
    return tree.value_or("");
  }
  /// How many trees there are, of both layouts.
  size_t CountTrees() {
    return disk_.List(Absolute("trees/files"))->size() + disk_.List(Absolute("trees/hub"))->size();
  }
  Snapshot snapshot_;
};

TEST_F(TreeTest, FilesLayoutIsTheModelItself) {
  std::string tree = Tree(Layout::kFiles);
  EXPECT_EQ(tree, "trees/files/" + snapshot_.id);
  EXPECT_EQ(FilesBelow(Absolute(tree)), kTreeFiles);
}

TEST_F(TreeTest, FilesAreLinksToTheBlobsAndDirectoriesAreReadableByAll) {
  std::string tree = Tree(Layout::kFiles);
  std::string blob = Names().Blob(Digest::Of("weights"));
  EXPECT_EQ(disk_.Status(Absolute(tree + "/w.bin"))->inode, disk_.Status(blob)->inode);
  EXPECT_EQ(fs::status(Absolute(tree + "/onnx")).permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(Absolute(tree)).permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(Absolute(tree + "/w.bin")).permissions(), fs::perms(0444));
}

TEST_F(TreeTest, HubLayoutIsAHuggingFaceCache) {
  std::string tree = Tree(Layout::kHub, "main");
  TestFiles files = FilesBelow(Absolute(tree));
  std::string hub = "models--org--name";
  std::string commit(40, 'a');
  EXPECT_EQ(files[hub + "/refs/main"], commit) << "without a line feed";
  EXPECT_EQ(files[hub + "/snapshots/" + commit + "/onnx/model.onnx"], "graph");
  EXPECT_EQ(files.size(), 4u);
  EXPECT_THAT(NamesBelow(Absolute(tree)).front(), hub);
}

TEST_F(TreeTest, HubLayoutNestsReferencesAsTheirNamesDo) {
  std::string tree = Tree(Layout::kHub, "refs/pr/1");
  EXPECT_EQ(ReadTestFile(Absolute(tree + "/models--org--name/refs/refs/pr/1")),
            std::string(40, 'a'));
}

TEST_F(TreeTest, HubTreeOfACommitHasNoReferences) {
  std::string by_commit = Tree(Layout::kHub, std::string(40, 'a'));
  EXPECT_FALSE(fs::exists(Absolute(by_commit + "/models--org--name/refs")));
  EXPECT_EQ(Tree(Layout::kHub, ""), by_commit);
  EXPECT_NE(Tree(Layout::kHub, "main"), by_commit);
}

TEST_F(TreeTest, HubLayoutNeedsAHubModel) {
  TestFiles files = {{"file.gguf", "x"}};
  Listing listing = ListingOf(files, {.origin = "https://host/file.gguf", .repository = ""});
  auto snapshot = Fill(*store_, listing, files);
  auto tree = store_->EnsureTree(snapshot->id, Layout::kHub, "");
  ASSERT_FALSE(tree.has_value());
  EXPECT_EQ(tree.error().code, Code::kInvalidArgument);
  EXPECT_THAT(tree.error().message, HasSubstr("layout hub needs a Hugging Face model"));
  EXPECT_TRUE(store_->EnsureTree(snapshot->id, Layout::kFiles, "").has_value());
}

TEST_F(TreeTest, HubLayoutRefusesAReferenceThatLeavesItsDirectory) {
  for (std::string name : {"../../x", "/etc", "a//b", "a/../b"}) {
    auto tree = store_->EnsureTree(snapshot_.id, Layout::kHub, name);
    ASSERT_FALSE(tree.has_value()) << name;
    EXPECT_EQ(tree.error().code, Code::kInvalidArgument);
  }
}

TEST_F(TreeTest, IsMadeOnceAndFoundAfterARestart) {
  std::string files = Tree(Layout::kFiles);
  std::string hub = Tree(Layout::kHub, "main");
  Reopen();
  int links = filesystem_.Count("Link");
  EXPECT_EQ(Tree(Layout::kFiles), files);
  EXPECT_EQ(Tree(Layout::kHub, "main"), hub);
  EXPECT_EQ(filesystem_.Count("Link"), links);
  EXPECT_EQ(CountTrees(), 2u);
}

TEST_F(TreeTest, IsFoundWhereItIsMadeAndMayBeHandedOut) {
  const auto found = [&](Layout layout, const std::string& revision) {
    return store_->FindTree(snapshot_.id, layout, revision).value_or("");
  };
  EXPECT_EQ(found(Layout::kFiles, ""), "");
  EXPECT_EQ(CountTrees(), 0u);
  std::string hub = Tree(Layout::kHub, "main");
  EXPECT_EQ(found(Layout::kHub, "main"), hub);
  EXPECT_EQ(found(Layout::kHub, ""), "") << "of another reference";
  EXPECT_EQ(found(Layout::kFiles, "main"), "");
  ASSERT_TRUE(store_->Evict(snapshot_.id).has_value());
  EXPECT_EQ(found(Layout::kHub, "main"), "");
}

TEST_F(TreeTest, NamesItsSnapshot) {
  std::string hub = Tree(Layout::kHub, "main");
  EXPECT_EQ(store_->SnapshotOfTree(hub).value(), snapshot_.id);
  EXPECT_EQ(store_->SnapshotOfTree("trees/files/x").error().code, Code::kNotFound);
  EXPECT_EQ(store_->SnapshotOfTree("").error().code, Code::kNotFound);
}

TEST_F(TreeTest, NeedsACompleteKnownSnapshot) {
  auto filling = store_->BeginSnapshot(ListingOf({{"a", "b"}}));
  EXPECT_EQ(store_->EnsureTree(filling->id, Layout::kFiles, "").error().code,
            Code::kFailedPrecondition);
  EXPECT_EQ(store_->EnsureTree(std::string(64, '0'), Layout::kFiles, "").error().code,
            Code::kNotFound);
}

TEST_F(TreeTest, CopiesWhereABlobHasNoLinkLeftToGiveAndCountsIt) {
  Bytes used = store_->Space()->used;
  filesystem_.FailAt({.operation = "Link", .path = "w.bin", .error_number = EMLINK});
  std::string tree = Tree(Layout::kFiles);
  EXPECT_EQ(FilesBelow(Absolute(tree)), kTreeFiles);
  EXPECT_EQ(fs::hard_link_count(Absolute(tree + "/w.bin")), 1u);
  EXPECT_EQ(fs::status(Absolute(tree + "/w.bin")).permissions(), fs::perms(0444));
  EXPECT_EQ(store_->Space()->used, used + 4096);
  Reopen();
  EXPECT_EQ(store_->Space()->used, used + 4096);
  EXPECT_EQ(store_->Evict(snapshot_.id).value(), used + 4096);
}

TEST_F(TreeTest, BlobRemovedByHandMakesTheSnapshotIncompleteAndIsFetchedAgain) {
  fs::remove(Names().Blob(Digest::Of("weights")));
  auto tree = store_->EnsureTree(snapshot_.id, Layout::kFiles, "");
  ASSERT_FALSE(tree.has_value());
  EXPECT_EQ(tree.error().code, Code::kAborted);
  EXPECT_FALSE(store_->FindSnapshot(snapshot_.id)->complete);
  ASSERT_TRUE(Fill(*store_, ListingOf(kTreeFiles), kTreeFiles).has_value());
  EXPECT_EQ(FilesBelow(Absolute(Tree(Layout::kFiles))), kTreeFiles);
  EXPECT_TRUE(NamesBelow(Root() / "quarantine").empty());
}

TEST(PlanTreeTest, ListsEveryDirectoryParentsFirst) {
  Snapshot snapshot;
  snapshot.files = {{.listed = {.path = "a/b/c"}, .blob = Digest::Of("1")},
                    {.listed = {.path = "a/d"}, .blob = Digest::Of("2")}};
  auto plan = PlanTree(snapshot, Layout::kFiles, "");
  ASSERT_TRUE(plan.has_value());
  EXPECT_THAT(plan->directories, ElementsAre("a", "a/b"));
  EXPECT_EQ(plan->links.size(), 2u);
  snapshot.files[0].blob.reset();
  EXPECT_EQ(PlanTree(snapshot, Layout::kFiles, "").error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace weighhouse::store
