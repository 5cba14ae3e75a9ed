"""The bytes of a repository's files: small ones in memory, large ones behind an open descriptor."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

MEMORY_LIMIT = 4 << 20
"""Files up to this size are kept in memory, so that old commits stay served when a file is overwritten in place."""

_CHUNK = 4 << 20


class ContentChanged(Exception):
    """A large file was overwritten in place: the bytes of the commit that listed it are gone."""


@dataclass(frozen=True)
class Stamp:
    """What tells that a file on disk is still the one that was hashed."""

    size: int
    modified: int
    inode: int

    @staticmethod
    def of(status: os.stat_result) -> Stamp:
        """The stamp in a stat(2) answer."""
        return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


class Content:
    """Immutable bytes that can be read at any offset. Thread-safe."""

    size: int
    descriptor: int | None = None

    def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises ContentChanged if the bytes are not those that were hashed."""


class MemoryContent(Content):
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]


class FileContent(Content):
    """A file on disk, held open: it outlives being renamed over or removed, not being written to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.descriptor = self._file
        self.stamp = Stamp.of(os.fstat(self._file))
        self.size = self.stamp.size

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._file, count, offset)

    def check(self) -> None:
        if Stamp.of(os.fstat(self._file)) != self.stamp:
            raise ContentChanged(f"{self._path} was written to in place; replace files by rename, then rescan")

    def __del__(self) -> None:
        os.close(self._file)


def load(path: Path) -> Content:
    """The content of the file at `path`."""
    if path.stat().st_size <= MEMORY_LIMIT:
        return MemoryContent(path.read_bytes())
    return FileContent(path)


def _hash(content: Content, digest: hashlib._Hash) -> str:
    for offset in range(0, content.size, _CHUNK):
        digest.update(content.read(offset, _CHUNK))
    return digest.hexdigest()


def sha256(content: Content) -> str:
    """The id of an LFS file."""
    return _hash(content, hashlib.sha256())


def git_blob_id(content: Content) -> str:
    """The id of a git file: sha1("blob " + decimal size + NUL + content) (facts 1.6)."""
    return _hash(content, hashlib.sha1(b"blob %d\0" % content.size))


def lfs_pointer(digest: str, size: int) -> bytes:
    """What git itself stores for an LFS file (git-lfs, docs/spec.md)."""
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (digest.encode(), size)
