"""Claims: made on one node by what external-provisioner sends, used on any, deleted on all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import kubernetes_validate
import pytest
import yaml

from harness.cluster import Cluster
from harness.hub import TOKEN, Hub
from harness.models import MIB, digests, make_model
from harness.node import Node
from kubelet_double import Claim, Pod, StorageClass

Code = grpc.StatusCode
SHARDED = StorageClass("sharded", {"model": "hf://acme/sharded"})
PRIVATE = StorageClass("private", {"model": "hf://acme/private"})
MOVING = "acme/moving"
SECRET = {"HF_TOKEN": TOKEN}


@pytest.fixture(scope="session", autouse=True)
def _models(models: Path) -> None:
    make_model(models, MOVING, (2 * MIB,), seed=60)


@pytest.fixture
def cluster(hub: Hub) -> Iterator[Cluster]:
    """Three nodes that reach the hub and nothing else."""
    made = Cluster(hub)
    yield made
    made.close()


def bytes_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and path.name != ".fixture.json")


def network_of(pid: int) -> str:
    """The name of its network namespace."""
    return os.readlink(f"/proc/{pid}/ns/net")


def published(nodes: list[Node], pods: list[Pod]) -> list[Path]:
    """Publishes one pod on each node, all at the same time, and says where."""
    for node, pod in zip(nodes, pods):
        node.kubelet.run(pod)
    for node, pod in zip(nodes, pods):
        node.kubelet.wait_mounted(pod)
    return [node.kubelet.path(pod) for node, pod in zip(nodes, pods)]


def holds(node: Node) -> list[str]:
    """The volumes that room is kept for."""
    return [hold.volume_id for hold in node.info().holds]


def refusal(call: Callable[[], Any]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value


def test_a_claim_made_on_one_node_is_used_on_three_and_each_fetches_once(cluster: Cluster, hub: Hub) -> None:
    first, second, third = cluster.nodes
    assert len({network_of(program.process.pid) for node in cluster.nodes for program in (node.daemon, node.plugin)}
               | {network_of(os.getpid())}) == 4
    claim = Claim("shared", 1024 * MIB, ("ReadWriteMany",))
    volume = first.provisioner.create(SHARDED, claim)
    assert volume.affinity == (), "a volume of many nodes is tied to some"
    pods = [node.claim_pod(f"pod-{node.name}", volume) for node in cluster.nodes]
    paths = published([second, third], pods[1:]) + published([first], pods[:1])
    model = hub.models / "acme/sharded"
    assert [digests(path) for path in paths] == [digests(model)] * 3
    # Bytes that the daemons took, each once: the hub also counts what a second connection brought in vain, which races one
    # that lags.
    assert [node.info().bytes_fetched for node in cluster.nodes] == [bytes_of(model)] * 3
    shard = "acme/sharded/model-00001-of-00003.safetensors"
    assert hub.fetched()[shard] >= 3 * (hub.models / shard).stat().st_size
    assert [holds(node) for node in cluster.nodes] == [[]] * 3, "the first publish does not end the hold"
    for node, pod in zip(cluster.nodes, pods):
        node.end(pod)
        node.assert_nothing_left()
    assert cluster.delete(volume) == [node.name for node in cluster.nodes]
    assert [node.complete() for node in cluster.nodes] == [["sharded"]] * 3, "with the volume went the model"

    hub.reset()
    again = second.provisioner.create(SHARDED, Claim("again", 1024 * MIB))
    [warm] = published([third], [pod := third.claim_pod("warm", again)])
    assert digests(warm) == digests(model) and hub.requests("cdn") == 0, "the fourth publish fetched"
    third.end(pod)
    cluster.delete(again)


def test_all_nodes_show_the_commit_that_the_claim_was_made_with(cluster: Cluster, hub: Hub) -> None:
    first, second, third = cluster.nodes
    model = hub.models / MOVING
    old, old_commit = digests(model), hub.commit(MOVING)
    moving = StorageClass("moving", {"model": f"hf://{MOVING}", "revision": "main"})
    volume = first.provisioner.create(moving, Claim("early", 1024 * MIB))
    original = (model / "config.json").read_text()
    try:
        (model / "config.json").write_text('{"moved": true}')
        (model / "vocabulary.txt").write_text("new\n")
        hub.rescan()
        assert hub.commit(MOVING) != old_commit
        paths = published([second, third, first], [node.claim_pod("pod", volume) for node in (second, third, first)])
        assert [digests(path) for path in paths] == [old] * 3
        late = first.provisioner.create(moving, Claim("late", 1024 * MIB))
        [path] = published([second], [second.claim_pod("late", late)])
        assert digests(path) == digests(model) != old
    finally:
        (model / "config.json").write_text(original)
        (model / "vocabulary.txt").unlink()
        hub.rescan()


def test_a_cluster_takes_the_node_that_has_the_model(cluster: Cluster) -> None:
    with cluster.nodes[1].daemon.client() as cache:
        cache.acquire("hf://acme/sharded")
    node, volume = cluster.provision(SHARDED, Claim("anywhere", 1024 * MIB, ("ReadWriteOnce",)))
    assert node.name == "node-b"
    assert volume.affinity == (node.provisioner.segment,)
    assert cluster.delete(volume) == ["node-b"]


@pytest.mark.parametrize("modes, placement, tied", [
    (("ReadWriteOnce",), "", True),
    (("ReadWriteOncePod",), "", True),
    (("ReadWriteOnce",), "node", True),
    (("ReadWriteOnce",), "any", False),
    (("ReadWriteOncePod",), "any", False),
    (("ReadOnlyMany",), "", False),
    (("ReadWriteMany",), "", False),
    (("ReadWriteMany",), "node", False),
    (("ReadWriteOnce", "ReadOnlyMany"), "", False),
])
def test_a_volume_is_tied_to_its_node_only_for_single_node_modes(node: Node, modes: tuple[str, ...], placement: str,
                                                                 tied: bool) -> None:
    parameters = {"model": "hf://acme/tiny"} | ({"placement": placement} if placement else {})
    volume = node.provisioner.create(StorageClass("tiny", parameters), Claim("claim", MIB, modes))
    assert volume.affinity == ((node.provisioner.segment,) if tied else ())
    assert list(node.provisioner.segment) == ["topology.csi.weighhouse.dev/node"]
    [path] = node.start(node.claim_pod("pod", volume))
    node.assert_serves(path)


def test_create_answers_alike_again_also_after_a_restart_and_after_the_publish(node: Node) -> None:
    claim = Claim("claim", 1024 * MIB)
    volume = node.provisioner.create(SHARDED, claim)
    assert node.provisioner.create(SHARDED, claim) == volume
    node.daemon.kill()
    node.daemon.start()
    assert node.provisioner.create(SHARDED, claim) == volume
    other = StorageClass("sharded", {"model": "hf://acme/other"})
    assert refusal(lambda: node.provisioner.create(other, claim)).code() == Code.ALREADY_EXISTS
    larger = Claim("claim", 2048 * MIB, uid=claim.uid)
    assert refusal(lambda: node.provisioner.create(SHARDED, larger)).code() == Code.ALREADY_EXISTS
    [path] = node.start(pod := node.claim_pod("pod", volume))
    node.assert_serves(path, "acme/sharded")
    assert holds(node) == []
    assert node.provisioner.create(SHARDED, claim) == volume and holds(node) == [], "it is held for a second time"
    node.end(pod)
    assert node.provisioner.delete(volume) and node.provisioner.delete(volume), "a delete that is repeated"
    assert node.provisioner.create(other, claim).attributes["model"] == "hf://acme/other"


def test_a_private_model_is_resolved_with_the_provisioners_secret(node: Node, hub: Hub) -> None:
    volume = node.provisioner.create(PRIVATE, Claim("claim", MIB // 2), SECRET)
    assert volume.storage >= bytes_of(hub.models / "acme/private"), "the size is the model's"
    assert hub.commit("acme/private") in volume.attributes.values()
    assert TOKEN not in json.dumps(volume.attributes)
    stranger = node.claim_pod("stranger", volume)
    assert node.publish(stranger).code in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED)
    node.forget(stranger)
    [path] = node.start(pod := node.claim_pod("pod", volume, SECRET))
    node.assert_serves(path, "acme/private")
    node.end(pod)


def test_a_private_model_without_secret_is_held_as_bytes_until_a_pod_brings_one(node: Node, hub: Hub) -> None:
    claim = Claim("claim", 64 * MIB)
    volume = node.provisioner.create(PRIVATE, claim)
    assert volume.storage == claim.storage
    with node.daemon.client() as cache:
        [hold] = cache.call("Info").holds
        assert (hold.volume_id, hold.snapshot_id, hold.bytes) == (volume.handle, "", claim.storage)
        assert not cache.call("List").snapshots, "something was begun without a right to it"
    assert hub.requests("cdn") == 0
    [path] = node.start(pod := node.claim_pod("pod", volume, SECRET))
    node.assert_serves(path, "acme/private")
    assert holds(node) == []
    node.end(pod)


def test_what_the_command_line_prints_is_a_class_to_make_claims_with(node: Node) -> None:
    arguments = ("storageclass", "hf://acme/sharded", "--layout", "hub")
    printed = list(yaml.safe_load_all(node.daemon.cli(*arguments).stdout))
    assert printed == json.loads(node.daemon.cli(*arguments, "--output", "json").stdout)["items"]
    for version in ("1.30", kubernetes_validate.latest_version()):
        for item in printed:
            kubernetes_validate.validate(item, version, strict=True)
    storage_class, capacity, claim = printed
    size = {"Gi": 1024 * MIB, "Mi": MIB}
    request = claim["spec"]["resources"]["requests"]["storage"]
    assert capacity["maximumVolumeSize"] == "4Gi"
    volume = node.provisioner.create(
        StorageClass(storage_class["metadata"]["name"], storage_class["parameters"]),
        Claim(claim["metadata"]["name"], int(request[:-2]) * size[request[-2:]], tuple(claim["spec"]["accessModes"])))
    [path] = node.start(node.claim_pod("pod", volume))
    commit = node.hub.commit("acme/sharded")
    node.assert_serves(path / "models--acme--sharded/snapshots" / commit, "acme/sharded")
