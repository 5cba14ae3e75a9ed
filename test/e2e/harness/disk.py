"""A disk of its own for a cache root: a small ext4 on a loop device, which can run full or turn read-only."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.models import MIB
from harness.workspace import DAEMON_UID, mount


class SmallDisk:
    """Mounted over `root`, which then belongs to the daemon's uid; ends with the namespace."""

    def __init__(self, root: Path, mebibytes: int) -> None:
        self.root = root
        self._image = root.with_suffix(".img")
        with self._image.open("wb") as image:
            image.truncate(mebibytes * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "1", str(self._image)], check=True)
        self.mount()
        os.chown(root, DAEMON_UID, DAEMON_UID)

    def mount(self) -> None:
        mount("-o", "loop,errors=remount-ro", str(self._image), str(self.root))

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.root)], check=True)

    def turn_read_only(self) -> None:
        """As the kernel does when the disk reports an error: at once, whoever writes; until it is mounted anew."""
        mount("-o", "remount,abort", str(self.root))

    def free(self) -> int:
        """Bytes that the daemon's uid may still have."""
        space = os.statvfs(self.root)
        return space.f_bavail * space.f_frsize

    def hog(self, leave: int) -> Path:
        """A file of somebody else's that leaves so many bytes free."""
        return self.resize_hog(self.free() - leave)

    def resize_hog(self, size: int) -> Path:
        """That file with exactly so many bytes."""
        path = self.root / "hog"
        with path.open("ab") as file:
            file.truncate(size)
            if size > 0:
                os.posix_fallocate(file.fileno(), 0, size)
        return path
