"""What GetCapacity tells the scheduler of a model, and that CreateVolume ends as it was told: for every state that a model
can be in on a node, and for every kind of class."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import grpc
import pytest

from harness.hub import TOKEN, Hub
from harness.models import MIB, make_model
from harness.node import Node
from kubelet_double import Claim, StorageClass
from kubelet_double.provisioner import Capacity

Code = grpc.StatusCode
SECRET = {"HF_TOKEN": TOKEN}
MODELS = {"public": "fit/public", "private": "fit/private"}
OTHER = "fit/other"
HALF = "model-00001-of-00002.safetensors"
LIMIT, TIGHT = 64 * MIB, 13 * MIB  # of the second, one model of 8 MiB leaves too little for another
ANY_SIZE = 1 << 50  # more than any claim asks for
SMALL = MIB


@pytest.fixture(scope="session", autouse=True)
def _models(models: Path) -> None:
    make_model(models, MODELS["public"], (4 * MIB, 4 * MIB), seed=70)
    make_model(models, MODELS["private"], (4 * MIB, 4 * MIB), seed=71, fixture={"private": True})
    make_model(models, OTHER, (8 * MIB,), seed=72)


class State(NamedTuple):
    """How a model is on a node."""

    limit: int
    arrange: Callable[[Node, str], None]


def bring(node: Node, model: str, **attributes: str) -> None:
    """Has a pod bring a model, or a part of it, and leave."""
    node.start(pod := node.pod("bringer", f"hf://{model}", SECRET if "private" in model else {}, **attributes))
    node.end(pod)


def nothing(node: Node, model: str) -> None:
    del node, model


def half(node: Node, model: str) -> None:
    bring(node, model, allowPatterns=f"{HALF},*.json,README.md")


def other_idle(node: Node, model: str) -> None:
    del model
    bring(node, OTHER)


def other_in_use(node: Node, model: str) -> None:
    del model
    node.start(node.pod("user", f"hf://{OTHER}"))


STATES = {
    "cached": State(LIMIT, bring),
    "half cached": State(LIMIT, half),
    "absent and fits": State(LIMIT, nothing),
    "absent and fits only after eviction": State(TIGHT, other_idle),
    "absent and can't fit": State(TIGHT, other_in_use),
}
KINDS = ("public", "private never resolved here", "cachedOnly")


def check(capacity: Capacity, expected: str, limit: int) -> int:
    """Whether it is what is expected: "any" claim fits, "0", or "bytes": what is available, because nobody here knows the
    model's size. Returns what a claim may ask for."""
    maximum = capacity.available if capacity.maximum is None else capacity.maximum
    if expected == "any":
        assert maximum > ANY_SIZE, capacity
    elif expected == "0":
        assert maximum == capacity.available == 0, capacity
    else:
        assert 0 < maximum <= limit, capacity
    return maximum


