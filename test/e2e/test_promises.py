"""What CreateVolume promised is kept, whoever presses; what goes leaves nothing behind; what is too new is left alone."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable

import grpc
import pytest

from harness import documented
from harness.hub import TOKEN, Hub
from harness.models import MIB, digests, make_model
from harness.node import Node
from kubelet_double import Claim, PersistentVolume, StorageClass
from kubelet_double.directories import mounts_below

Code = grpc.StatusCode
ONE, OTHER = "promise/one", "promise/other"
CLASSES = {name: StorageClass(name.replace("/", "-"), {"model": f"hf://{name}"}) for name in (ONE, OTHER)}
TIGHT = "13Mi"  # room for one of them
ROUNDS = 8
HOLD_SECONDS = 5


@pytest.fixture(scope="session", autouse=True)
def _models(models: Path) -> None:
    make_model(models, ONE, (8 * MIB,), seed=80)
    make_model(models, OTHER, (8 * MIB,), seed=81)


def outcomes_of(calls: list[Callable[[], Any]]) -> list[Any]:
    """Makes all calls at the same moment; what each returned, or its grpc.RpcError."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = calls[index]()
        except grpc.RpcError as error:
            results[index] = error
    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_two_claims_that_race_for_the_last_bytes_one_is_promised(new_node: Callable[..., Node], hub: Hub) -> None:
    node = new_node(limit=TIGHT)
    for number in range(ROUNDS):
        claims = {name: Claim(f"{number}", MIB) for name in CLASSES}
        results = outcomes_of([lambda name=name: node.provisioner.create(CLASSES[name], claims[name])  # type: ignore
                               for name in CLASSES])
        kept = [(name, volume) for name, volume in zip(CLASSES, results) if isinstance(volume, PersistentVolume)]
        refused = [error for error in results if isinstance(error, grpc.RpcError)]
        assert len(kept) == len(refused) == 1, results
        assert refused[0].code() == Code.RESOURCE_EXHAUSTED and "MiB" in (refused[0].details() or "")
        [(name, volume)] = kept
        assert [hold.volume_id for hold in node.info().holds] == [volume.handle]
        [path] = node.start(pod := node.claim_pod("pod", volume))
        assert digests(path) == digests(hub.models / name)
        sums = node.capacity()
        assert sums.used <= sums.limit
        node.end(pod)
        node.provisioner.delete(volume)
        node.daemon.cli("evict", f"hf://{name}")
    node.assert_nothing_left()


def test_a_promised_model_is_not_evicted_before_its_publish(new_node: Callable[..., Node], hub: Hub) -> None:
    node = new_node(limit=TIGHT)
    node.start(pod := node.pod("bringer", f"hf://{ONE}"))
    node.end(pod)
    volume = node.provisioner.create(CLASSES[ONE], Claim("promised", MIB))
    hub.reset()
    with pytest.raises(grpc.RpcError) as refused:
        node.provisioner.create(CLASSES[OTHER], Claim("refused", MIB))
    assert refused.value.code() == Code.RESOURCE_EXHAUSTED
    presser = node.pod("presser", f"hf://{OTHER}")
    node.kubelet.run(presser)
    node.kubelet.wait_call(presser, Code.RESOURCE_EXHAUSTED)
    assert node.daemon.cli("evict", f"hf://{ONE}", check=False).returncode != 0, "a promised model was evicted"
    [path] = node.start(promised := node.claim_pod("promised", volume))
    assert digests(path) == digests(hub.models / ONE)
    assert hub.requests("cdn") == 0, "the promised model was fetched again"
    node.end(promised)
    node.provisioner.delete(volume)
    node.kubelet.wait_mounted(presser)
    assert digests(node.kubelet.path(presser)) == digests(hub.models / OTHER)
    node.end(presser)
    node.assert_nothing_left()


def test_a_promise_outlives_the_daemon(new_node: Callable[..., Node]) -> None:
    node = new_node(limit=TIGHT)
    volume = node.provisioner.create(CLASSES[ONE], Claim("promised", MIB))
    node.daemon.kill()
    node.daemon.start()
    assert [hold.volume_id for hold in node.info().holds] == [volume.handle]
    with pytest.raises(grpc.RpcError) as refused:
        node.provisioner.create(CLASSES[OTHER], Claim("refused", MIB))
    assert refused.value.code() == Code.RESOURCE_EXHAUSTED


def test_a_promise_ends_with_its_time_and_its_room_is_the_next_ones(new_node: Callable[..., Node], hub: Hub) -> None:
    node = new_node(limit=TIGHT)
    node.daemon.change("cache", holdTimeout=f"{HOLD_SECONDS}s")
    node.daemon.process.wait_ready(lambda: node.info().configuration.reloads == 1)
    forgotten = node.provisioner.create(CLASSES[OTHER], Claim("forgotten", MIB))
    [hold] = node.info().holds
    assert hold.volume_id == forgotten.handle and hold.ends_unix <= time.time() + HOLD_SECONDS
    with pytest.raises(grpc.RpcError) as refused:
        node.provisioner.create(CLASSES[ONE], Claim("early", MIB))
    assert refused.value.code() == Code.RESOURCE_EXHAUSTED
    node.daemon.process.wait_ready(lambda: not node.info().holds and node.complete() == ["other"])

    following = node.provisioner.create(CLASSES[ONE], Claim("following", MIB))
    assert [hold.volume_id for hold in node.info().holds] == [following.handle]
    [path] = node.start(pod := node.claim_pod("following", following))
    assert digests(path) == digests(hub.models / ONE)
    # Whose promise ended may still come, like any other pod: when there is room.
    late = node.claim_pod("late", forgotten)
    node.kubelet.run(late)
    node.kubelet.wait_call(late, Code.RESOURCE_EXHAUSTED)
    node.end(pod)
    node.kubelet.wait_mounted(late)
    node.assert_serves(node.kubelet.path(late), OTHER)
    node.end(late)


