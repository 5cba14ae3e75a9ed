"""The agent: events of pods that wait and labels of the node, told to an API server that is strict."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import ssl
import socket
import subprocess
import urllib.parse
from typing import Any, Callable, Iterator

import pytest

from harness import workspace
from harness.agent import AGENT_UID, Agent
from harness.agent_bench import Bench, Server
from harness.canary import canary
from harness.hub import Hub
from harness.kube_api import KubeApi, Refusal
from harness.node import Node
from harness.registry import make_certificate

MIB = 1 << 20
_numbers = itertools.count(1)


SERVERS = ["double", *(["kube-apiserver"] if os.environ.get("WEIGHHOUSE_KUBE_APISERVER") else [])]
"""The same is asked of both, the second by `make apiserver`."""


def served_by_double() -> Bench:
    directory = workspace.directory() / f"agent{next(_numbers)}"
    directory.mkdir()
    make_certificate(directory / "api.key", directory / "api.crt", "-addext", "subjectAltName=IP:127.0.0.1")
    return Bench(directory, KubeApi(directory / "api.crt", directory / "api.key", canary("agent")))


@pytest.fixture
def scripted() -> Iterator[Bench]:
    """An API server that answers what a test wants."""
    with served_by_double() as made:
        yield made
        assert made.api.problems == []


@pytest.fixture(params=SERVERS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "double":
        made = served_by_double()
    else:
        made = request.getfixturevalue("real_bench")
    with made:
        yield made
        assert made.api.problems == []


def filling(done: int, total: int = 400 * MIB) -> dict[str, Any]:
    return {"bytes_done": done, "bytes_total": total, "bytes_per_second": 25 * MIB}


def test_one_event_tells_what_a_pod_waits_for_from_its_first_moment_to_its_last(bench: Bench) -> None:
    bench.daemon.publish("web-0", waited=5, resolving={})
    bench.agent.start()
    first = bench.wait_event("ModelResolving")
    assert first["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "web-0",
                                       "uid": "11111111-2222-3333-4444-555555555555"}
    assert first["source"] == {"component": "weighhouse", "host": "node-1"}
    assert first["count"] == 1 and first["firstTimestamp"] < first["lastTimestamp"]
    bench.daemon.publish("web-0", filling=filling(148 * MIB))
    assert bench.wait_event("ModelFilling")["message"] == (
        "hf://acme/tiny@main: filling 37 % (148.0/400.0 MiB, 25.0 MiB/s, 10 s left)")
    bench.daemon.publish("web-0", filling=filling(300 * MIB))
    bench.wait_event("ModelFilling", "75 %")
    bench.daemon.publish("web-0", ready={"milliseconds": 28_400, "cold": True})
    last = bench.wait_event("ModelReady")
    assert last["message"] == "hf://acme/tiny@main: ready in 28.4 s (cold)"
    assert (last["type"], last["count"], last["metadata"]["name"]) == ("Normal", 4, first["metadata"]["name"])
    assert last["firstTimestamp"] == first["firstTimestamp"]
    bench.wait_wrote([("POST", 201), ("PATCH", 200), ("PATCH", 200), ("PATCH", 200)])


def test_a_warm_pod_costs_one_request_and_one_that_nobody_knows_none(bench: Bench) -> None:
    bench.agent.start()
    bench.daemon.publish("nobody", uid="", ready={"milliseconds": 3})
    bench.daemon.publish("web-0", resolving={})
    bench.daemon.publish("web-0", ready={"milliseconds": 3})
    assert bench.wait_event("ModelReady")["message"] == "hf://acme/tiny@main: ready in 3 ms (warm)"
    bench.wait_wrote([("POST", 201)])


def test_a_restarted_agent_goes_on_with_the_event_of_the_one_before(bench: Bench) -> None:
    bench.daemon.publish("web-0", waited=5, filling=filling(100 * MIB))
    bench.agent.start()
    bench.wait_event("ModelFilling")
    bench.agent.process.kill()
    bench.agent.start()
    bench.daemon.publish("web-0", filling=filling(200 * MIB))
    event = bench.wait_event("ModelFilling", "50 %")
    bench.daemon.publish("web-0", ready={"milliseconds": 9000, "cold": True})
    assert bench.wait_event("ModelReady")["metadata"]["name"] == event["metadata"]["name"]
    assert ("POST", 409) in bench.wrote() and bench.wrote().count(("POST", 201)) == 1


def test_a_daemon_that_was_away_is_followed_again(bench: Bench) -> None:
    bench.daemon.stop()
    bench.agent.start()
    bench.wait(lambda: "trying again" in bench.agent.log.read_text())
    bench.daemon.publish("web-0", waited=5, filling=filling(100 * MIB))
    bench.daemon.start()
    bench.wait_event("ModelFilling", "25 %")
    bench.daemon.stop()
    bench.daemon.publish("web-0", refused={"code": 9, "message": "hf://acme/tiny@main: gated: accept its terms"})
    bench.daemon.start()
    event = bench.wait_event("ModelRefused")
    assert (event["type"], event["message"]) == ("Warning", "refused: hf://acme/tiny@main: gated: accept its terms")


def test_what_the_server_refuses_is_tried_again_as_it_asks(scripted: Bench) -> None:
    api = scripted.api
    api.refusals = [Refusal(503, "ServiceUnavailable"), Refusal(403, "Forbidden"),
                    Refusal(429, "TooManyRequests", headers={"Retry-After": "2"})]
    scripted.daemon.publish("web-0", waited=5, filling=filling(100 * MIB))
    scripted.agent.start()
    scripted.wait_event("ModelFilling")
    busy, done = [each for each in api.requests() if each.status in (429, 201)]
    assert done.at - busy.at >= 2


def test_an_event_that_is_gone_is_made_again(bench: Bench) -> None:
    bench.daemon.publish("web-0", waited=5, filling=filling(100 * MIB))
    bench.agent.start()
    bench.wait_event("ModelFilling")
    bench.api.forget_events()  # an hour later
    bench.daemon.publish("web-0", ready={"milliseconds": 9000, "cold": True})
    bench.wait_event("ModelReady")
    bench.wait(lambda: bench.wrote()[-2:] == [("PATCH", 404), ("POST", 201)])


def test_a_namespace_that_goes_is_left_alone_and_others_are_told(bench: Bench) -> None:
    bench.api.end_namespace("going")
    bench.daemon.publish("web-0", namespace="going", refused={"code": 5, "message": "no such model"})
    bench.daemon.publish("web-1", namespace="gone", refused={"code": 5, "message": "no such model"})
    bench.agent.start()
    bench.wait(lambda: len(bench.wrote()) == 2)
    bench.daemon.publish("web-2", ready={"milliseconds": 3})
    bench.wait_event("ModelReady")
    bench.wait(lambda: sorted(bench.wrote()) == [("POST", 201), ("POST", 403), ("POST", 404)])


def test_a_renewed_token_is_used_without_a_restart(bench: Bench) -> None:
    bench.daemon.publish("web-0", waited=5, filling=filling(100 * MIB))
    bench.agent.start()
    bench.wait_event("ModelFilling")
    bench.account.renew(bench.api.renew())
    bench.daemon.publish("web-0", ready={"milliseconds": 9000, "cold": True})
    bench.wait_event("ModelReady")
    bench.wait_wrote([("POST", 201), ("PATCH", 200)])
    assert len({each.who for each in bench.api.requests()}) == 2


def test_a_redirect_is_not_followed_with_the_token_and_is_waited_for(scripted: Bench) -> None:
    with KubeApi(scripted.api.certificate, scripted.directory / "api.key", scripted.api.token) as other:
        scripted.api.refusals = [Refusal(307, "Moved", headers={"Location": other.url + "/api/v1/namespaces/default/events"})]
        scripted.daemon.publish("web-0", ready={"milliseconds": 3})
        scripted.agent.start()
        scripted.wait_event("ModelReady")
        assert scripted.wrote() == [("POST", 307), ("POST", 201)]
        assert other.told == []


def test_it_ends_at_once_while_an_api_server_or_a_daemon_keeps_it_waiting(bench: Bench) -> None:
    bench.daemon.publish("web-0", ready={"milliseconds": 3})
    bench.daemon.lists.clear()
    bench.agent.start("--node-labels=2")
    bench.wait(bench.daemon.asked.is_set)
    bench.agent.end(within=5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        (bench.directory / "beside").mkdir()
        bench.agent = Agent(bench.directory / "beside", bench.daemon.socket, f"https://127.0.0.1:{silent.getsockname()[1]}",
                            bench.account)
        bench.agent.start()
        with silent.accept()[0]:
            bench.agent.end(within=5)


def trusted_by_the_system(url: str) -> bool:
    """Whether its certificate is below /etc/ssl/certs."""
    place = urllib.parse.urlsplit(url)
    try:
        with socket.create_connection(("127.0.0.1", place.port or 0)) as plain:
            context = ssl.create_default_context(capath="/etc/ssl/certs")
            with context.wrap_socket(plain, server_hostname="127.0.0.1"):
                return True
    except ssl.SSLCertVerificationError:
        return False


def test_only_the_clusters_own_authority_vouches_for_the_server(bench: Bench) -> None:
    """Whom else the node's image trusts could read the token."""
    system = bench.directory / "system"
    system.mkdir()
    shutil.copy(bench.api.certificate, system / "somebody.pem")
    subprocess.run(["openssl", "rehash", str(system)], check=True)
    make_certificate(bench.directory / "other.key", bench.directory / "other.crt")
    shutil.copy(bench.directory / "other.crt", bench.account.directory / "..data" / "ca.crt")
    workspace.mount("--bind", str(system), "/etc/ssl/certs")
    try:
        assert trusted_by_the_system(bench.api.url)
        bench.daemon.publish("web-0", ready={"milliseconds": 3})
        bench.agent.start()
        bench.wait(lambda: "is not trusted" in bench.agent.log.read_text())
        assert bench.api.requests() == []
    finally:
        subprocess.run(["umount", "/etc/ssl/certs"], check=True)
    shutil.copy(bench.api.certificate, bench.account.directory / "..data" / "ca.crt")
    bench.wait_event("ModelReady")


