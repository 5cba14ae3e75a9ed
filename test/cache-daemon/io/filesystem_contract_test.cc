// What every Filesystem promises: run over the real one and over each test double.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/io/filesystem.h"
#include "test/cache-daemon/io/fault_filesystem.h"
#include "test/cache-daemon/io/power_loss_filesystem.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

/// One implementation under the contract, with what it stands on.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Filesystem& filesystem() = 0;
};

class PosixSubject : public Subject {
 public:
  Filesystem& filesystem() override { return posix_; }

 private:
  PosixFilesystem posix_;
};

class FaultSubject : public Subject {
 public:
  Filesystem& filesystem() override { return faulty_; }

 private:
  PosixFilesystem posix_;
  FaultFilesystem faulty_{posix_};
};

class PowerLossSubject : public Subject {
 public:
  Filesystem& filesystem() override { return recording_; }

 private:
  PosixFilesystem posix_;
  TemporaryDirectory record_;
  PowerLossFilesystem recording_{posix_, record_.path()};
};

struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Subject>()> make;
};

class FilesystemContract : public testing::TestWithParam<Implementation> {
 protected:
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  void WriteFile(const std::string& name, std::string_view content) {
    ASSERT_TRUE(filesystem_.WriteFile(Path(name), content).has_value());
  }
  std::string Content(const std::string& name) {
    Result<std::string> content = filesystem_.ReadFile(Path(name), kMiB);
    return content ? *content : content.error().message;
  }
  mode_t Mode(const std::string& name) const {
    struct stat status{};
    EXPECT_EQ(::lstat(Path(name).c_str(), &status), 0);
    return status.st_mode & 07777;
  }
  void MakeLink(const std::string& to, const std::string& name) const {
    ASSERT_EQ(::symlink(to.c_str(), Path(name).c_str()), 0);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Subject> subject_ = GetParam().make();
  Filesystem& filesystem_ = subject_->filesystem();
};

template <class T>
void ExpectCode(const Result<T>& result, Code code, std::string_view named) {
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(CodeName(result.error().code), CodeName(code)) << result.error().message;
  EXPECT_THAT(result.error().message, HasSubstr(named));
}

TEST_P(FilesystemContract, CreatesAFileForItsOwnerOnly) {
  Result<OpenedFile> file = filesystem_.CreateFile(Path("data"), IoMode::kBuffered);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->mode, IoMode::kBuffered);
  EXPECT_EQ(Mode("data"), 0600U);
  EXPECT_EQ(::write(file->fd.get(), "abc", 3), 3);
  EXPECT_EQ(Content("data"), "abc");
  EXPECT_NE(::fcntl(file->fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(FilesystemContract, OpensWhatIsThereForWriting) {
  WriteFile("data", "old");
  Result<OpenedFile> file = filesystem_.OpenForWrite(Path("data"), IoMode::kBuffered);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(::pwrite(file->fd.get(), "N", 1, 0), 1);
  EXPECT_EQ(Content("data"), "Nld") << "neither truncated nor made anew";
  ExpectCode(filesystem_.OpenForWrite(Path("missing"), IoMode::kDirect), Code::kNotFound,
             "missing");
  MakeLink(Path("data"), "link");
  EXPECT_FALSE(filesystem_.OpenForWrite(Path("link"), IoMode::kBuffered).has_value());
}

TEST_P(FilesystemContract, RefusesToCreateWhatIsThere) {
  WriteFile("data", "old");
  ExpectCode(filesystem_.CreateFile(Path("data"), IoMode::kDirect), Code::kAlreadyExists,
             Path("data"));
  EXPECT_EQ(Content("data"), "old");
}

TEST_P(FilesystemContract, CreatesNothingThroughADanglingLink) {
  MakeLink(Path("elsewhere"), "link");
  ExpectCode(filesystem_.CreateFile(Path("link"), IoMode::kBuffered), Code::kAlreadyExists, "link");
  ExpectCode(filesystem_.Status(Path("elsewhere")), Code::kNotFound, "elsewhere");
}

TEST_P(FilesystemContract, SaysWhetherItWritesDirectly) {
  Result<OpenedFile> file = filesystem_.CreateFile(Path("data"), IoMode::kDirect);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  bool direct = (::fcntl(file->fd.get(), F_GETFL) & O_DIRECT) != 0;
  EXPECT_EQ(direct, file->mode == IoMode::kDirect);
}

TEST_P(FilesystemContract, FollowsNoLinkWhenItOpensReadsOrWrites) {
  WriteFile("secret", "untouched");
  MakeLink("secret", "link");
  EXPECT_FALSE(filesystem_.OpenForRead(Path("link"), IoMode::kBuffered).has_value());
  EXPECT_FALSE(filesystem_.ReadFile(Path("link"), kMiB).has_value());
  EXPECT_FALSE(filesystem_.WriteFile(Path("link"), "changed").has_value());
  EXPECT_FALSE(filesystem_.AppendAndSync(Path("link"), "changed").has_value());
  EXPECT_FALSE(filesystem_.SyncFile(Path("link")).has_value());
  EXPECT_EQ(Content("secret"), "untouched");
}

TEST_P(FilesystemContract, FollowsNoLinkToADirectory) {
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("real")).has_value());
  MakeLink("real", "link");
  EXPECT_FALSE(filesystem_.List(Path("link")).has_value());
  EXPECT_FALSE(filesystem_.SyncDirectory(Path("link")).has_value());
  EXPECT_FALSE(filesystem_.RemoveDirectory(Path("link")).has_value());
}

TEST_P(FilesystemContract, AllocatesSpaceThatReadsAsZeros) {
  OpenedFile file = *filesystem_.CreateFile(Path("data"), IoMode::kBuffered);
  ASSERT_TRUE(filesystem_.Allocate(file.fd.get(), 3 * kMiB, Path("data")).has_value());
  Result<FileStatus> status = filesystem_.Status(Path("data"));
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->size, 3 * kMiB);
  EXPECT_GE(status->allocated, 3 * kMiB);
  std::array<char, 2> bytes = {'x', 'x'};
  EXPECT_EQ(::pread(file.fd.get(), bytes.data(), 2, 2 * kMiB), 2);
  EXPECT_THAT(bytes, testing::Each('\0'));
}

