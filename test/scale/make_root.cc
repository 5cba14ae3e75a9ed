// scale-root ROOT SNAPSHOTS FILES LEASES: makes in the directory ROOT the cache that SNAPSHOTS
// models of FILES small files each leave, with trees, references and LEASES leases. The store's own
// code forms every name and record, but nothing is synced before the end: a hundred thousand
// durable commits would take an hour.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/lease_book.h"
#include "cache-daemon/store/reference_book.h"
#include "cache-daemon/store/snapshot_record.h"
#include "cache-daemon/store/store.h"
#include "cache-daemon/store/tree_builder.h"
#include "test/scale/scale_model.h"

namespace weighhouse::scale {
namespace {

struct Amounts {
  size_t snapshots = 0, files = 0, leases = 0;
};

Listing ListingOf(const std::string& hub, size_t model, size_t files) {
  Listing listing{.origin = fmt::format("hf+{}/{}", hub, RepositoryOf(model)),
                  .revision = CommitOf(model),
                  .repository = RepositoryOf(model),
                  .anonymous = true};
  for (size_t file = 0; file < files; ++file) {
    std::string content = ContentOf(model, file);
    listing.files.push_back(
        {.path = FileNameOf(file),
         .size = content.size(),
         .identity = {.kind = FileIdentity::Kind::kSha256, .value = Digest::Of(content).Hex()}});
  }
  return listing;
}

class RootMaker {
 public:
  /// `hub`: the URL of the one that the models came from.
  RootMaker(const std::string& root, std::string hub) : layout_(root), hub_(std::move(hub)) {}

  Result<> Make(const Amounts& amounts) {
    TRY(Prepare());
    for (size_t model = 0; model < amounts.snapshots; ++model) {
      store::SnapshotRecord record = TRY(MakeSnapshot(model, amounts.files));
      if (model < amounts.leases) TRY(WriteLease(model, record));
    }
    ::sync();
    return {};
  }

 private:
  /// Format and directories, by the store itself.
  Result<> Prepare() {
    TRY(store::Store::Open(filesystem_, clock_, {.root = layout_.root()}));
    for (int prefix = 0; prefix < 256; ++prefix) {
      TRY(filesystem_.MakeDirectory(layout_.BlobDirectory(fmt::format("{:02x}", prefix))));
    }
    return {};
  }

  Result<store::SnapshotRecord> MakeSnapshot(size_t model, size_t files) {
    store::SnapshotRecord record = store::NewSnapshotRecord(ListingOf(hub_, model, files));
    for (size_t file = 0; file < files; ++file) {
      Digest blob = TRY(WriteBlob(ContentOf(model, file)));
      record.snapshot.files[file].blob = blob;
    }
    record.snapshot.complete = true;
    const std::string& id = record.snapshot.id;
    record.trees.push_back({.path = store::RootLayout::FilesTree(id)});
    TRY(LinkTree(record));
    TRY(filesystem_.WriteFile(layout_.SnapshotRecord(id), store::SnapshotToJson(record)));
    ModelReference reference = TRY(ModelReference::Parse(ReferenceOf(model)));
    store::ReferenceRecord named{
        .fingerprint = reference.Fingerprint(), .text = reference.ToString(), .snapshot_id = id};
    TRY(filesystem_.WriteFile(layout_.Reference(named.fingerprint), store::ReferenceToJson(named)));
    return record;
  }

  Result<Digest> WriteBlob(const std::string& content) {
    Digest sha256 = Digest::Of(content);
    std::string path = layout_.Blob(sha256);
    TRY(filesystem_.WriteFile(path, content));
    if (::chmod(path.c_str(), 0444) != 0) return FailErrno(errno, "chmod " + path);
    return sha256;
  }

  Result<> LinkTree(const store::SnapshotRecord& record) {
    store::TreePlan plan = TRY(store::PlanTree(record.snapshot, Layout::kFiles, ""));
    std::string tree = layout_.Absolute(record.trees.front().path);
    TRY(filesystem_.MakeDirectory(tree));
    for (const auto& [name, sha256] : plan.links) {
      TRY(filesystem_.Link(layout_.Blob(sha256), fmt::format("{}/{}", tree, name)));
    }
    return {};
  }

  Result<> WriteLease(size_t number, const store::SnapshotRecord& record) {
    std::string target = fmt::format("/held/{}", number);
    store::LeaseRecord lease{.id = Digest::Of(target).Hex(),
                             .snapshot_id = record.snapshot.id,
                             .tree = record.trees.front().path,
                             .volume_id = fmt::format("volume-{}", number),
                             .target_path = target,
                             .pod_namespace = "scale",
                             .pod_name = fmt::format("pod-{}", number),
                             .pod_uid = fmt::format("uid-{}", number),
                             .taken = clock_.Now()};
    return filesystem_.WriteFile(layout_.Lease(lease.id), store::LeaseToJson(lease));
  }

  io::PosixFilesystem filesystem_;
  SystemClock clock_;
  const store::RootLayout layout_;
  const std::string hub_;
};

int Main(std::span<char*> arguments) {
  if (arguments.size() != 6) {
    std::fputs("usage: scale-root ROOT HUB SNAPSHOTS FILES LEASES\n", stderr);
    return 2;
  }
  auto number = [&](size_t position) -> size_t {
    return std::strtoull(arguments[position], nullptr, 10);
  };
  Result<> made = RootMaker(arguments[1], arguments[2])
                      .Make({.snapshots = number(3), .files = number(4), .leases = number(5)});
  if (made) return 0;
  std::fputs(fmt::format("scale-root: {}\n", made.error().message).c_str(), stderr);
  return 1;
}

}  // namespace
}  // namespace weighhouse::scale

int main(int argc, char** argv) {
  return weighhouse::scale::Main({argv, static_cast<size_t>(argc)});
}
