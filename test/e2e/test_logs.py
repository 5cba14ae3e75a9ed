"""What the logs say: one request from the plugin to the source, lines that programs can read, no secrets, no floods."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import grpc
import pytest

from harness.canary import MARK
from harness.hub import TOKEN, fault
from harness.models import MIB
from harness.node import Node
from kubelet_double import Pod

Line = dict[str, Any]
REQUEST = re.compile("[0-9a-f]{16}")
MOST_OF_A_KIND = 10  # lines a minute, base/log_limits.h


def parsed(log: Path) -> list[Line]:
    """Every line is an object with a time, a level and a message; it fails on any other."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        assert list(line)[:3] == ["time", "level", "message"], line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line
        assert line["level"] in ("debug", "info", "warning", "error"), line
        assert REQUEST.fullmatch(line.get("request", "0" * 16)), line
    return lines


def news(lines: list[Line]) -> list[Line]:
    """What is said at the default level."""
    return [line for line in lines if line["level"] != "debug"]


@pytest.fixture
def node(new_node: Callable[..., Node]) -> Node:
    """A node whose daemons log JSON from their first line."""
    made = new_node()
    made.plugin.stop()
    made.daemon.stop()
    made.daemon.log.unlink()
    made.plugin.log.unlink()
    made.daemon.change("log", format="json")
    made.plugin.arguments += ["--log-format", "json"]
    made.daemon.start()
    made.plugin.start()
    made.hub.reset()
    return made


def published(node: Node, pod: Pod) -> Line:
    """The plugin's one line of a pod's publish."""
    [line] = [line for line in parsed(node.plugin.log)
              if line["message"].startswith("published ") and line["pod"].endswith(f"/{pod.name}")]
    return line


def test_one_id_leads_from_the_plugin_over_the_daemon_to_the_source(node: Node) -> None:
    pod = node.pod("follow", "hf://acme/private", secrets={"HF_TOKEN": TOKEN})
    node.start(pod)
    line = published(node, pod)
    assert (line["level"], line["served_from"]) == ("info", "source") and line["model"].startswith("hf://acme/private")
    assert line["bytes"] == line["bytes_fetched"] > 0 and line["files"] > 1 and line["ms"] >= 0
    own = [each for each in parsed(node.daemon.log) if each.get("request") == line["request"]]
    assert {each["volume"] for each in own} == {line["volume"]} and {each["pod"] for each in own} == {line["pod"]}
    said = [each["message"] for each in news(own)]
    assert any(text.startswith("fill ") and text.endswith(" to fetch") for text in said), said
    assert any(text.startswith("fill ") and ": complete, " in text for text in said), said
    [ready] = [each for each in own if ": ready: " in each["message"]]
    assert (ready["bytes_fetched"], ready["files"]) == (line["bytes_fetched"], line["files"])
    asked = node.hub.log()
    questions = [entry for entry in asked if entry["method"] == "HEAD" or entry["path"].startswith("/api/models/")]
    assert {entry["request_id"] for entry in questions if entry["side"] == "hub"} == {line["request"]}
    assert {entry["request_id"] for entry in asked if entry not in questions} == {""}, "it goes with no bytes, and to no CDN"
    for log in (node.plugin.log, node.daemon.log):
        assert MARK not in log.read_text()


def test_who_joins_a_fill_names_the_request_that_began_it(node: Node) -> None:
    node.hub.slow(4 * MIB)
    first, second = node.pod("first", "hf://acme/slow"), node.pod("second", "hf://acme/slow")
    node.start(first, second)
    ids = {published(node, pod)["request"] for pod in (first, second)}
    known = {line["request"] for line in parsed(node.plugin.log) if "request" in line}
    joined = [line for line in parsed(node.daemon.log) if "fill_request" in line]
    assert joined, "one came to the other's fill"
    for line in joined:
        assert line["request"] != line["fill_request"] and {line["request"], line["fill_request"]} <= known
    assert ids & {joined[0]["request"], joined[0]["fill_request"]}


def test_replays_of_a_warm_volume_say_nothing(node: Node) -> None:
    pod = node.pod("warm")
    node.start(pod)
    before = [len(news(parsed(log))) for log in (node.plugin.log, node.daemon.log)]
    for _ in range(5):
        assert node.publish(pod).code == grpc.StatusCode.OK
    assert [len(news(parsed(log))) for log in (node.plugin.log, node.daemon.log)] == before
    node.plugin.stop()
    node.plugin.start()  # it asks the daemon for the lease once, since it remembers nothing
    before_replay = len(news(parsed(node.daemon.log)))
    assert node.publish(pod).code == grpc.StatusCode.OK
    assert len(news(parsed(node.daemon.log))) == before_replay
    assert any(line["level"] == "debug" and ": ready: " in line["message"] and line["pod"].endswith("/warm")
               for line in parsed(node.daemon.log)), "at debug each is there"


def test_a_source_that_always_fails_costs_a_bounded_number_of_lines(node: Node) -> None:
    node.hub.faults(fault("hub", "", {"kind": "status", "status": 503}))
    tries = 3 * MOST_OF_A_KIND
    with node.daemon.client() as cache:
        for number in range(tries):
            with pytest.raises(grpc.RpcError) as refused:
                cache.acquire("hf://acme/tiny", lease_id="")
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE, number
    pod = node.pod("never")
    for _ in range(tries):
        assert node.publish(pod).code == grpc.StatusCode.UNAVAILABLE
    for log in (node.daemon.log, node.plugin.log):
        failures = [line for line in news(parsed(log)) if "503" in line["message"] or "code" in line]
        kinds = Counter((line["level"], line["message"][:12]) for line in failures)
        assert kinds and max(kinds.values()) == MOST_OF_A_KIND, kinds
        assert len(failures) <= MOST_OF_A_KIND * len(kinds), kinds
    node.plugin.stop()
    left_out = [line["left_out"] for line in parsed(node.plugin.log) if "left_out" in line]
    assert sum(left_out) >= tries - MOST_OF_A_KIND, "what was left out is counted, at the end at the latest"


def test_nobody_writes_lines_of_his_own(node: Node) -> None:
    forged = 'x"}\n{"time":"2025-01-01T00:00:00.000Z","level":"error","message":"forged","request":"evil\x1b[2J'
    pod = node.pod("forger")
    lines = len(node.plugin.log.read_text().splitlines())
    refused = node.publish(pod, volume_context={"model": f"hf://acme/{forged}"})
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    node.publish(pod, volume_id=forged)
    with node.daemon.client() as cache, pytest.raises(grpc.RpcError):
        cache.acquire(f"hf://acme/{forged}")
    assert len(node.plugin.log.read_text().splitlines()) > lines
    for log in (node.plugin.log, node.daemon.log):
        assert "\x1b" not in log.read_text()
        assert not any(line["message"] == "forged" for line in parsed(log))