def model_id(model: str) -> str:
    ran = subprocess.run([str(workspace.binaries() / "weighhouse"), "model-id", model], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_the_nodes_labels_follow_the_cache_and_go_when_they_are_no_longer_wanted(bench: Bench) -> None:
    other = {"kubernetes.io/hostname": "node-1"}
    bench.api.add_node("node-1", other)
    one, two, three = (f"hf://acme/{name}@main" for name in ("one", "two", "three"))
    bench.api.grant("agent", "node-labels")
    bench.daemon.caches(one, two, three)
    bench.agent.start("--node-labels=2")
    bench.wait(lambda: bench.api.labels("node-1") == {model_id(one): "cached", model_id("hf://acme/two"): "cached"})
    bench.daemon.caches(three)
    bench.wait(lambda: bench.api.labels("node-1") == {model_id(three): "cached"})
    bench.agent.end()
    assert bench.api.labels("node-1") == {model_id(three): "cached"}
    bench.daemon.stop()
    bench.agent.start("--node-labels=0")
    bench.wait(lambda: bench.api.labels("node-1") == {})
    assert bench.api.other_labels("node-1") == other
    bench.wait(lambda: len(bench.api.requests(lambda told: told.method == "PATCH")) == 3)


def test_the_probe_tells_an_agent_that_runs_from_one_that_does_not(bench: Bench) -> None:
    assert bench.agent.probe() == 1
    bench.agent.start()
    bench.wait(bench.agent.heartbeat.exists)
    assert bench.agent.probe() == 0
    assert not bench.api.requests(), "the node isn't touched where nobody asked for labels"


def of_pod(api: Server, uid: str) -> tuple[str, str]:
    """Reason and message of the only event of a pod."""
    found = [event for event in api.all_events() if event["involvedObject"]["uid"] == uid]
    assert len(found) <= 1
    return (found[0]["reason"], found[0]["message"]) if found else ("", "")


def test_a_real_daemons_words_reach_the_events_of_each_pod(bench: Bench, hub: Hub,
                                                           new_node: Callable[..., Node]) -> None:
    """The daemon, the plugin, kubelet's double and the fixture hub: a cold pod, a warm one, and one that is refused."""
    api = bench.api
    api.grant("agent", "node-labels")
    api.add_node("node-1")
    node = new_node(flags=(f"--allow-watch-uid={AGENT_UID}",))
    (bench.directory / "beside").mkdir()
    bench.agent = Agent(bench.directory / "beside", node.daemon.watch_socket, api.url, bench.account)
    bench.agent.start("--node-labels=4")
    hub.slow(2 * MIB)
    cold, warm, refused = node.pod("cold", "hf://acme/slow"), node.pod("warm", "hf://acme/slow"), node.pod(
        "refused", "hf://acme/gated")
    node.kubelet.run(cold)
    bench.wait(lambda: of_pod(api, cold.uid)[0] == "ModelFilling" and "16.0 MiB" in of_pod(api, cold.uid)[1])
    hub.faults()
    node.kubelet.wait_mounted(cold)
    bench.wait(lambda: of_pod(api, cold.uid)[1].endswith("(cold)"))
    assert of_pod(api, cold.uid)[0] == "ModelReady"
    node.start(warm)
    bench.wait(lambda: of_pod(api, warm.uid)[1].endswith("(warm)"))
    node.kubelet.run(refused)
    bench.wait(lambda: of_pod(api, refused.uid)[0] == "ModelRefused")
    assert "acme/gated" in of_pod(api, refused.uid)[1]
    node.kubelet.wait(lambda: len(node.kubelet.calls(refused, "NodePublishVolume")) >= 4, 30, "the fourth try")
    bench.wait(lambda: api.labels("node-1") == {model_id("hf://acme/slow"): "cached"})
    refusals = api.requests(lambda told: "ModelRefused" in json.dumps(told.body))
    assert len(refusals) == 1, "it is told once, however often kubelet tries"
    node.end(cold, warm, refused)
    node.assert_nothing_left()