TEST_P(FilesystemContract, AllocatingNeverShortensAndNothingIsFine) {
  OpenedFile file = *filesystem_.CreateFile(Path("data"), IoMode::kBuffered);
  ASSERT_TRUE(filesystem_.Allocate(file.fd.get(), 0, Path("data")).has_value());
  EXPECT_EQ(filesystem_.Status(Path("data"))->size, 0U);
  ASSERT_TRUE(filesystem_.Truncate(file.fd.get(), 8 * kKiB, Path("data")).has_value());
  ASSERT_TRUE(filesystem_.Allocate(file.fd.get(), 4 * kKiB, Path("data")).has_value());
  EXPECT_EQ(filesystem_.Status(Path("data"))->size, 8 * kKiB);
}

TEST_P(FilesystemContract, RefusesSizesThatNoFileCanHave) {
  OpenedFile file = *filesystem_.CreateFile(Path("data"), IoMode::kBuffered);
  ExpectCode(filesystem_.Allocate(file.fd.get(), ~Bytes{0}, Path("data")), Code::kInternal, "data");
  ExpectCode(filesystem_.Truncate(file.fd.get(), ~Bytes{0}, Path("data")), Code::kInternal, "data");
}

TEST_P(FilesystemContract, TruncatesChangesModeAndSyncs) {
  WriteFile("data", "0123456789");
  OpenedFile created = *filesystem_.CreateFile(Path("other"), IoMode::kBuffered);
  ASSERT_TRUE(filesystem_.Truncate(created.fd.get(), 5, Path("other")).has_value());
  EXPECT_EQ(filesystem_.Status(Path("other"))->size, 5U);
  ASSERT_TRUE(filesystem_.ChangeMode(created.fd.get(), 0444, Path("other")).has_value());
  EXPECT_EQ(Mode("other"), 0444U);
  EXPECT_TRUE(filesystem_.SyncData(created.fd.get(), Path("other")).has_value());
  EXPECT_TRUE(filesystem_.SyncFile(Path("other")).has_value());
  EXPECT_TRUE(filesystem_.SyncDirectory(directory_.path()).has_value());
}

TEST_P(FilesystemContract, NamesOperationAndPathOfABadDescriptor) {
  ExpectCode(filesystem_.SyncData(-1, Path("gone")), Code::kInternal, Path("gone"));
  ExpectCode(filesystem_.Truncate(-1, 1, Path("gone")), Code::kInternal, Path("gone"));
  ExpectCode(filesystem_.Allocate(-1, 1, Path("gone")), Code::kInternal, Path("gone"));
  ExpectCode(filesystem_.ChangeMode(-1, 0644, Path("gone")), Code::kInternal, Path("gone"));
}

TEST_P(FilesystemContract, WritesWholeFilesWithModeWhateverTheUmask) {
  mode_t before = ::umask(0077);
  Result<> written = filesystem_.WriteFile(Path("data"), "first and longer");
  Result<> made = filesystem_.MakeDirectory(Path("directory"));
  ::umask(before);
  ASSERT_TRUE(written.has_value());
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(Mode("data"), 0644U);
  EXPECT_EQ(Mode("directory"), 0755U);
  WriteFile("data", "second");
  EXPECT_EQ(Content("data"), "second");
}

