"""What the disk can do to a fill: run full, turn read-only; and a kernel that gives no io_uring."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness.daemon import CacheDaemon
from harness.disk import SmallDisk
from harness.hub import Hub
from harness.models import MIB, digests, make_model

Code = grpc.StatusCode
NewDaemon = Callable[..., CacheDaemon]
MANY = "acme/many-shards"


@pytest.fixture(scope="session", autouse=True)
def _many_shards(models: Path) -> None:
    """More files than are fetched at once, so that a fill has begun and still has to ask the disk for room."""
    make_model(models, MANY, (3 * MIB,) * 12, seed=40)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


def acquire(daemon: CacheDaemon, model: str) -> Any:
    with daemon.client() as cache:
        return cache.acquire(f"hf://{model}")


def refusal(future: Future[Any]) -> grpc.RpcError:
    """The error that a call ends with."""
    error = future.exception(timeout=60)
    assert isinstance(error, grpc.RpcError), f"it succeeded or broke: {error!r}"
    return error


def wait(daemon: CacheDaemon, condition: Callable[[], bool]) -> None:
    daemon.process.wait_ready(condition, timeout=30)


def assert_serves(daemon: CacheDaemon, hub: Hub, model: str) -> None:
    """The model comes, whole, and leaves nothing staged."""
    ready = acquire(daemon, model)
    assert digests(daemon.root / ready.tree) == digests(hub.models / model)
    wait(daemon, lambda: daemon.ingests() == [])


def trees(daemon: CacheDaemon) -> list[Path]:
    return [path for path in (daemon.root / "trees").rglob("*") if path.is_file()]


def begin_many(daemon: CacheDaemon, hub: Hub, pool: ThreadPoolExecutor) -> Future[Any]:
    """A fill of MANY that is under way and slow."""
    hub.slow(600_000)
    future = pool.submit(acquire, daemon, MANY)
    wait(daemon, lambda: len(daemon.ingests()) >= 4 and hub.requests("cdn") >= 4)
    return future


def test_disk_that_runs_full_in_mid_fill_is_one_clear_error(new_daemon: NewDaemon, hub: Hub,
                                                            pool: ThreadPoolExecutor) -> None:
    daemon = new_daemon(limit="")
    disk = SmallDisk(daemon.root, 96)
    daemon.start()
    future = begin_many(daemon, hub, pool)
    hog = disk.hog(leave=2 * MIB)
    hub.faults()
    error = refusal(future)
    assert error.code() == Code.RESOURCE_EXHAUSTED, error
    for said in ("No space left on device", MANY, "need 36.0 MiB", "limit 8", "held by pods", "reserved"):
        assert said in error.details(), error.details()
    wait(daemon, lambda: daemon.ingests() == [])
    assert trees(daemon) == []
    assert_serves(daemon, hub, "acme/tiny")  # what the failed fill had verified makes room
    hog.unlink()
    assert_serves(daemon, hub, MANY)


def test_model_that_lacks_room_is_refused_with_the_sums(new_daemon: NewDaemon, hub: Hub,
                                                        pool: ThreadPoolExecutor) -> None:
    daemon = new_daemon(limit="")
    disk = SmallDisk(daemon.root, 96)
    daemon.start()
    hog = disk.hog(leave=20 * MIB)
    error = refusal(pool.submit(acquire, daemon, MANY))
    assert error.code() == Code.RESOURCE_EXHAUSTED, error
    assert error.details().count("MiB") >= 3, error.details()
    assert daemon.ingests() == [] and trees(daemon) == [] and hub.requests("cdn") == 0
    assert_serves(daemon, hub, "acme/tiny")
    hog.unlink()
    assert_serves(daemon, hub, MANY)


def test_disk_that_turns_read_only_in_mid_fill_is_one_clear_error(new_daemon: NewDaemon, hub: Hub,
                                                                  pool: ThreadPoolExecutor) -> None:
    daemon = new_daemon(limit="")
    disk = SmallDisk(daemon.root, 96)
    daemon.start()
    assert_serves(daemon, hub, "acme/tiny")
    future = begin_many(daemon, hub, pool)
    disk.turn_read_only()
    hub.faults()
    error = refusal(future)
    assert error.code() in (Code.FAILED_PRECONDITION, Code.INTERNAL), error
    assert "Read-only file system" in error.details() or "Input/output error" in error.details(), error.details()
    assert daemon.process.running() and daemon.answers()
    with daemon.client() as cache:
        complete = [one.origin for one in cache.call("List").snapshots if one.state == one.COMPLETE]
    assert len(complete) == 1 and complete[0].endswith("acme/tiny")
    assert daemon.stop() == 0
    disk.unmount()
    disk.mount()
    daemon.start()
    assert_serves(daemon, hub, "acme/tiny")
    assert_serves(daemon, hub, MANY)


def test_daemon_without_io_uring_writes_with_pwrite_and_says_so(new_daemon: NewDaemon, hub: Hub) -> None:
    daemon = new_daemon()
    daemon.launcher = [sys.executable, str(Path(__file__).parent / "harness/without_io_uring.py")]
    daemon.start()
    status = daemon.cli("status").stdout
    assert "pwrite (not io_uring:" in status and "seccomp" in status, status
    assert_serves(daemon, hub, "acme/sharded")
