"""The admin port of the real daemon: exact counts, Prometheus' conventions, probes, and addresses that can't be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable

import grpc
import pytest

from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.metrics import Samples, get, promtool, scrape
from harness.models import digests
from harness.node import Node
from harness.workspace import PROJECT

NewDaemon = Callable[..., CacheDaemon]
TABLE = PROJECT / "cache-daemon/metrics/README.md"


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> CacheDaemon:
    started = new_daemon()
    started.start()
    return started


def size_of(models: Path, name: str) -> int:
    return sum((models / name / file).stat().st_size for file in digests(models / name))


def test_cold_and_warm_pull_are_counted_exactly(daemon: CacheDaemon, hub: Hub, models: Path) -> None:
    size = size_of(models, "acme/sharded")
    start = scrape(daemon)
    daemon.cli("pull", "hf://acme/sharded")
    cold = scrape(daemon)
    assert cold.number("fill_received_bytes_total", source="huggingface") == sum(hub.fetched().values()) == size
    used = cold.number("cache_used_bytes")
    assert used >= size
    assert cold.changes(start) == {
        'acquires_total{result="miss"}': 1, 'acquire_duration_seconds_count{outcome="cold"}': 1,
        'fills_started_total{source="huggingface"}': 1, 'fills_ended_total{code="OK",source="huggingface"}': 1,
        'fill_duration_seconds_count{source="huggingface"}': 1,
        'fill_received_bytes_total{source="huggingface"}': size, 'fill_verified_bytes_total{source="huggingface"}': size,
        'grpc_calls_total{code="OK",method="Acquire"}': 1, 'grpc_calls_total{code="OK",method="Info"}': 1,
        'snapshots{state="complete"}': 1, "blobs": len(set(digests(models / "acme/sharded").values())),
        "cache_used_bytes": used, "cache_evictable_bytes": used,
    }
    daemon.cli("pull", "hf://acme/sharded")
    assert scrape(daemon).changes(cold) == {
        'acquires_total{result="hit"}': 1, 'acquire_duration_seconds_count{outcome="warm"}': 1,
        'grpc_calls_total{code="OK",method="Acquire"}': 1, 'grpc_calls_total{code="OK",method="Info"}': 1,
    }


def test_pods_hold_what_the_gauges_say(node: Node) -> None:
    node.start(first := node.pod("first", "hf://acme/tiny"))
    node.start(second := node.pod("second", "hf://acme/tiny"))
    held = scrape(node.daemon)
    assert held.number("leases") == 2
    assert held.number("cache_held_bytes") == held.number("cache_used_bytes") > 0
    assert held.number("cache_evictable_bytes") == 0
    assert held.number("acquires_total", result="miss") == held.number("acquires_total", result="hit") == 1
    node.end(first)
    node.end(second)
    free = scrape(node.daemon)
    assert free.number("leases") == free.number("cache_held_bytes") == 0
    assert free.number("cache_evictable_bytes") == free.number("cache_used_bytes")


def test_eviction_is_counted_with_its_bytes(daemon: CacheDaemon) -> None:
    daemon.cli("pull", "hf://acme/tiny")
    used = scrape(daemon).number("cache_used_bytes")
    daemon.cli("evict", "hf://acme/tiny")
    samples = scrape(daemon)
    assert samples.number("evictions_total", reason="request") == 1
    assert samples.number("evicted_bytes_total", reason="request") == used
    assert samples.number("cache_used_bytes") == samples.number("blobs") == 0


def test_what_comes_back_within_the_hour_is_counted(daemon: CacheDaemon, models: Path) -> None:
    daemon.cli("pull", "hf://acme/tiny")
    daemon.cli("evict", "hf://acme/tiny")
    assert scrape(daemon).number("refetched_bytes_total", reason="request") == 0
    daemon.cli("pull", "hf://acme/tiny")
    again = scrape(daemon)
    # Files of one content are one blob.
    files = {digest: models / "acme/tiny" / file for file, digest in digests(models / "acme/tiny").items()}
    assert again.number("refetched_bytes_total", reason="request") == sum(path.stat().st_size for path in files.values())
    assert again.number("refetched_bytes_total", reason="space") == 0


def every_kind(daemon: CacheDaemon) -> str:
    """The page after a bit of everything."""
    daemon.cli("pull", "hf://acme/tiny")
    daemon.cli("pull", "hf://acme/absent", check=False)
    daemon.cli("evict", "hf://acme/tiny")
    return get(daemon, "/metrics").text


def test_promtool_finds_nothing_wrong(daemon: CacheDaemon) -> None:
    page = every_kind(daemon)
    assert promtool(page) == ""
    assert get(daemon, "/metrics").content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_promtool_would_find_what_is_wrong(daemon: CacheDaemon) -> None:
    page = get(daemon, "/metrics").text
    assert "no help text" in promtool(page + "weighhouse_things_total 1\n")
    assert promtool(page + "weighhouse things\n") != ""


def test_every_metric_is_in_the_table_and_no_other(daemon: CacheDaemon) -> None:
    page = every_kind(daemon)
    shown = {(name, kind) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE)}
    listed = set()
    for names, kind in re.findall(r"^\| (`weighhouse_[^|]*) \| (\w+) \|", TABLE.read_text(), re.MULTILINE):
        first, *more = re.findall(r"`(\w+)`", names)
        listed |= {(name if name.startswith("weighhouse") else "weighhouse_filesystem" + name, kind)
                   for name in (first, *more)}
    assert shown == listed


def test_the_page_does_not_grow_with_models_and_errors(daemon: CacheDaemon) -> None:
    def ask(number: int) -> None:
        for uri in (f"hf://acme/absent-{number}", f"file:///absent/model-{number}"):
            with pytest.raises(grpc.RpcError):
                cache.acquire(uri)

    with daemon.client() as cache:
        ask(0)
        before = scrape(daemon)
        for number in range(1, 500):
            ask(number)
    after = get(daemon, "/metrics").text
    assert Samples(after).keys() == before.keys()
    failures = {series: int(value) for series, value in Samples(after).items()
                if series.startswith("acquire_failures_total")}
    assert sum(failures.values()) == 1000
    assert "absent" not in after
    assert len(before) < 300  # seven kinds of sources


def test_probes_say_that_the_daemon_is_ready(daemon: CacheDaemon) -> None:
    assert get(daemon, "/healthz")[::2] == (200, "ok\n")
    assert get(daemon, "/readyz")[::2] == (200, "ok\n")
    assert get(daemon, "/debug").status == 404


def test_metrics_are_read_while_a_fill_runs(daemon: CacheDaemon, hub: Hub) -> None:
    hub.slow(2 * 1024 * 1024)
    with daemon.client() as cache:
        updates = cache.call("Acquire", 60, model=cache.model("hf://acme/slow"), layout=1)
        # The first update may come before the fill has asked for its room; from one that counts files on it has it.
        next(update for update in updates if update.filling.files_total > 0)
        during = scrape(daemon)
        assert during.number("fills_active") == 1
        assert during.number("cache_reserved_bytes") > 0
        assert during.number("snapshots", state="incomplete") == 1
        hub.faults()
        updates.cancel()


def refusal(daemon: CacheDaemon, listen: str, hub: Hub) -> tuple[int, str]:
    """The exit status and the last line of a daemon that can't start with this address."""
    daemon.listen = listen
    daemon.configure(hub.url, "4Gi")
    status = daemon.spawn().wait()
    return status, daemon.log.read_text().splitlines()[-1]


def test_an_address_that_cannot_be_is_one_clear_error(new_daemon: NewDaemon, hub: Hub) -> None:
    status, line = refusal(new_daemon(), "192.0.2.1:9899", hub)
    assert status == 1
    assert line == ("weighhouse-cached: listen on 192.0.2.1:9899: Cannot assign requested address: "
                    "give another address, or 'off', as admin.listen")
    status, line = refusal(new_daemon(), "localhost:9899", hub)
    assert status == 2
    assert "admin.listen is 'localhost:9899': give an address such as 127.0.0.1:9899" in line


def test_a_port_in_use_is_one_clear_error(daemon: CacheDaemon, new_daemon: NewDaemon, hub: Hub) -> None:
    address = daemon.admin_address()
    status, line = refusal(new_daemon(), address, hub)
    assert status == 1
    assert f"listen on {address}: Address already in use" in line
