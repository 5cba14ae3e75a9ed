"""The life of a volume as kubelet lives it: publish, replay, unpublish, alone and in races."""

from __future__ import annotations

import os
import time
from pathlib import Path

import grpc
import pytest

from harness.hub import fault
from harness.models import MIB
from harness.node import Node
from kubelet_double import ClaimVolume, InlineVolume, Pod
from kubelet_double.directories import mounts_below

Code = grpc.StatusCode


def claim_pods(*names: str) -> list[Pod]:
    """Pods on one claim."""
    volume = ClaimVolume("pvc-1", "weighhouse-volume-1", {"model": "hf://acme/sharded"})
    return [Pod(name, (volume,)) for name in names]


def test_first_pod_fills_and_second_pod_gets_the_same_files(node: Node) -> None:
    first, second = node.pod("first"), node.pod("second")
    [cold] = node.start(first)
    node.assert_serves(cold)
    node.hub.reset()
    [warm] = node.start(second)
    node.assert_serves(warm)
    assert (cold / "model.safetensors").stat().st_ino == (warm / "model.safetensors").stat().st_ino
    assert node.hub.requests("cdn") == 0, "the second pod's publish fetched again"
    node.end(first, second)
    node.assert_nothing_left()


def test_mounted_volume_is_flagged_read_only_and_inert(node: Node) -> None:
    node.start(node.pod("pod"))
    [mount] = mounts_below(node.kubelet_root)
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mount.options.split(","))


def test_one_volume_can_hold_some_files_only(node: Node) -> None:
    pod = node.pod("pod", allowPatterns="*.json,README.md", ignorePatterns="tokenizer*")
    [path] = node.start(pod)
    assert sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()) == [
        "1_Pooling/config.json", "README.md", "config.json"]


def test_publish_that_outlives_its_deadline_says_how_far_it_is_and_comes_back(node: Node) -> None:
    node.hub.slow(2 * MIB)
    pod = node.pod("pod", "hf://acme/slow")
    node.kubelet.run(pod)
    aborted = node.kubelet.wait_call(pod, Code.ABORTED)
    assert "filling" in aborted.message and "MiB" in aborted.message and "%" in aborted.message
    assert aborted.seconds < node.kubelet.timing.deadline, "the plugin let kubelet's deadline pass"
    assert aborted.seconds > node.kubelet.timing.deadline / 2, "the plugin did not hold the publish"
    node.kubelet.wait_mounted(pod)
    node.assert_serves(node.kubelet.path(pod), "acme/slow")
    assert {call.code for call in node.kubelet.calls(pod)} == {Code.OK, Code.ABORTED}
    assert fetched(node) == weights(node, "acme/slow")
    node.end(pod)
    node.assert_nothing_left()


def fetched(node: Node) -> int:
    """Bytes of weights that were sent since the last reset."""
    return sum(sent for name, sent in node.hub.fetched().items() if name.endswith(".safetensors"))


def weights(node: Node, model: str) -> int:
    """Bytes of a model's weights."""
    return sum(path.stat().st_size for path in (node.hub.models / model).rglob("*.safetensors"))


def test_kubelet_restart_replays_publishes_without_network(node: Node) -> None:
    pods = [node.pod("one"), node.pod("two", layout="hub"), *claim_pods("three")]
    node.start(*pods)
    before = sorted(map(str, node.mounts()))
    node.hub.reset()
    node.kubelet.restart()
    node.kubelet.wait_mounted(*pods)
    assert node.hub.requests() == 0, "a replay went to the network"
    assert sorted(map(str, node.mounts())) == before, "a replay leaked a mount"
    assert max(call.seconds for call in node.kubelet.calls(method="NodePublish")[-3:]) < 1
    node.end(*pods)
    node.assert_nothing_left()


def test_unpublish_of_the_unknown_is_fine(node: Node) -> None:
    pod = node.pod("never-published")
    assert node.unpublish(pod).ok
    [_] = node.start(published := node.pod("published"))
    assert node.unpublish(published).ok
    assert node.unpublish(published).ok, "the second unpublish of the same volume"
    node.end(published)
    node.assert_nothing_left()


def test_racing_pods_share_one_fill(node: Node) -> None:
    node.hub.slow(8 * MIB)
    pods = [node.pod(f"pod-{number}", "hf://acme/sharded") for number in range(4)]
    paths = node.start(*pods)
    assert fetched(node) == weights(node, "acme/sharded"), "more than one copy was fetched"
    assert len({(path / "model-00001-of-00003.safetensors").stat().st_ino for path in paths}) == 1
    for path in paths:
        node.assert_serves(path, "acme/sharded")
    node.end(*pods)
    node.assert_nothing_left()


def test_two_revisions_share_their_equal_files(node: Node) -> None:
    readme = node.hub.models / "acme/other/README.md"
    original = readme.read_text()
    first, second = node.pod("first", "hf://acme/other"), node.pod("second", "hf://acme/other")
    try:
        [old] = node.start(first)
        readme.write_text("# changed\n")
        node.hub.rescan()
        node.hub.reset()
        [new] = node.start(second)
    finally:
        readme.write_text(original)
        node.hub.rescan()
    assert (old / "README.md").read_text() == original and (new / "README.md").read_text() == "# changed\n"
    assert (old / "model.safetensors").stat().st_ino == (new / "model.safetensors").stat().st_ino
    assert fetched(node) == 0


