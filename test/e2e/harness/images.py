"""Filesystems in images whose power can be cut: a reflink copy of an image is what the disk held at that instant."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Iterator

from harness import workspace

SECTOR = 4096  # what every disk takes for direct I/O


def make_filesystem(image: Path, kind: str, size: int) -> None:
    with image.open("wb") as sparse:
        sparse.truncate(size)
    of_kind = {"xfs": ["-s", f"size={SECTOR}", "-m", "reflink=1"], "ext4": ["-F", "-b", str(SECTOR), "-m", "0"]}
    subprocess.run([f"mkfs.{kind}", "-q", *of_kind[kind], str(image)], check=True)


def mount_image(image: Path, kind: str, target: Path) -> None:
    """Past the page cache, so that the image holds what the filesystem in it has written."""
    device = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", "--sector-size", str(SECTOR), str(image)],
                            check=True, capture_output=True, text=True).stdout.strip()
    try:  # the copy of an xfs has the original's id
        workspace.mount("-o", "nouuid" if kind == "xfs" else "defaults", device, str(target))
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)  # in effect when it is unmounted


def unmount(target: Path) -> None:
    """The kernel lets go of a killed process's ring, and the files in it, a moment after the process is gone."""
    deadline = time.monotonic() + 20
    while subprocess.run(["umount", str(target)], check=False, capture_output=True).returncode != 0:
        assert time.monotonic() < deadline, f"{target} stays busy"
        time.sleep(0.02)


def copy_image(image: Path, copy: Path) -> None:
    """Both on images_on_xfs."""
    subprocess.run(["cp", "--reflink=always", str(image), str(copy)], check=True)


@contextlib.contextmanager
def images_on_xfs(name: str, size: int) -> Iterator[Path]:
    """A directory on an xfs of its own, which copies a file by reference."""
    directory = workspace.directory() / f"{name}-images"
    directory.mkdir()
    outer = directory.with_suffix(".image")
    make_filesystem(outer, "xfs", size)
    mount_image(outer, "xfs", directory)
    yield directory
    unmount(directory)
    outer.unlink()
