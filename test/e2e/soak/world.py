"""The node that the soak works on: a hub, a small disk with somebody else's file on it, the daemon, and its pods."""

from __future__ import annotations

import collections
import hashlib
import random
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator

import grpc

from harness.daemon import Cache, CacheDaemon
from harness.disk import SmallDisk
from harness.hub import Hub
from harness.models import MIB
from soak.shelf import Shelf

if TYPE_CHECKING:
    from soak.holds import Held

DISK_MIB = 224
MIN_FREE = 16 * MIB
LIMITS = (24 * MIB, 64 * MIB, 96 * MIB, 128 * MIB)
MOST_ARRIVALS = 4


@dataclass
class Pod:
    """One lease, as kubelet knows it."""

    number: int
    model: str
    layout: str
    tree: str = ""  # once it is ready
    revision: str = ""
    volume: str = ""
    """That room was held for; empty: one of the pod's own."""

    @property
    def volume_id(self) -> str:
        return self.volume or self.uid

    @property
    def target(self) -> str:
        return f"/pods/{self.uid}/volumes/model/mount"

    @property
    def uid(self) -> str:
        return f"pod-{self.number}"

    @property
    def lease(self) -> str:
        return hashlib.sha256(self.target.encode()).hexdigest()


@dataclass
class Arrival:
    """A publish under way."""

    pod: Pod
    outcome: Future[Any]


@dataclass
class World:
    """The state that the workload knows to be true."""

    directory: Path
    seed: int
    pods: list[Pod] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    ghosts: list[Pod] = field(default_factory=list)
    """Gone from the node without an unpublish: SyncLeases is to find them."""
    holds: dict[str, Held] = field(default_factory=dict)
    """By volume."""
    volumes: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Of claims: the model of each, and what was answered for it."""
    limit: int = LIMITS[-1]
    fitting: bool = False
    """The limit was lowered, and what pods held then may still lie beyond it."""
    hog_bytes: int = 0
    faulty: bool = False
    last_number: int = 0
    kills: int = 0
    seen: collections.Counter[str] = field(default_factory=collections.Counter)
    """How often what is looked for was there to be looked at."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.shelf = Shelf(self.directory / "models", self.seed)
        self.hub = Hub(self.shelf.directory, self.directory / "hub.log")
        self.daemon = CacheDaemon(self.directory / "node", self.hub.url)
        self.disk = SmallDisk(self.daemon.root, DISK_MIB)
        self.pool = ThreadPoolExecutor(max_workers=MOST_ARRIVALS)
        self.configure()
        self.start()

    def configure(self) -> None:
        self.daemon.configure(self.hub.url, str(self.limit), min_free=str(MIN_FREE))

    def set_hold_timeout(self, timeout: str) -> None:
        """Returns once the daemon has taken it over."""
        logged = self.daemon.log.stat().st_size
        self.daemon.change("cache", holdTimeout=timeout)
        self.daemon.process.wait_ready(lambda: b"cache.holdTimeout" in self.daemon.log.read_bytes()[logged:])

    def start(self) -> None:
        self.daemon.start()
        self.cache: Cache = self.daemon.client()

    def close(self) -> None:
        self.cache.close()
        self.daemon.end()
        self.pool.shutdown()
        self.hub.stop()
        self.disk.unmount()

    def new_pod(self, model: str) -> Pod:
        self.last_number += 1
        return Pod(self.last_number, model, self.random.choice(("files", "files", "hub")))

    def acquire(self, pod: Pod) -> Any:
        """Publishes the pod's volume: its `Ready`, or grpc.RpcError."""
        messages = self.cache.messages
        holder = messages.Holder(volume_id=pod.volume_id, target_path=pod.target, pod_uid=pod.uid, pod_name=pod.uid)
        updates: Iterator[Any] = self.cache.call(
            "Acquire", 60, lease_id=pod.lease, holder=holder, model=self.cache.model(f"hf://{pod.model}"),
            layout=messages.Layout.Value(f"LAYOUT_{pod.layout.upper()}"))
        return list(updates)[-1].ready

    def begin_arrival(self, model: str) -> None:
        pod = self.new_pod(model)
        self.arrivals.append(Arrival(pod, self.pool.submit(self.acquire, pod)))

    def collect(self, everything: bool) -> list[tuple[Pod, grpc.RpcError]]:
        """Takes in the arrivals that ended (all: waits for them); those that failed with why."""
        failed = []
        for arrival in list(self.arrivals):
            if not everything and not arrival.outcome.done():
                continue
            self.arrivals.remove(arrival)
            error = arrival.outcome.exception()
            if error is None:
                self.settle(arrival.pod, arrival.outcome.result())
            elif isinstance(error, grpc.RpcError):
                failed.append((arrival.pod, error))
            else:
                raise error
        return failed

    def settle(self, pod: Pod, ready: Any) -> None:
        """The pod runs with what it was given."""
        pod.tree, pod.revision = ready.tree, ready.revision
        self.pods.append(pod)

    def release(self, pod: Pod) -> None:
        self.cache.call("Release", lease_id=pod.lease)

    def quiet(self) -> bool:
        """Nothing is under way in the daemon."""
        return not self.arrivals and self.cache.call("Info").fills_active == 0

    def still(self) -> int | None:
        """Nothing is under way, and nothing was between two calls that say the same: after a start the daemon goes on with
        fills by itself, and one may begin and end between them."""
        return self.fetched() if self.quiet() else None

    def fetched(self) -> int:
        """Bytes that came since the daemon's start."""
        return int(self.cache.call("Info").bytes_fetched)

    def said(self, words: str, logged: int) -> bool:
        """The daemon's log holds these words from this place on."""
        with self.daemon.log.open("rb") as log:
            log.seek(logged)
            return words.encode() in log.read()

    def files_of(self, pod: Pod) -> Path:
        """Where a pod's model files lie."""
        tree = self.daemon.root / pod.tree
        if pod.layout == "files":
            return tree
        [snapshot] = tree.glob("*/snapshots/*") if not (tree / "snapshots").exists() else tree.glob("snapshots/*")
        return snapshot

    def resize_hog(self, size: int) -> None:
        """Somebody else's file on the same disk."""
        self.disk.resize_hog(size)
        self.hog_bytes = size
