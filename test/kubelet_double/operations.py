"""One volume of one pod: the two operations that kubelet runs on it, and what their outcomes mean."""

from __future__ import annotations

import time
from typing import Any, Callable

import grpc

from kubelet_double.directories import Directories
from kubelet_double.pod import Pod, Volume
from kubelet_double.records import Backoff, Call, State, Timing, is_final
from kubelet_double.wire import CsiClient


class VolumeRecord:
    """What kubelet knows of a volume. Its fields are guarded by the kubelet's lock; `publish` and `unpublish`
    run without it, one at a time."""

    def __init__(self, pod: Pod, volume: Volume, timing: Timing) -> None:
        self.pod = pod
        self.volume = volume
        self.state = State.NOT_MOUNTED
        self.reconstructed = False
        self.busy = False
        self.backoff = Backoff(timing)

    @property
    def mount_key(self) -> tuple[str, str]:
        """Mounts of one persistent volume exclude each other over all pods; inline volumes only themselves."""
        handle = self.volume.handle(self.pod)
        return (handle, self.pod.uid) if self.volume.inline else (handle, "")

    @property
    def unmount_key(self) -> tuple[str, str]:
        return (self.volume.handle(self.pod), self.pod.uid)


def keys_exclude(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """True if operations with these keys may not run at the same time: an empty pod stands for every pod."""
    return one[0] == other[0] and (one[1] == other[1] or "" in (one[1], other[1]))


class Operations:
    """Runs publish and unpublish against the plugin; thread-safe."""

    def __init__(self, csi: CsiClient, directories: Directories, timing: Timing,
                 problems: list[str]) -> None:
        self._csi = csi
        self._directories = directories
        self._timing = timing
        self._problems = problems

    def publish(self, record: VolumeRecord) -> Call:
        """Prepares the directory, calls NodePublishVolume, and cleans up after a final error as kubelet does."""
        self._directories.prepare(record.pod, record.volume)
        call = self._timed("NodePublishVolume", record, self._publish)
        if not call.ok and is_final(call.code) and not record.reconstructed:
            self._remove(record)
        return call

    def unpublish(self, record: VolumeRecord) -> Call:
        """Calls NodeUnpublishVolume; after OK the directory goes."""
        call = self._timed("NodeUnpublishVolume", record, self._unpublish)
        if call.ok:
            self._remove(record)
        return call

    def _remove(self, record: VolumeRecord) -> None:
        try:
            self._directories.remove(record.pod, record.volume)
        except OSError as error:
            self._problems.append(f"{record.pod.name}/{record.volume.name}: {error}")

    def publish_request(self, record: VolumeRecord) -> Any:
        """The request as kubelet builds it."""
        messages = self._csi.messages
        modes = messages.VolumeCapability.AccessMode
        mode = record.volume.access_mode
        if mode == "SINGLE_NODE_WRITER" and self._multi_writer():
            mode = "SINGLE_NODE_MULTI_WRITER"
        return messages.NodePublishVolumeRequest(
            volume_id=record.volume.handle(record.pod),
            target_path=str(self._directories.target(record.pod, record.volume)),
            volume_capability=messages.VolumeCapability(
                mount=messages.VolumeCapability.MountVolume(),
                access_mode=modes(mode=modes.Mode.Value(mode))),
            readonly=record.volume.read_only,
            secrets=record.volume.secrets,
            volume_context=record.pod.context(record.volume),
        )

    def _multi_writer(self) -> bool:
        """Whether the node tells single-node writers apart; kubelet asks before each publish."""
        messages = self._csi.messages
        reply = self._csi.call("Node", "NodeGetCapabilities", messages.NodeGetCapabilitiesRequest(),
                               self._timing.deadline)
        rpc = messages.NodeServiceCapability.RPC
        return any(capability.rpc.type == rpc.SINGLE_NODE_MULTI_WRITER for capability in reply.capabilities)

    def _publish(self, record: VolumeRecord) -> None:
        self._csi.call("Node", "NodePublishVolume", self.publish_request(record), self._timing.deadline)

    def _unpublish(self, record: VolumeRecord) -> None:
        request = self._csi.messages.NodeUnpublishVolumeRequest(
            volume_id=self._directories.volume_handle(record.pod, record.volume),
            target_path=str(self._directories.target(record.pod, record.volume)))
        self._csi.call("Node", "NodeUnpublishVolume", request, self._timing.deadline)

    @staticmethod
    def _timed(method: str, record: VolumeRecord, run: Callable[[VolumeRecord], None]) -> Call:
        started = time.monotonic()
        code, message = grpc.StatusCode.OK, ""
        try:
            run(record)
        except grpc.RpcError as error:
            code, message = error.code(), error.details() or ""
        except (FileNotFoundError, ValueError) as error:  # no vol_data.json; a channel that was closed under us
            code, message = grpc.StatusCode.CANCELLED, str(error)
        return Call(method, record.pod.name, record.volume.name, code, message, time.monotonic() - started)


def settle(record: VolumeRecord, call: Call, now: float) -> None:
    """What kubelet believes after `call`. Under the kubelet's lock."""
    if call.ok:
        record.state = State.MOUNTED if call.method == "NodePublishVolume" else State.NOT_MOUNTED
        record.reconstructed = False
        record.backoff.succeeded()
        return
    record.backoff.failed(now)
    if call.method != "NodePublishVolume":
        return
    if not is_final(call.code):
        record.state = State.UNCERTAIN
    elif not record.reconstructed:
        record.state = State.NOT_MOUNTED

