"""What kubelet keeps on disk for a pod's CSI volumes, and the mounts below its root."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Iterator, NamedTuple

from kubelet_double.pod import Pod, Volume

_PLUGIN = "kubernetes.io~csi"
_MNT_DETACH = 2


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo."""

    point: Path
    root: str
    options: str


def mounts_below(root: Path) -> list[Mount]:
    """The mounts strictly below `root`, innermost last."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        point = fields[4].encode().decode("unicode_escape")
        if point.startswith(str(root) + "/"):
            found.append(Mount(Path(point), fields[3], fields[5]))
    return sorted(found, key=lambda mount: len(mount.point.parts))


def unmount(point: Path) -> None:
    """Detaches what is mounted at `point`; raises OSError."""
    if ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(point), _MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(point))


class Directories:
    """The pods directory of one kubelet root."""

    def __init__(self, root: Path, driver: str, node: str) -> None:
        self.root = root
        self._driver = driver
        self._node = node
        self.pods = root / "pods"
        self.pods.mkdir(mode=0o750, parents=True, exist_ok=True)

    def target(self, pod: Pod, volume: Volume) -> Path:
        return self.pods / pod.uid / "volumes" / _PLUGIN / volume.name / "mount"

    def prepare(self, pod: Pod, volume: Volume) -> None:
        """The target's parent and vol_data.json; the target itself is the plugin's to make."""
        parent = self.target(pod, volume).parent
        old = os.umask(0)
        try:
            os.makedirs(parent, 0o750, exist_ok=True)
        finally:
            os.umask(old)
        data = {
            "specVolID": volume.name,
            "volumeHandle": volume.handle(pod),
            "driverName": self._driver,
            "nodeName": self._node,
            "volumeLifecycleMode": "Ephemeral" if volume.inline else "Persistent",
            "attachmentID": "",
        }
        (parent / "vol_data.json").write_text(json.dumps(data))

    def volume_handle(self, pod: Pod, volume: Volume) -> str:
        """What vol_data.json says; raises FileNotFoundError: kubelet's unmounter can't go on without it."""
        return json.loads((self.target(pod, volume).parent / "vol_data.json").read_text())["volumeHandle"]

    def remove(self, pod: Pod, volume: Volume) -> None:
        """Takes a volume's directory away unless something is mounted there. Never recursive."""
        target = self.target(pod, volume)
        if os.path.ismount(target):
            return
        if target.exists():
            target.rmdir()
        (target.parent / "vol_data.json").unlink(missing_ok=True)
        if target.parent.exists():
            target.parent.rmdir()

    def remove_pod(self, uid: str) -> None:
        """What housekeeping does with a pod that has ended: only empty directories go."""
        pod = self.pods / uid
        for directory in (pod / "volumes" / _PLUGIN, pod / "volumes", pod):
            if directory.exists():
                directory.rmdir()

    def recorded(self) -> Iterator[tuple[str, str]]:
        """(pod uid, volume name) of every vol_data.json, for a kubelet that has just started."""
        for path in sorted(self.pods.glob(f"*/volumes/{_PLUGIN}/*/vol_data.json")):
            yield path.parts[-5], path.parts[-2]

    def unmount_all(self) -> None:
        """What a reboot does to mounts."""
        for mount in reversed(mounts_below(self.pods)):
            unmount(mount.point)
