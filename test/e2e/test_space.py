"""The cache's limit: what can never fit, what does not fit now, and what is made room for."""

from __future__ import annotations

from typing import Callable

import grpc

from harness.models import MIB
from harness.node import Node

Code = grpc.StatusCode


def test_model_larger_than_the_limit_is_a_final_error(new_node: Callable[..., Node]) -> None:
    node = new_node(limit="8Mi")
    pod = node.pod("too-large", "hf://acme/slow")
    node.kubelet.run(pod)
    node.kubelet.wait(lambda: bool(node.kubelet.calls(pod)), 30, "an answer")
    call = node.kubelet.calls(pod)[0]
    assert call.code == Code.OUT_OF_RANGE, call
    assert "8.0 MiB" in call.message and "16." in call.message, call.message
    node.end(pod)
    node.assert_nothing_left()
    assert node.hub.requests("cdn") == 0, "bytes were fetched for a model that can't fit"


def test_model_waits_while_the_cache_is_full_of_models_in_use(new_node: Callable[..., Node]) -> None:
    node = new_node(limit="20Mi")
    node.start(first := node.pod("first", "hf://acme/slow"))
    second = node.pod("second", "hf://acme/sharded")
    node.kubelet.run(second)
    full = node.kubelet.wait_call(second, Code.RESOURCE_EXHAUSTED)
    assert "MiB" in full.message and "first" not in full.message, "the names of other holders are not a pod's business"
    node.end(first)
    node.kubelet.wait_mounted(second)
    node.assert_serves(node.kubelet.path(second), "acme/sharded")
    sums = node.capacity()
    assert sums.used <= sums.limit == 20 * MIB
    node.end(second)
    node.assert_nothing_left()


def test_idle_model_makes_room_for_a_new_one(new_node: Callable[..., Node]) -> None:
    node = new_node(limit="20Mi")
    node.start(first := node.pod("first", "hf://acme/slow"))
    node.end(first)
    [path] = node.start(second := node.pod("second", "hf://acme/sharded"))
    node.assert_serves(path, "acme/sharded")
    with node.daemon.client() as cache:
        assert len(cache.call("List").snapshots) == 1
        assert cache.call("Capacity").used <= 20 * MIB
    node.end(second)