EXPECTED = {
    ("cached", "public"): "any",
    ("cached", "private never resolved here"): "any",  # pods that may read it brought it
    ("cached", "cachedOnly"): "any",
    ("half cached", "public"): "any",
    ("half cached", "private never resolved here"): "bytes",
    ("half cached", "cachedOnly"): "0",
    ("absent and fits", "public"): "any",
    ("absent and fits", "private never resolved here"): "bytes",
    ("absent and fits", "cachedOnly"): "0",
    ("absent and fits only after eviction", "public"): "any",
    ("absent and fits only after eviction", "private never resolved here"): "bytes",
    ("absent and fits only after eviction", "cachedOnly"): "0",
    ("absent and can't fit", "public"): "0",
    ("absent and can't fit", "private never resolved here"): "bytes",
    ("absent and can't fit", "cachedOnly"): "0",
}


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Lines that are printed when all cells are known."""
    lines: list[str] = []
    yield lines
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        head = f"{'model':<36} {'class':<28} {'maximum_volume_size':<20} {'available_capacity':<19} CreateVolume"
        print("\n" + "\n".join([head, *lines]))


def told(node: Node, storage_class: StorageClass, hub: Hub) -> Capacity:
    """What is published once the daemon has asked the source, which the first question begins."""
    uri = storage_class.parameters["model"]
    node.provisioner.capacity(storage_class)

    def settled() -> bool:
        fit = node.capacity(uri).model
        refused = any(uri.removeprefix("hf://") in entry["path"] and entry["status"] in (401, 403, 404)
                      for entry in hub.log())
        return refused or fit.size == fit.SIZE_KNOWN
    node.daemon.process.wait_ready(settled)
    return node.provisioner.capacity(storage_class)


def created(node: Node, storage_class: StorageClass, storage: int) -> str:
    """How CreateVolume for a new claim of so many bytes ends; of a refused one nothing stays."""
    claim = Claim("claim", storage)
    try:
        volume = node.provisioner.create(storage_class, claim)
    except grpc.RpcError as error:
        assert not node.info().holds and not list((node.daemon.root / "volumes").glob("*"))
        return error.code().name
    node.provisioner.delete(volume)
    return "OK"


def in_words(size: int | None) -> str:
    if size is None:
        return "-"
    return "any" if size > ANY_SIZE else f"{size / MIB:.1f} MiB"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", STATES)
def test_create_volume_ends_as_get_capacity_said(new_node: Callable[..., Node], hub: Hub, table: list[str], state: str,
                                                 kind: str) -> None:
    model = MODELS["private" if "private" in kind else "public"]
    parameters = {"model": f"hf://{model}"} | ({"cachedOnly": "true"} if kind == "cachedOnly" else {})
    storage_class = StorageClass("class", parameters)
    node = new_node(limit=str(STATES[state].limit))
    STATES[state].arrange(node, model)
    capacity = told(node, storage_class, hub)
    expected = EXPECTED[(state, kind)]
    maximum = check(capacity, expected, STATES[state].limit)
    if expected == "any":
        outcomes = {"1 GiB": created(node, storage_class, 1024 * MIB)}
        assert list(outcomes.values()) == ["OK"]
    elif expected == "0":
        outcomes = {"1 MiB": created(node, storage_class, SMALL)}
        assert list(outcomes.values()) == ["RESOURCE_EXHAUSTED"]
    else:
        outcomes = {in_words(maximum + MIB): created(node, storage_class, maximum + MIB),
                    in_words(maximum): created(node, storage_class, maximum)}
        assert list(outcomes.values()) == ["RESOURCE_EXHAUSTED", "OK"]
    table.append(f"{state:<36} {kind:<28} {in_words(capacity.maximum):<20} {in_words(capacity.available):<19} "
                 + ", ".join(f"{size}: {outcome}" for size, outcome in outcomes.items()))


def test_a_node_that_has_more_of_a_model_is_preferred(new_node: Callable[..., Node], hub: Hub) -> None:
    storage_class = StorageClass("class", {"model": f"hf://{MODELS['public']}"})
    scores = []
    for state in ("cached", "half cached", "absent and fits"):
        node = new_node(limit=str(LIMIT))
        STATES[state].arrange(node, MODELS["public"])
        scores.append(told(node, storage_class, hub).available)
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 3, scores


def test_what_no_class_or_another_node_asks_for(node: Node) -> None:
    messages = node.csi.messages

    def available(**fields: object) -> int:
        return node.csi.call("Controller", "GetCapacity", messages.GetCapacityRequest(**fields), 5).available_capacity
    assert available() == node.capacity().available > 0
    parameters = {"model": "hf://acme/tiny"}
    here = messages.Topology(segments=node.provisioner.segment)
    elsewhere = messages.Topology(segments={key: "elsewhere" for key in node.provisioner.segment})
    assert available(parameters=parameters, accessible_topology=here) > 0
    assert available(parameters=parameters, accessible_topology=elsewhere) == 0
    assert available(parameters={"modle": "hf://acme/tiny"}, accessible_topology=here) == 0
