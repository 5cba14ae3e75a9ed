"""The kubelet double behaves as kubelet does (facts: the CSI and Kubernetes contract, section 1)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Iterator

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from kubelet_double import ClaimVolume, InlineVolume, Kubelet, Pod, Timing  # noqa: E402
from kubelet_double.fake_plugin import FakePlugin  # noqa: E402
from kubelet_double.records import Backoff, is_final  # noqa: E402

Code = grpc.StatusCode


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[FakePlugin]:
    fake = FakePlugin(tmp_path / "csi.sock")
    yield fake
    fake.stop()


@pytest.fixture
def kubelet(plugin: FakePlugin, tmp_path: Path) -> Iterator[Kubelet]:
    double = Kubelet(plugin.socket, tmp_path / "kubelet", Timing.scaled(1 / 50))
    yield double
    double.stop()


def inline_pod(name: str = "pod") -> Pod:
    return Pod(name, (InlineVolume("model", {"model": "hf://a/b", "csi.storage.k8s.io/pod.namespace": "spoofed"}),))


def claim_pod(name: str) -> Pod:
    return Pod(name, (ClaimVolume("pvc-1", "handle-1", {"model": "hf://a/b"}),))


def run(kubelet: Kubelet, *pods: Pod) -> None:
    kubelet.run(*pods)
    kubelet.wait_mounted(*pods, timeout=20)


def test_inline_publish_has_what_kubelet_sends(kubelet: Kubelet, plugin: FakePlugin) -> None:
    pod = inline_pod()
    run(kubelet, pod)
    request = plugin.seen[0][1]
    assert len(request.volume_id) == 68 and request.volume_id.startswith("csi-")
    assert request.target_path.endswith(f"pods/{pod.uid}/volumes/kubernetes.io~csi/model/mount")
    assert request.volume_context["csi.storage.k8s.io/pod.namespace"] == "default", "kubelet's own keys win"
    assert request.volume_context["csi.storage.k8s.io/ephemeral"] == "true"
    assert request.staging_target_path == "" and not request.readonly
    modes = type(request.volume_capability.access_mode)
    assert request.volume_capability.access_mode.mode == modes.SINGLE_NODE_WRITER


def test_parent_directory_and_vol_data_exist_before_the_call(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.gate.clear()
    pod = inline_pod()
    kubelet.run(pod)
    assert plugin.entered.acquire(timeout=20)
    parent = kubelet.path(pod).parent
    assert json.loads((parent / "vol_data.json").read_text())["volumeLifecycleMode"] == "Ephemeral"
    assert parent.stat().st_mode & 0o777 == 0o750 and not kubelet.path(pod).exists()


def test_final_error_removes_the_directory_and_is_never_unpublished(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.publish_codes = [Code.ABORTED, *[Code.INVALID_ARGUMENT] * 1000]
    pod = inline_pod()
    kubelet.run(pod)
    kubelet.wait_call(pod, Code.INVALID_ARGUMENT)
    kubelet.delete(pod)
    kubelet.wait_gone(pod)
    assert set(plugin.methods()) == {"publish"}
    assert os.listdir(kubelet.directories.pods) == []


def test_unfinished_publish_is_unpublished_when_the_pod_goes(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.publish_codes = [Code.ABORTED] * 1000
    pod = inline_pod()
    kubelet.run(pod)
    kubelet.wait_call(pod, Code.ABORTED)
    kubelet.delete(pod)
    kubelet.wait_gone(pod)
    assert plugin.methods()[-1] == "unpublish"
    assert os.listdir(kubelet.directories.pods) == []


def test_unpublish_is_repeated_until_it_is_ok(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.unpublish_codes = [Code.NOT_FOUND, Code.INTERNAL]
    pod = inline_pod()
    run(kubelet, pod)
    kubelet.delete(pod)
    kubelet.wait_gone(pod)
    assert plugin.methods() == ["publish", "unpublish", "unpublish", "unpublish"]


def test_restart_publishes_again_and_unpublishes_what_went(kubelet: Kubelet, plugin: FakePlugin) -> None:
    kept, gone = inline_pod("kept"), inline_pod("gone")
    run(kubelet, kept, gone)
    kubelet.stop()
    kubelet.delete(gone)
    kubelet.start()
    kubelet.wait_mounted(kept)
    kubelet.wait_gone(gone)
    assert sorted(plugin.methods()) == ["publish", "publish", "publish", "unpublish"]


def test_restart_cancels_the_call_under_way(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.gate.clear()
    pod = inline_pod()
    kubelet.run(pod)
    assert plugin.entered.acquire(timeout=20)
    kubelet.stop()
    plugin.gate.set()
    kubelet.start()
    kubelet.wait_mounted(pod)
    assert plugin.methods() == ["publish", "publish"]


def test_reboot_forgets_lost_pods_without_unpublish(kubelet: Kubelet, plugin: FakePlugin) -> None:
    kept, lost = inline_pod("kept"), inline_pod("lost")
    run(kubelet, kept, lost)
    kubelet.reboot(lost=[lost])
    kubelet.wait_mounted(kept)
    assert plugin.methods() == ["publish"] * 3
    assert os.listdir(kubelet.directories.pods) == [kept.uid]


def test_deadline_is_not_final(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.gate.clear()
    pod = inline_pod()
    kubelet.run(pod)
    call = kubelet.wait_call(pod, Code.DEADLINE_EXCEEDED)
    assert call.seconds >= kubelet.timing.deadline * 0.9
    plugin.gate.set()
    kubelet.wait_mounted(pod)


@pytest.mark.parametrize("pods, at_once", [((claim_pod("a"), claim_pod("b")), 1), ((inline_pod("a"), inline_pod("b")), 2)])
def test_mounts_of_one_claim_go_one_by_one_and_inline_ones_together(
        kubelet: Kubelet, plugin: FakePlugin, pods: tuple[Pod, ...], at_once: int) -> None:
    plugin.gate.clear()
    kubelet.run(*pods)
    for _ in range(at_once):
        assert plugin.entered.acquire(timeout=20)
    plugin.gate.set()
    kubelet.wait_mounted(*pods)
    assert plugin.most_at_once == at_once


def test_plugin_that_is_away_is_waited_for(kubelet: Kubelet, plugin: FakePlugin) -> None:
    plugin.stop()
    pod = inline_pod()
    kubelet.run(pod)
    kubelet.wait_call(pod, Code.UNAVAILABLE)
    again = FakePlugin(plugin.socket)
    kubelet.wait_mounted(pod)
    again.stop()


def test_backoff_doubles_up_to_its_cap_and_starts_afresh_for_another_operation() -> None:
    backoff = Backoff(Timing(backoff_first=1, backoff_most=4))
    now = 0.0
    for expected in (1, 2, 4, 4):
        assert backoff.may_start("mount", now)
        backoff.failed(now)
        assert not backoff.may_start("mount", now + expected - 0.1)
        now += expected
    assert backoff.may_start("unmount", now - 0.5)


def test_classes_of_errors() -> None:
    temporary = {code for code in Code if not is_final(code)}
    assert temporary == {Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED}
