"""What lies below a cache root, read by names as a recovery would; entries may vanish while it looks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterator


def _files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent) / name
            try:
                yield path, path.lstat()
            except FileNotFoundError:
                continue


def _allocated(status: os.stat_result) -> int:
    return status.st_blocks * 512


class DiskView:
    """Ingests are read before blobs: what is committed meanwhile is seen once at least, and counted once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_inode: dict[int, int] = {}
        self.ingests = {path.parent.name for path in self._count(root / "ingests", "data")}
        self.blobs = {path.name for path in self._count(root / "blobs")}
        self.quarantined = {path.name for path in self._count(root / "quarantine")}
        named = {*self._trees(), *(f"leases/{name}" for name in os.listdir(root / "leases"))}
        self.unfinished = {name for name in named if Path(name).name.startswith(".")}
        """Trees and leases on their way in or out; what a crash leaves of them goes at the next start."""
        self.trees = {name for name in named - self.unfinished if name.startswith("trees/")}
        self.leases = {Path(name).name for name in named - self.unfinished - self.trees}
        self.written_leases = {Path(name).name.removeprefix(".").removesuffix(".new") for name in self.unfinished
                               if name.startswith("leases/")}
        """Those that are just being written, beside their place."""
        self.records = dict(self._records())
        """The blobs that each snapshot's record and journal list, by snapshot id."""

    def _count(self, directory: Path, name: str = "") -> Iterator[Path]:
        for path, status in _files(directory):
            if name in ("", path.name):
                self._by_inode[status.st_ino] = _allocated(status)
                yield path

    def _trees(self) -> Iterator[str]:
        for layout in ("files", "hub"):
            for name in os.listdir(self.root / "trees" / layout):
                yield f"trees/{layout}/{name}"

    def _records(self) -> Iterator[tuple[str, set[str]]]:
        for path in (self.root / "snapshots").glob("*.json"):
            try:
                listed = _listed(json.loads(path.read_text()))
            except FileNotFoundError:
                continue
            try:
                lines = path.with_suffix(".verified").read_text().splitlines()
            except FileNotFoundError:  # there is none, or its snapshot was evicted just now
                lines = []
            listed |= {line.split()[3] for line in lines if len(line.split()) == 4}
            yield path.stem, listed

    def allocated(self) -> int:
        """Bytes of all blobs, ingests and quarantined blobs, each inode once."""
        return sum(self._by_inode.values())

    def listed(self) -> set[str]:
        """The blobs that some snapshot lists."""
        return set().union(*self.records.values())

    def garbage(self) -> set[str]:
        """The blobs that no snapshot lists."""
        return self.blobs - self.listed()


def _listed(record: dict[str, Any]) -> set[str]:
    """The sha256 names in a record: what was verified, else what the origin says."""
    names = {file["blob"] for file in record["files"] if "blob" in file}
    return names | {file["identity"]["value"] for file in record["files"] if file["identity"]["kind"] == "sha256"}
