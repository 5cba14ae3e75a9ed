"""The libraries that pods really use read what the mount serves: huggingface_hub and safetensors from PyPI."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
from safetensors import safe_open

from harness.models import digests
from harness.node import Node


def hub_client(cache: Path, *arguments: str) -> dict[str, Any]:
    """Runs harness/hub_client.py offline on a mounted cache, as a uid that owns nothing."""
    program = Path(__file__).parent / "harness/hub_client.py"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "HF_HOME": "/nonexistent"}
    outcome = subprocess.run([sys.executable, str(program), *arguments], env=environment, check=False,
                             capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_huggingface_hub_reads_a_hub_volume_offline(node: Node) -> None:
    commit = node.hub.commit("acme/tiny")
    [path] = node.start(node.pod("pod", layout="hub"))
    found = hub_client(path, "acme/tiny", "main", commit)
    snapshot = path / "models--acme--tiny/snapshots" / commit
    assert {found["snapshot"], found["snapshot_by_commit"], found["default"]} == {str(snapshot)}
    assert found["file_by_branch"] == found["file_by_commit"] == str(snapshot / "config.json")
    assert found["nested"] == str(snapshot / "1_Pooling/config.json")
    assert found["scanned"] == "acme/tiny" and found["revisions"] == {commit: ["main"]}
    assert found["warnings"] == []
    node.assert_serves(snapshot)


def test_huggingface_hub_reads_a_volume_that_asked_for_a_commit(node: Node) -> None:
    commit = node.hub.commit("acme/tiny")
    [path] = node.start(node.pod("pod", revision=commit, layout="hub"))
    assert not (path / "models--acme--tiny/refs/main").exists(), "a branch that nobody asked for"
    node.assert_serves(path / "models--acme--tiny/snapshots" / commit)


def tensors(path: Path) -> dict[str, numpy.ndarray]:
    """Every tensor of one safetensors file."""
    with safe_open(path, framework="numpy") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}


def test_safetensors_reads_every_tensor_from_the_mount(node: Node) -> None:
    [path] = node.start(node.pod("pod", "hf://acme/sharded"))
    shards = sorted(path.glob("*.safetensors"))
    assert len(shards) == 3
    for shard in shards:
        original = tensors(node.hub.models / "acme/sharded" / shard.name)
        mounted = tensors(shard)
        assert mounted.keys() == original.keys() and len(original) == 2
        for name, value in original.items():
            assert numpy.array_equal(mounted[name], value)


def test_files_can_be_mapped_and_read_past_the_page_cache(node: Node) -> None:
    [path] = node.start(node.pod("pod"))
    weights, original = path / "model.safetensors", (node.hub.models / "acme/tiny/model.safetensors").read_bytes()
    with weights.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == original
    descriptor = os.open(weights, os.O_RDONLY | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, 1 << 20)
        assert os.preadv(descriptor, [buffer], 0) == min(1 << 20, len(original))
        assert buffer[:len(original)] == original[:1 << 20]
    finally:
        os.close(descriptor)


def test_local_directory_is_a_source_too(node: Node) -> None:
    model = node.local_models / "mine"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(os.urandom(100_000))
    [path] = node.start(pod := node.pod("pod", f"file://{model}"))
    assert digests(path) == digests(model)
    node.end(pod)
    node.assert_nothing_left()


def test_single_file_over_http_is_a_source_too(node: Node) -> None:
    url = f"{node.hub.url}/acme/tiny/resolve/main/config.json"
    [path] = node.start(pod := node.pod("pod", url))
    assert (path / "config.json").read_bytes() == (node.hub.models / "acme/tiny/config.json").read_bytes()
    node.end(pod)
    node.assert_nothing_left()
