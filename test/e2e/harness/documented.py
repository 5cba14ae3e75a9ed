"""What the documentation and the manifests have an admin and the DaemonSet do on a node, carried to a test's node."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from harness.node import Node
from harness.workspace import PROJECT

_DAEMONSET = PROJECT / "deploy/daemonset"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"# \d+\. (.+?)[:,;]")


def _pod() -> dict[str, Any]:
    """The DaemonSet's pod."""
    return yaml.safe_load((_DAEMONSET / "daemonset.yaml").read_text())["spec"]["template"]["spec"]


def node_paths() -> dict[str, str]:
    """What the DaemonSet makes on a node where it isn't there, by the volume's name."""
    return {volume["name"]: volume["hostPath"]["path"] for volume in _pod()["volumes"]
            if volume.get("hostPath", {}).get("type") == "DirectoryOrCreate"}


def on_node(node: Node, path: str) -> Path:
    """Where a documented path lies on the test's node; a path that it hasn't is an error."""
    places = {"/var/lib/weighhouse": node.daemon.root, "/run/weighhouse": node.daemon.sockets,
              "/var/lib/kubelet": node.kubelet_root}
    for place, here in places.items():
        if Path(path).is_relative_to(place) and ".." not in path:
            return here / Path(path).relative_to(place)
    raise LookupError(f"{path} is no place of a node's")


def prepare(node: Node) -> None:
    """Runs the init container's script on the node, with its mounts and the image's files where they lie here."""
    [container] = [each for each in _pod()["initContainers"] if each["name"] == "prepare"]
    script = container["command"][-1]
    paths = node_paths()
    for mount in container["volumeMounts"]:
        script = script.replace(mount["mountPath"], str(on_node(node, paths[mount["name"]])))
    script = script.replace("/usr/share/weighhouse/seccomp/", f"{_DAEMONSET}/seccomp/")
    (node.kubelet_root / "seccomp").mkdir()  # as kubelet does for the hostPath
    subprocess.run([*container["command"][:-1], script], check=True)


def shell_blocks(page: str, heading: str) -> list[str]:
    """The commands that a page of docs/ shows beneath a heading of the second level, block by block."""
    section = (PROJECT / "docs" / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [text for language, text in _BLOCK.findall(section) if language == "sh"]


def transcripts(page: str) -> list[str]:
    """What a page of docs/ shows of what programs say."""
    blocks = _BLOCK.findall((PROJECT / "docs" / page).read_text())
    return [text for language, text in blocks if language == "text"]


def examples(page: str) -> list[dict[str, Any]]:
    """The objects that a page of docs/ shows."""
    blocks = _BLOCK.findall((PROJECT / "docs" / page).read_text())
    return [item for language, text in blocks if language == "yaml" for item in yaml.safe_load_all(text) if item]


def uninstall_steps() -> dict[str, list[list[str]]]:
    """The documented way to uninstall, in its order: the first words of each step, and its commands, word by word."""
    [block] = shell_blocks("upgrade.md", "Uninstall")
    lines = block.replace("\\\n", " ").replace("|\n", "| ").strip().splitlines()
    steps: dict[str, list[list[str]]] = {}
    for line in lines:
        if heading := _STEP.match(line):
            steps[heading[1]] = commands = []
        elif not line.startswith("#"):
            commands.append(shlex.split(line))
    return steps
