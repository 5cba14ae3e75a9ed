"""Repositories as they lie on disk: DIR/org/name/** and the optional DIR/org/name/.fixture.json."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content import Content, FileContent, MemoryContent, Stamp, git_blob_id, lfs_pointer, load, sha256

SETTINGS_FILE = ".fixture.json"
DEFAULT_LFS_THRESHOLD = 10 << 20
ALWAYS_LFS = (".safetensors", ".bin")


@dataclass(frozen=True)
class RepoFile:
    """One file of one commit."""

    path: str
    content: Content
    oid: str
    """The git blob id: of the content, or of the pointer where the file is LFS (facts 1.1)."""
    sha256: str | None = None
    """Set where the file is LFS."""
    pointer_size: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.size

    @property
    def xet_hash(self) -> str | None:
        """The id of the file in Xet storage: 64 hexadecimal digits that are not the sha256 (facts 1.1, 2)."""
        return hashlib.sha256(b"xet:" + self.sha256.encode()).hexdigest() if self.sha256 else None

    @property
    def etag(self) -> str:
        """What the Hub calls the file's ETag (facts 1.2), without quotes."""
        return self.sha256 or self.oid

    def tree_entry(self) -> dict[str, Any]:
        """The file as the tree API lists it (facts 1.1)."""
        entry: dict[str, Any] = {"type": "file", "oid": self.oid, "size": self.size, "path": self.path}
        if self.sha256:
            entry["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": self.pointer_size}
            entry["xetHash"] = self.xet_hash
        return entry

    def sibling(self, with_blobs: bool) -> dict[str, Any]:
        """The file as the model API lists it; there the key is lfs.sha256 (facts 1.1)."""
        entry: dict[str, Any] = {"rfilename": self.path}
        if with_blobs:
            entry.update(size=self.size, blobId=self.oid)
            if self.sha256:
                entry["lfs"] = {"sha256": self.sha256, "size": self.size, "pointerSize": self.pointer_size}
        return entry


@dataclass(frozen=True)
class Commit:
    """An immutable list of files, named by a digest of it."""

    sha: str
    files: dict[str, RepoFile]
    """By path, sorted."""
    entries: list[dict[str, Any]]
    """What the tree API lists recursively: directories and files, sorted by path."""

    @staticmethod
    def of(repo: str, files: list[RepoFile]) -> Commit:
        """The commit of these files; the same files always make the same id."""
        files = sorted(files, key=lambda file: file.path)
        text = "\n".join([repo, *(f"{file.path}\0{file.oid}" for file in files)])
        sha = hashlib.sha1(b"commit:" + text.encode("utf-8", "surrogateescape")).hexdigest()
        directories = {str(parent) for file in files for parent in Path(file.path).parents} - {"."}
        entries = [file.tree_entry() for file in files]
        for directory in directories:
            oid = hashlib.sha1(f"tree:{sha}:{directory}".encode("utf-8", "surrogateescape")).hexdigest()
            entries.append({"type": "directory", "oid": oid, "size": 0, "path": directory})
        entries.sort(key=lambda entry: entry["path"])
        return Commit(sha, {file.path: file for file in files}, entries)


@dataclass
class Settings:
    """What .fixture.json says. Unknown keys are refused: a misspelt one would make a test lie."""

    private: bool = False
    gated: bool | str = False
    disabled: bool = False
    lfs_threshold: int = DEFAULT_LFS_THRESHOLD
    renamed_to: str | None = None
    refs: dict[str, str] = field(default_factory=dict)
    """Tags and refs/pr/N: a commit id, or "main"."""
    granted: list[str] | None = None
    """The tokens that may read a private or gated repository; unset: every valid one."""
    direct: bool = False
    """Small files are answered with 200 at once, instead of by way of resolve-cache (facts 1.2: "often")."""

    @staticmethod
    def read(directory: Path) -> Settings:
        """The settings of the repository in `directory`."""
        path = directory / SETTINGS_FILE
        return Settings(**json.loads(path.read_text())) if path.exists() else Settings()


class Repository:
    """One model's commits and settings. Fields are replaced as a whole or only added to, so readers need no lock."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.id = hashlib.sha1(b"repo:" + name.encode()).hexdigest()[:24]
        self.settings = Settings()
        self.commits: dict[str, Commit] = {}
        self.head: Commit | None = None
        self._objects: dict[str, list[RepoFile]] = {}
        self._known: dict[Path, tuple[Stamp, RepoFile]] = {}

    def scan(self, pool: ThreadPoolExecutor) -> None:
        """Reads the directory; makes a new commit if its content changed. Old commits stay."""
        self.settings = Settings.read(self.directory)
        paths = [
            Path(parent) / name
            for parent, _, names in os.walk(self.directory)
            for name in names
            if name != SETTINGS_FILE
        ]
        commit = Commit.of(self.name, list(pool.map(self._load, paths)))
        for file in commit.files.values():
            known = self._objects.setdefault(str(file.xet_hash), []) if file.sha256 else [file]
            if file not in known:
                known.insert(0, file)
        self.commits = {**self.commits, commit.sha: commit}
        self.head = commit

    def commit(self, revision: str) -> Commit | None:
        """The commit that a branch, tag, ref or commit id means; None if there is no such revision."""
        target = self.settings.refs.get(revision, revision)
        return self.head if target == "main" else self.commits.get(target)

    def file_of_object(self, xet_hash: str, name: str) -> RepoFile | None:
        """The LFS file stored as `xet_hash`, in any commit; among several preferably one called `name`."""
        found = self._objects.get(xet_hash, [])
        return next((file for file in found if Path(file.path).name == name), found[0] if found else None)

    def _load(self, path: Path) -> RepoFile:
        known = self._known.get(path)
        if known and isinstance(known[1].content, FileContent) and known[0] == Stamp.of(path.stat()):
            return known[1]
        content = load(path)
        file = self._identify(path.relative_to(self.directory).as_posix(), content)
        if isinstance(content, FileContent):
            self._known[path] = (content.stamp, file)
        return file

    def _identify(self, name: str, content: Content) -> RepoFile:
        if not name.endswith(ALWAYS_LFS) and content.size < self.settings.lfs_threshold:
            return RepoFile(name, content, git_blob_id(content))
        digest = sha256(content)
        pointer = lfs_pointer(digest, content.size)
        return RepoFile(name, content, git_blob_id(MemoryContent(pointer)), digest, len(pointer))


class Catalog:
    """All repositories below one directory. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._scanning = threading.Lock()
        self._repositories: dict[str, Repository] = {}
        self.scan()

    def scan(self) -> None:
        """Reads the directory again. Repositories that vanished are gone, commits of the others stay."""
        with self._scanning, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            found: dict[str, Repository] = {}
            for directory in sorted(self._directory.glob("*/*")):
                name = f"{directory.parent.name}/{directory.name}"
                if directory.parent.name.startswith(".") or not directory.is_dir():
                    continue
                found[name] = self._repositories.get(name) or Repository(name, directory)
                found[name].scan(pool)
            self._repositories = found

    def get(self, name: str) -> Repository | None:
        """The repository `org/name`."""
        return self._repositories.get(name)

    def by_id(self, repository_id: str) -> Repository | None:
        """The repository that signed URLs call `repository_id`."""
        return next((repo for repo in self._repositories.values() if repo.id == repository_id), None)

    def heads(self) -> dict[str, str]:
        """Each repository's commit on main."""
        return {name: repo.head.sha for name, repo in self._repositories.items() if repo.head}
