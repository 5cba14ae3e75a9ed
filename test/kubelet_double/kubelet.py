"""The kubelet: wanted pods on one side, believed volumes on the other, and a loop that brings them together."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterable

import grpc

from kubelet_double.directories import Directories
from kubelet_double.operations import Operations, VolumeRecord, keys_exclude, settle
from kubelet_double.pod import Pod, Volume
from kubelet_double.records import Call, State, Timing
from kubelet_double.wire import CsiClient


class Kubelet:
    """Runs pods' volumes through a CSI plugin. Thread-safe; `stop()` ends its threads."""

    def __init__(self, socket: Path, root: Path, timing: Timing = Timing(), driver: str = "csi.weighhouse.dev",
                 node: str = "node-1") -> None:
        self.timing = timing
        self.directories = Directories(root, driver, node)
        self._socket = socket
        self._changed = threading.Condition()
        self._wanted: dict[str, Pod] = {}
        self._known: dict[str, Pod] = {}  # every pod ever seen here, to read directories back
        self._calls: list[Call] = []
        self.problems: list[str] = []  # directories that could not be taken away after a call
        self._generation = 0
        self.start()

    # The process

    def start(self) -> None:
        """Starts with what the directories say: every volume found is uncertain until it was published again."""
        with self._changed:
            self._generation += 1
            self._csi = CsiClient(self._socket)
            self._operations = Operations(self._csi, self.directories, self.timing, self.problems)
            self._workers: list[threading.Thread] = []
            self._records: dict[tuple[str, str], VolumeRecord] = {}
            self._running: list[tuple[str, str]] = []
            self._reconstruct()
            self._loop = threading.Thread(target=self._reconcile, args=(self._generation,), daemon=True)
            self._loop.start()

    def stop(self) -> None:
        """Dies: its calls' connections close, mounts and directories stay."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()
        self._csi.abandon()
        self._loop.join()
        for worker in self._workers:
            worker.join()

    def restart(self) -> None:
        """Publishes again for every wanted pod, unpublishes for those that went in between."""
        self.stop()
        self.start()

    def reboot(self, lost: Iterable[Pod] = (), while_down: Callable[[], None] = lambda: None) -> None:
        """Takes the node down: mounts go, directories stay. `lost` pods are gone from the disk too, and never
        unpublished (kubernetes/kubernetes#127229). `while_down` restarts what else runs on the node."""
        self.stop()
        self.directories.unmount_all()
        for pod in lost:
            self._wanted.pop(pod.uid, None)
            for volume in pod.volumes:
                self.directories.remove(pod, volume)
            self.directories.remove_pod(pod.uid)
        while_down()
        self.start()

    # What the API server says

    def run(self, *pods: Pod) -> None:
        with self._changed:
            for pod in pods:
                self._wanted[pod.uid] = self._known[pod.uid] = pod
                for volume in pod.volumes:
                    self._records.setdefault((pod.uid, volume.name), VolumeRecord(pod, volume, self.timing))
            self._changed.notify_all()

    def delete(self, *pods: Pod) -> None:
        """The pods' containers have ended."""
        with self._changed:
            for pod in pods:
                self._wanted.pop(pod.uid, None)
            self._changed.notify_all()

    # What a test sees

    def path(self, pod: Pod, volume: Volume | None = None) -> Path:
        """Where a volume (the first by default) is mounted."""
        return self.directories.target(pod, volume or pod.volumes[0])

    def calls(self, pod: Pod | None = None, method: str = "") -> list[Call]:
        """The ended calls in order, of one pod and of methods that contain `method`."""
        with self._changed:
            return [call for call in self._calls
                    if (pod is None or call.pod == pod.name) and method in call.method]

    def wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Waits for something that changes when a call ends; TimeoutError shows the last calls."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                recent = "\n  ".join(f"{c.method} {c.pod}: {c.code.name} {c.message}" for c in self._calls[-5:])
                raise TimeoutError(f"{what} did not come within {timeout} s; last calls:\n  {recent}")

    def wait_mounted(self, *pods: Pod, timeout: float = 60) -> None:
        self.wait(lambda: all(self._state(pod, volume) == State.MOUNTED for pod in pods for volume in pod.volumes),
                  timeout, "the publish of " + ", ".join(pod.name for pod in pods))

    def wait_gone(self, *pods: Pod, timeout: float = 60) -> None:
        self.wait(lambda: not any(key[0] == pod.uid for pod in pods for key in self._records),
                  timeout, "the end of " + ", ".join(pod.name for pod in pods))

    def wait_call(self, pod: Pod, code: grpc.StatusCode, method: str = "Publish", timeout: float = 60) -> Call:
        """The first call of `pod` that ended with `code`."""
        def matching() -> list[Call]:
            return [call for call in self.calls(pod, method) if call.code == code]
        self.wait(lambda: bool(matching()), timeout, f"{code.name} for {pod.name}")
        return matching()[0]

    def publish_request(self, pod: Pod, volume: Volume | None = None) -> Any:
        """The request that kubelet would send, for tests that change it."""
        record = VolumeRecord(pod, volume or pod.volumes[0], self.timing)
        return self._operations.publish_request(record)

    # The loop

    def _state(self, pod: Pod, volume: Volume) -> State:
        record = self._records.get((pod.uid, volume.name))
        return record.state if record else State.NOT_MOUNTED

    def _reconstruct(self) -> None:
        for pod in self._wanted.values():
            for volume in pod.volumes:
                self._records[(pod.uid, volume.name)] = VolumeRecord(pod, volume, self.timing)
        for uid, name in self.directories.recorded():
            pod = self._known.get(uid)
            volume = next((v for v in pod.volumes if v.name == name), None) if pod else None
            if pod is None or volume is None:
                continue
            record = self._records.setdefault((uid, name), VolumeRecord(pod, volume, self.timing))
            record.state, record.reconstructed = State.UNCERTAIN, True

    def _reconcile(self, generation: int) -> None:
        with self._changed:
            while generation == self._generation:
                for record in list(self._records.values()):
                    self._bring_together(record, generation)
                self._changed.wait(self.timing.reconcile)

    def _bring_together(self, record: VolumeRecord, generation: int) -> None:
        wanted = record.pod.uid in self._wanted
        if wanted and record.state != State.MOUNTED:
            self._begin(record, "mount", record.mount_key, generation)
        elif not wanted and record.state != State.NOT_MOUNTED:
            self._begin(record, "unmount", record.unmount_key, generation)
        elif not wanted and not record.busy:
            self._forget(record)

    def _forget(self, record: VolumeRecord) -> None:
        del self._records[(record.pod.uid, record.volume.name)]
        if not any(uid == record.pod.uid for uid, _ in self._records):
            try:
                self.directories.remove_pod(record.pod.uid)
            except OSError as error:
                self.problems.append(f"pod directory of {record.pod.name}: {error}")
        self._changed.notify_all()

    def _begin(self, record: VolumeRecord, operation: str, key: tuple[str, str], generation: int) -> None:
        if record.busy or any(keys_exclude(key, running) for running in self._running):
            return
        if not record.backoff.may_start(operation, time.monotonic()):
            return
        record.busy = True
        self._running.append(key)
        worker = threading.Thread(target=self._operate, args=(record, operation, key, generation), daemon=True)
        self._workers = [thread for thread in self._workers if thread.is_alive()] + [worker]
        worker.start()

    def _operate(self, record: VolumeRecord, operation: str, key: tuple[str, str], generation: int) -> None:
        run = self._operations.publish if operation == "mount" else self._operations.unpublish
        call = run(record)
        with self._changed:
            if generation != self._generation:
                return  # this kubelet is dead: what it saw dies with it
            self._calls.append(call)
            record.busy = False
            self._running.remove(key)
            settle(record, call, time.monotonic())
            self._changed.notify_all()
