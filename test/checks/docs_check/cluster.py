"""What the commands and the text name in a cluster: containers, secrets' keys, the chart's values, variables."""

from __future__ import annotations

import re
from typing import Iterator

import shell
from names import nearest
from pages import SKIPPED, Finding, Page
from sources import Sources

_VARIABLE = re.compile(r"\bWEIGHHOUSE_[A-Z0-9_]*[A-Z0-9]\b(?!_?\*)")
_READ = {".py", ".sh", ".cc", ".h", ".txt", ".yaml", ".cmake", ""}


def _commands(page: Page) -> Iterator[tuple[int, list[str]]]:
    for block in page.blocks:
        if block.language in shell.LANGUAGES:
            yield from shell.commands(block.text, block.line)
    for span in page.spans:
        yield from ((span.line, words) for _, words in shell.commands(span.text, span.line))


def containers(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    """`kubectl logs` and `exec` of the DaemonSet name a container that it has."""
    known = sources.container_names()
    for page in pages.values():
        for line, words in _commands(page):
            if words[0] != "kubectl" or "ds/weighhouse" not in words or "-c" not in words[:-1]:
                continue
            name = words[words.index("-c") + 1]
            if name not in known:
                yield Finding(page.name, line, f"the DaemonSet has no container {name}{nearest(name, known)}")


def secrets(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    """What `kubectl create secret generic` puts into one is a key that a source reads."""
    known = sources.credential_keys()
    for page in pages.values():
        for line, words in _commands(page):
            if words[:4] != ["kubectl", "create", "secret", "generic"]:
                continue
            for word in words:
                given = re.match(r"--from-(?:literal|file)=([^=]+)=", word)
                if given and given[1] not in known:
                    yield Finding(page.name, line, f"no source reads the key {given[1]} of a secret{nearest(given[1], known)}")


def chart_values(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    """What `helm … --set` sets is a value of the chart."""
    known = sources.chart_values()
    for page in pages.values():
        for line, words in _commands(page):
            for flag, value in zip(words, words[1:]) if words[0] == "helm" else ():
                name = value.split("=")[0]
                if flag == "--set" and name not in known and not name.startswith("config."):
                    yield Finding(page.name, line, f"the chart has no value {name}{nearest(name, known)}")


def variables(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    """Variables of the environment that begin with our name are read by something."""
    known: set[str] = set()
    for path in sources.root.rglob("*"):
        if not SKIPPED.intersection(path.relative_to(sources.root).parts) and path.suffix in _READ and path.is_file():
            known |= set(_VARIABLE.findall(path.read_text(encoding="utf-8", errors="replace")))
    for page in pages.values():
        for part in (*page.spans, *page.blocks):
            for name in set(_VARIABLE.findall(part.text)) - known:
                yield Finding(page.name, part.line, f"nothing reads {name}{nearest(name, known)}")
