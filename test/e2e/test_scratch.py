"""`access: scratch`: a pod writes to its volume what it likes, and nobody else ever sees a byte of it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.container import make_bundle, run_container
from harness.models import MIB, digests, make_model
from harness.node import Node, modes
from kubelet_double import Pod

USERS = pytest.mark.parametrize("user", [0, 1000], ids=["root", "uid 1000"])
MODEL = "acme/moving"
CACHE = "models--acme--moving"
_PROGRAM = Path(__file__).parent / "harness/hub_update.py"


def scratch_pod(node: Node, name: str, size: str = "64Mi", **attributes: str) -> Pod:
    """A pod that may write `size` bytes to its `layout: hub` volume of MODEL."""
    return node.pod(name, f"hf://{MODEL}", layout="hub", access="scratch", scratchSize=size, **attributes)


def mount_path() -> Path:
    """Where the containers that these tests play have their volume: kubelet's own directories are root's."""
    return workspace.directory() / "volume"


def in_container(volume: Path, user: int, program: str, *arguments: str,
                 **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python text with the tests' packages in a mount namespace that has the volume at `mount_path()`; as another
    user than root without any right of root's."""
    packages = workspace.directory() / "python"
    if not packages.exists():  # a clone may lie where only root can go
        packages.mkdir()
        workspace.mount("--bind", sys.prefix, str(packages))
    mount_path().mkdir(exist_ok=True)
    rights = ["--reuid", str(user), "--regid", str(user), "--clear-groups"]
    rights += ["--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"] if user else []
    command = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c",
               'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", str(volume), str(mount_path()),
               "setpriv", *rights, "--", str(packages / "bin/python"), "-", *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | environment
    return subprocess.run(command, input=program, env=environment, cwd="/", check=False, capture_output=True, text=True,
                          timeout=120)


def update(node: Node, user: int, volume: Path) -> dict[str, Any]:
    """huggingface_hub brings the cache on the volume up to the branch's head."""
    outcome = in_container(volume, user, _PROGRAM.read_text(), MODEL, HF_ENDPOINT=node.hub.url,
                           HF_HUB_CACHE=str(mount_path()), HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1",
                           HF_HOME="/nonexistent")
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def shared(node: Node) -> list[object]:
    """What the cache holds for everybody: names, bytes, modes, owners, and the room it all takes."""
    root = node.daemon.root
    used = sum(path.lstat().st_blocks for name in ("trees", "blobs", "ingests") for path in (root / name).rglob("*"))
    return [digests(root / "trees"), modes(root / "trees"), digests(root / "blobs"), modes(root / "blobs"), used]


@pytest.fixture
def moving(node: Node) -> Iterator[Callable[[int], str]]:
    """Sets what the branch's head holds, and returns its commit."""
    directory = node.hub.models / MODEL
    if not directory.exists():
        make_model(node.hub.models, MODEL, (2 * MIB,), seed=11)

    def move(version: int) -> str:
        (directory / "config.json").write_text(json.dumps({"architectures": ["Tiny"], "version": version}))
        (directory / f"added_in_{version}.txt").write_text("new")
        node.hub.rescan()
        return node.hub.commit(MODEL)

    yield move
    for added in directory.glob("added_in_*"):
        added.unlink()


@USERS
def test_huggingface_hub_follows_a_branch_that_moved(node: Node, moving: Callable[[int], str], user: int) -> None:
    old = moving(1)
    original = digests(node.hub.models / MODEL)
    [path] = node.start(pod := scratch_pod(node, "pod"))
    before = shared(node)

    found = update(node, user, path)
    assert found["snapshot"] == str(mount_path() / CACHE / "snapshots" / old)
    assert digests(path / CACHE / "snapshots" / old) == original
    new = moving(2)
    found = update(node, user, path)
    assert found["snapshot"] == str(mount_path() / CACHE / "snapshots" / new) and new != old
    assert found["config"] == f"{found['snapshot']}/config.json"
    assert found["warnings"] == [] and found["revisions"] == {old: [], new: ["main"]}
    node.assert_serves(path / CACHE / "snapshots" / new, MODEL)
    assert shared(node) == before, "bytes, modes, and the room the cache takes"

    # The next pods: what the first one wrote is not there, whether they want the old commit or the new one.
    [pinned] = node.start(second := scratch_pod(node, "second", revision=old))
    assert digests(pinned / CACHE / "snapshots" / old) == original
    assert os.listdir(pinned / CACHE / "snapshots") == [old]
    assert shared(node)[2] == before[2]
    [head] = node.start(third := scratch_pod(node, "third"))
    node.assert_serves(head / CACHE / "snapshots" / new, MODEL)
    assert os.listdir(head / CACHE / "snapshots") == [new] and not (head / CACHE / "blobs").exists()
    assert before[2].items() <= shared(node)[2].items(), "what was there is what it was"
    node.end(pod, second, third)
    node.assert_nothing_left()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_root_in_a_container_changes_its_own_view_only(node: Node, moving: Callable[[int], str], tmp_path: Path,
                                                       runtime: str) -> None:
    moving(3)
    [path] = node.start(scratch_pod(node, "pod"))
    before = shared(node)
    bundle = make_bundle(tmp_path / runtime, path, ["rw"], ["/attacker", "/model"])
    outcome = run_container(runtime, bundle)
    allowed = {line.removeprefix("allowed: ").rsplit(" ", 1)[0] for line in outcome.stdout.splitlines()}
    assert {"open for writing", "chmod", "chown to another", "truncate", "rename", "set the times", "create a file",
            "set a trusted attribute"} <= allowed, outcome.stdout + outcome.stderr
    assert shared(node) == before
    [other] = node.start(scratch_pod(node, "next"))
    node.assert_serves(next((other / CACHE / "snapshots").iterdir()), MODEL)


