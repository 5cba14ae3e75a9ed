"""Who may use which models, through the real plugin: rules by namespace of pods and of claims, and what becomes of pickles."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness import workspace
from harness.buckets import S3Server
from harness.models import MIB, make_model
from harness.node import Node
from kubelet_double import Claim, Pod, StorageClass

Code = grpc.StatusCode
ALLOWED = {"allowByNamespace": ["team-a=hf://acme/tiny"], "denyByNamespace": ["team-b=hf://acme/tiny"]}
AT_ONCE = 2.0  # seconds, from the swap of the ConfigMap's link
PICKLED, WEIGHTS = "acme/pickled", "model.safetensors"
ALL_FILES = {"ignorePatterns": "no-such-file"}  # the default ones leave pickles out
FREE = ""
NOT_LISTED = ("not one of the models that may be used here: an admin lists them in sources.allowByNamespace (namespace team-a), "
              "which has [hf://acme/tiny]")
DENIED = "an admin denies it here: sources.denyByNamespace (namespace team-b) has 'hf://acme/tiny'"
RULES = [
    ("team-a", "acme/tiny", FREE), ("team-a", "acme/other", NOT_LISTED),
    ("team-b", "acme/tiny", DENIED), ("team-b", "acme/other", FREE),
    ("team-c", "acme/tiny", FREE), ("team-c", "acme/other", FREE),
]
"""Who asks for what, and what is said; empty: it is served."""


@pytest.fixture(scope="session", autouse=True)
def _models(models: Path) -> None:
    made = make_model(models, PICKLED, seed=90)
    (made / "pytorch_model.bin").write_bytes(b"p" * MIB)


def change(node: Node, **rules: Any) -> float:
    """Changes the ConfigMap; the seconds until it counted."""
    def reloads() -> int:
        count: int = node.info().configuration.reloads
        return count

    before, swapped = reloads(), time.monotonic()
    node.daemon.change("sources", **rules)
    node.daemon.process.wait_ready(lambda: reloads() > before)
    return time.monotonic() - swapped


def pod_in(namespace: str, node: Node, model: str, name: str = "pod", **attributes: str) -> Pod:
    return dataclasses.replace(node.pod(f"{name}-{namespace}", f"hf://{model}", **attributes), namespace=namespace)


def claim_in(namespace: str, node: Node, model: str, **attributes: str) -> Any:
    """The volume of a claim there; a pod that is on it has the claim's namespace, too."""
    return node.provisioner.create(StorageClass("class", {"model": f"hf://{model}"} | attributes),
                                   Claim(f"claim-{namespace}", 64 * MIB, namespace=namespace))


def on_claim(namespace: str, node: Node, volume: Any) -> Pod:
    return dataclasses.replace(node.claim_pod(f"on-claim-{namespace}", volume), namespace=namespace)


def refused_pod(node: Node, pod: Pod, others: int = 0) -> str:
    """What kubelet is told of a pod that may not start, beside `others` that run; the pod is deleted then."""
    earlier = len(node.kubelet.calls(pod))  # of one of the same name
    node.kubelet.run(pod)
    call = node.kubelet.wait_call(pod, Code.PERMISSION_DENIED)
    assert not any(each.ok for each in node.kubelet.calls(pod)[earlier:])
    assert len(node.mounts()) == others
    node.end(pod)
    return str(call.message)


def refused_claim(namespace: str, node: Node, model: str, **attributes: str) -> str:
    with pytest.raises(grpc.RpcError) as refused:
        claim_in(namespace, node, model, **attributes)
    workspace.note("CreateVolume", refused.value)
    assert refused.value.code() == Code.PERMISSION_DENIED, refused.value
    return str(refused.value.details())


@pytest.mark.parametrize(("namespace", "model", "said"), RULES, ids=[f"{rule[0]} {rule[1]}" for rule in RULES])
@pytest.mark.parametrize("cached", [False, True], ids=["cold", "cached"])
def test_a_namespace_gets_what_its_rules_let_it(node: Node, namespace: str, model: str, said: str, cached: bool) -> None:
    change(node, **ALLOWED)
    if cached:
        with node.daemon.client() as cache:
            cache.acquire(f"hf://{model}")  # the command line is an admin's
    pod = pod_in(namespace, node, model)
    if said:
        node.hub.reset()
        for message in (refused_pod(node, pod), refused_claim(namespace, node, model)):
            assert f"hf://{model}: {said}" in message, message
        assert node.hub.requests() == 0, "the source was asked for what may not be used"
    else:
        volume = claim_in(namespace, node, model)
        for path in node.start(pod, claimed := on_claim(namespace, node, volume)):
            node.assert_serves(path, model)
        node.end(pod, claimed)
        assert node.provisioner.delete(volume)
    node.assert_nothing_left()
    assert list(node.info().holds) == []


