"""weighhouse-csi as it runs in the DaemonSet: root, in a mount namespace of its own that shares the kubelet root."""

from __future__ import annotations

from pathlib import Path

import grpc

from harness.daemon import CacheDaemon
from harness.process import Process
from harness.workspace import binaries
from kubelet_double import CsiClient, Timing

NODE = "node-1"


class CsiPlugin:
    """The plugin on `directory/csi.sock`. Its times are kubelet's scaled by the same factor. Not started until
    `start()`."""

    def __init__(self, directory: Path, kubelet_root: Path, daemon: CacheDaemon, timing: Timing,
                 node: str = NODE, log_level: str = "debug") -> None:
        self.socket = directory / "csi.sock"
        self.log = directory / "csi.log"
        self.scratch_directory = kubelet_root / "plugins/csi.weighhouse.dev"
        """The plugin's default."""
        milliseconds = int(timing.deadline * 1000)
        self.launcher: list[str] = []
        """A command that runs the plugin's in circumstances of its own."""
        self.arguments: list[str] = []
        """Further flags of the next start."""
        self._command = [
            # Without a propagation change: what it mounts below the kubelet root reaches us, as with
            # mountPropagation: Bidirectional.
            "unshare", "--mount", "--propagation", "unchanged", "--",
            str(binaries() / "weighhouse-csi"),
            "--endpoint", f"unix://{self.socket}", "--daemon-socket", str(daemon.node_socket), "--node-id", node,
            "--kubelet-root", str(kubelet_root), "--cache-root", str(daemon.root),
            "--publish-margin", f"{milliseconds // 12}ms", "--publish-hold-limit", f"{milliseconds * 11 // 12}ms",
            "--reconcile-interval", f"{milliseconds // 2}ms", "--log-level", log_level,
        ]
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def spawn(self) -> Process:
        """Starts the program without waiting for it; the process is the caller's."""
        return Process("weighhouse-csi", [*self.launcher, *self._command, *self.arguments], self.log)

    def start(self) -> None:
        self._process = self.spawn()
        self._process.wait_ready(self.ready)

    def ready(self) -> bool:
        try:
            client = CsiClient(self.socket)
            return client.call("Identity", "Probe", client.messages.ProbeRequest(), timeout=1).ready.value
        except grpc.RpcError:
            return False

    def kill(self) -> None:
        self.process.kill()

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM and the exit status."""
        return self.process.stop(timeout)

    def end(self) -> None:
        """Stops what still runs."""
        if self._process is not None and self._process.running():
            self._process.stop()