@USERS
def test_more_than_scratch_size_is_no_space_left(node: Node, moving: Callable[[int], str], user: int) -> None:
    moving(4)
    [path, other] = node.start(scratch_pod(node, "pod", "4Mi"), scratch_pod(node, "other", "4Mi"))
    before = shared(node)
    program = "import sys\nwith open(sys.argv[1], 'wb') as file:\n  file.write(bytes(int(sys.argv[2])))"
    outcome = in_container(path, user, program, str(mount_path() / "large"), str(8 * MIB))
    assert os.strerror(errno.ENOSPC) in outcome.stderr
    node.assert_serves(next((path / CACHE / "snapshots").iterdir()), MODEL)
    assert in_container(other, user, program, str(mount_path() / "small"), str(2 * MIB)).returncode == 0
    assert shared(node) == before


def test_what_was_written_survives_our_processes_and_ends_with_the_pod(node: Node, moving: Callable[[int], str]) -> None:
    moving(5)
    [path] = node.start(pod := scratch_pod(node, "pod"))
    (path / "compiled").write_text("mine")
    mounts = node.mounts()
    node.plugin.kill()
    node.daemon.kill()
    node.daemon.start()
    node.plugin.start()
    assert node.publish(pod).code == grpc.StatusCode.OK
    assert node.mounts() == mounts and (path / "compiled").read_text() == "mine"
    node.daemon.process.wait_ready(lambda: len(node.daemon.leases()) == 1)
    node.end(pod)
    node.assert_nothing_left()
    assert not [name for name in node.plugin.scratch_directory.iterdir() if name.name != "empty"]


def test_read_only_volumes_stay_read_only(node: Node, moving: Callable[[int], str]) -> None:
    moving(6)
    [path] = node.start(node.pod("pod", f"hf://{MODEL}", read_only=True, access="scratch"))
    with pytest.raises(OSError) as raised:
        (path / "file").touch()
    assert raised.value.errno == errno.EROFS


def count_memory(parent: Path) -> bool:
    """Has control groups below `parent` count their memory; whether that had to be said, as in version 2. OSError where it
    can't be had: another version has it, or `parent` is none that may give it on."""
    control = parent / "cgroup.subtree_control"
    if not control.exists() or "memory" in control.read_text().split():
        return False
    control.write_text("+memory")
    return True


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A new control group, of version 1 or 2, whose memory is counted."""
    parents = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
    parent = next((one for one in parents if (one / "cgroup.procs").exists()), None)
    if parent is None:
        pytest.skip("no control groups here")
    group = parent / f"weighhouse-{os.getpid()}"
    try:
        said = count_memory(parent)
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group here whose memory is counted: {error}")
    yield group
    group.rmdir()
    if said:
        (parent / "cgroup.subtree_control").write_text("-memory")


def memory_of(group: Path) -> int:
    """What the control group has charged, in bytes, by version 1 or 2."""
    [total] = [group / name for name in ("memory.usage_in_bytes", "memory.current") if (group / name).exists()]
    return int(total.read_text())


def test_memory_is_charged_to_the_pod_that_writes(node: Node, moving: Callable[[int], str], memory_group: Path) -> None:
    moving(7)
    [path] = node.start(pod := scratch_pod(node, "pod"))
    before = memory_of(memory_group)
    program = "echo $$ >\"$1/cgroup.procs\" && head -c 33554432 /dev/zero >\"$2/file\""
    subprocess.run(["sh", "-c", program, "sh", str(memory_group), str(path)], check=True)
    assert memory_of(memory_group) - before >= 32 * MIB
    node.end(pod)
    assert memory_of(memory_group) - before < 8 * MIB, "freed with the volume"
