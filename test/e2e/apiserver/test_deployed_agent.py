"""What only Kubernetes' own API server can say of the agent: `make apiserver`. The rest is test_agent.py, asked of both."""

from __future__ import annotations

import subprocess
from typing import Any, Iterator

import pytest

from harness import workspace
from harness.agent import POD_UID
from harness.agent_bench import Bench
from harness.kube_api import PREFIX
from harness.kube_cluster import Answer, KubeCluster

MIB = 1 << 20
MODEL = "hf://acme/tiny@main"
FILLING = {"bytes_done": 100 * MIB, "bytes_total": 400 * MIB, "bytes_per_second": 25 * MIB}
NODE, OTHER = "/api/v1/nodes/node-1", "/api/v1/nodes/node-2"


@pytest.fixture
def bench(real_bench: Bench) -> Iterator[Bench]:
    with real_bench:
        yield real_bench


def logged(bench: Bench, text: str) -> bool:
    return text in bench.agent.log.read_text()


def test_without_the_role_the_log_says_which_is_missing_and_with_it_the_event_comes(bench: Bench) -> None:
    bench.api.revoke()
    bench.daemon.publish("web-0", waited=5, filling=FILLING)
    bench.agent.start()
    bench.wait(lambda: logged(bench, "the service account needs create and patch on events: deploy/components/agent"))
    assert bench.api.all_events() == []
    bench.api.grant("agent")
    bench.wait_event("ModelFilling")
    assert {each.status for each in bench.api.requests()} == {201, 403}


def test_without_the_role_no_label_is_written_and_the_log_says_which_is_missing(bench: Bench) -> None:
    bench.daemon.caches(MODEL)
    bench.agent.start("--node-labels=2")
    bench.wait(lambda: logged(bench, "they need get and patch on nodes: deploy/components/node-labels"))
    assert bench.api.labels("node-1") == {}
    bench.api.grant("node-labels")
    bench.wait(lambda: len(bench.api.labels("node-1")) == 1)


def test_an_api_server_that_is_away_is_waited_for_and_told_of_the_same_event(bench: Bench) -> None:
    bench.daemon.publish("web-0", waited=5, filling=FILLING)
    bench.agent.start()
    before = bench.wait_event("ModelFilling")

    def while_away() -> None:
        bench.daemon.publish("web-0", ready={"milliseconds": 9000, "cold": True})
        bench.wait(lambda: logged(bench, "the Kubernetes API can't be asked"))
        assert bench.agent.probe() == 0, "no reason for a restart"

    bench.api.restart(while_away)
    bench.wait(lambda: bench.api.event()["reason"] == "ModelReady", 90)  # the agent waits longer with each failure
    after = bench.api.event()
    assert (after["metadata"]["uid"], after["firstTimestamp"]) == (before["metadata"]["uid"], before["firstTimestamp"])
    bench.wait(lambda: logged(bench, "the Kubernetes API takes events again"))


def test_kubectl_shows_what_docs_events_says(bench: Bench) -> None:
    uid = bench.api.add_pod("web-0")
    try:
        bench.daemon.publish("web-0", waited=5, uid=uid, filling=FILLING)
        bench.agent.start()
        bench.wait_event("ModelFilling")
        bench.daemon.publish("web-0", uid=uid, refused={"code": 9, "message": f"{MODEL}: gated: accept its terms"})
        bench.wait_event("ModelRefused")
        said = f"refused: {MODEL}: gated: accept its terms"
        described = bench.api.kubectl("describe", "pod", "web-0").partition("Events:")[2]
        assert "ModelRefused" in described and "Warning" in described and said in described
        assert "(x2 over " in described and " weighhouse " in described
        listed = bench.api.kubectl("events", "--for", "pod/web-0").splitlines()
        assert len(listed) == 2 and "(x2 over " in listed[1] and "ModelRefused" in listed[1] and said in listed[1]
        wide = bench.api.kubectl("get", "events", "--output", "wide").splitlines()
        assert wide[0].split()[-4:] == ["FIRST", "SEEN", "COUNT", "NAME"] and wide[1].split()[-2] == "2"
        chosen = bench.api.kubectl("get", "events", "--field-selector", "reason=ModelRefused,type=Warning", "--output", "name")
        assert len(chosen.splitlines()) == 1
        newer = bench.api.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
        assert [(each["note"], each["deprecatedCount"]) for each in newer] == [(said, 2)]
    finally:
        bench.api.delete_pod("web-0")


