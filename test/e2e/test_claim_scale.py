"""A node with many models, asked through the plugin's socket as its external-provisioner does: how soon a claim is promised
and the scheduler answered. Of a commit no source is asked; of a branch, as classes name it, the hub is, each time.

The short form holds bounds so loose that debug builds on busy machines keep them; WEIGHHOUSE_SCALE=full is `make scale`."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, Iterator, NamedTuple

import pytest

from harness import scale, workspace
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.models import make_model
from harness.node import TIMING
from harness.plugin import CsiPlugin
from harness.scale import Amounts, Load
from kubelet_double import Claim, Provisioner, StorageClass
from kubelet_double.wire import contract, open_channel

CREATE_MS, CAPACITY_MS = 50.0, 5.0  # at most, for 99 of 100
CACHED = 1 << 60  # what GetCapacity says of a model that is here
BRANCHES = [f"claim/model-{number}" for number in range(8)]


class Form(NamedTuple):
    """How much is made and measured, and by how much the bounds may be missed."""

    root: Amounts
    creates: int
    questions: int
    slack: float


FULL = Form(Amounts(10_000, 10, 1_000), 2_000, 20_000, 1)
SHORT = Form(Amounts(2_000, 5, 200), 200, 500, 20)
FORM = FULL if os.environ.get("WEIGHHOUSE_SCALE") == "full" else SHORT


@pytest.fixture(scope="module")
def plugin(_hub: Hub) -> Iterator[CsiPlugin]:
    """A plugin beside a daemon with many models, of which pods use some; those of BRANCHES are here too."""
    for number, name in enumerate(BRANCHES):
        make_model(_hub.models, name, (64 * 1024,), seed=90 + number)
    _hub.rescan()  # which may run for another file's tests since
    daemon = CacheDaemon(workspace.directory() / "claims", _hub.url)
    scale.make_root(daemon, FORM.root)
    daemon.start()
    with daemon.client() as cache:
        for name in BRANCHES:
            cache.acquire(f"hf://{name}@main")
    assert len(scale.listed(daemon)) == FORM.root.snapshots + len(BRANCHES)
    kubelet_root = daemon.directory / "kubelet"
    workspace.shared_directory(kubelet_root)
    for number in range(FORM.root.leases):  # pods that are about to start: the plugin leaves them their leases
        (kubelet_root / f"pods/uid-{number}").mkdir(parents=True)
    made = CsiPlugin(daemon.directory, kubelet_root, daemon, TIMING)
    made.start()
    yield made
    leased = len(daemon.leases())
    made.end()
    daemon.end()
    assert leased == FORM.root.leases


@pytest.fixture
def controller(plugin: CsiPlugin) -> Iterator[Any]:
    """The calls of the plugin's Controller service, over one connection, as the sidecar has it."""
    with open_channel(plugin.socket) as channel:
        yield contract("csi").stubs.ControllerStub(channel)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str, Load, float], None]:
    """Prints what a kind of call took, and holds it to its bound."""
    def check(what: str, load: Load, most: float) -> None:
        with capsys.disabled():
            print(f"\nwith {FORM.root.snapshots} snapshots, {what}: {load}, p99 at most {most * FORM.slack:g}")
        assert load.p99_ms < most * FORM.slack
    return check


def measured(method: Any, requests: Iterator[Any]) -> tuple[Load, list[Any]]:
    """Makes the calls one after the other; how long they took, and their answers."""
    took, answers = [], []
    for request in requests:
        begun = time.perf_counter()
        answers.append(method(request, timeout=10))
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return Load(len(took), sum(took) / 1000, took[len(took) // 2], took[len(took) * 99 // 100], took[-1]), answers


def create_volumes(plugin: CsiPlugin, controller: Any, classes: Callable[[int], StorageClass]) -> Load:
    """CreateVolume for claim after claim, which all wait for their pods until the last is made; then they are deleted."""
    provisioner = Provisioner(plugin.socket)
    load, created = measured(controller.CreateVolume, (
        provisioner.create_request(classes(number), Claim(f"{number}", 1 << 30), {}) for number in range(FORM.creates)))
    messages = contract("csi").messages
    for answer in created:
        controller.DeleteVolume(messages.DeleteVolumeRequest(volume_id=answer.volume.volume_id), timeout=10)
    return load


def class_of_commit(number: int) -> StorageClass:
    """Of one of the root's models."""
    return StorageClass("class", {"model": scale.model(number % FORM.root.snapshots)})


def class_of_branch(number: int) -> StorageClass:
    """Of a model that the hub is asked about."""
    return StorageClass("class", {"model": f"hf://{BRANCHES[number % len(BRANCHES)]}", "revision": "main"})


def test_capacity_for_a_known_model_is_told_in_milliseconds(plugin: CsiPlugin, controller: Any,
                                                            report: Callable[[str, Load, float], None]) -> None:
    messages = contract("csi").messages
    topology = messages.Topology(segments=Provisioner(plugin.socket).segment)
    load, answers = measured(controller.GetCapacity, (
        messages.GetCapacityRequest(parameters=class_of_commit(number).parameters, accessible_topology=topology)
        for number in range(FORM.questions)))
    report("GetCapacity of a model", load, CAPACITY_MS)
    assert {answer.available_capacity for answer in answers} == {CACHED}


def test_claims_of_commits_are_promised_in_milliseconds(plugin: CsiPlugin, controller: Any, hub: Hub,
                                                        report: Callable[[str, Load, float], None]) -> None:
    report("CreateVolume of a commit", create_volumes(plugin, controller, class_of_commit), CREATE_MS)
    assert hub.requests() == 0


def test_claims_of_branches_are_promised_in_milliseconds(plugin: CsiPlugin, controller: Any, hub: Hub,
                                                         report: Callable[[str, Load, float], None]) -> None:
    report("CreateVolume of a branch", create_volumes(plugin, controller, class_of_branch), CREATE_MS)
    assert hub.requests("hub") >= FORM.creates, "the source was not asked for each"
    assert hub.requests("cdn") == 0
