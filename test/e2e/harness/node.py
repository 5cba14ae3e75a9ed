"""A whole node: kubelet root, both daemons, the kubelet double, and what must not be left behind."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path
from typing import Any

import grpc

from harness import workspace
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.models import digests
from harness.plugin import NODE, CsiPlugin
from kubelet_double import Call, CsiClient, InlineVolume, Kubelet, PersistentVolume, Pod, Provisioner, Timing
from kubelet_double.directories import mounts_below

TIMING = Timing.scaled(1 / 40)  # a publish has 3 s
_numbers = itertools.count(1)


class Node:
    """Everything up and running after the constructor; `close()` ends it."""

    def __init__(self, hub: Hub, limit: str = "4Gi", timing: Timing = TIMING, name: str = NODE,
                 launcher: tuple[str, ...] = (), flags: tuple[str, ...] = ()) -> None:
        """`launcher`: a command that runs both daemons' in circumstances of their own. `flags`: more of the cache
        daemon's."""
        self.hub = hub
        self.name = name
        self.directory = workspace.directory() / f"node{next(_numbers)}"
        self.directory.mkdir()
        self.kubelet_root = self.directory / "kubelet"
        workspace.shared_directory(self.kubelet_root)
        self.local_models = self.directory / "local"
        self.local_models.mkdir()
        self.daemon = CacheDaemon(self.directory, hub.url, limit, (self.local_models,))
        self.plugin = CsiPlugin(self.directory, self.kubelet_root, self.daemon, timing, name)
        self.daemon.launcher = self.plugin.launcher = list(launcher)
        self.daemon.flags = list(flags)
        self.daemon.start()
        self.plugin.start()
        self.kubelet = Kubelet(self.plugin.socket, self.kubelet_root, timing, node=name)
        self.csi = CsiClient(self.plugin.socket)
        self.provisioner = Provisioner(self.plugin.socket)

    def close(self) -> None:
        self.kubelet.stop()
        workspace.note(self.name, "\n".join(map(str, self.kubelet.calls())))
        self.plugin.end()
        self.daemon.end()
        self.kubelet.directories.unmount_all()

    # Short ways to say what tests say often

    def pod(self, name: str, model: str = "hf://acme/tiny", secrets: dict[str, str] | None = None,
            read_only: bool = False, **attributes: str) -> Pod:
        """A pod with one inline volume of `model`."""
        volume = InlineVolume("model", {"model": model} | attributes, read_only, secrets or {})
        return Pod(name, (volume,))

    def claim_pod(self, name: str, volume: PersistentVolume, secrets: dict[str, str] | None = None) -> Pod:
        """A pod on a claim that `volume` is bound to; `secrets` are those of its nodePublishSecretRef."""
        return Pod(name, (volume.as_kubelet_sees_it(secrets),))

    def start(self, *pods: Pod, timeout: float = 60) -> list[Path]:
        """Runs pods, waits for their volumes, and returns where they are."""
        self.kubelet.run(*pods)
        self.kubelet.wait_mounted(*pods, timeout=timeout)
        return [self.kubelet.path(pod) for pod in pods]

    def end(self, *pods: Pod) -> None:
        """Deletes pods and waits until nothing of them is left."""
        self.kubelet.delete(*pods)
        self.kubelet.wait_gone(*pods)

    def publish(self, pod: Pod, **changes: object) -> Call:
        """One raw NodePublishVolume as kubelet would build it, with fields replaced; prepares the directory first."""
        volume = pod.volumes[0]
        self.kubelet.directories.prepare(pod, volume)
        request = self.kubelet.publish_request(pod)
        for field, value in changes.items():
            request.ClearField(field)
            if isinstance(value, dict):
                getattr(request, field).update(value)
            elif value is not None:
                setattr(request, field, value)
        return self._raw("NodePublishVolume", pod, request)

    def unpublish(self, pod: Pod) -> Call:
        """One raw NodeUnpublishVolume, without kubelet's bookkeeping."""
        volume = pod.volumes[0]
        request = self.csi.messages.NodeUnpublishVolumeRequest(
            volume_id=volume.handle(pod), target_path=str(self.kubelet.path(pod)))
        return self._raw("NodeUnpublishVolume", pod, request)

    def forget(self, pod: Pod) -> None:
        """Takes away what `publish` prepared, as kubelet does after a final error."""
        self.kubelet.directories.remove(pod, pod.volumes[0])
        self.kubelet.directories.remove_pod(pod.uid)

    def _raw(self, method: str, pod: Pod, request: object) -> Call:
        code, message = grpc.StatusCode.OK, ""
        try:
            self.csi.call("Node", method, request, TIMING.deadline)
        except grpc.RpcError as error:
            code, message = error.code(), error.details() or ""
            workspace.note(method, error)
        return Call(method, pod.name, pod.volumes[0].name, code, message, 0.0)

    # What the daemon says

    def info(self) -> Any:
        with self.daemon.client() as cache:
            return cache.call("Info")

    def capacity(self, model: str = "") -> Any:
        """The sums of space, and of a model (a URI) whether it fits."""
        with self.daemon.client() as cache:
            return cache.call("Capacity", model=cache.model(model) if model else None)

    def complete(self) -> list[str]:
        """The repositories whose models are here whole, and that nobody leases."""
        with self.daemon.client() as cache:
            return [each.origin.rpartition("/")[2] for each in cache.call("List").snapshots
                    if each.state == cache.messages.Snapshot.COMPLETE and not each.leases]

    # What is there

    def mounts(self) -> list[Path]:
        return [mount.point for mount in mounts_below(self.kubelet_root)]

    def assert_serves(self, mounted: Path, model: str = "acme/tiny") -> None:
        """Every file that is mounted is byte for byte the hub's, and none of the model's kept files is missing."""
        assert digests(mounted) == digests(self.hub.models / model)

    def assert_nothing_left(self) -> None:
        """No mount, no directory of a pod, no lease, no staged byte; and kubelet could remove all it wanted to."""
        assert self.mounts() == []
        assert os.listdir(self.kubelet.directories.pods) == []
        assert self.kubelet.problems == []
        assert self.daemon.leases() == []
        self.daemon.process.wait_ready(lambda: self.daemon.ingests() == [])  # a fill ends behind its last waiter's back


def modes(directory: Path) -> dict[str, tuple[str, int, int, int]]:
    """Mode, owner, group and size of `directory` and of everything below it."""
    found = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        found[str(path.relative_to(directory))] = (stat.filemode(status.st_mode), status.st_uid, status.st_gid,
                                                   status.st_size)
    return found
