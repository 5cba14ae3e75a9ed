"""The whole daemon killed at every fault point, as an unprivileged uid: what it serves afterwards is true, the work
completes, and what was committed before is not fetched again."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.canary import canary
from harness.daemon import Cache, CacheDaemon
from harness.hub import Hub, fault
from harness.layers import content_of, push_archives
from harness.models import MIB, digests, file_digest, make_model
from harness.process import Process
from harness.registry import MODELPACK, Registry

LEASE = hashlib.sha256(b"/test/target").hexdigest()
VOLUME = "claim-1"
DIGEST = hashlib.sha256(b"what the claim asks for").hexdigest()
PRIVATE = "crash/private"
TOKEN = canary("crash-token")
MODELS = ("crash/first", "crash/second", "crash/interrupted", PRIVATE)
PACKED = "crash/packed"
"""A model that is not the Hub's: the registry has it, in layers that are read whole."""


def fault_points() -> list[str]:
    """What the daemon says it has: a name a line, then their number."""
    built = Path(os.environ.get("WEIGHHOUSE_BIN", workspace.PROJECT / "build/dev/bin")) / "weighhouse-cached"
    listing = subprocess.run([built, "--list-fault-points"], check=True, capture_output=True, text=True)
    *names, count = listing.stdout.splitlines()
    assert count == f"{len(names)} fault points", count
    return names


POINTS = fault_points()


class Sources:
    """Where the models come from."""

    def __init__(self, hub: Hub, registry: Registry) -> None:
        self.hub = hub
        self.packed = f"oci://{registry.address}/{PACKED}:v1"
        self.directories = {f"hf://{model}": hub.models / model for model in MODELS}
        self.directories[self.packed] = workspace.directory() / "crash-packed" / PACKED

    def mend(self) -> None:
        """Whatever a workload had broken when it ended."""
        self.hub.faults()
        self.hub.tokens(TOKEN)
        self.hub.reset()


