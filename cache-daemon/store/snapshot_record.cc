#include "cache-daemon/store/snapshot_record.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/store/json_fields.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {
namespace {

/// UTF-8 without control characters: what JSON gives back as it was.
bool IsPlainText(std::string_view text) { return Printable(text, text.size()) == text; }

/// The blob that the identity itself names.
std::optional<Digest> NamedBlob(const FileIdentity& identity) {
  if (identity.kind != FileIdentity::Kind::kSha256) return std::nullopt;
  auto digest = Digest::FromHex(identity.value);
  if (!digest.has_value()) return std::nullopt;
  return *digest;
}

/// False if the identity names another blob than this one.
bool MayBe(const FileIdentity& identity, const Digest& sha256) {
  return identity.kind != FileIdentity::Kind::kSha256 || identity.value == sha256.Hex();
}

Result<> CheckFile(const ListedFile& file) {
  if (!IsSafeRelativePath(file.path)) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("file name '{}' can't be stored: it must be relative, without empty, '.' or "
                    "'..' components and control characters",
                    Printable(file.path)));
  }
  bool is_sha256 = file.identity.kind == FileIdentity::Kind::kSha256;
  if (!IsPlainText(file.identity.value) || (is_sha256 && !NamedBlob(file.identity))) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}: '{}' is not a {} identity", file.path,
                            Printable(file.identity.value), IdentityKindName(file.identity.kind)));
  }
  return {};
}

nlohmann::json FileToJson(const SnapshotFile& file, bool borrowed) {
  nlohmann::json object = {{"path", file.listed.path},
                           {"size", file.listed.size},
                           {"identity",
                            {{"kind", IdentityKindName(file.listed.identity.kind)},
                             {"value", file.listed.identity.value}}}};
  if (file.blob) object["blob"] = file.blob->Hex();
  if (file.blob && borrowed) object["borrowed"] = true;
  return object;
}

nlohmann::json TreeToJson(const TreeRecord& tree) {
  return {{"path", tree.path},
          {"layout", LayoutName(tree.layout)},
          {"requested_revision", tree.requested_revision},
          {"withdrawn", tree.withdrawn},
          {"copied", tree.copied}};
}

std::unexpected<Error> Damaged(std::string_view what) {
  return Fail(Code::kDataLoss, fmt::format("the field '{}' is missing or wrong", what));
}

Result<> ParseFileInto(const nlohmann::json& object, SnapshotRecord& record) {
  auto path = StringField(object, "path");
  auto size = NumberField(object, "size");
  auto identity = object.is_object() ? object.find("identity") : object.end();
  if (!path || !size || identity == object.end()) return Damaged("files");
  auto kind_name = StringField(*identity, "kind");
  auto value = StringField(*identity, "value");
  if (!kind_name || !value) return Damaged("identity");
  auto kind = ParseIdentityKind(*kind_name);
  if (!kind) return Damaged("identity.kind");
  SnapshotFile file;
  file.listed = {.path = *path, .size = *size, .identity = {.kind = *kind, .value = *value}};
  if (object.contains("blob")) {
    file.blob = TRY(Digest::FromHex(StringField(object, "blob").value_or("")));
    if (!MayBe(file.listed.identity, *file.blob)) return Damaged("blob");
  }
  record.snapshot.files.push_back(std::move(file));
  record.borrowed.push_back(BoolField(object, "borrowed").value_or(false));
  return {};
}

Result<> ParseTreeInto(const nlohmann::json& object, SnapshotRecord& record) {
  auto path = StringField(object, "path");
  auto layout_name = StringField(object, "layout");
  auto requested_revision = StringField(object, "requested_revision");
  auto withdrawn = BoolField(object, "withdrawn");
  auto copied = NumberField(object, "copied");
  if (!path || !IsSafeRelativePath(*path) || !layout_name || !requested_revision || !withdrawn ||
      !copied) {
    return Damaged("trees");
  }
  Layout layout = TRY(ParseLayout(*layout_name));
  record.trees.push_back({.path = *path,
                          .layout = layout,
                          .requested_revision = *requested_revision,
                          .withdrawn = *withdrawn,
                          .copied = *copied});
  return {};
}

/// The listing that a snapshot was made of, to recompute its id.
Listing ListingOf(const Snapshot& snapshot) {
  Listing listing{.origin = snapshot.origin,
                  .revision = snapshot.revision,
                  .repository = snapshot.repository,
                  .anonymous = snapshot.anonymous};
  for (const SnapshotFile& file : snapshot.files) listing.files.push_back(file.listed);
  return listing;
}

/// The four fields of a journal line, or nothing.
std::optional<std::vector<std::string_view>> SplitLine(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    size_t space = line.find(' ');
    fields.push_back(line.substr(0, space));
    if (space == std::string_view::npos) break;
    line.remove_prefix(space + 1);
  }
  if (fields.size() != 4) return std::nullopt;
  return fields;
}

/// Applies one journal line; false if it says nothing.
bool ApplyLine(std::string_view line, SnapshotRecord& record) {
  auto fields = SplitLine(line);
  if (!fields) return false;
  auto kind = ParseIdentityKind((*fields)[0]);
  auto sha256 = Digest::FromHex((*fields)[3]);
  Bytes size = 0;
  std::string_view number = (*fields)[2];
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), size);
  bool whole = error == std::errc() && end == number.data() + number.size();
  if (!kind || !sha256.has_value() || !whole) return false;
  for (size_t i = 0; i < record.snapshot.files.size(); ++i) {
    SnapshotFile& file = record.snapshot.files[i];
    bool same = file.listed.identity.kind == *kind && file.listed.size == size &&
                PercentEncode(file.listed.identity.value) == (*fields)[1] &&
                MayBe(file.listed.identity, *sha256);
    if (!same) continue;
    file.blob = *sha256;
    record.borrowed[i] = false;
  }
  return true;
}

}  // namespace

