"""What a pod author can write wrongly, or with bad intent: one clear error each, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest

from harness.canary import canary
from harness.hub import TOKEN
from harness.node import Node
from kubelet_double import Call, InlineVolume, Pod

Code = grpc.StatusCode


def refused(node: Node, attributes: dict[str, str], secrets: dict[str, str] | None = None) -> Call:
    """Runs a pod with these attributes until its first error, ends it, and checks that no trace of it is left."""
    pod = Pod("bad", (InlineVolume("model", attributes, secrets=secrets or {}),))
    node.kubelet.run(pod)
    node.kubelet.wait(lambda: bool(node.kubelet.calls(pod)), 30, "an answer")
    call = node.kubelet.calls(pod)[0]
    node.end(pod)
    node.assert_nothing_left()
    return call


BAD_ATTRIBUTES = {
    "a misspelt parameter": ({"model": "hf://acme/tiny", "alowPatterns": "*"}, ["alowPatterns", "allowPatterns"]),
    "another misspelt parameter": ({"model": "hf://acme/tiny", "reversion": "main"}, ["reversion", "revision"]),
    "no model": ({}, ["model"]),
    "a misspelt model": ({"modle": "hf://acme/tiny"}, ["modle", "model"]),
    "an empty model": ({"model": ""}, ["model"]),
    "an unknown layout": ({"model": "hf://acme/tiny", "layout": "tar"}, ["tar", "files", "hub"]),
    "an unknown scheme": ({"model": "ftp://acme/tiny"}, ["ftp", "hf://"]),
    "no scheme": ({"model": "acme/tiny"}, ["acme/tiny", "hf://"]),
    "no organisation": ({"model": "hf://tiny"}, ["tiny", "hf://"]),
    "too many parts": ({"model": "hf://acme/tiny/more"}, ["more"]),
    "a way out of the repository": ({"model": "hf://acme/.."}, [".."]),
    "two revisions": ({"model": "hf://acme/tiny@main", "revision": "other"}, ["main", "other"]),
    "a way out in the revision": ({"model": "hf://acme/tiny", "revision": "../../x"}, ["../../x"]),
    "a local path that is not offered": ({"model": "file:///etc"}, ["/etc"]),
    "a local path that climbs": ({"model": "file:///tmp/../etc"}, [".."]),
}


@pytest.mark.parametrize("name", BAD_ATTRIBUTES)
def test_bad_attributes_are_refused_by_name(node: Node, name: str) -> None:
    attributes, words = BAD_ATTRIBUTES[name]
    call = refused(node, attributes)
    assert call.code in (Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED), call
    for word in words:
        assert word in call.message, call.message


def test_secret_of_another_pod_namespace_cannot_be_claimed(node: Node) -> None:
    """An inline publish without kubelet's own pod keys is one of a pod author who may write them himself."""
    pod = node.pod("bad")
    call = node.publish(pod, volume_context={"model": "hf://acme/tiny"})
    assert call.code == Code.FAILED_PRECONDITION and "podInfoOnMount" in call.message, call
    node.forget(pod)
    node.assert_nothing_left()


WRONG = canary("wrong")
RIGHTS = {
    "a private model without a token": ("private", {}, {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED}, ["token"]),
    "a private model with a wrong token": ("private", {"HF_TOKEN": WRONG}, {Code.UNAUTHENTICATED}, ["token"]),
    "a public model with a wrong token": ("tiny", {"HF_TOKEN": WRONG}, {Code.UNAUTHENTICATED}, ["token"]),
    "a gated model without a token": ("gated", {}, {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED}, ["accept"]),
    "a gated model without consent": ("gated", {"HF_TOKEN": TOKEN}, {Code.PERMISSION_DENIED}, ["accept"]),
    "a disabled model": ("disabled", {}, {Code.PERMISSION_DENIED}, ["disabled"]),
    "a model that is not there": ("missing", {"HF_TOKEN": TOKEN}, {Code.NOT_FOUND}, ["acme/missing"]),
}


@pytest.mark.parametrize("name", RIGHTS)
def test_missing_rights_say_what_to_do(node: Node, name: str) -> None:
    model, secrets, codes, words = RIGHTS[name]
    call = refused(node, {"model": f"hf://acme/{model}"}, secrets)
    assert call.code in codes, call
    for word in words:
        assert word in call.message, call.message
    assert not any(secret and secret in call.message for secret in secrets.values()), "the token is in the message"
    for log in (node.daemon.log, node.plugin.log):
        assert not any(secret in log.read_text() for secret in secrets.values()), f"the token is in {log.name}"


