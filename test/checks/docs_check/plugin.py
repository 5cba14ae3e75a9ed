"""Command lines of the plugin of kubectl: the plugin itself reads them, before a kubectl that has a pod for whatever is asked."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile

import programs

PLUGIN = pathlib.Path(__file__).resolve().parents[3] / "cli/kubectl-weighhouse"
# Of an exec it prints what was to run, each word with a NUL behind it.
_KUBECTL = """#!/bin/sh
case " $* " in *" exec "*) ;; *) echo "pod node" && exit ;; esac
while [ "$1" != -- ]; do shift; done
shift
printf '%s\\0' "$@"
"""


def is_line(words: list[str]) -> bool:
    """True if it is the plugin that is called, and told something."""
    return words[:2] == ["kubectl", "weighhouse"] and len(words) > 2


def fault(known: dict[str, programs.Command], words: list[str], whole: bool) -> str | None:
    """What the plugin says of the line, or what is wrong with the one that it would run in the pod; or None."""
    with tempfile.TemporaryDirectory(prefix="weighhouse-docs.") as directory:
        double = pathlib.Path(directory) / "kubectl"
        double.write_text(_KUBECTL, encoding="utf-8")
        double.chmod(0o755)
        done = subprocess.run([PLUGIN, *words[2:]], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=60, env={"PATH": f"{directory}:/usr/bin:/bin", "HOME": "/nonexistent"})
    if done.returncode != 0:
        return f"is refused: {done.stderr.strip() or 'it says nothing'}"
    run = done.stdout.split("\0")[:-1]
    return programs.fault(known, run, whole) if run else None  # its own --help runs nothing