TEST_P(FilesystemContract, ReadsUpToTheLimit) {
  std::string content(40000, 'x');
  WriteFile("data", content);
  EXPECT_EQ(*filesystem_.ReadFile(Path("data"), 40000), content);
  ExpectCode(filesystem_.ReadFile(Path("data"), 39999), Code::kOutOfRange, Path("data"));
  WriteFile("empty", "");
  EXPECT_EQ(*filesystem_.ReadFile(Path("empty"), 0), "");
}

TEST_P(FilesystemContract, Appends) {
  ASSERT_TRUE(filesystem_.AppendAndSync(Path("log"), "one\n").has_value());
  ASSERT_TRUE(filesystem_.AppendAndSync(Path("log"), "two\n").has_value());
  EXPECT_EQ(Content("log"), "one\ntwo\n");
}

TEST_P(FilesystemContract, SaysNotFound) {
  std::string missing = Path("missing");
  ExpectCode(filesystem_.OpenForRead(missing, IoMode::kDirect), Code::kNotFound, missing);
  ExpectCode(filesystem_.ReadFile(missing, 10), Code::kNotFound, missing);
  ExpectCode(filesystem_.Rename(missing, Path("b"), Replace::kAllowed), Code::kNotFound, missing);
  ExpectCode(filesystem_.Rename(missing, Path("b"), Replace::kNever), Code::kNotFound, missing);
  ExpectCode(filesystem_.Link(missing, Path("b")), Code::kNotFound, missing);
  ExpectCode(filesystem_.Unlink(missing), Code::kNotFound, missing);
  ExpectCode(filesystem_.RemoveDirectory(missing), Code::kNotFound, missing);
  ExpectCode(filesystem_.SyncDirectory(missing), Code::kNotFound, missing);
  ExpectCode(filesystem_.SyncFile(missing), Code::kNotFound, missing);
  ExpectCode(filesystem_.List(missing), Code::kNotFound, missing);
  ExpectCode(filesystem_.Status(missing), Code::kNotFound, missing);
  ExpectCode(filesystem_.SetModified(missing, {}), Code::kNotFound, missing);
  ExpectCode(filesystem_.SpaceOf(missing), Code::kNotFound, missing);
  ExpectCode(filesystem_.WriteFile(missing + "/x", ""), Code::kNotFound, missing);
  ExpectCode(filesystem_.MakeDirectory(missing + "/x"), Code::kNotFound, missing);
}

TEST_P(FilesystemContract, MakesADirectoryOnce) {
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("a")).has_value());
  EXPECT_EQ(Mode("a"), 0755U);
  ExpectCode(filesystem_.MakeDirectory(Path("a")), Code::kAlreadyExists, Path("a"));
}

TEST_P(FilesystemContract, RenameReplacesOnlyWhereAllowed) {
  WriteFile("new", "new");
  WriteFile("old", "old");
  ExpectCode(filesystem_.Rename(Path("new"), Path("old"), Replace::kNever), Code::kAlreadyExists,
             Path("old"));
  EXPECT_EQ(Content("old"), "old");
  EXPECT_EQ(Content("new"), "new");
  ASSERT_TRUE(filesystem_.Rename(Path("new"), Path("old"), Replace::kAllowed).has_value());
  EXPECT_EQ(Content("old"), "new");
  ASSERT_TRUE(filesystem_.Rename(Path("old"), Path("third"), Replace::kNever).has_value());
  EXPECT_EQ(Content("third"), "new");
}

TEST_P(FilesystemContract, RenamesDirectoriesWithoutReplacingEvenAnEmptyOne) {
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("from")).has_value());
  WriteFile("from/file", "x");
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("empty")).has_value());
  ExpectCode(filesystem_.Rename(Path("from"), Path("empty"), Replace::kNever), Code::kAlreadyExists,
             "empty");
  ASSERT_TRUE(filesystem_.Rename(Path("from"), Path("to"), Replace::kNever).has_value());
  EXPECT_EQ(Content("to/file"), "x");
}

TEST_P(FilesystemContract, OneOfManyRenamesToANameWins) {
  constexpr int kThreads = 8;
  for (int i = 0; i < kThreads; ++i) WriteFile("from" + std::to_string(i), std::to_string(i));
  std::array<bool, kThreads> won{};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([this, i, &won] {
        won[static_cast<size_t>(i)] =
            filesystem_.Rename(Path("from" + std::to_string(i)), Path("to"), Replace::kNever)
                .has_value();
      });
    }
  }
  ASSERT_EQ(std::ranges::count(won, true), 1);
  EXPECT_EQ(Content("to"), std::to_string(std::ranges::find(won, true) - won.begin()));
}