@pytest.fixture(scope="module")
def crash_hub() -> Iterator[Hub]:
    models = workspace.directory() / "crash-models"
    make_model(models, MODELS[0], (MIB, MIB // 2), seed=11)
    make_model(models, MODELS[1], seed=12)
    make_model(models, MODELS[2], (5 * MIB,), seed=13)
    make_model(models, PRIVATE, seed=14, fixture={"private": True, "granted": [TOKEN]})
    hub = Hub(models, workspace.directory() / "crash-hub.log")
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def crash_registry() -> Iterator[Registry]:
    files = content_of(make_model(workspace.directory() / "crash-packed", PACKED, (MIB, MIB // 2), seed=15))
    registry = Registry(workspace.directory() / "crash-registry")
    parts = [dict(list(files.items())[:3]), dict(list(files.items())[3:])]
    push_archives(registry, f"{PACKED}:v1", parts, MODELPACK, compressed=True)
    yield registry
    registry.stop()


@pytest.fixture
def sources(crash_hub: Hub, crash_registry: Registry) -> Sources:
    return Sources(crash_hub, crash_registry)


def create_volume(cache: Cache) -> Any:
    return cache.call("CreateVolume", volume_id=VOLUME, request_digest=DIGEST,
                      model=cache.model(f"hf://{MODELS[0]}")).volume


def fill_interrupted(hub: Hub, cache: Cache) -> None:
    """A file whose first attempt ends in the middle, whose second goes on with wrong bytes, and whose third is right."""
    file = f"{MODELS[2]}/model.safetensors"
    hub.faults(fault("cdn", file, {"kind": "cut", "after": 3 * MIB}, times=1),
               fault("cdn", file, {"kind": "status", "status": 404}, skip=1))
    try:
        cache.acquire(f"hf://{MODELS[2]}")
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
    hub.faults(fault("cdn", file, {"kind": "corrupt", "at": 4 * MIB}, times=1))
    cache.acquire(f"hf://{MODELS[2]}")


def have_and_lose_a_right(hub: Hub, cache: Cache) -> None:
    """A grant is written down, and taken back."""
    secret = {"HF_TOKEN": TOKEN}
    cache.acquire(f"hf://{PRIVATE}", credentials=secret)
    hub.tokens()
    try:
        cache.acquire(f"hf://{PRIVATE}", credentials=secret)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAUTHENTICATED:
            raise
    hub.tokens(TOKEN)


def workload(sources: Sources, daemon: CacheDaemon) -> None:
    """Passes every fault point at least once; ends early with RpcError when the daemon dies."""
    with daemon.client() as cache:
        fill_interrupted(sources.hub, cache)
        have_and_lose_a_right(sources.hub, cache)
        cache.acquire(sources.packed)
        cache.acquire(f"hf://{MODELS[0]}", lease_id=LEASE)
        cache.acquire(f"hf://{MODELS[0]}", layout="hub")
        cache.call("Release", lease_id=LEASE)
        volume = create_volume(cache)
        assert cache.call("GetVolume", volume_id=VOLUME).volume == volume
        cache.call("DeleteVolume", volume_id=VOLUME)
        cache.acquire(f"hf://{MODELS[1]}")
        cache.call("Evict", model=f"hf://{MODELS[1]}")
        ready = cache.acquire(f"hf://{MODELS[1]}")
        with (daemon.root / ready.tree / "model.safetensors").open("r+b") as rotten:
            rotten.write(b"rotten")
        list(cache.call("Verify", timeout=60))
        cache.acquire(f"hf://{MODELS[1]}")  # brought again, so that the bad one leaves quarantine


def run_until_killed(sources: Sources, daemon: CacheDaemon, point: str) -> None:
    """Starts the daemon with the fault and works until SIGKILL has come."""
    process: Process = daemon.spawn({"WEIGHHOUSE_FAULT": point})
    process.wait_ready(lambda: daemon.answers() or not process.running())
    outcome = "the workload went through"
    try:
        workload(sources, daemon)
    except grpc.RpcError as error:
        outcome = f"{error.code()}: {error.details()}"
    try:
        status = process.wait(5)
    except subprocess.TimeoutExpired:
        process.stop()
        pytest.fail(f"never reached {point}: {outcome}")
    assert status == -signal.SIGKILL, f"ended with {status} instead of SIGKILL:\n{process.log_tail()}"


def committed(root: Path) -> dict[str, int]:
    """Blobs by sha256 with their sizes; every name must be true."""
    found = {}
    for path in (root / "blobs").rglob("*"):
        if path.is_file():
            assert file_digest(path) == path.name, f"{path} is not what its name says"
            found[path.name] = path.stat().st_size
    return found


def assert_trees_are_true(sources: Sources, root: Path) -> None:
    """Every file below trees/ is byte for byte one of its source's, under its own name."""
    originals = {(Path(name).name, digest) for directory in sources.directories.values()
                 for name, digest in digests(directory).items()}
    for path in (root / "trees").rglob("*"):
        if path.is_file() and path.parent.name != "refs":
            assert (path.name, file_digest(path)) in originals, f"{path} holds bytes that nobody verified"


def fetched_again(hub: Hub, blobs: dict[str, int]) -> list[str]:
    """Files that were fetched although their blob was there. Equal files of both models don't count: a git blob id of one
    origin says nothing about the other's."""
    names: dict[str, list[str]] = {}
    for model in MODELS:
        for name, digest in digests(hub.models / model).items():
            names.setdefault(digest, []).append(f"{model}/{name}")
    kept = {names[digest][0] for digest in blobs if len(names.get(digest, [])) == 1}
    return sorted(kept & hub.fetched().keys())


def serves_everything(sources: Sources, daemon: CacheDaemon) -> None:
    with daemon.client() as cache:
        for uri, directory in sources.directories.items():
            ready = cache.acquire(uri, credentials={"HF_TOKEN": TOKEN} if PRIVATE in uri else {})
            assert digests(daemon.root / ready.tree) == digests(directory)
        verified = list(cache.call("Verify", timeout=60))
        assert verified[-1].sums.bad == 0
        # Whatever the crash left of it: the repetition is answered, and known from then on.
        assert create_volume(cache).commit == sources.hub.commit(MODELS[0])
        assert cache.call("Info").volumes == 1
        assert_nothing_is_held(sources, cache, allocated(daemon.root / "quarantine"))


def allocated(directory: Path) -> int:
    """Bytes on the disk of the files below `directory`."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def assert_nothing_is_held(sources: Sources, cache: Cache, quarantined: int) -> None:
    """After lease and hold are released, all models can go, and no byte but the quarantine's stays accounted."""
    cache.call("Release", lease_id=LEASE)
    cache.call("DeleteVolume", volume_id=VOLUME)
    for uri in sources.directories:
        cache.call("Evict", model=uri)
    sums = cache.call("Capacity")
    assert (sums.used, sums.held, sums.reserved) == (quarantined, quarantined, 0), sums


def test_fault_points_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(POINTS)} fault points: {' '.join(POINTS)}")
    assert len(POINTS) == len(set(POINTS)) > 30


@pytest.mark.parametrize("point", POINTS)
def test_daemon_killed_at(sources: Sources, new_daemon: Callable[..., CacheDaemon], point: str) -> None:
    daemon = new_daemon()
    daemon.configure(sources.hub.url, "1Gi")
    sources.mend()
    run_until_killed(sources, daemon, point)
    if not point.startswith("quarantine."):  # there the disk has rotted under a tree: the restart must see to it
        assert_trees_are_true(sources, daemon.root)
    before = committed(daemon.root)
    sources.mend()
    daemon.start()
    assert_trees_are_true(sources, daemon.root)
    now = committed(daemon.root)
    # What was there before; interrupted fills of public models go on by themselves and bring more.
    kept = {name: size for name, size in before.items() if name in now}
    serves_everything(sources, daemon)
    assert fetched_again(sources.hub, kept) == []
    if not point.startswith("evict."):
        assert kept == before, "the restart threw verified blobs away"
    assert daemon.ingests() == []
