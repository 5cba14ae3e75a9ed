"""What docs/getting-started.md and README.md tell somebody to do, done as it is written: the commands of a machine without a
cluster, and the pods and classes of a cluster at the kubelet double. The Hub is the fixture's."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml

from harness import documented, workspace
from harness.daemon import UNPRIVILEGED
from harness.hub import Hub
from harness.models import MIB, digests, make_model
from harness.node import Node
from kubelet_double import Claim, InlineVolume, Pod, StorageClass

SMALL, SERVED = "sentence-transformers/all-MiniLM-L6-v2", "Qwen/Qwen2.5-1.5B-Instruct"
DRIVER = "csi.weighhouse.dev"
ENDLESS = {"top": ["--count", "1"]}
"""What ends a command that shows for ever."""
PAGES = ("getting-started.md", "../README.md")


@pytest.fixture(scope="session", autouse=True)
def _models(models: Path) -> None:
    make_model(models, SMALL, (MIB,), seed=90)
    make_model(models, SERVED, (2 * MIB, 2 * MIB), seed=91)


def script() -> str:
    """The commands of the section, but for the first block's, which build and find the programs."""
    build, *blocks = documented.shell_blocks("getting-started.md", "On this machine")
    assert [line.split()[0] for line in build.splitlines()] == ["make", "export"]
    lines = "".join(blocks)
    # The fixture stores its files at the loopback, which an admin must allow.
    configuration = "cache:\n  limit: 20Gi\n"
    assert lines.count(configuration) == 1
    return lines.replace(configuration, configuration + "sources: {allowAddresses: [127.0.0.0/8]}\n")


def test_the_commands_without_a_cluster_do_what_they_say(hub: Hub) -> None:
    home = workspace.owned_by_daemon(workspace.directory() / "home")
    environment = {"HOME": str(home), "PATH": f"{workspace.binaries()}:{os.environ['PATH']}", "HF_ENDPOINT": hub.url}
    played = subprocess.run([*UNPRIVILEGED, "bash", "-euc", script() + "\nwait\n"], env=environment, cwd=home,
                            capture_output=True, text=True, timeout=100, check=False)
    workspace.note("getting-started", played.stdout + played.stderr)
    assert played.returncode == 0, played.stdout + played.stderr
    [tree] = [line for line in played.stdout.splitlines() if "/trees/files/" in line and "weights" in line][:1]
    assert str(home / "weights/trees/files") in tree
    assert "model.safetensors" in played.stdout, "inspect lists the files"
    assert any(len(line) == 40 for line in played.stdout.splitlines()), "ls shows the cached commit"
    # Both caches had it; the first gave it up at last.
    assert not list((home / "weights/trees/files").iterdir())
    [kept] = (home / "node/cache/trees/files").iterdir()
    assert digests(kept) == digests(hub.models / SMALL)
    fetched = sum(hub.fetched().values())
    size = sum((hub.models / SMALL / name).stat().st_size for name in digests(hub.models / SMALL))
    assert fetched == 2 * size, "each of the two caches fetched it once"


def test_the_command_lines_of_the_readme_work_in_their_order(node: Node) -> None:
    [block] = documented.shell_blocks("../README.md", "On the command line")
    lines = [shlex.split(line.split("|")[0], comments=True) for line in block.splitlines()]
    assert {program for program, *_ in lines} == {"weighhouse"} and len(lines) >= 8
    # As an admin writes it; the daemon's own is in one line here, which `keep` leaves to its owner.
    written = node.directory / "written.yaml"
    written.write_text("cache:\n  limit: 4Gi\n")
    more = ENDLESS | {"keep": ["--config", str(written)]}
    for _, *words in lines:
        words = [str(node.daemon.config_file) if word == "config.yaml" else word for word in words]
        node.daemon.cli(*words, *more.get(words[0], []))
    assert node.complete() == [], "what was pulled was evicted"


def labels(text: str) -> list[str]:
    """What the lines of a status say first, those that are set in left out."""
    return [line[:12].strip() for line in text.splitlines() if line[:1].strip()]


def test_the_transcripts_of_the_readme_are_of_what_is_said(node: Node) -> None:
    demo, status = documented.transcripts("../README.md")
    told = (workspace.PROJECT / "demo/demo.py").read_text() + (workspace.PROJECT / "demo/report.py").read_text()
    steps = [re.split("  +", line.strip().removeprefix("✓ "))[0] for line in demo.splitlines() if "✓" in line]
    assert len(steps) >= 8 and [step for step in steps if f"'{step}'" not in told and f'"{step}"' not in told] == []
    node.start(node.pod("server-0", f"hf://{SERVED}"))
    said = node.daemon.cli("status").stdout
    shown = labels(status)
    assert len(shown) >= 8 and [label for label in labels(said) if label in shown] == shown
    heads = [line.split() for line in said.splitlines() if line.strip().isupper()]
    assert [line.split() for line in status.splitlines() if line.strip().isupper()] == heads


def volumes(page: str) -> Iterator[dict[str, Any]]:
    """The inline volumes of our driver that the page's pods have."""
    for item in documented.examples(page):
        for volume in item.get("spec", {}).get("volumes", []):
            if volume.get("csi", {}).get("driver") == DRIVER:
                yield volume["csi"]


@pytest.mark.parametrize("page", PAGES)
def test_a_documented_pod_gets_its_model(node: Node, page: str) -> None:
    found = list(volumes(page))
    assert found
    for number, volume in enumerate(found):
        inline = InlineVolume("models", volume["volumeAttributes"], volume["readOnly"], {})
        [path] = node.start(pod := Pod(f"documented{number}", [inline]))
        [snapshot] = (path / f"models--{SERVED.replace('/', '--')}" / "snapshots").iterdir()
        assert digests(snapshot) == digests(node.hub.models / SERVED)
        node.end(pod)
    node.assert_nothing_left()


def classes(node: Node) -> dict[str, StorageClass]:
    """What the page has `weighhouse storageclass` write, by their names."""
    printed = yaml.safe_load_all(node.daemon.cli("storageclass", f"hf://{SERVED}").stdout)
    return {item["metadata"]["name"]: StorageClass(item["metadata"]["name"], item["parameters"])
            for item in printed if item and item["kind"] == "StorageClass" and item["provisioner"] == DRIVER}


def claims(page: str) -> Iterator[str]:
    """The classes that the page's claims, and its pods' templates for them, name."""
    for item in documented.examples(page):
        if item["kind"] == "PersistentVolumeClaim":
            yield item["spec"]["storageClassName"]
        for volume in item.get("spec", {}).get("volumes", []):
            if "ephemeral" in volume:
                yield volume["ephemeral"]["volumeClaimTemplate"]["spec"]["storageClassName"]


def test_a_documented_claim_is_bound_and_shows_the_model(node: Node) -> None:
    named = list(claims("getting-started.md"))
    assert named
    known = classes(node)
    for number, name in enumerate(named):
        volume = node.provisioner.create(known[name], Claim(f"documented{number}", MIB))
        [path] = node.start(pod := node.claim_pod(f"documented{number}", volume))
        assert digests(path) == digests(node.hub.models / SERVED)
        node.end(pod)
        node.provisioner.delete(volume)
    node.assert_nothing_left()
