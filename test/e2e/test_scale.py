"""A node with many models: how soon a daemon with a cold page cache serves, and what a publish of a present model takes.

The short form holds bounds so loose that debug builds on busy machines keep them; WEIGHHOUSE_SCALE=full is `make scale`."""

from __future__ import annotations

import os
import re
import time
from typing import Callable, Iterator, NamedTuple

import pytest

from harness import scale, workspace
from harness.daemon import CacheDaemon
from harness.disk import SmallDisk
from harness.plugin import CsiPlugin
from harness.scale import Amounts, Pods
from kubelet_double import Timing
from kubelet_double.directories import mounts_below

CALLERS = 100
START_SECONDS, ALONE_MS, TOGETHER_MS, PUBLISH_MS = 2.0, 5.0, 50.0, 50.0


class Form(NamedTuple):
    """How much is made and measured, and by how much the bounds may be missed."""

    start: Amounts
    warm: Amounts
    calls_alone: int
    calls_together: int
    rounds: int
    slack: float


FULL = Form(Amounts(1_000, 100, 100), Amounts(10_000, 10, 1_000), 5_000, 20_000, 20, 1)
SHORT = Form(Amounts(1_000, 20, 100), Amounts(2_000, 5, 200), 500, 2_000, 2, 20)
FORM = FULL if os.environ.get("WEIGHHOUSE_SCALE") == "full" else SHORT


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def line(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", flush=True)
    return line


def complaints(daemon: CacheDaemon) -> list[str]:
    """The lines of the daemon's log that are warnings or worse, but for that of our own cache.minFree."""
    return [line for line in daemon.log.read_text().splitlines()
            if re.search(r"\b(warning|error|critical)\b", line) and "cache.minFree is" not in line]


def test_a_cold_start_with_many_blobs_serves_soon(new_daemon: Callable[..., CacheDaemon],
                                                  say: Callable[[str], None]) -> None:
    amounts = FORM.start
    daemon = new_daemon()
    scale.make_root(daemon, amounts)
    scale.drop_page_cache()
    begun = time.monotonic()
    daemon.start()
    serving = time.monotonic() - begun
    recovery = re.search(rf"{amounts.snapshots} snapshots, {amounts.blobs} blobs, {amounts.leases} leases, .*",
                         daemon.log.read_text())
    assert recovery, daemon.log.read_text()
    assert recovery[0].split("; ")[1].startswith("0 ingests and 0 orphans dropped"), recovery[0]
    with daemon.client() as cache:
        acquiring = time.monotonic()
        assert cache.acquire(scale.model(0), lease_id="a" * 64).served_from == "cache"
        acquired = time.monotonic() - acquiring
    assert len(scale.listed(daemon)) == amounts.snapshots
    assert not complaints(daemon)
    say(f"cold start with {amounts.snapshots} snapshots and {amounts.blobs} blobs: answers after {serving:.2f} s "
        f"(at most {START_SECONDS * FORM.slack:g}), first Acquire {acquired * 1000:.1f} ms; {recovery[0]}")
    assert serving + acquired < START_SECONDS * FORM.slack


def test_a_publish_of_what_is_present_takes_milliseconds(new_daemon: Callable[..., CacheDaemon],
                                                         say: Callable[[str], None]) -> None:
    amounts = FORM.warm
    daemon = new_daemon()
    scale.make_root(daemon, amounts)
    daemon.start()
    assert len(scale.listed(daemon)) == amounts.snapshots
    scale.acquire(daemon, amounts.snapshots, amounts.snapshots // 10, 4)  # what is allocated once is
    alone = scale.acquire(daemon, amounts.snapshots, FORM.calls_alone, 1)
    together = scale.acquire(daemon, amounts.snapshots, FORM.calls_together, CALLERS)
    say(f"warm Acquire with {amounts.snapshots} snapshots, alone: {alone}, p99 at most {ALONE_MS * FORM.slack:g}\n"
        f"{CALLERS} at once: {together}, p99 at most {TOGETHER_MS * FORM.slack:g}")
    assert len(daemon.leases()) == amounts.leases
    assert not complaints(daemon)
    assert alone.p99_ms < ALONE_MS * FORM.slack
    assert together.p99_ms < TOGETHER_MS * FORM.slack


@pytest.fixture
def new_plugin() -> Iterator[Callable[[CacheDaemon], CsiPlugin]]:
    """Starts plugins beside daemons, on a kubelet root of their own; they end with the test, before the daemons."""
    plugins: list[CsiPlugin] = []

    def make(daemon: CacheDaemon) -> CsiPlugin:
        kubelet_root = daemon.directory / "kubelet"
        kubelet_root.mkdir()
        SmallDisk(kubelet_root, 64)
        workspace.mount("--make-rshared", str(kubelet_root))
        (kubelet_root / "pods").mkdir()
        plugins.append(CsiPlugin(daemon.directory, kubelet_root, daemon, Timing.scaled(1), log_level="info"))
        plugins[-1].start()
        return plugins[-1]

    yield make
    for plugin in plugins:
        plugin.end()


def test_pods_that_start_at_one_moment_get_their_volumes_soon(new_daemon: Callable[..., CacheDaemon],
                                                              new_plugin: Callable[[CacheDaemon], CsiPlugin],
                                                              say: Callable[[str], None]) -> None:
    amounts = FORM.warm
    daemon = new_daemon()
    # Disks of our own: an ext4 without a journal, as a test machine may have, passes over whatever was removed in the
    # last minute, one by one, for each file that is made; and round after round removes what the one before made.
    SmallDisk(daemon.root, 4096)
    daemon.change("log", level="info")
    daemon.change("scrub", dailyBytes="0")  # of so many small files it would be a load of its own
    scale.make_root(daemon, amounts)
    daemon.start()
    plugin = new_plugin(daemon)
    kubelet_root = daemon.directory / "kubelet"
    late = []
    for connections in ("each", "shared"):
        for models in (1, 10):
            for protection in ("readonly", "writable"):
                pods = Pods(models, CALLERS, FORM.rounds, protection, connections)
                published, unpublished = scale.publish(plugin.socket, kubelet_root, pods)
                say(f"{pods}: publish {published}, p99 at most {PUBLISH_MS * FORM.slack:g}\nunpublish {unpublished}")
                if published.p99_ms >= PUBLISH_MS * FORM.slack:
                    late.append(str(pods))
    assert mounts_below(kubelet_root / "pods") == []
    daemon.process.wait_ready(lambda: daemon.leases() == [])  # those of the root had no pods: the plugin said so
    assert not complaints(daemon)
    assert not late
