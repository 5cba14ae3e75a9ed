"""What an agent without rights sees of publishes, over watch.sock."""

from __future__ import annotations

import itertools
from typing import Callable, Iterator

import grpc
import pytest

from harness.daemon import Cache
from harness.hub import fault
from harness.models import MIB
from harness.node import Node
from harness.relay import UserRelay
from harness.watch import PublishWatch
from harness.workspace import DAEMON_UID

Code = grpc.StatusCode
AGENT_UID = 64300
STRANGER_UID = 64301


@pytest.fixture
def watched(new_node: Callable[..., Node]) -> Node:
    """A node whose daemon lets an agent watch."""
    return new_node(flags=("--allow-watch-uid", str(AGENT_UID)))


@pytest.fixture
def agent(watched: Node) -> Iterator[Cache]:
    """The agent at the watch socket: a user of its own, of the daemon's group."""
    with UserRelay(watched.daemon.watch_socket, AGENT_UID, DAEMON_UID) as relay, Cache(relay.address) as cache:
        yield cache


def states(watch: PublishWatch, pod: str) -> list[str]:
    """Each state that the pod's publish went through, once."""
    return [state for state, _ in itertools.groupby(publish.WhichOneof("state") for publish in watch.of(pod))]


def test_an_agent_sees_publishes_from_the_first_question_to_their_end(watched: Node, agent: Cache) -> None:
    watched.hub.faults(fault("hub", "", {"kind": "delay", "seconds": 2}, times=1),
                       fault("cdn", "", {"kind": "rate", "bytes_per_second": MIB}))
    cold, warm, gated = (watched.pod("cold", "hf://acme/slow"), watched.pod("warm", "hf://acme/slow"),
                         watched.pod("gated", "hf://acme/gated"))
    with PublishWatch(agent) as watch:
        watch.wait(lambda: bool(watch.updates), "the first word")
        assert not watch.updates[0].publishes
        watched.start(cold)
        ready = watch.wait_state("cold", "ready")
        assert states(watch, "cold") == ["resolving", "filling", "ready"], "what kubelet repeats is one publish"
        assert watched.kubelet.wait_call(cold, Code.ABORTED), "kubelet was to lose patience"
        assert ready.ready.cold and ready.ready.milliseconds > watched.kubelet.timing.deadline * 1000
        assert ready.ready.bytes == sum(snapshot.bytes for snapshot in agent.call("List").snapshots)
        done = [publish.filling.bytes_done for publish in watch.of("cold") if publish.HasField("filling")]
        assert len(set(done)) > 2 and done == sorted(done), done
        [snapshot] = agent.call("List").snapshots
        assert {holder.pod_name for holder in snapshot.leases} == {"cold"}
        assert len({(publish.lease_id, publish.since_unix_ms) for publish in watch.of("cold")}) == 1
        assert (ready.model, ready.holder.pod_uid) == ("hf://acme/slow", cold.uid)

        watched.start(warm)
        assert not watch.wait_state("warm", "ready").ready.cold

        watched.kubelet.run(gated)
        refused = watch.wait_state("gated", "refused").refused
        [call, *_] = watched.kubelet.calls(gated)
        assert (refused.code, refused.message) == (call.code.value[0], call.message)
        assert "accept" in refused.message

        watched.end(cold)
        watch.wait_forgotten("cold")
        watched.daemon.stop()
        watch.wait(lambda: watch.ended is not None, "the end")
        assert watch.ended is not None and watch.ended.code() == Code.UNAVAILABLE
    watched.daemon.start()
    watched.end(warm, gated)
    watched.assert_nothing_left()


def test_an_agent_can_only_look(watched: Node, agent: Cache) -> None:
    assert agent.call("Info").root == str(watched.daemon.root)
    for method in ("Release", "SyncLeases", "CreateVolume", "DeleteVolume", "GetVolume", "Prefetch", "Evict", "Stat",
                   "Capacity"):
        with pytest.raises(grpc.RpcError) as denied:
            agent.call(method)
        assert denied.value.code() == Code.PERMISSION_DENIED, method
        assert f"{method} is not served on the watch socket" in denied.value.details()
    with pytest.raises(grpc.RpcError) as denied:
        agent.acquire("hf://acme/tiny")
    assert denied.value.code() == Code.PERMISSION_DENIED
    with UserRelay(watched.daemon.admin_socket, AGENT_UID, DAEMON_UID) as relay, Cache(relay.address) as admin:
        with pytest.raises(grpc.RpcError) as denied:
            admin.call("Info")
    assert denied.value.code() == Code.PERMISSION_DENIED and "--allow-uid" in denied.value.details()


def test_a_stranger_sees_nothing(watched: Node) -> None:
    with UserRelay(watched.daemon.watch_socket, STRANGER_UID, DAEMON_UID) as relay, Cache(relay.address) as stranger:
        with pytest.raises(grpc.RpcError) as denied:
            list(stranger.call("WatchPublishes"))
    assert denied.value.code() == Code.PERMISSION_DENIED
    assert f"serves the uids 0, {DAEMON_UID}, {AGENT_UID}: " in denied.value.details()
    assert "--allow-watch-uid" in denied.value.details()
    assert f"uid {STRANGER_UID} to {watched.daemon.watch_socket}" in watched.daemon.log.read_text()
