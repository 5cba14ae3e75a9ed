#include "cache-daemon/source/local_path.h"

#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class LocalPathTest : public testing::Test {
 protected:
  LocalPathTest() : root_((fs::canonical(directory_.path()) / "root").string()) {
    fs::create_directory(root_);
    Write("model/config.json", "{}");
    Write("model/sub/a.safetensors", "weights");
  }
  void Write(const std::string& path, std::string_view content) {
    WriteTestFile(fs::path(root_) / path, content);
  }
  ModelReference ReferenceTo(const std::string& path) const {
    return {.uri = "file://" + root_ + "/" + path};
  }
  Result<Listing> Resolve(const std::string& path) {
    return Source().Resolve(ReferenceTo(path), {}, {});
  }
  Code CodeOf(const std::string& path) {
    auto listing = Resolve(path);
    return listing ? Code{} : listing.error().code;
  }
  LocalPath Source() const { return LocalPath({root_}); }

  TemporaryDirectory directory_;
  const std::string root_;
};

std::vector<std::string> PathsOf(const Listing& listing) {
  std::vector<std::string> paths;
  for (const ListedFile& file : listing.files) paths.push_back(file.path);
  return paths;
}

TEST_F(LocalPathTest, ListsADirectoryWithAllBelow) {
  auto listing = Resolve("model");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_THAT(PathsOf(*listing), ElementsAre("config.json", "sub/a.safetensors"));
  EXPECT_EQ(listing->origin, "file://" + root_ + "/model");
  EXPECT_EQ(listing->files[1].size, 7U);
  EXPECT_EQ(listing->files[1].identity.kind, FileIdentity::Kind::kVersionToken);
  EXPECT_TRUE(listing->anonymous);
}

TEST_F(LocalPathTest, ListsASingleFile) {
  auto listing = Resolve("model/sub/a.safetensors");
  ASSERT_TRUE(listing);
  EXPECT_THAT(PathsOf(*listing), ElementsAre("a.safetensors"));
  auto location =
      Source().Locate(ReferenceTo("model/sub/a.safetensors"), *listing, listing->files[0], {}, {});
  ASSERT_TRUE(location);
  EXPECT_EQ(location->url, "file://" + root_ + "/model/sub/a.safetensors");
}

TEST_F(LocalPathTest, LeavesCachesAndGitsFilesOut) {
  Write("model/.gitattributes", "x");
  Write("model/.git/HEAD", "x");
  Write("model/.cache/huggingface/x", "x");
  Write("model/.hidden", "x");
  EXPECT_THAT(PathsOf(Resolve("model").value()),
              ElementsAre(".hidden", "config.json", "sub/a.safetensors"));
}

TEST_F(LocalPathTest, GivesAnotherRevisionForAnotherContent) {
  std::string before = Resolve("model")->revision;
  EXPECT_EQ(Resolve("model")->revision, before);
  Write("model/config.json", "{} ");
  EXPECT_NE(Resolve("model")->revision, before);
}

TEST_F(LocalPathTest, FollowsLinksBelowTheRoot) {
  Write("blobs/b1", "12345");
  fs::create_directories(fs::path(root_) / "snapshots/c");
  fs::create_symlink("../../blobs/b1", fs::path(root_) / "snapshots/c/model.bin");
  fs::create_directory_symlink("../../model", fs::path(root_) / "snapshots/c/more");
  auto listing = Resolve("snapshots/c");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_THAT(PathsOf(*listing),
              ElementsAre("model.bin", "more/config.json", "more/sub/a.safetensors"));
  auto location = Source().Locate(ReferenceTo("snapshots/c"), *listing, listing->files[0], {}, {});
  ASSERT_TRUE(location);
  EXPECT_EQ(location->url, "file://" + root_ + "/blobs/b1") << "the transport follows no links";
}

TEST_F(LocalPathTest, RefusesLinksThatLeaveTheRoot) {
  WriteTestFile(directory_ / "secret", "x");
  fs::create_symlink(directory_ / "secret", fs::path(root_) / "model/link");
  auto listing = Resolve("model");
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  EXPECT_THAT(listing.error().message, HasSubstr("leads out of"));
  EXPECT_EQ(CodeOf("model/link"), Code::kPermissionDenied);
}

TEST_F(LocalPathTest, RefusesLinksThatLoop) {
  fs::create_directory_symlink(".", fs::path(root_) / "model/loop");
  EXPECT_EQ(CodeOf("model"), Code::kInvalidArgument);
}

TEST_F(LocalPathTest, RefusesFifosAndBrokenLinks) {
  ASSERT_EQ(mkfifo((root_ + "/model/fifo").c_str(), 0600), 0);
  EXPECT_EQ(CodeOf("model"), Code::kInvalidArgument);
  fs::remove(root_ + "/model/fifo");
  fs::create_symlink("nowhere", root_ + "/model/broken");
  EXPECT_EQ(CodeOf("model"), Code::kNotFound);
}

