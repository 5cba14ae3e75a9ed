"""A node with many models: how soon a daemon with a cold page cache serves, and what a publish of a present model takes.

The short form holds bounds so loose that debug builds on busy machines keep them; WEIGHHOUSE_SCALE=full is `make scale`."""

from __future__ import annotations

import os
import re
import time
from typing import Callable, NamedTuple

import pytest

from harness import scale, workspace
from harness.daemon import CacheDaemon
from harness.scale import Amounts

CALLERS = 100
START_SECONDS, ALONE_MS, TOGETHER_MS = 2.0, 5.0, 50.0


class Form(NamedTuple):
    """How much is made and measured, and by how much the bounds may be missed."""

    start: Amounts
    warm: Amounts
    calls_alone: int
    calls_together: int
    slack: float


FULL = Form(Amounts(1_000, 100, 100), Amounts(10_000, 10, 1_000), 5_000, 20_000, 1)
SHORT = Form(Amounts(1_000, 20, 100), Amounts(2_000, 5, 200), 500, 2_000, 20)
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