def test_the_end_of_a_deleted_pod_is_still_told_and_its_namesake_has_an_event_of_its_own(bench: Bench) -> None:
    first = bench.api.add_pod("web-0")
    bench.daemon.publish("web-0", waited=5, uid=first, filling=FILLING)
    bench.agent.start()
    bench.wait_event("ModelFilling")
    bench.api.delete_pod("web-0")
    bench.daemon.publish("web-0", uid=first, refused={"code": 1, "message": "the pod is gone"})
    bench.wait_event("ModelRefused")
    second = bench.api.add_pod("web-0")
    try:
        bench.daemon.publish("web-0", uid=second, ready={"milliseconds": 3})
        bench.wait(lambda: len(bench.api.all_events()) == 2)
        told = {each["involvedObject"]["uid"]: each["reason"] for each in bench.api.all_events()}
        assert told == {first: "ModelRefused", second: "ModelReady"}
        assert bench.wrote().count(("POST", 201)) == 2
    finally:
        bench.api.delete_pod("web-0")


def refused_by_the_policy(cluster: KubeCluster, method: str, path: str, body: dict[str, Any]) -> str:
    """Why, of a request with the agent's token."""
    answer: Answer = cluster.ask(method, path, body, cluster.token)
    message = str(answer.get("message"))
    assert answer.status in (403, 422) and "ValidatingAdmissionPolicy 'weighhouse-node-labels'" in message, answer
    return message


def test_the_token_may_change_labels_of_ours_on_its_own_node_and_nothing_else(bench: Bench) -> None:
    cluster = bench.api
    other = {"kubernetes.io/hostname": "node-1", "zone": "a"}
    cluster.add_node("node-1", other)
    cluster.add_node("node-2", {"zone": "a"})
    cluster.grant("node-labels")
    ours = {"metadata": {"labels": {PREFIX + "0123456789abcdef": "cached"}}}

    def is_in_force() -> bool:
        """The server learns of a policy a moment after it was written."""
        return bool(cluster.ask("PATCH", OTHER + "?dryRun=All", ours, cluster.token).status != 200)

    bench.agent.start()
    bench.wait(is_in_force, 60)
    assert "the node that it runs on" in refused_by_the_policy(cluster, "PATCH", OTHER, ours)
    assert cluster.ask("PATCH", NODE, ours, cluster.token).status == 200
    assert cluster.labels("node-1") == {"0123456789abcdef": "cached"}
    only = "labels that begin with model.csi.weighhouse.dev/, nothing else"
    for change in ({"metadata": {"labels": {"zone": "b"}}}, {"metadata": {"labels": {"zone": None}}},
                   {"metadata": {"labels": {"new": "one"}}}, {"metadata": {"annotations": {"a": "b"}}},
                   {"metadata": {"finalizers": ["example.com/keep"]}}, {"spec": {"unschedulable": True}},
                   {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}},
                   {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": POD_UID}]}}):
        assert only in refused_by_the_policy(cluster, "PATCH", NODE, change)
    assert cluster.ask("PATCH", NODE, {"metadata": {"labels": {PREFIX + "0123456789abcdef": None}}}, cluster.token).status == 200
    assert (cluster.labels("node-1"), cluster.other_labels("node-1")) == ({}, other)
    assert cluster.other_labels("node-2") == {"zone": "a"} and cluster.labels("node-2") == {}


@pytest.mark.parametrize("method, path", [
    ("DELETE", NODE), ("GET", "/api/v1/nodes"), ("GET", "/api/v1/namespaces/default/events"), ("GET", "/api/v1/secrets"),
    ("GET", "/api/v1/namespaces/default/pods"), ("PATCH", NODE + "/status")])
def test_the_token_has_no_right_beyond_those_that_docs_events_lists(bench: Bench, method: str, path: str) -> None:
    bench.api.grant("node-labels")
    answer = bench.api.ask(method, path, {} if method == "PATCH" else None, bench.api.token)
    assert answer.status == 403 and answer["reason"] == "Forbidden" and "cannot" in answer["message"]


def test_nodes_are_chosen_by_the_id_that_the_command_line_prints(bench: Bench) -> None:
    bench.api.grant("node-labels")
    bench.daemon.caches(MODEL)
    bench.agent.start("--node-labels=2")
    bench.wait(lambda: len(bench.api.labels("node-1")) == 1)
    ran = subprocess.run([str(workspace.binaries() / "weighhouse"), "model-id", MODEL], check=True, capture_output=True,
                         text=True)
    selector = f"{PREFIX}{ran.stdout.strip()}=cached"
    assert bench.api.kubectl("get", "nodes", "--selector", selector, "--output", "name") == "node/node-1\n"
