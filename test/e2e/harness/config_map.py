"""A ConfigMap mounted as a directory, changed as kubelet changes it."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

FILE = "config.yaml"


class ConfigMap:
    """`..data` is a link to a directory of one version, and the file a link through it; a change renames a new `..data`
    over the old one (kubelet's atomic writer)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / FILE
        self._numbers = itertools.count(1)
        directory.mkdir(mode=0o755, parents=True)
        self.file.symlink_to(f"..data/{FILE}")

    def swap(self, text: str) -> None:
        version = self.directory / f"..version{next(self._numbers)}"
        version.mkdir(mode=0o755)
        (version / FILE).write_text(text)
        (version / FILE).chmod(0o644)
        data = self.directory / "..data"
        before = self.directory / os.readlink(data) if data.is_symlink() else None
        fresh = self.directory / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.rename(data)
        if before is not None:
            shutil.rmtree(before)
