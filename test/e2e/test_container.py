"""Root in a real container, with every capability and the volume mounted read-write, can't change one byte."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from harness import workspace
from harness.container import make_bundle, run_container
from harness.models import digests
from harness.node import Node, modes


class Evidence:
    """What the tree in the cache and the mount look like; `unchanged()` compares."""

    def __init__(self, node: Node, mounted: Path) -> None:
        self._node = node
        self._mounted = mounted
        self._before = self._look()

    def _look(self) -> list[object]:
        trees = self._node.daemon.root / "trees"
        blobs = self._node.daemon.root / "blobs"
        return [digests(self._mounted), modes(self._mounted), digests(trees), modes(trees), digests(blobs), modes(blobs)]

    def unchanged(self) -> bool:
        return self._look() == self._before


@pytest.fixture
def served(node: Node) -> Callable[..., Path]:
    """Publishes a volume and returns where it is."""
    def publish(layout: str = "files", read_only: bool = False) -> Path:
        [path] = node.start(node.pod("pod", "hf://acme/sharded", layout=layout, read_only=read_only))
        return path
    return publish


def attacked(outcome: "subprocess.CompletedProcess[str]") -> int:
    """How many attempts were made, none of which was allowed."""
    last = (outcome.stdout.strip().splitlines() or [""])[-1]
    assert outcome.returncode == 0 and last.endswith(", 0 allowed"), outcome.stdout + outcome.stderr
    return int(last.split()[0])


def test_the_attacker_succeeds_where_it_may(tmp_path: Path, node: Node) -> None:
    """The control: on a plain directory nearly every attempt works, so its refusals elsewhere mean something."""
    victim = tmp_path / "victim"
    shutil.copytree(node.hub.models / "acme/tiny", victim)
    outcome = subprocess.run([workspace.binaries() / "e2e-attacker", victim], check=False, capture_output=True, text=True)
    allowed = {line.removeprefix("allowed: ").rsplit(" ", 1)[0] for line in outcome.stdout.splitlines()}
    assert {"open for writing", "open by handle for writing", "chmod", "chown to root", "truncate", "rename",
            "set a user attribute", "create a file", "set the times"} <= allowed


@pytest.mark.parametrize("runtime", ["crun", "runc"])
@pytest.mark.parametrize("layout", ["files", "hub"])
def test_root_in_a_container_changes_nothing(node: Node, served: Callable[..., Path], tmp_path: Path, runtime: str,
                                             layout: str) -> None:
    path = served(layout)
    evidence = Evidence(node, path)
    bundle = make_bundle(tmp_path / f"{runtime}-{layout}", path, ["rw"], ["/attacker", "/model"])
    assert attacked(run_container(runtime, bundle)) > 100
    assert evidence.unchanged()


def test_the_owner_succeeds_where_it_may(node: Node) -> None:
    """The control of the next test."""
    victim = node.directory / "victim"
    shutil.copytree(node.hub.models / "acme/tiny", victim)
    for path in [victim, *victim.rglob("*")]:
        os.chown(path, workspace.DAEMON_UID, workspace.DAEMON_UID)
    command = [workspace.binaries() / "e2e-attacker", "--as", str(workspace.DAEMON_UID), victim]
    outcome = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "allowed: chmod " in outcome.stdout and "allowed: rename " in outcome.stdout, outcome.stdout


# The owner of the cache's files, whose right to them no capability is needed for, and the one id that the mount maps.
@pytest.mark.parametrize("user", [workspace.DAEMON_UID, 2**32 - 2])
def test_the_files_owner_in_a_container_changes_nothing(node: Node, served: Callable[..., Path], tmp_path: Path,
                                                        user: int) -> None:
    path = served()
    evidence = Evidence(node, path)
    bundle = make_bundle(tmp_path / "crun", path, ["rw"], ["/attacker", "--as", str(user), "--remount", "/model"])
    assert attacked(run_container("crun", bundle)) > 100
    assert evidence.unchanged()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_root_that_clears_the_read_only_flag_inside_changes_nothing(node: Node, served: Callable[..., Path],
                                                                    tmp_path: Path, runtime: str) -> None:
    path = served()
    evidence = Evidence(node, path)
    bundle = make_bundle(tmp_path / runtime, path, ["rw"], ["/attacker", "--remount", "/model"])
    assert attacked(run_container(runtime, bundle)) > 100
    assert evidence.unchanged()


def test_runtime_that_clears_the_flag_on_a_clone_gives_nothing_away(node: Node, served: Callable[..., Path],
                                                                    tmp_path: Path) -> None:
    """What runc 1.2 and later do for a volume that the pod did not mark readOnly."""
    path = served()
    evidence = Evidence(node, path)
    target = tmp_path / "clone"
    target.mkdir()
    command = ["unshare", "--mount", "--propagation", "private", "--", workspace.binaries() / "e2e-attacker", "--clone",
               target, path]
    assert attacked(subprocess.run(command, check=False, capture_output=True, text=True)) > 100
    assert evidence.unchanged()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_container_reads_the_volume(node: Node, served: Callable[..., Path], tmp_path: Path, runtime: str) -> None:
    """Read through a container's eyes: the attacker's own copy of a file is the hub's file."""
    path = served()
    bundle = make_bundle(tmp_path / runtime, path, ["rw"], ["/attacker", "--read", "/model/config.json"])
    outcome = run_container(runtime, bundle)
    assert outcome.stdout == (node.hub.models / "acme/sharded/config.json").read_text(), outcome.stderr


def test_read_only_pod_volume_is_writable_by_nobody(node: Node, served: Callable[..., Path], tmp_path: Path) -> None:
    path = served(read_only=True)
    evidence = Evidence(node, path)
    bundle = make_bundle(tmp_path / "runc", path, ["ro"], ["/attacker", "/model"])
    assert attacked(run_container("runc", bundle)) > 100
    assert evidence.unchanged()
