"""All checks of a project's documentation, one after another."""

from __future__ import annotations

import pathlib

import blocks
import cluster
import links
import messages
import names
import pages
import programs
import sources


def findings(root: pathlib.Path, directory: pathlib.Path) -> list[pages.Finding]:
    """All that is wrong below `root`, by the programs of `directory`."""
    commands = programs.load(directory)
    read, code = pages.read_all(root), sources.Sources(root)
    return [
        *names.config_keys(read, code),
        *names.parameters(read, code),
        *names.credential_keys(read, code),
        *names.metrics(read, code),
        *names.alerts(read, code),
        *names.flags(read, commands),
        *links.links(root, read),
        *links.unreached(read),
        *links.paths(root, read),
        *blocks.languages(read),
        *blocks.yaml_blocks(read, code, directory / "weighhouse"),
        *blocks.json_blocks(read),
        *blocks.command_lines(read, commands, sources.make_targets(root)),
        *blocks.kubectl_lines(read),
        *cluster.containers(read, code),
        *cluster.secrets(read, code),
        *cluster.chart_values(read, code),
        *cluster.variables(read, code),
        *messages.quoted(read, code),
        *messages.covered(read, code),
    ]
