"""The configuration changes while the daemon runs: what is taken over, what is refused, and how soon."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable

import grpc
import pytest

from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.metrics import scrape
from harness.models import MIB, make_model
from harness.node import Node

Code = grpc.StatusCode
NewDaemon = Callable[..., CacheDaemon]
IDLE, FILLING = "acme/idle", "acme/filling"
AT_ONCE = 2.0  # seconds, from the swap of the ConfigMap's link


@pytest.fixture(scope="session", autouse=True)
def _models(models: Path) -> None:
    make_model(models, IDLE, (8 * MIB,), seed=50)
    make_model(models, FILLING, (6 * MIB, 6 * MIB), seed=51)


def wait(daemon: CacheDaemon, condition: Callable[[], bool], since: float) -> float:
    """Waits until it holds; the seconds since `since`."""
    daemon.process.wait_ready(condition)
    return time.monotonic() - since


def held(daemon: CacheDaemon) -> dict[str, Any]:
    """The snapshots that are there, by the name of their model."""
    with daemon.client() as cache:
        return {each.references[0].removeprefix("hf://").split("@")[0]: each
                for each in cache.call("List").snapshots if each.references}


def configuration(daemon: CacheDaemon) -> Any:
    with daemon.client() as cache:
        return cache.call("Info").configuration


def limit(daemon: CacheDaemon) -> int:
    with daemon.client() as cache:
        return cache.call("Capacity").limit


def test_half_the_limit_takes_what_is_idle_and_leaves_what_pods_hold(new_node: Callable[..., Node], hub: Hub,
                                                                     capsys: pytest.CaptureFixture[str]) -> None:
    node = new_node(limit="64Mi")
    pods = [node.pod("first", "hf://acme/slow"), node.pod("second", "hf://acme/sharded")]
    mounts = node.start(*pods)
    with node.daemon.client() as cache:
        cache.acquire(f"hf://{IDLE}")
    hub.slow(300_000)
    filling = node.pod("third", f"hf://{FILLING}")
    node.kubelet.run(filling)
    node.daemon.process.wait_ready(lambda: len(node.daemon.ingests()) == 2)

    swapped = time.monotonic()
    node.daemon.change("cache", limit="32Mi")
    took = wait(node.daemon, lambda: IDLE not in held(node.daemon), swapped)
    with capsys.disabled():
        print(f"\nevicted {took:.2f} s after the swap", end="")
    assert took < AT_ONCE
    assert limit(node.daemon) == 32 * MIB
    assert {"acme/slow", "acme/sharded", FILLING} <= set(held(node.daemon)), "leased and filling models stay"
    for mount, model in zip(mounts, ("acme/slow", "acme/sharded")):
        node.assert_serves(mount, model)
    with node.daemon.client() as cache:
        with pytest.raises(grpc.RpcError) as refused:
            cache.acquire("hf://acme/tiny")
    assert refused.value.code() == Code.RESOURCE_EXHAUSTED and "limit 32.0 MiB" in refused.value.details()

    hub.faults()
    node.kubelet.wait_mounted(filling)  # its bytes were promised before
    node.assert_serves(node.kubelet.path(filling), FILLING)
    node.end(*pods, filling)

    def fits() -> bool:
        with node.daemon.client() as cache:
            sums = cache.call("Capacity")
        return sums.used <= sums.limit

    node.daemon.process.wait_ready(fits)  # what was held went once it was not
    node.assert_nothing_left()


def test_kept_model_is_fetched_and_stays_until_it_is_listed_no_more(new_daemon: NewDaemon,
                                                                    capsys: pytest.CaptureFixture[str]) -> None:
    daemon = new_daemon(limit="16Mi")
    daemon.keep(f"hf://{IDLE}")
    daemon.start()
    daemon.process.wait_ready(lambda: " complete, kept " in daemon.cli("ls").stdout)
    assert held(daemon)[IDLE].kept
    assert scrape(daemon).number("kept_snapshots") == 1
    assert "keep         1 of 1 models complete\n" in daemon.cli("status").stdout

    def fill_all_the_room() -> None:
        with daemon.client() as cache:
            cache.acquire(f"hf://{FILLING}")

    def is_refused() -> None:
        with pytest.raises(grpc.RpcError) as refused:
            fill_all_the_room()
        assert refused.value.code() == Code.RESOURCE_EXHAUSTED
        assert "held by pods or kept 8.0 MiB" in refused.value.details()
        evicted = daemon.cli("evict", f"hf://{IDLE}", check=False)
        assert evicted.returncode != 0 and "kept by the configuration" in evicted.stderr

    is_refused()
    daemon.kill()
    daemon.start()
    is_refused()
    swapped = time.monotonic()
    daemon.keep()
    took = wait(daemon, lambda: not held(daemon)[IDLE].kept, swapped)
    with capsys.disabled():
        print(f"\nlet go {took:.2f} s after the swap", end="")
    assert took < AT_ONCE
    fill_all_the_room()
    assert IDLE not in held(daemon)


def test_wrong_file_leaves_the_last_good_one_and_says_so_everywhere(new_daemon: NewDaemon) -> None:
    daemon = new_daemon(limit="40Mi")
    daemon.start()
    swapped = time.monotonic()
    daemon.config_map.swap("cache:\n  limit: most\n")
    assert wait(daemon, lambda: configuration(daemon).failures == 1, swapped) < AT_ONCE
    said = f"{daemon.config_file}:2: cache.limit is 'most': give bytes of at least 1Mi, such as 500Gi, or a percentage"
    assert configuration(daemon).error.startswith(said)
    assert said in daemon.log.read_text()
    assert said in daemon.cli("status").stdout
    assert scrape(daemon).number("configuration_valid") == 0
    assert scrape(daemon).number("configuration_reloads_total", result="rejected") == 1
    assert limit(daemon) == 40 * MIB
    daemon.change("cache", limit="50Mi")
    wait(daemon, lambda: configuration(daemon).reloads == 1, swapped)
    assert configuration(daemon).error == ""
    assert limit(daemon) == 50 * MIB
    assert "NOT in effect" not in daemon.cli("status").stdout
    assert scrape(daemon).number("configuration_valid") == 1
    assert scrape(daemon).number("configuration_reloads_total", result="applied") == 1


def test_key_that_needs_a_restart_is_named_until_there_is_one(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    daemon.start()
    with daemon.client() as cache:
        before = cache.call("Info").write_engine
    daemon.change("fill", engine="pwrite", bandwidthLimit="100Mi")
    daemon.process.wait_ready(lambda: configuration(daemon).reloads == 1)
    assert list(configuration(daemon).applies_at_restart) == ["fill.engine"]
    assert "applies at restart: fill.engine" in daemon.cli("status").stdout
    assert "takes effect now: fill.bandwidthLimit; at restart: fill.engine" in daemon.log.read_text()
    with daemon.client() as cache:
        assert cache.call("Info").write_engine == before
    assert daemon.stop() == 0
    daemon.start()
    with daemon.client() as cache:
        assert cache.call("Info").write_engine == "pwrite"
    assert list(configuration(daemon).applies_at_restart) == []


def test_plain_file_is_seen_when_it_is_replaced_and_when_it_is_written(new_daemon: NewDaemon) -> None:
    daemon = new_daemon()
    daemon.config_file = daemon.directory / "plain.yaml"
    daemon.config_file.write_text("cache: {limit: 10Mi, minFree: 0}")
    daemon.start()
    begun = time.monotonic()
    fresh = daemon.directory / "fresh.yaml"
    fresh.write_text("cache: {limit: 20Mi, minFree: 0}")
    os.replace(fresh, daemon.config_file)
    assert wait(daemon, lambda: limit(daemon) == 20 * MIB, begun) < AT_ONCE
    begun = time.monotonic()
    daemon.config_file.write_text("cache: {limit: 30Mi, minFree: 0}")
    assert wait(daemon, lambda: limit(daemon) == 30 * MIB, begun) < AT_ONCE