@pytest.mark.parametrize("key", ["HF_TOKEN", "token"])
def test_private_model_is_served_to_its_token_only(node: Node, key: str) -> None:
    [path] = node.start(pod := node.pod("entitled", "hf://acme/private", {key: TOKEN}))
    node.assert_serves(path, "acme/private")
    stranger = node.pod("stranger", "hf://acme/private")
    node.kubelet.run(stranger)
    node.kubelet.wait(lambda: bool(node.kubelet.calls(stranger)), 30, "an answer")
    assert node.kubelet.calls(stranger)[0].code in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED)
    node.end(pod, stranger)
    node.assert_nothing_left()


def test_missing_revision_names_it(node: Node) -> None:
    call = refused(node, {"model": "hf://acme/tiny", "revision": "v9.9"})
    assert call.code == Code.NOT_FOUND and "v9.9" in call.message, call


def test_patterns_that_match_nothing_are_refused(node: Node) -> None:
    call = refused(node, {"model": "hf://acme/tiny", "allowPatterns": "*.gguf"})
    assert call.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT) and "*.gguf" in call.message, call


MISSING_FIELDS = {"volume_id": "volume_id", "target_path": "target_path", "volume_capability": "capability"}


@pytest.mark.parametrize("field", MISSING_FIELDS)
def test_request_without_a_required_field_is_invalid(node: Node, field: str) -> None:
    pod = node.pod("bad")
    call = node.publish(pod, **{field: None})
    assert call.code == Code.INVALID_ARGUMENT and MISSING_FIELDS[field] in call.message.lower(), call
    node.forget(pod)
    node.assert_nothing_left()


def test_block_volumes_are_refused(node: Node) -> None:
    pod = node.pod("bad")
    capability = node.kubelet.publish_request(pod).volume_capability
    capability.block.SetInParent()
    request = node.kubelet.publish_request(pod)
    request.volume_capability.CopyFrom(capability)
    with pytest.raises(grpc.RpcError) as failure:
        node.csi.call("Node", "NodePublishVolume", request, 3)
    assert failure.value.code() == Code.INVALID_ARGUMENT
    node.assert_nothing_left()


def outside(node: Node) -> Path:
    path = node.directory / "outside"
    path.mkdir(exist_ok=True)
    return path


def hostile_targets(node: Node, pod: Pod) -> dict[str, str]:
    """Target paths that a plugin must never mount on."""
    volumes = node.kubelet.path(pod).parent.parent
    link = volumes / "link"
    link.symlink_to(outside(node))
    return {
        "outside the kubelet root": str(outside(node) / "mount"),
        "relative": "pods/x/mount",
        "climbing": f"{volumes}/../../../../../outside/mount",
        "through a symbolic link": str(link / "mount"),
        "a symbolic link itself": str(link),
        "the kubelet root": str(node.kubelet_root),
        "too long": str(volumes / ("x" * 300) / "mount"),
    }


def test_targets_outside_or_through_links_are_refused(node: Node) -> None:
    pod = node.pod("bad")
    node.kubelet.directories.prepare(pod, pod.volumes[0])
    for name, target in hostile_targets(node, pod).items():
        call = node.publish(pod, target_path=target)
        assert call.code == Code.INVALID_ARGUMENT, f"{name}: {call}"
        assert call.message, name
    assert os.listdir(outside(node)) == []
    (node.kubelet.path(pod).parent.parent / "link").unlink()
    node.forget(pod)
    node.assert_nothing_left()


def test_unpublish_of_a_hostile_target_touches_nothing(node: Node) -> None:
    [path] = node.start(pod := node.pod("pod"))
    precious = outside(node) / "mount"
    precious.mkdir()
    for target in (str(precious), f"{node.kubelet_root}/../outside/mount"):
        request = node.csi.messages.NodeUnpublishVolumeRequest(
            volume_id=pod.volumes[0].handle(pod), target_path=target)
        try:
            node.csi.call("Node", "NodeUnpublishVolume", request, 3)
        except grpc.RpcError as error:
            assert error.code() == Code.INVALID_ARGUMENT
        assert precious.exists()
    node.assert_serves(path)
    node.end(pod)
    node.assert_nothing_left()


def test_target_that_holds_files_is_not_covered(node: Node) -> None:
    """A directory that is not empty is somebody's data: neither mounted over nor removed."""
    pod = node.pod("bad")
    node.kubelet.directories.prepare(pod, pod.volumes[0])
    target = node.kubelet.path(pod)
    target.mkdir()
    (target / "data").write_text("precious")
    call = node.publish(pod)
    assert call.code == Code.FAILED_PRECONDITION
    assert (target / "data").read_text() == "precious"
    (target / "data").unlink()
    node.unpublish(pod)
    node.forget(pod)
    node.assert_nothing_left()