def below(directory: Path) -> list[str]:
    """Every name below it, whatever it is."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


class Uninstall:
    """A node in use, and what the documented steps do to it. What is nothing on a node (classes, objects) is left out."""

    def __init__(self, node: Node) -> None:
        self.node = node
        private = StorageClass("private", {"model": "hf://acme/private"})
        used = [node.provisioner.create(CLASSES[ONE], Claim("one", MIB)),
                node.provisioner.create(private, Claim("two", 32 * MIB))]
        unused = node.provisioner.create(CLASSES[OTHER], Claim("unused", MIB, ("ReadWriteOnce",)))
        self._volumes = [*used, unused]
        self._pods = [node.claim_pod("first", used[0]), node.claim_pod("second", used[0]),
                      node.claim_pod("private", used[1], {"HF_TOKEN": TOKEN}), node.pod("inline"),
                      node.pod("hub", layout="hub")]
        node.start(*self._pods)

    def play(self, step: str, commands: list[list[str]]) -> None:
        """One step by its first words; one that isn't known here is a KeyError."""
        {"Pods": self._end_pods, "Claims": self._delete_claims, "Volumes": self._check_volumes, "Classes": lambda: None,
         "The DaemonSet": self._stop, "The cache": lambda: self._remove(commands)}[step]()

    def _end_pods(self) -> None:
        self.node.end(*self._pods)

    def _delete_claims(self) -> None:
        for volume in self._volumes:
            assert self.node.provisioner.delete(volume)

    def _check_volumes(self) -> None:
        self.node.assert_nothing_left()
        assert not self.node.info().holds and not list((self.node.daemon.root / "volumes").iterdir())

    def _stop(self) -> None:
        """Both programs get SIGTERM."""
        node = self.node
        assert node.plugin.stop() == 0 and node.daemon.stop() == 0
        assert not node.plugin.socket.exists() and below(node.daemon.sockets) == []
        assert [mount.point for mount in mounts_below(node.directory)] == [node.kubelet_root], "a mount is left"

    def _remove(self, commands: list[list[str]]) -> None:
        """With nothing of ours left to help."""
        [[program, flags, *paths]] = commands
        assert (program, flags) == ("rm", "-rf")
        made = documented.node_paths().values()
        assert all(any(Path(path).is_relative_to(place) for path in paths) for place in made), "it forgets a place"
        subprocess.run([program, flags, *(str(documented.on_node(self.node, path)) for path in paths)], check=True)


def test_an_uninstall_in_the_documented_order_leaves_nothing(node: Node) -> None:
    documented.prepare(node)
    profile = node.kubelet_root / "seccomp/profiles/weighhouse-cached.json"
    assert profile.exists()
    uninstall = Uninstall(node)
    steps = documented.uninstall_steps()
    assert len(steps) == 6, "each is played once"
    for step, commands in steps.items():
        uninstall.play(step, commands)
    (node.kubelet_root / "plugins").rmdir()  # kubelet's, and empty
    assert below(node.kubelet_root) == ["pods", "seccomp", "seccomp/profiles"], "kubelet's own"
    assert sorted(os.listdir(node.directory)) == ["cached.log", "config", "csi.log", "kubelet", "local"], "the test's own"


def everything(directory: Path) -> dict[str, Any]:
    """All that can be seen of a tree: names, kinds, owners, times, contents."""
    seen: dict[str, Any] = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        seen[str(path)] = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_size,
                           status.st_mtime_ns, status.st_ctime_ns, content)
    return seen


def test_a_daemon_older_than_the_format_refuses_and_touches_nothing(node: Node) -> None:
    volume = node.provisioner.create(CLASSES[ONE], Claim("claim", MIB))
    [path] = node.start(pod := node.claim_pod("pod", volume))
    node.daemon.kill()
    written = node.daemon.root / "format"
    number, _, rest = written.read_text().partition("\n")
    written.write_text(f"{int(number) + 1}\n{rest}")
    before = everything(node.daemon.root)
    process = node.daemon.spawn()
    assert process.wait() != 0
    assert f"has format '{int(number) + 1}', and this program knows {number} only" in process.log_tail()
    local = node.daemon.cli("ls", "--root", str(node.daemon.root), check=False)
    assert local.returncode != 0 and "has format" in local.stderr
    assert everything(node.daemon.root) == before
    node.assert_serves(path, ONE)
    written.write_text(f"{number}\n{rest}")
    node.daemon.start()
    node.end(pod)
    node.daemon.process.wait_ready(lambda: node.daemon.leases() == [])  # the plugin may have met nobody, and tells later
    node.assert_nothing_left()