SnapshotRecord NewSnapshotRecord(const Listing& listing) {
  SnapshotRecord record;
  record.snapshot.id = listing.SnapshotId();
  record.snapshot.origin = listing.origin;
  record.snapshot.revision = listing.revision;
  record.snapshot.repository = listing.repository;
  record.snapshot.anonymous = listing.anonymous;
  for (const ListedFile& file : listing.files) {
    record.snapshot.files.push_back({.listed = file, .blob = std::nullopt});
  }
  record.borrowed.resize(listing.files.size());
  return record;
}

Result<> CheckSnapshotListing(const Listing& listing) {
  if (!IsPlainText(listing.origin) || !IsPlainText(listing.revision) ||
      (!listing.repository.empty() && !IsSafeRelativePath(listing.repository))) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' revision '{}' can't be stored: it isn't plain text",
                            Printable(listing.origin), Printable(listing.revision)));
  }
  std::set<std::string_view> paths;
  for (const ListedFile& file : listing.files) {
    TRY(CheckFile(file));
    if (paths.insert(file.path).second) continue;
    return Fail(Code::kInvalidArgument, fmt::format("'{}' is listed twice", file.path));
  }
  for (std::string_view path : paths) {
    for (size_t slash = path.find('/'); slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
      if (!paths.contains(path.substr(0, slash))) continue;
      return Fail(Code::kInvalidArgument, fmt::format("'{}' is listed as a file and as a directory",
                                                      path.substr(0, slash)));
    }
  }
  return {};
}

std::string SnapshotToJson(const SnapshotRecord& record) {
  const Snapshot& snapshot = record.snapshot;
  nlohmann::json files = nlohmann::json::array();
  for (size_t i = 0; i < snapshot.files.size(); ++i) {
    files.push_back(FileToJson(snapshot.files[i], record.borrowed[i]));
  }
  nlohmann::json trees = nlohmann::json::array();
  for (const TreeRecord& tree : record.trees) trees.push_back(TreeToJson(tree));
  return ToText({{"id", snapshot.id},
                 {"origin", snapshot.origin},
                 {"revision", snapshot.revision},
                 {"repository", snapshot.repository},
                 {"anonymous", snapshot.anonymous},
                 {"state", snapshot.complete ? "complete" : "filling"},
                 {"files", std::move(files)},
                 {"trees", std::move(trees)}});
}

Result<SnapshotRecord> ParseSnapshotRecord(std::string_view json, const std::string& id) {
  nlohmann::json object = TRY(ParseObject(json));
  auto origin = StringField(object, "origin");
  auto revision = StringField(object, "revision");
  auto repository = StringField(object, "repository");
  auto anonymous = BoolField(object, "anonymous");
  auto state = StringField(object, "state");
  const nlohmann::json* files = ArrayField(object, "files");
  const nlohmann::json* trees = ArrayField(object, "trees");
  if (!origin || !revision || !repository || !anonymous) return Damaged("origin");
  if (!state || (*state != "complete" && *state != "filling")) return Damaged("state");
  if (files == nullptr || trees == nullptr) return Damaged("files");

  SnapshotRecord record;
  record.snapshot = {.id = id,
                     .origin = *origin,
                     .revision = *revision,
                     .repository = *repository,
                     .anonymous = *anonymous,
                     .complete = *state == "complete"};
  for (const nlohmann::json& file : *files) TRY(ParseFileInto(file, record));
  for (const nlohmann::json& tree : *trees) TRY(ParseTreeInto(tree, record));
  Listing listing = ListingOf(record.snapshot);
  TRY(CheckSnapshotListing(listing));
  if (listing.SnapshotId() != id) return Fail(Code::kDataLoss, "its content doesn't give its id");
  bool lacks_a_blob = std::ranges::any_of(record.snapshot.files,
                                          [](const SnapshotFile& file) { return !file.blob; });
  if (record.snapshot.complete && lacks_a_blob) return Damaged("state");
  return record;
}

std::string JournalLine(const FileIdentity& identity, Bytes size, const Digest& sha256) {
  return fmt::format("\n{} {} {} {}\n", IdentityKindName(identity.kind),
                     PercentEncode(identity.value), size, sha256.Hex());
}

size_t ApplyJournal(std::string_view journal, SnapshotRecord& record) {
  size_t ignored = 0;
  while (!journal.empty()) {
    size_t end = journal.find('\n');
    std::string_view line = journal.substr(0, end);
    if (!line.empty() && !ApplyLine(line, record)) ++ignored;
    if (end == std::string_view::npos) break;
    journal.remove_prefix(end + 1);
  }
  return ignored;
}

std::map<Digest, Bytes> ListedBlobs(const Snapshot& snapshot) {
  std::map<Digest, Bytes> blobs;
  for (const SnapshotFile& file : snapshot.files) {
    if (file.blob) blobs.emplace(*file.blob, file.listed.size);
    if (auto named = NamedBlob(file.listed.identity)) blobs.emplace(*named, file.listed.size);
  }
  return blobs;
}

}  // namespace weighhouse::store
