"""Plays a kubelet on this machine: a cold publish, a warm one, a daemon killed under a reading pod, a third publish.

Every line is checked; the first claim that fails ends the demo with status 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "demo"), str(PROJECT / "test/e2e"), str(PROJECT / "test")]

from harness.models import file_digest  # noqa: E402
from harness.node import Node  # noqa: E402
from kubelet_double import Pod, Timing  # noqa: E402
from kubelet_double.records import is_final  # noqa: E402
from origin import FixtureOrigin, HubOrigin, Origin, check_files  # noqa: E402
from report import Report, bytes_text, seconds_text  # noqa: E402
from tensors import read_tensors  # noqa: E402

SOURCE_PATIENCE = 60.0  # seconds of nothing but UNAVAILABLE: the source isn't to be had


class Reader:
    """A pod that reads one file over and over, as long as it lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = file_digest(path)
        self._stop = threading.Event()
        self.passes = 0
        self.failure = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                if file_digest(self._path) != self._digest:
                    self.failure = "read other bytes than before"
                    return
                self.passes += 1
        except OSError as error:
            self.failure = str(error)

    def wait_pass(self, count: int) -> None:
        """Until so many whole passes are done, or one has failed."""
        while self.passes < count and not self.failure:
            time.sleep(0.005)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