TEST_P(FilesystemContract, LinksShareAnInode) {
  WriteFile("blob", "bytes");
  ASSERT_TRUE(filesystem_.Link(Path("blob"), Path("name")).has_value());
  EXPECT_EQ(filesystem_.Status(Path("blob"))->inode, filesystem_.Status(Path("name"))->inode);
  EXPECT_EQ(filesystem_.Status(Path("blob"))->device, filesystem_.Status(Path("name"))->device);
  ExpectCode(filesystem_.Link(Path("blob"), Path("name")), Code::kAlreadyExists, Path("name"));
  ASSERT_TRUE(filesystem_.Unlink(Path("blob")).has_value());
  EXPECT_EQ(Content("name"), "bytes");
}

TEST_P(FilesystemContract, RemovesNamesAndEmptyDirectoriesOnly) {
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("a")).has_value());
  WriteFile("a/file", "x");
  EXPECT_FALSE(filesystem_.RemoveDirectory(Path("a")).has_value());
  EXPECT_FALSE(filesystem_.Unlink(Path("a")).has_value());
  ASSERT_TRUE(filesystem_.Unlink(Path("a/file")).has_value());
  ASSERT_TRUE(filesystem_.RemoveDirectory(Path("a")).has_value());
  ExpectCode(filesystem_.Status(Path("a")), Code::kNotFound, "a");
}

TEST_P(FilesystemContract, ListsNamesWithTheirKinds) {
  WriteFile("file", "x");
  WriteFile(".hidden", "x");
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("directory")).has_value());
  MakeLink("directory", "link");
  Result<std::vector<DirectoryEntry>> entries = filesystem_.List(directory_.path());
  ASSERT_TRUE(entries.has_value());
  std::vector<std::pair<std::string, EntryKind>> found;
  for (const DirectoryEntry& entry : *entries) found.emplace_back(entry.name, entry.kind);
  EXPECT_THAT(found, UnorderedElementsAre(std::pair("file", EntryKind::kFile),
                                          std::pair(".hidden", EntryKind::kFile),
                                          std::pair("directory", EntryKind::kDirectory),
                                          std::pair("link", EntryKind::kOther)));
}

TEST_P(FilesystemContract, ListsManyNames) {
  constexpr int kFiles = 3000;
  for (int i = 0; i < kFiles; ++i) WriteFile("file" + std::to_string(i), "");
  EXPECT_EQ(filesystem_.List(directory_.path())->size(), size_t{kFiles});
}

TEST_P(FilesystemContract, StatusIsOfTheLinkItself) {
  WriteFile("file", "12345");
  MakeLink("file", "link");
  EXPECT_EQ(filesystem_.Status(Path("link"))->kind, EntryKind::kOther);
  EXPECT_EQ(filesystem_.Status(Path("file"))->kind, EntryKind::kFile);
  EXPECT_EQ(filesystem_.Status(Path("file"))->size, 5U);
  EXPECT_EQ(filesystem_.Status(directory_.path())->kind, EntryKind::kDirectory);
}

TEST_P(FilesystemContract, KeepsTheModificationTimeItIsGiven) {
  WriteFile("file", "x");
  MakeLink("file", "link");
  using std::chrono::system_clock;
  for (int64_t milliseconds : {int64_t{1763900000123}, int64_t{0}, int64_t{-1500}}) {
    system_clock::time_point time{std::chrono::milliseconds(milliseconds)};
    ASSERT_TRUE(filesystem_.SetModified(Path("file"), time).has_value());
    EXPECT_EQ(filesystem_.Status(Path("file"))->modified, time) << milliseconds;
  }
  system_clock::time_point of_link{std::chrono::seconds(1000)};
  ASSERT_TRUE(filesystem_.SetModified(Path("link"), of_link).has_value());
  EXPECT_EQ(filesystem_.Status(Path("link"))->modified, of_link);
  EXPECT_NE(filesystem_.Status(Path("file"))->modified, of_link);
}

TEST_P(FilesystemContract, TellsSpace) {
  Result<Space> space = filesystem_.SpaceOf(directory_.path());
  ASSERT_TRUE(space.has_value());
  EXPECT_GT(space->total, 0U);
  EXPECT_GT(space->free, 0U);
  EXPECT_LE(space->free, space->total);
}

INSTANTIATE_TEST_SUITE_P(
    All, FilesystemContract,
    testing::Values(
        Implementation{"Posix", [] { return std::make_unique<PosixSubject>(); }},
        Implementation{"FaultWithoutFaults", [] { return std::make_unique<FaultSubject>(); }},
        Implementation{"PowerLoss", [] { return std::make_unique<PowerLossSubject>(); }}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace weighhouse::io
