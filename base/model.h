#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/packed_layer.h"
#include "base/units.h"

namespace weighhouse {

/// How a volume shows a snapshot.
enum class Layout {
  kFiles,  ///< The model's files at the root of the volume.
  kHub,    ///< A Hugging Face cache (hub-docs, local-cache.md): refs/, snapshots/<commit>/.
};

/// "files" or "hub".
std::string_view LayoutName(Layout layout);
/// The layout called `name`; kInvalidArgument names the value and the two that exist.
Result<Layout> ParseLayout(std::string_view name);

/// What a user asks for: URI + revision + file patterns. Values are checked by `Parse` and by the
/// source that serves the scheme; a default-constructed one names nothing.
struct ModelReference {
  /// Canonical, without a revision: `hf://org/name`, `modelscope://org/name`,
  /// `oci://registry/repository`, `s3://bucket/prefix`, `file:///path`, `https://host/path/file`,
  /// `https://host/path/` or `https://host/path/list.json#manifest` …
  std::string uri;
  /// Branch, tag, `refs/pr/N` or commit (a manifest's digest, of `oci://`); empty means the
  /// source's default.
  std::string revision;
  /// Globs (fnmatch(3), `*` crosses `/`, case-sensitive). Unset: see source/file_filter.h for the
  /// defaults; set and empty: no restriction.
  std::optional<std::vector<std::string>> allow_patterns;
  std::optional<std::vector<std::string>> ignore_patterns;
  /// What an `https://…#sha256=<hex>` reference says must lie at its URL (ParseWebReference).
  std::optional<Digest> expected_sha256;
  /// The commit that `revision` was resolved to before, which alone says what is meant; `revision`
  /// is then only the name that a Hugging Face cache gives it. Empty: `revision` is to be resolved.
  std::string commit;

  /// Reads `model` (`hf://org/name[@rev]`, also `:rev`; `modelscope://…` alike;
  /// `oci://registry/repository[:tag|@digest]`; `s3://bucket/prefix`; `gs://…`; `https://…` and
  /// `http://…`: see ParseWebReference; `file:///path`) with `revision` beside it (which must not
  /// contradict the one in `model`). kInvalidArgument says what is wrong and shows the right form.
  static Result<ModelReference> Parse(std::string_view model, std::string_view revision = "");

  /// "hf", "modelscope", "oci", "https", "http", "s3", "gs" or "file".
  std::string_view Scheme() const;
  /// Whether models of its scheme have revisions.
  bool HasRevisions() const;
  /// Whether they have commits that those can be pinned to.
  bool HasCommits() const;
  /// Whether `text` is what a commit of its scheme looks like: a git commit's id, or the digest of
  /// an OCI manifest. (A tag of 40 hexadecimal digits moves like any other.)
  bool IsCommit(std::string_view text) const;
  /// The revision asked for, or what the scheme takes for none: `main` for hf://, `master` for
  /// modelscope://, `latest` for oci://, "" where there are no revisions.
  std::string RevisionOrDefault() const;
  /// What a source is asked for: `commit`, where there is one, in place of `revision`.
  ModelReference AtCommit() const;
  /// For people and logs: `hf://org/name@rev`, `oci://registry/repository:tag`. A URL's query,
  /// which may be a signature, is left out.
  std::string ToString() const;
  /// Whether `shown`, another's ToString, is this one or, where this one names no revision, any of
  /// its revisions.
  bool Covers(std::string_view shown) const;
  /// Equal for equal requests: a digest over every field.
  std::string Fingerprint() const;
  bool operator==(const ModelReference&) const = default;
};

/// True for a git commit id: 40 lower-case hexadecimal digits. Such a revision never moves.
bool IsCommitId(std::string_view revision);

/// True for `sha256:` and 64 lower-case hexadecimal digits: an OCI manifest's name, which never
/// means another.
bool IsManifestDigest(std::string_view revision);

/// What a caller proves itself with, as a Kubernetes secret's keys and values (`HF_TOKEN`,
/// `token`). Values never reach a log, an error, a metric or the disk.
struct Credentials {
  std::map<std::string, std::string> values;

  bool empty() const { return values.empty(); }
  /// All of it, with the lengths: no two sets give the same text. As secret as they are.
  std::string Text() const;
  /// The first of `keys` that is there and not blank, trimmed; else "".
  std::string First(std::initializer_list<std::string_view> keys) const;
};

/// What the origin says of a file's bytes before we have them.
struct FileIdentity {
  enum class Kind {
    kSha256,        ///< value = 64 hex digits: the content's own name
    kGitSha1,       ///< value = 40 hex digits of sha1("blob <size>\0" + content) (git's blob id)
    kVersionToken,  ///< value = ETag, generation, mtime+size …: says "changed", never "what"
  };
  Kind kind = Kind::kVersionToken;
  std::string value;
  auto operator<=>(const FileIdentity&) const = default;
};

/// "sha256", "git-sha1" or "version".
std::string_view IdentityKindName(FileIdentity::Kind kind);
/// The kind of that name; nothing if there is none.
std::optional<FileIdentity::Kind> ParseIdentityKind(std::string_view name);

/// One file of a listing.
struct ListedFile {
  /// Relative, `/`-separated, checked by source/file_name.h: no `..`, no control characters, no
  /// empty component.
  std::string path;
  Bytes size = 0;
  FileIdentity identity;
  auto operator<=>(const ListedFile&) const = default;
};

/// A model reference resolved: an immutable list of files.
struct Listing {
  /// Endpoint + repository, bucket prefix or path that bytes and rights come from, such as
  /// `hf+https://huggingface.co/org/name`.
  std::string origin;
  /// Immutable: the commit of a Hub repository; for other sources a digest over the files'
  /// identities.
  std::string revision;
  /// The name in the Hugging Face cache layout: `org/name`; empty where the source has no such
  /// thing.
  std::string repository;
  /// True if it was resolved without credentials of the caller's (so also with the node's own,
  /// which are every tenant's): everybody may use this origin.
  bool anonymous = false;
  /// Sorted by path.
  std::vector<ListedFile> files;
  /// Layers, the lowest first, whose files aren't among `files` yet: what they are shows when the
  /// layers have been read.
  std::vector<PackedLayer> packed = {};

  /// Of `files`.
  Bytes TotalBytes() const;
  /// The snapshot's id: 64 hex digits of a digest over {origin, revision, [path, size, identity]}.
  std::string SnapshotId() const;
};

}  // namespace weighhouse