class Demo:
    """The steps, in order; each reports and checks."""

    def __init__(self, node: Node, origin: Origin, report: Report) -> None:
        self.node = node
        self.origin = origin
        self.report = report
        self.pods: list[Pod] = []

    def publish(self, name: str, timeout: float) -> float:
        """Runs one more pod; the seconds from its first publish call to its volume."""
        pod = self.node.pod(name, self.origin.model, self.origin.secrets)
        self.pods.append(pod)
        started = time.monotonic()
        self.node.kubelet.run(pod)
        while True:
            try:
                self.node.kubelet.wait_mounted(pod, timeout=min(5.0, timeout))
                return time.monotonic() - started
            except TimeoutError:
                self.progress(pod, time.monotonic() - started, timeout)

    def progress(self, pod: Pod, waited: float, timeout: float) -> None:
        """Shows what kubelet would show as the pod's event; ends the demo if no patience can help."""
        calls = self.node.kubelet.calls(pod)
        away = waited > SOURCE_PATIENCE and all(call.code.name == "UNAVAILABLE" for call in calls)
        if calls and (is_final(calls[-1].code) or away or waited > timeout):
            self.report.claim(False, pod.name, "refused", f"{calls[-1].code.name}: {calls[-1].message}")
        elif calls:
            self.report.note(calls[-1].message)

    def path(self, number: int) -> Path:
        return self.node.kubelet.path(self.pods[number])

    def fetched(self) -> int:
        """Bytes that the daemon has fetched since its start, by its own count."""
        with self.node.daemon.client() as cache:
            return int(cache.call("Info").bytes_fetched)

    def weights(self, number: int) -> Path:
        """The largest file of a pod's volume."""
        return max((p for p in self.path(number).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)

    def cold(self) -> int:
        """Bytes of one copy: files that are equal are one."""
        took = self.publish("pod-1", 6 * 3600)
        files = {p.stat().st_ino: p.stat().st_size for p in self.path(0).rglob("*") if p.is_file()}
        size = sum(files.values())
        self.report.row("pod-1, cold publish", seconds_text(took),
                        f"{bytes_text(size)} fetched, verified and mounted: {bytes_text(size / took)}/s")
        return size

    def tensors(self) -> None:
        count, files = read_tensors(self.path(0))
        if not files:
            self.report.row("safetensors in pod-1", "none", "the model's weights are in another format")
            return
        self.report.claim(count > 0, "safetensors in pod-1", f"{count} tensors", f"read from {files} on the mount")

    def warm(self) -> None:
        before = self.fetched()
        took = self.publish("pod-2", 60)
        self.report.claim(self.fetched() == before, "pod-2, warm publish", seconds_text(took), "0 bytes fetched")
        inodes = {self.weights(number).stat().st_ino for number in (0, 1)}
        self.report.claim(len(inodes) == 1, "inode in both pods", str(inodes.pop()), self.weights(0).name)

    def crash(self, size: int) -> None:
        fetched = self.fetched()
        reader = Reader(self.weights(0))
        reader.wait_pass(1)
        self.node.daemon.kill()
        at_death = reader.passes
        reader.wait_pass(at_death + 2)
        self.report.claim(not reader.failure, "cache daemon killed", "SIGKILL",
                          reader.failure or f"pod-1 read its weights {reader.passes - at_death} times more meanwhile")
        self.node.daemon.start()
        took = self.publish("pod-3", 60)
        reader.stop()
        self.report.claim(not reader.failure and self.fetched() == 0, "pod-3, after its restart", seconds_text(took),
                          reader.failure or "0 bytes fetched")
        total = self.origin.fetched() or fetched
        # A range that lags is raced by a second transfer, and one that was cut off begins again.
        twice = f"; {bytes_text(total - size)} came twice, from connections that lagged" if total > size else ""
        self.report.claim(size <= total < 1.5 * size, "fetched in all", bytes_text(total),
                          f"one copy of {bytes_text(size)}, for three pods{twice}")

    def refusals(self) -> None:
        target = self.path(1)
        victim = next(p for p in sorted(target.rglob("*")) if p.is_file())
        try:
            with victim.open("r+b"):
                refused = ""
        except OSError as error:
            refused = error.strerror or ""
        self.report.claim(bool(refused), "write as root", "refused", refused)
        # What runc 1.2 and later do to volumes that a pod doesn't mark readOnly: clear the mount's flag.
        script = 'mount -o remount,bind,rw "$1" && echo remounted && echo x >>"$2"'
        outcome = subprocess.run(["unshare", "--mount", "--", "sh", "-c", script, "sh", target, victim], check=False,
                                 capture_output=True, text=True)
        why = outcome.stderr.strip().rsplit(": ", 1)[-1]
        tried = "remounted" in outcome.stdout
        self.report.claim(tried and outcome.returncode != 0, "… after remount,rw", "refused",
                          why if tried else f"not tried, the remount failed: {why}")

    def digests(self) -> None:
        with self.node.daemon.client() as cache:
            commit = cache.call("List").snapshots[0].revision
        try:
            same, wrong, left_out = check_files(self.path(2), self.origin, commit)
        except OSError as error:
            self.report.claim(False, "files equal to the Hub's", "unknown", f"{self.origin.name} lists nothing: {error}")
            return
        detail = f"sha256 or git's sha1 as the Hub lists it; {left_out} left out by the default patterns"
        self.report.claim(same > 0 and not wrong, "files equal to the Hub's", f"{same} of {same + len(wrong)}",
                          ", ".join(wrong) or detail)

    def end(self) -> None:
        self.node.end(*self.pods)
        left = [str(mount) for mount in self.node.mounts()] + self.node.daemon.leases()
        self.report.claim(not left, "unpublish of all three", "done", ", ".join(left) or "no mount, no lease left")


def main() -> None:
    """Sets the node up, runs the steps, and cleans up whatever happens (with test/e2e/in-namespace)."""
    model = os.environ.get("MODEL", "")
    origin: Origin = HubOrigin(model) if model else FixtureOrigin()
    report = Report(f"{origin.model} from {origin.name}")
    node = Node(origin.hub, limit="100%", timing=Timing())
    try:
        demo = Demo(node, origin, report)
        size = demo.cold()
        demo.tensors()
        demo.warm()
        demo.crash(size)
        demo.refusals()
        demo.digests()
        demo.end()
    finally:
        node.close()
        origin.close()
    report.end()


if __name__ == "__main__":
    main()
