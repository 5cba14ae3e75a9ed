"""A node with many models, asked through the plugin's socket: how soon a claim is promised and the scheduler answered.

The short form holds bounds so loose that debug builds on busy machines keep them; WEIGHHOUSE_SCALE=full is `make scale`."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Iterator, NamedTuple

import pytest

from harness import scale, workspace
from harness.daemon import CacheDaemon
from harness.node import TIMING
from harness.plugin import CsiPlugin
from harness.scale import Amounts, Load
from kubelet_double import Claim, Provisioner, StorageClass
from kubelet_double.wire import contract, open_channel

CREATE_MS, CAPACITY_MS = 50.0, 5.0  # at most, for 99 of 100


class Form(NamedTuple):
    """How much is made and measured, and by how much the bounds may be missed."""

    root: Amounts
    creates: int
    questions: int
    slack: float


FULL = Form(Amounts(10_000, 10, 1_000), 2_000, 20_000, 1)
SHORT = Form(Amounts(2_000, 5, 200), 200, 500, 20)
FORM = FULL if os.environ.get("WEIGHHOUSE_SCALE") == "full" else SHORT


@pytest.fixture
def plugin(new_daemon: Callable[..., CacheDaemon]) -> Iterator[CsiPlugin]:
    """A plugin beside a daemon with many models."""
    daemon = new_daemon()
    scale.make_root(daemon, FORM.root)
    daemon.start()
    assert len(scale.listed(daemon)) == FORM.root.snapshots
    kubelet_root = daemon.directory / "kubelet"
    workspace.shared_directory(kubelet_root)
    made = CsiPlugin(daemon.directory, kubelet_root, daemon, TIMING)
    made.start()
    yield made
    made.end()


def measured(method: Any, requests: Iterator[Any]) -> Load:
    """Makes the calls one after the other over one connection, as the sidecar does."""
    took = []
    for request in requests:
        begun = time.perf_counter()
        method(request, timeout=10)
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return Load(len(took), sum(took) / 1000, took[len(took) // 2], took[len(took) * 99 // 100], took[-1])


def class_of(number: int) -> StorageClass:
    """Of one of the root's models."""
    return StorageClass("class", {"model": scale.model(number % FORM.root.snapshots)})


def test_claims_of_known_models_are_promised_in_milliseconds(plugin: CsiPlugin,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    provisioner = Provisioner(plugin.socket)
    messages, stubs = contract("csi")
    topology = messages.Topology(segments=provisioner.segment)
    with open_channel(plugin.socket) as channel:
        controller = stubs.ControllerStub(channel)
        capacity = measured(controller.GetCapacity, (
            messages.GetCapacityRequest(parameters=class_of(number).parameters, accessible_topology=topology)
            for number in range(FORM.questions)))
        created = measured(controller.CreateVolume, (
            provisioner.create_request(class_of(number), Claim(f"{number}", 1 << 30), {})
            for number in range(FORM.creates)))
    with capsys.disabled():
        print(f"\nwith {FORM.root.snapshots} snapshots: GetCapacity of a model {capacity}, p99 at most "
              f"{CAPACITY_MS * FORM.slack:g}\nCreateVolume of a known model {created}, p99 at most "
              f"{CREATE_MS * FORM.slack:g}")
    assert capacity.p99_ms < CAPACITY_MS * FORM.slack
    assert created.p99_ms < CREATE_MS * FORM.slack
