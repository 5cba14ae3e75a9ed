"""Processes end, the node reboots: pods read on, and everything finds itself again."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import grpc
import pytest

from harness.daemon import UNPRIVILEGED, CacheDaemon
from harness.hub import TOKEN
from harness.models import MIB
from harness.node import Node
from harness.process import Process
from harness.workspace import DAEMON_UID, binaries, directory, mount, owned_by_daemon
from kubelet_double import ClaimVolume, Pod

Code = grpc.StatusCode


def test_plugin_restart_keeps_mounts_and_makes_lost_leases_again(node: Node) -> None:
    [path] = node.start(pod := node.pod("pod"))
    lease = node.daemon.leases()
    node.plugin.kill()
    node.daemon.kill()
    for name in lease:
        (node.daemon.root / "leases" / name).unlink()
    node.assert_serves(path)
    node.daemon.start()
    node.plugin.start()
    node.plugin.process.wait_ready(lambda: node.daemon.leases() == lease)
    assert node.daemon.cli("evict", "hf://acme/tiny", check=False).returncode != 0, "a mounted model was evicted"
    node.assert_serves(path)
    node.end(pod)
    node.assert_nothing_left()


def test_plugin_replaces_its_own_stale_socket(node: Node) -> None:
    node.start(pod := node.pod("pod"))
    node.plugin.kill()
    assert node.plugin.socket.exists()
    node.plugin.start()
    node.end(pod)
    node.assert_nothing_left()


def test_plugin_killed_during_a_publish_loses_nothing(node: Node) -> None:
    node.hub.slow(2 * MIB)
    pod = node.pod("pod", "hf://acme/slow")
    node.kubelet.run(pod)
    wait_for_bytes(node)
    node.plugin.kill()
    node.kubelet.wait_call(pod, Code.UNAVAILABLE)
    node.plugin.start()
    node.kubelet.wait_mounted(pod)
    node.assert_serves(node.kubelet.path(pod), "acme/slow")
    node.end(pod)
    node.assert_nothing_left()


def wait_for_bytes(node: Node) -> None:
    """Until the fill has begun to fetch."""
    node.daemon.process.wait_ready(lambda: node.hub.requests("cdn") > 0)


def test_pod_reads_on_while_the_daemon_is_dead_and_a_third_pod_comes_after_its_restart(node: Node) -> None:
    [path] = node.start(reader := node.pod("reader", "hf://acme/sharded"))
    with (path / "model-00001-of-00003.safetensors").open("rb") as stream:
        stream.read(MIB)
        node.daemon.kill()
        stream.read(MIB)
        node.assert_serves(path, "acme/sharded")
        node.daemon.start()
        node.hub.reset()
        [third] = node.start(late := node.pod("late", "hf://acme/sharded"))
        assert stream.read()
    node.assert_serves(third, "acme/sharded")
    assert node.hub.requests("cdn") == 0
    node.end(reader, late)
    node.assert_nothing_left()


def test_daemon_killed_during_a_fill_fetches_no_committed_file_again(node: Node) -> None:
    pod = node.pod("pod", "hf://acme/sharded")
    node.hub.slow(MIB // 8, "model-00003")
    node.kubelet.run(pod)
    blobs = node.daemon.root / "blobs"
    node.daemon.process.wait_ready(lambda: sum(1 for p in blobs.rglob("*") if p.is_file() and p.stat().st_size > MIB) == 2)
    node.daemon.kill()
    node.hub.faults()
    node.hub.reset()
    node.daemon.start()
    node.kubelet.wait_mounted(pod)
    node.assert_serves(node.kubelet.path(pod), "acme/sharded")
    fetched = [name for name in node.hub.fetched() if name.endswith(".safetensors")]
    assert fetched == ["acme/sharded/model-00003-of-00003.safetensors"]
    node.end(pod)
    node.assert_nothing_left()


def test_daemon_away_is_a_temporary_error_and_unpublish_works_without_it(node: Node) -> None:
    node.start(running := node.pod("running"))
    node.daemon.kill()
    waiting = node.pod("waiting")
    node.kubelet.run(waiting)
    away = node.kubelet.wait_call(waiting, Code.UNAVAILABLE)
    assert "cache daemon" in away.message or "weighhouse-cached" in away.message, away
    node.end(running)
    assert node.mounts() == []
    node.daemon.start()
    node.kubelet.wait_mounted(waiting)
    node.end(waiting)
    node.daemon.process.wait_ready(lambda: node.daemon.leases() == [])
    node.assert_nothing_left()


def test_replay_after_kubelet_restart_needs_no_daemon(node: Node) -> None:
    [path] = node.start(pod := node.pod("pod"))
    node.daemon.kill()
    node.kubelet.restart()
    node.kubelet.wait_mounted(pod)
    node.assert_serves(path)
    node.daemon.start()
    node.end(pod)
    node.daemon.process.wait_ready(lambda: node.daemon.leases() == [])


def next_boot(node: Node) -> None:
    """Restarts both daemons under another boot id."""
    node.plugin.kill()
    node.daemon.kill()
    boot = directory() / f"boot-{node.directory.name}"
    boot.write_text("11111111-2222-3333-4444-555555555555\n")
    mount("--bind", str(boot), "/proc/sys/kernel/random/boot_id")
    node.daemon.start()
    node.plugin.start()


@pytest.fixture
def _same_boot_afterwards() -> Iterator[None]:
    yield
    subprocess.run(["umount", "/proc/sys/kernel/random/boot_id"], check=False, capture_output=True)


@pytest.mark.usefixtures("_same_boot_afterwards")
def test_reboot_replays_kept_pods_unpublishes_ended_ones_and_forgets_lost_ones(node: Node) -> None:
    claim = ClaimVolume("pvc-1", "weighhouse-volume-1", {"model": "hf://acme/other"})
    kept, ended, lost = node.pod("kept"), node.pod("ended", layout="hub"), Pod("lost", (claim,))
    node.start(kept, ended, lost)
    assert len(node.daemon.leases()) == 3
    node.hub.reset()

    def while_down() -> None:
        node.kubelet.delete(ended)
        next_boot(node)

    node.kubelet.reboot(lost=[lost], while_down=while_down)
    node.kubelet.wait_mounted(kept)
    node.kubelet.wait_gone(ended)
    assert node.hub.requests("cdn") == 0
    node.assert_serves(node.kubelet.path(kept))
    node.daemon.process.wait_ready(lambda: len(node.daemon.leases()) == 1)
    assert node.daemon.cli("evict", "hf://acme/other", check=False).returncode == 0, "the lost pod's model is still held"
    node.end(kept)
    node.assert_nothing_left()


def test_second_daemon_on_one_root_is_told_who_holds_it(node: Node) -> None:
    other = directory() / f"run-{node.directory.name}"
    other.mkdir()
    os.chown(other, DAEMON_UID, DAEMON_UID)
    second = node.daemon.spawn(sockets=other)
    assert second.wait() != 0
    assert str(node.daemon.process.pid) in second.log_tail(), second.log_tail()
    node.start(pod := node.pod("pod"))
    node.end(pod)


def test_stale_sockets_are_replaced_and_live_ones_are_not(node: Node) -> None:
    node.daemon.kill()
    assert node.daemon.node_socket.exists() and node.daemon.admin_socket.exists()
    node.daemon.start()
    assert node.daemon.answers()
    node.daemon.stop()
    node.daemon.node_socket.unlink(missing_ok=True)
    node.daemon.node_socket.write_text("not a socket")
    blocked = node.daemon.spawn()
    assert blocked.wait() != 0
    assert "node.sock" in blocked.log_tail() and node.daemon.node_socket.read_text() == "not a socket"
    node.daemon.node_socket.unlink()
    node.daemon.start()


def test_live_socket_of_another_program_is_left_alone(node: Node) -> None:
    node.plugin.stop()
    with socket.socket(socket.AF_UNIX) as listener:
        node.plugin.socket.unlink(missing_ok=True)
        listener.bind(str(node.plugin.socket))
        listener.listen()
        blocked = node.plugin.spawn()
        assert blocked.wait() != 0
        assert "csi.sock" in blocked.log_tail()
    node.plugin.start()


def test_sigterm_ends_both_within_seconds_even_while_filling(node: Node) -> None:
    node.hub.slow(MIB)
    pod = node.pod("pod", "hf://acme/slow")
    node.kubelet.run(pod)
    wait_for_bytes(node)
    assert node.plugin.stop(10) == 0
    assert node.daemon.stop(10) == 0
    node.hub.faults()
    node.daemon.start()
    node.plugin.start()
    node.kubelet.wait_mounted(pod)
    node.end(pod)
    node.assert_nothing_left()


UNUSABLE_ROOTS: dict[str, Callable[[Path], None]] = {
    "belongs to somebody else": lambda root: os.chown(root, 0, 0),
    "is read-only": lambda root: (mount("--bind", str(root), str(root)), mount("-o", "remount,bind,ro", str(root)))[0],
    "is a file": lambda root: (root.rmdir(), root.write_text(""))[0],
}


@pytest.mark.parametrize("name", UNUSABLE_ROOTS)
def test_unusable_root_is_named_with_the_reason(new_daemon: Callable[[], CacheDaemon], name: str) -> None:
    daemon = new_daemon()
    UNUSABLE_ROOTS[name](daemon.root)
    process: Process = daemon.spawn()
    assert process.wait() != 0
    assert str(daemon.root) in process.log_tail(), process.log_tail()


def test_daemon_refuses_to_run_as_root(new_daemon: Callable[[], CacheDaemon]) -> None:
    daemon = new_daemon()
    command = daemon.command()
    program = next(number for number, part in enumerate(command) if part.endswith("/weighhouse-cached"))
    process = Process("weighhouse-cached", command[program:], daemon.log)
    assert process.wait() != 0
    assert "root" in process.log_tail()


UNLIMITED = ("prlimit", "--core=unlimited:unlimited")  # whatever whoever runs the tests has


def may_dump_core(process: Process) -> bool:
    """Whether the kernel would write the process' memory out as it dies: not if it is undumpable (what is in /proc is root's
    then), nor by a limit of one byte. Without any limit's byte a program that core_pattern names would still get it."""
    proc = Path(f"/proc/{process.pid}")
    limits = re.search(r"^Max core file size +(\S+) +(\S+)", (proc / "limits").read_text(), re.MULTILINE)
    uid = re.search(r"^Uid:\s+(\d+)", (proc / "status").read_text(), re.MULTILINE)
    assert limits and uid
    undumpable = uid[1] != "0" and (proc / "stat").stat().st_uid == 0
    return not undumpable and limits.groups() != ("1", "1")


def test_core_dumps_are_forbidden_where_secrets_are(new_node: Callable[..., Node]) -> None:
    node = new_node(launcher=UNLIMITED)
    for launcher in (UNLIMITED, (*UNLIMITED, *UNPRIVILEGED)):
        control = Process("sleep", [*launcher, "sleep", "60"], directory() / "sleep.log")
        control.wait_ready(lambda: Path(f"/proc/{control.pid}/comm").read_text() == "sleep\n")
        assert may_dump_core(control), "this can't tell"
        control.kill()
    assert not may_dump_core(node.daemon.process)
    assert not may_dump_core(node.plugin.process)
    node.hub.slow(MIB)
    root = owned_by_daemon(directory() / f"rooted-{node.directory.name}")
    command = [*UNLIMITED, *UNPRIVILEGED, str(binaries() / "weighhouse"), "--root", str(root), "pull", "hf://acme/slow",
               "--hf-endpoint", node.hub.url]
    cli = Process("weighhouse", command, directory() / "rooted.log", {"HF_TOKEN": TOKEN})
    cli.wait_ready(lambda: node.hub.requests("cdn") > 0)
    assert not may_dump_core(cli)
    cli.stop()
