"""What a hostile or broken Hub can send: nothing unverified is ever visible, and every refusal says why, within bounds of time
and of memory."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import grpc
import pytest

from harness.hostile import QUICK, measured, refused
from harness.hub import TOKEN, fault
from harness.models import MIB, file_digest
from harness.node import Node
from kubelet_double import Call

Code = grpc.StatusCode


def entry(path: str, size: int = 10, **more: Any) -> dict[str, Any]:
    """One entry of the Hub's tree listing."""
    return {"type": "file", "path": path, "size": size, "oid": hashlib.sha1(path.encode()).hexdigest()} | more


def failing_publish(node: Node, model: str = "hf://acme/tiny", seconds: float = QUICK) -> Call:
    """Runs a pod until its first final error, within bounds, and checks that kubelet's cleaning up is all there is to do."""
    pod = node.pod("pod", model)

    def final() -> Call | None:
        return next((call for call in node.kubelet.calls(pod) if call.code not in (Code.OK, Code.ABORTED)), None)

    def act() -> tuple[int, str]:
        node.kubelet.run(pod)
        node.kubelet.wait(lambda: final() is not None, 60, "an error")
        node.end(pod)  # at once, before kubelet tries again
        call = final()
        assert call is not None
        return call.code.value[0], call.message

    refused(measured(node.daemon, f"publish of {model}", act), seconds=seconds)
    node.assert_nothing_left()
    return next(call for call in node.kubelet.calls(pod) if call.code != Code.ABORTED)


HOSTILE_NAMES = {
    "climbs": ("../escape.json", "'..' component"),
    "climbs in the middle": ("a/../../escape.json", "'..' component"),
    "absolute": ("/etc/escape.json", "absolute"),
    "NUL": ("nul\0.json", "control characters"),
    "control character": ("line\nbreak.json", "control characters"),
    "component of 256 bytes": ("x" * 251 + ".json", "255 bytes"),
    "empty component": ("a//b.json", "empty component"),
    "dot": ("./config.json", "'.'"),
    "backslash way out": ("..\\escape.json", "backslash"),
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_file_name_is_refused(node: Node, name: str) -> None:
    path, reason = HOSTILE_NAMES[name]
    node.hub.faults(fault("hub", "/tree/", {"kind": "listing", "entries": [entry(path)]}))
    call = failing_publish(node)
    assert call.code == Code.INVALID_ARGUMENT and reason in call.message, call
    assert not any(character in call.message for character in "\0\n"), "the name's control characters are in the message"
    assert [p for p in node.directory.rglob("escape*")] == []


def test_file_that_is_also_a_directory_is_refused(node: Node) -> None:
    node.hub.faults(fault("hub", "/tree/", {"kind": "listing", "entries": [entry("a.json"), entry("a.json/b.json")]}))
    call = failing_publish(node)
    assert call.code == Code.INVALID_ARGUMENT, call
    assert "a.json" in call.message


@pytest.mark.parametrize("size", [1000, 64 * MIB])
def test_listing_that_lies_about_a_size_is_refused(node: Node, size: int) -> None:
    weights = node.hub.models / "acme/tiny/model.safetensors"
    lying = entry("model.safetensors", size, lfs={"oid": file_digest(weights), "size": size, "pointerSize": 134})
    node.hub.faults(fault("hub", "/tree/", {"kind": "listing", "entries": [lying]}))
    call = failing_publish(node)
    assert call.code in (Code.DATA_LOSS, Code.OUT_OF_RANGE), call
    assert "model.safetensors" in call.message and str(weights.stat().st_size) in call.message, call.message


def test_wrong_byte_is_fetched_once_more_and_then_refused_with_both_digests(node: Node) -> None:
    node.hub.faults(fault("cdn", "", {"kind": "corrupt", "at": 4321}))
    call = failing_publish(node)
    assert call.code == Code.DATA_LOSS, call
    weights = node.hub.models / "acme/tiny/model.safetensors"
    found = [word for word in call.message.replace(":", " ").replace(",", " ").split() if len(word) == 64]
    assert file_digest(weights) in found and len(set(found)) == 2, call.message
    fetches = [e for e in node.hub.log() if e["side"] == "cdn" and covers(e, 4321)]
    assert len(fetches) == 2, "the file is tried exactly twice"
    assert not any(name == "model.safetensors" for _, _, names in os.walk(node.daemon.root / "trees") for name in names)


def covers(request: dict[str, Any], position: int) -> bool:
    """True if a logged request asked for the byte at `position`."""
    if not request["range"]:
        return True
    first, _, last = request["range"].removeprefix("bytes=").partition("-")
    return int(first) <= position <= int(last or position)


def test_single_wrong_byte_heals_by_itself(node: Node) -> None:
    node.hub.faults(fault("cdn", "", {"kind": "corrupt", "at": 4321}, times=1))
    [path] = node.start(pod := node.pod("pod"))
    node.assert_serves(path)
    node.end(pod)


def test_wrong_byte_in_a_small_file_is_refused(node: Node) -> None:
    node.hub.faults(fault("hub", "config.json", {"kind": "corrupt", "at": 5}))
    call = failing_publish(node)
    assert call.code == Code.DATA_LOSS and "config.json" in call.message, call


TRANSIENT = {
    "5xx burst": [fault("cdn", "", {"kind": "status", "status": 503}, times=3)],
    "busy API": [fault("hub", "/api/", {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}, times=1)],
    "connection cut": [fault("cdn", "", {"kind": "cut", "after": 100_000}, times=3)],
    "expired URL": [fault("cdn", "", {"kind": "expire"}, times=1)],
    "range ignored": [fault("cdn", "", {"kind": "ignore_range"})],
    "ETag of the CDN differs": [fault("cdn", "", {"kind": "etag", "value": "\"other\""})],
    "body too short": [fault("cdn", "", {"kind": "short_length"}, times=1)],
    "body too long": [fault("cdn", "", {"kind": "long_body"}, times=1)],
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_fill_survives(node: Node, name: str) -> None:
    node.hub.faults(*TRANSIENT[name])
    pod = node.pod("pod", "hf://acme/sharded")
    [path] = node.start(pod)
    node.assert_serves(path, "acme/sharded")
    node.end(pod)
    node.assert_nothing_left()


def test_hub_that_is_down_is_a_temporary_error(node: Node) -> None:
    node.hub.faults(fault("hub", "/api/", {"kind": "status", "status": 500}))
    pod = node.pod("pod")
    node.kubelet.run(pod)
    node.kubelet.wait(lambda: bool(node.kubelet.calls(pod)), 60, "an answer")
    call = node.kubelet.calls(pod)[0]
    assert call.code in (Code.UNAVAILABLE, Code.ABORTED, Code.DEADLINE_EXCEEDED)
    assert "HTTP 500" in call.message and "cache daemon" not in call.message, "the wrong one is blamed"
    node.hub.faults()
    node.kubelet.wait_mounted(pod)
    node.end(pod)
    node.assert_nothing_left()


def test_cached_public_model_is_served_while_the_hub_is_down(node: Node) -> None:
    node.start(first := node.pod("first"))
    node.hub.faults(fault("hub", "/api/", {"kind": "status", "status": 500}))
    [path] = node.start(second := node.pod("second"))
    node.assert_serves(path)
    node.end(first, second)


def test_redirect_carries_no_token_to_the_other_host(node: Node) -> None:
    node.start(pod := node.pod("pod", "hf://acme/private", {"HF_TOKEN": TOKEN}))
    seen = {entry["authorization"] for entry in node.hub.log() if entry["side"] == "cdn"}
    assert seen == {"none"}
    node.end(pod)