def test_pod_that_leaves_a_claim_does_not_disturb_the_other(node: Node) -> None:
    staying, leaving = claim_pods("staying", "leaving")
    path, _ = node.start(staying, leaving)
    with (path / "model-00001-of-00003.safetensors").open("rb") as stream:
        stream.read(MIB)
        node.end(leaving)
        assert len(stream.read()) > MIB
    node.assert_serves(path, "acme/sharded")
    assert len(node.daemon.leases()) == 1
    refused = node.daemon.cli("evict", "hf://acme/sharded", check=False)
    assert refused.returncode != 0, "a model in use was evicted"
    node.assert_serves(path, "acme/sharded")
    node.end(staying)
    node.assert_nothing_left()


def test_pod_deleted_during_the_fill_leaves_no_lease_and_the_fill_goes_on(node: Node) -> None:
    node.hub.slow(2 * MIB)
    pod = node.pod("short-lived", "hf://acme/slow")
    node.kubelet.run(pod)
    node.kubelet.wait_call(pod, Code.ABORTED)
    node.kubelet.delete(pod)
    node.kubelet.wait_gone(pod)
    assert node.kubelet.calls(pod, "Unpublish")[-1].ok
    assert node.daemon.leases() == [] and node.mounts() == []
    with node.daemon.client() as cache:
        assert cache.acquire("hf://acme/slow").bytes > 16 * MIB
    assert fetched(node) == weights(node, "acme/slow")
    node.assert_nothing_left()


def test_unpublish_while_the_publish_waits_is_answered_at_once(node: Node) -> None:
    node.hub.slow(2 * MIB)
    pod = node.pod("pod", "hf://acme/slow")
    node.kubelet.run(pod)
    with node.daemon.client() as cache:
        wait_until_filling(node, cache)
    node.kubelet.delete(pod)
    started = time.monotonic()
    assert node.unpublish(pod).ok
    assert time.monotonic() - started < 1, "the unpublish waited for the publish"
    [publish] = node.kubelet.calls(pod, "NodePublish") or [node.kubelet.wait_call(pod, Code.ABORTED)]
    assert publish.code == Code.ABORTED and "unpublished" in publish.message
    node.kubelet.wait_gone(pod)
    assert node.daemon.leases() == [] and node.mounts() == []
    with node.daemon.client() as cache:
        assert cache.call("Info").fills_active == 1, "the fill ended with its first waiter"


def wait_until_filling(node: Node, cache: object) -> None:
    """Until the daemon says that bytes are on their way."""
    def filling() -> bool:
        snapshots = cache.call("List").snapshots  # type: ignore[attr-defined]
        return any(snapshot.state == cache.messages.Snapshot.FILLING for snapshot in snapshots)  # type: ignore
    node.daemon.process.wait_ready(filling)


def test_final_error_after_aborted_leaves_nothing_for_an_unpublish_that_never_comes(node: Node) -> None:
    node.hub.faults(
        fault("cdn", "", {"kind": "rate", "bytes_per_second": 2 * MIB}),
        fault("cdn", "model-00002", {"kind": "corrupt", "at": 1000}))
    pod = node.pod("unlucky", "hf://acme/slow")
    node.kubelet.run(pod)
    node.kubelet.wait_call(pod, Code.ABORTED)
    node.kubelet.wait(lambda: any(not call.ok and call.code != Code.ABORTED for call in node.kubelet.calls(pod)), 60,
                      "a final error")
    node.kubelet.delete(pod)
    node.kubelet.wait_gone(pod)
    calls = node.kubelet.calls(pod)
    assert "Unpublish" not in calls[-1].method, "the last publish was not final"
    assert "digest" in calls[-1].message
    node.assert_nothing_left()


@pytest.mark.parametrize("layout", ["files", "hub"])
def test_volume_statistics_are_those_of_the_model(node: Node, layout: str) -> None:
    pod = node.pod("pod", layout=layout)
    [path] = node.start(pod)
    reply = node.csi.call("Node", "NodeGetVolumeStats", node.csi.messages.NodeGetVolumeStatsRequest(
        volume_id=pod.volumes[0].handle(pod), volume_path=str(path)), 5)
    usage = {entry.unit: entry for entry in reply.usage}
    files = [file.stat().st_size for file in path.rglob("*") if file.is_file() and file.parent.name != "refs"]
    assert usage[node.csi.messages.VolumeUsage.BYTES].used == sum(files) > MIB
    assert usage[node.csi.messages.VolumeUsage.INODES].used == len(files)
    with pytest.raises(grpc.RpcError) as failure:
        node.csi.call("Node", "NodeGetVolumeStats", node.csi.messages.NodeGetVolumeStatsRequest(
            volume_id="unknown", volume_path=str(path)), 5)
    assert failure.value.code() == Code.NOT_FOUND


def test_same_target_with_another_model_is_refused_and_the_mount_stays(node: Node) -> None:
    pod = node.pod("pod")
    [path] = node.start(pod)
    other = Pod(pod.name, (InlineVolume("model", {"model": "hf://acme/other"}),), uid=pod.uid)
    assert node.publish(other).code == Code.ALREADY_EXISTS
    node.assert_serves(path)
    node.end(pod)
    node.assert_nothing_left()


def test_inode_and_owner_of_files_are_not_the_readers(node: Node) -> None:
    [path] = node.start(node.pod("pod"))
    status = os.stat(path / "model.safetensors")
    assert status.st_mode & 0o222 == 0 and status.st_mode & 0o444 == 0o444
    overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
    assert (status.st_uid, status.st_gid) == (overflow, overflow), "the owner has a mapping"