def test_who_asks_for_nobodys_namespace_gets_nothing(node: Node) -> None:
    change(node, **ALLOWED)
    volume = claim_in("team-c", node, "acme/tiny")
    anonymous = on_claim("team-c", node, volume)
    call = node.publish(anonymous, volume_context=dict(volume.attributes))  # a CSIDriver without podInfoOnMount
    assert call.code == Code.PERMISSION_DENIED and "podInfoOnMount" in call.message, call
    node.forget(anonymous)
    request = node.provisioner.create_request(StorageClass("class", {"model": "hf://acme/tiny"}), Claim("claim", MIB), {})
    for key in [key for key in request.parameters if key.startswith("csi.storage.k8s.io/pvc")]:
        del request.parameters[key]
    with pytest.raises(grpc.RpcError) as refused:
        node.csi.call("Controller", "CreateVolume", request, 30)
    assert refused.value.code() == Code.PERMISSION_DENIED and "--extra-create-metadata" in refused.value.details()
    change(node, allowByNamespace=[], denyByNamespace=[])
    assert node.publish(anonymous, volume_context=dict(volume.attributes)).ok, "nobody has to be known without such rules"
    assert node.unpublish(anonymous).ok
    node.forget(anonymous)


def test_a_changed_rule_counts_at_once_for_whoever_asks_next(node: Node) -> None:
    change(node, denyByNamespace=["team-*=hf://acme/tiny"])
    first = pod_in("team-a", node, "acme/tiny", "first")
    node.kubelet.run(first)
    node.kubelet.wait_call(first, Code.PERMISSION_DENIED)
    assert change(node, denyByNamespace=["team-b=hf://acme/tiny"]) < AT_ONCE
    node.kubelet.wait_mounted(first)  # kubelet tries again
    volume = claim_in("team-a", node, "acme/tiny")
    assert change(node, denyByNamespace=[], allowByNamespace=["team-a=hf://acme/other"]) < AT_ONCE
    second, claimed = pod_in("team-a", node, "acme/tiny", "second"), on_claim("team-a", node, volume)
    for late in (second, claimed):
        node.kubelet.run(late)
        assert NOT_LISTED.replace("tiny", "other") in node.kubelet.wait_call(late, Code.PERMISSION_DENIED).message
    refused_claim("team-a", node, "acme/tiny")
    node.assert_serves(node.kubelet.path(first)), "who has it keeps it"
    elsewhere = pod_in("team-b", node, "acme/tiny")
    [path] = node.start(elsewhere)
    node.assert_serves(path)
    assert change(node, allowByNamespace=[]) < AT_ONCE
    node.kubelet.wait_mounted(second, claimed)
    node.end(first, second, claimed, elsewhere)
    assert node.provisioner.delete(volume)
    node.assert_nothing_left()


def test_the_service_that_a_secret_names_is_judged_by_its_own_name(node: Node) -> None:
    """Else a bucket of one's own, at a server of one's own, would be what an admin's list means."""
    elsewhere, ours = "s3+https://127.0.0.1:1/", "team-a=s3://models/*"
    secret = S3Server.KEYS | {"AWS_ENDPOINT_URL": "https://127.0.0.1:1"}
    pod = dataclasses.replace(node.pod("pod", "s3://models/acme", secrets=secret), namespace="team-a")
    change(node, allowByNamespace=[ours])
    assert f"{elsewhere}models/acme: not one of the models" in refused_pod(node, pod)
    change(node, allowByNamespace=[ours, f"team-a={elsewhere}*"])
    node.kubelet.run(pod)
    node.kubelet.wait_call(pod, Code.UNAVAILABLE)  # nobody is there, as far as it may be asked
    change(node, denyByNamespace=[f"team-?={elsewhere}models/*"])
    node.kubelet.wait(lambda: f"{elsewhere}models/acme: an admin denies it" in node.kubelet.calls(pod, "Publish")[-1].message,
                      30, "the denial")
    node.end(pod)
    node.assert_nothing_left()


def names(path: Path) -> set[str]:
    return {file.name for file in path.rglob("*") if file.is_file()}


def test_pickles_are_served_left_out_or_refused(node: Node) -> None:
    pickle = "pytorch_model.bin"
    early = claim_in("team-c", node, PICKLED, **ALL_FILES)  # from when they were allowed
    for policy, has_pickle in (("allow", True), ("besideSafetensors", False)):
        change(node, pickle=policy)
        volume = claim_in("team-b", node, PICKLED, **ALL_FILES)
        pods = [pod_in("team-a", node, PICKLED, **ALL_FILES), on_claim("team-b", node, volume), on_claim("team-c", node, early)]
        for path in node.start(*pods):
            assert (pickle in names(path), WEIGHTS in names(path)) == (has_pickle, True), policy
        node.end(*pods)
        assert node.provisioner.delete(volume)
    change(node, pickle="refuse")
    for message in (refused_pod(node, pod_in("team-a", node, PICKLED, **ALL_FILES)),
                    refused_claim("team-b", node, PICKLED, **ALL_FILES)):
        assert f"{pickle}: pickles run code when they are loaded, and an admin refuses them (sources.pickle)" in message
    [path] = node.start(plain := pod_in("team-a", node, PICKLED))
    assert (pickle in names(path), WEIGHTS in names(path)) == (False, True), "the default patterns leave it out"
    node.end(plain)
    assert node.provisioner.delete(early)
    node.assert_nothing_left()


def test_a_claim_from_when_pickles_were_allowed_is_refused_with_them(node: Node) -> None:
    early = claim_in("team-c", node, PICKLED, **ALL_FILES)
    node.start(first := on_claim("team-c", node, early))
    assert "pytorch_model.bin" in names(node.kubelet.path(first))
    change(node, pickle="refuse")
    late = dataclasses.replace(on_claim("team-c", node, early), name="late")
    assert "(sources.pickle)" in refused_pod(node, late, others=1)
    node.end(first)
    assert node.provisioner.delete(early)
