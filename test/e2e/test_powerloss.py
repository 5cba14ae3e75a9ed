"""The power goes at random moments of a busy cache, on ext4 and on xfs: each disk mounts, and what the next start makes of
it holds only verified bytes.

A power cut is a reflink copy of the filesystem's image, taken while the daemon works. WEIGHHOUSE_POWERLOSS_IMAGES is how
many of each kind (`make powerloss`), _SEED repeats a run's choices."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from pathlib import Path
from typing import Iterator

import grpc
import pytest

from harness import workspace
from harness.daemon import Cache, CacheDaemon
from harness.hub import Hub
from harness.images import copy_image, images_on_xfs, make_filesystem, mount_image, unmount
from harness.models import MIB, digests, file_digest, make_model
from soak.disk_view import DiskView

IMAGES = int(os.environ.get("WEIGHHOUSE_POWERLOSS_IMAGES") or 4)
SEED = int(os.environ.get("WEIGHHOUSE_POWERLOSS_SEED") or time.time_ns() % 1_000_000)
SIZES = ((MIB,), (256 * 1024,) * 6, (3 * MIB, 2 * MIB), (12 * MIB,), (4 * MIB,) * 5)
MODELS = tuple(f"power/model-{number}" for number in range(2 * len(SIZES)))
IMAGE_MIB = 320  # the least that mkfs.xfs takes is 300
LIMIT_MIB = 64
BUSY = 3  # callers at the same moment
LONGEST_PAUSE = 0.4
ENOUGH = 20  # images, that some surely come while a model is held


@pytest.fixture(scope="module")
def power_hub() -> Iterator[Hub]:
    models = workspace.directory() / "power-models"
    for number, name in enumerate(MODELS):
        make_model(models, name, SIZES[number % len(SIZES)], seed=200 + number)
    hub = Hub(models, workspace.directory() / "power-hub.log")
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def images() -> Iterator[Path]:
    with images_on_xfs("power", 16 * 1024 * MIB) as directory:
        yield directory


class Caller:
    """Takes models, holds them for a moment and lets them go, until it is told to stop."""

    def __init__(self, daemon: CacheDaemon, number: int) -> None:
        self.hold: tuple[int, str] | None = None
        """The how-manieth snapshot, and which, it surely holds: ready, and not being released."""
        self.failure: Exception | None = None
        self._daemon = daemon
        self._random = random.Random(SEED * 1000 + number)
        self._lease = hashlib.sha256(f"{SEED}/{number}".encode()).hexdigest()
        self._stop = threading.Event()
        self._holds = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._daemon.client() as cache:
                while not self._stop.is_set():
                    self._once(cache)
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.failure = error

    def _once(self, cache: Cache) -> None:
        model = self._random.choice(MODELS)
        try:
            ready = cache.acquire(f"hf://{model}", layout=self._random.choice(("files", "hub")), lease_id=self._lease)
            self._holds += 1
            self.hold = self._holds, ready.snapshot_id
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
        self._stop.wait(self._random.random() * 0.1)
        self.hold = None
        cache.call("Release", lease_id=self._lease)
        if self._random.random() < 0.2:
            try:
                cache.call("Evict", model=f"hf://{self._random.choice(MODELS)}")
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND):
                    raise

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure


def new_daemon(hub: Hub, image: Path, kind: str, name: str) -> CacheDaemon:
    """A daemon, not started, whose root lies on the image."""
    daemon = CacheDaemon(workspace.directory() / name, hub.url, limit=f"{LIMIT_MIB}Mi")
    mount_image(image, kind, daemon.root)
    os.chown(daemon.root, workspace.DAEMON_UID, workspace.DAEMON_UID)
    return daemon


def cut_the_power(hub: Hub, images: Path, kind: str) -> list[tuple[Path, set[str]]]:
    """Copies of a busy cache's disk, and the snapshots that were surely held when each was taken."""
    image = images / f"{kind}.image"
    make_filesystem(image, kind, IMAGE_MIB * MIB)
    daemon = new_daemon(hub, image, kind, f"power-{kind}")
    daemon.start()
    callers = [Caller(daemon, number) for number in range(BUSY)]
    moments = random.Random(SEED)
    cuts = []
    for number in range(IMAGES):
        time.sleep(moments.random() * LONGEST_PAUSE)  # a random moment, which is the point of it
        before = [caller.hold for caller in callers]
        copy = images / f"{kind}-{number}.image"
        copy_image(image, copy)
        cuts.append((copy, {hold[1] for hold, caller in zip(before, callers) if hold and hold == caller.hold}))
    for caller in callers:
        caller.stop()
    daemon.end()
    unmount(daemon.root)
    image.unlink()
    return cuts


def assert_recovers(hub: Hub, daemon: CacheDaemon, held: set[str]) -> None:
    """Every blob and every file in a tree is true, what was held is there, and the sums are the disk's."""
    daemon.start()
    known = {digest for model in MODELS for digest in digests(hub.models / model).values()}
    with daemon.client() as cache:
        complete = {one.id for one in cache.call("List").snapshots if one.state == one.COMPLETE}
        assert held <= complete, f"lost {held - complete}"
        for model in MODELS[:2]:
            ready = cache.acquire(f"hf://{model}")
            assert digests(daemon.root / ready.tree) == digests(hub.models / model)

        def ledger_is_disk() -> bool:  # fills that go on by themselves may begin at any moment
            return bool(cache.call("Info").fills_active == 0
                        and cache.call("Capacity").used == DiskView(daemon.root).allocated())

        daemon.process.wait_ready(ledger_is_disk)
        disk = DiskView(daemon.root)
        assert disk.blobs <= disk.listed(), f"nobody lists {disk.blobs - disk.listed()}"
    for path in (daemon.root / "blobs").rglob("*"):
        assert not path.is_file() or file_digest(path) == path.name, path
    for path in (daemon.root / "trees").rglob("*"):
        assert not path.is_file() or path.parent.name == "refs" or file_digest(path) in known, path


@pytest.mark.parametrize("kind", ("ext4", "xfs"))
def test_power_cut_on(power_hub: Hub, images: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    cuts = cut_the_power(power_hub, images, kind)
    assert IMAGES < ENOUGH or any(held for _, held in cuts), "no cut came while a model was surely held"
    for number, (copy, held) in enumerate(cuts):
        daemon = new_daemon(power_hub, copy, kind, f"power-{kind}-{number}")
        try:
            assert_recovers(power_hub, daemon, held)
        except BaseException as error:
            error.add_note(f"seed {SEED}, {kind} image {number}\n{daemon.process.log_tail(30)}")
            raise
        finally:
            daemon.end()
            unmount(daemon.root)
            copy.unlink()
    with capsys.disabled():
        print(f"\n{kind}: {len(cuts)} images recovered, {sum(len(held) for _, held in cuts)} held models in them, "
              f"seed {SEED}", end="")
