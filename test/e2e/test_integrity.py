"""A byte that the disk changes under a pod: found, quarantined, fetched again, and the pod that still reads it named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

from harness.models import digests
from harness.node import Node
from kubelet_double import Pod

MODEL = "acme/tiny"
WEIGHTS = "model.safetensors"


def flip_a_byte(node: Node) -> Path:
    """Changes one byte of the weights' blob, in place, as a failing disk does."""
    blob = node.daemon.root / "blobs/sha256"
    name = digests(node.hub.models / MODEL)[WEIGHTS]
    path = blob / name[:2] / name
    with path.open("r+b") as file:
        file.seek(100)
        [byte] = file.read(1)
        file.seek(100)
        file.write(bytes([byte ^ 1]))
    return path


def status(node: Node) -> dict[str, Any]:
    """How sound the cache is, as `weighhouse status` says it."""
    shown: dict[str, Any] = json.loads(node.daemon.cli("status", "--output", "json").stdout)
    integrity: dict[str, Any] = shown["info"]["integrity"]
    return integrity


def states(node: Node) -> list[str]:
    """Of the models in the cache."""
    return [one["state"] for one in json.loads(node.daemon.cli("ls", "--output", "json").stdout)["snapshots"]]


def assert_heals(node: Node, reader: Pod, blob: Path) -> None:
    """What follows once the byte was found."""
    node.daemon.process.wait_ready(blob.exists, timeout=60)  # public: fetched again by itself
    node.daemon.process.wait_ready(lambda: states(node) == ["complete"], timeout=60)
    true = digests(node.hub.models / MODEL)
    assert digests(node.kubelet.path(reader)) != true, "the pod keeps the file that it has"
    [damaged] = status(node)["damaged"]
    assert damaged["holder"]["pod_name"] == reader.name
    assert damaged["holder"]["target_path"] == str(node.kubelet.path(reader))
    assert status(node)["quarantined_blobs"] == 1
    assert f"/{reader.name}: " in node.daemon.cli("status").stdout
    assert f"/{reader.name} has the damaged file mounted" in node.daemon.log.read_text()
    refused = node.daemon.cli("evict", "--quarantine", check=False)
    assert refused.returncode == 1 and "status" in refused.stderr, refused
    [path] = node.start(after := node.pod("after", f"hf://{MODEL}"))
    assert digests(path) == true
    node.end(reader)
    node.daemon.process.wait_ready(lambda: status(node)["quarantined_blobs"] == 0)
    assert status(node)["damaged"] == []
    assert list((node.daemon.root / "quarantine").iterdir()) == []
    assert digests(path) == true
    assert node.daemon.cli("verify", "--all").returncode == 0
    node.end(after)
    node.assert_nothing_left()


def test_verify_finds_a_flipped_byte_under_a_pod(node: Node) -> None:
    node.start(reader := node.pod("reader", f"hf://{MODEL}"))
    assert node.daemon.cli("verify", "--all", "--rate", "0").returncode == 0
    blob = flip_a_byte(node)
    verified = node.daemon.cli("verify", "--all", "--output", "json", check=False)
    assert verified.returncode == 1, verified
    [finding] = json.loads(verified.stdout)["findings"]
    assert finding["sha256"] == blob.name
    assert [path.split("/", 1)[1] for path in finding["paths"]] == [WEIGHTS]
    assert_heals(node, reader, blob)


def test_scrub_finds_a_flipped_byte_under_a_pod(new_node: Callable[..., Node]) -> None:
    node = new_node()
    node.start(reader := node.pod("reader", f"hf://{MODEL}"))
    assert status(node)["scrub_daily_bytes"] > 0
    node.daemon.stop()
    blob = flip_a_byte(node)
    (node.daemon.root / "scrub").unlink()  # the last pass was today, of an empty cache
    node.daemon.start()
    node.daemon.process.wait_ready(lambda: status(node)["scrub_failures"] == 1, timeout=60)
    assert_heals(node, reader, blob)
    assert status(node)["scrub_failures"] == 1
    node.daemon.process.wait_ready(lambda: status(node)["scrub_last_pass_unix"] > 0, timeout=60)