TEST_F(LocalPathTest, RefusesHostileNames) {
  Write("model/a\nb", "x");
  EXPECT_EQ(CodeOf("model"), Code::kInvalidArgument);
}

TEST_F(LocalPathTest, RefusesEmptyDirectoriesAndMissingOnes) {
  fs::create_directory(root_ + "/empty");
  EXPECT_EQ(CodeOf("empty"), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf("missing"), Code::kNotFound);
}

TEST_F(LocalPathTest, RefusesAllOutsideOfItsRootsAlike) {
  for (const std::string& uri :
       {std::string("file:///etc/passwd"), std::string("file:///no/such/file"),
        "file://" + root_ + "-other/x", "file://" + root_ + "/../secret"}) {
    auto listing = Source().Resolve({.uri = uri}, {}, {});
    ASSERT_FALSE(listing) << uri;
    bool refused = listing.error().code == Code::kPermissionDenied || uri.ends_with("/../secret");
    EXPECT_TRUE(refused) << uri;
  }
  EXPECT_EQ(LocalPath({}).Resolve(ReferenceTo("model"), {}, {}).error().code,
            Code::kPermissionDenied);
}

TEST_F(LocalPathTest, TakesARootThatIsALink) {
  fs::create_directory_symlink(root_, directory_ / "alias");
  std::string alias = (directory_ / "alias").string();
  auto listing = LocalPath({alias}).Resolve({.uri = "file://" + alias + "/model"}, {}, {});
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->origin, "file://" + root_ + "/model");
}

TEST_F(LocalPathTest, NoticesAFileThatChangedSinceItWasListed) {
  Listing listing = Resolve("model").value();
  Write("model/config.json", "{\"a\":1}");
  auto location = Source().Locate(ReferenceTo("model"), listing, listing.files[0], {}, {});
  ASSERT_FALSE(location);
  EXPECT_EQ(location.error().code, Code::kOutOfRange);
  EXPECT_TRUE(Source().Locate(ReferenceTo("model"), listing, listing.files[1], {}, {}));
}

TEST_F(LocalPathTest, StopsWhenAsked) {
  std::stop_source stop;
  stop.request_stop();
  auto listing = Source().Resolve(ReferenceTo("model"), {}, stop.get_token());
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kCancelled);
}

TEST_F(LocalPathTest, TakesTheDigestsOfASha256SumsAndLeavesItOut) {
  const std::string sha(64, 'a');
  Write("model/SHA256SUMS", sha + "  ./sub/a.safetensors\n" + sha + "  .gitattributes\n");
  auto listing = Resolve("model");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_THAT(PathsOf(*listing), ElementsAre("config.json", "sub/a.safetensors"));
  EXPECT_EQ(listing->files[0].identity.kind, FileIdentity::Kind::kVersionToken);
  EXPECT_EQ(listing->files[1].identity, (FileIdentity{FileIdentity::Kind::kSha256, sha}));
  EXPECT_TRUE(Source().Locate(ReferenceTo("model"), *listing, listing->files[1], {}, {}));
  Write("model/sub/a.safetensors", "longer weights");
  auto location = Source().Locate(ReferenceTo("model"), *listing, listing->files[1], {}, {});
  ASSERT_FALSE(location);
  EXPECT_EQ(location.error().code, Code::kOutOfRange);
}

TEST_F(LocalPathTest, TakesTheDigestBesideOneFile) {
  const std::string sha(64, 'b');
  Write("model/sub/SHA256SUMS", sha + " *a.safetensors\n" + sha + "  gone\n");
  auto listing = Resolve("model/sub/a.safetensors");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->files[0].identity, (FileIdentity{FileIdentity::Kind::kSha256, sha}));
  auto above = LocalPath({root_ + "/model/sub/a.safetensors"})
                   .Resolve(ReferenceTo("model/sub/a.safetensors"), {}, {});
  ASSERT_TRUE(above) << above.error().message;
  EXPECT_EQ(above->files[0].identity.kind, FileIdentity::Kind::kVersionToken);
}

TEST_F(LocalPathTest, RefusesASha256SumsThatIsntTrueOrLeadsOut) {
  Write("model/SHA256SUMS", std::string(64, 'a') + "  missing.bin\n");
  auto listing = Resolve("model");
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(listing.error().message, HasSubstr("'missing.bin', which isn't there"));
  Write("model/SHA256SUMS", "nonsense\n");
  EXPECT_EQ(CodeOf("model"), Code::kInvalidArgument);
  WriteTestFile(directory_ / "outside", std::string(64, 'a') + "  config.json\n");
  fs::remove(fs::path(root_) / "model/SHA256SUMS");
  fs::create_symlink(directory_ / "outside", fs::path(root_) / "model/SHA256SUMS");
  EXPECT_EQ(CodeOf("model"), Code::kInvalidArgument);
}

}  // namespace
}  // namespace weighhouse::source
