"""Cache roots with many models, a cold page cache, and the load of many publishes."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from harness.daemon import UNPRIVILEGED, CacheDaemon
from harness.workspace import binaries


class Amounts(NamedTuple):
    """What a root holds."""

    snapshots: int
    files: int
    """Of each snapshot; none is shared."""
    leases: int

    @property
    def blobs(self) -> int:
        return self.snapshots * self.files


class Load(NamedTuple):
    """How long calls took, of scale-acquire or of the test itself."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    def __str__(self) -> str:
        return (f"p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, max {self.max_ms:.2f} ms "
                f"({self.calls} calls, {self.calls / self.seconds:.0f}/s)")


def make_root(daemon: CacheDaemon, amounts: Amounts) -> None:
    """Fills the daemon's root, as its user, with models of the hub that the daemon asks: others' it wouldn't know."""
    hub = daemon.hub_url or "https://huggingface.co"
    subprocess.run([*UNPRIVILEGED, str(binaries() / "scale-root"), str(daemon.root), hub, *map(str, amounts)], check=True)


def acquire(daemon: CacheDaemon, snapshots: int, calls: int, callers: int) -> Load:
    """Publishes and releases from the node socket, so many at once."""
    done = subprocess.run([str(binaries() / "scale-acquire"), str(daemon.node_socket), str(snapshots), str(calls),
                           str(callers)], check=True, capture_output=True, text=True, timeout=300)
    return Load(**json.loads(done.stdout))


class Burst(NamedTuple):
    """What scale-publish measured of one kind of call, over all rounds; and each round's p99."""

    calls: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    round_p99_ms: list[float]

    def __str__(self) -> str:
        rounds = sorted(self.round_p99_ms)
        return (f"p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, max {self.max_ms:.1f} ms (p99 of a round: "
                f"{rounds[0]:.1f}, median {rounds[len(rounds) // 2]:.1f}, {rounds[-1]:.1f}; {len(rounds)} rounds)")


class Pods(NamedTuple):
    """What starts at one moment, again and again."""

    models: int
    """Of the root, shared by the pods."""
    pods: int
    rounds: int
    protection: str
    """readonly or writable."""
    connections: str = "each"
    """each: a connection a call, as kubelet makes them; shared: one."""

    def __str__(self) -> str:
        return (f"{self.pods} pods at once of {self.models} models, {self.protection}, "
                f"{'a connection each' if self.connections == 'each' else 'one connection'}")


def publish(plugin_socket: Path, kubelet_root: Path, pods: Pods) -> tuple[Burst, Burst]:
    """Publishes and unpublishes through the plugin, which mounts; what is mounted is looked at between."""
    done = subprocess.run([str(binaries() / "scale-publish"), str(plugin_socket), str(kubelet_root), *map(str, pods)],
                          check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    measured = json.loads(done.stdout)
    return Burst(**measured["publish"]), Burst(**measured["unpublish"])


def model(number: int) -> str:
    """The name of a model of the root, as test/scale/scale_model.h makes it."""
    repository = f"scale/model-{number}"
    return f"hf://{repository}@{hashlib.sha256(repository.encode()).hexdigest()[:40]}"


def listed(daemon: CacheDaemon) -> list[dict[str, Any]]:
    """What `weighhouse ls` shows."""
    snapshots: list[dict[str, Any]] = json.loads(daemon.cli("ls", "--output", "json").stdout)["snapshots"]
    return snapshots


def drop_page_cache() -> None:
    """Everything clean that the kernel remembers of any disk: data, inodes and names."""
    Path("/proc/sys/vm/drop_caches").write_text("3\n")
