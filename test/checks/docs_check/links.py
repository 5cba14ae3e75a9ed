"""Links, anchors and paths: what a page points at is there."""

from __future__ import annotations

import pathlib
import posixpath
import re
from typing import Iterator

from names import nearest
from pages import SKIPPED, Finding, Page

_PATH = re.compile(r"[\w.@-]+(?:/[\w.*@{},-]+)+/?")
_ENDINGS = ("", ".h", ".cc", ".py", ".md")


def links(root: pathlib.Path, pages: dict[str, Page]) -> Iterator[Finding]:
    for page in pages.values():
        for link in page.links:
            if re.match(r"[a-z]+:", link.text):
                continue
            path, _, anchor = link.text.partition("#")
            name = posixpath.normpath(posixpath.join(posixpath.dirname(page.name), path)) if path else page.name
            if not (root / name).exists():
                yield Finding(page.name, link.line, f"the link {link.text} leads to {name}, which isn't there"
                              f"{nearest(name, pages)}")
            elif anchor and name in pages and anchor not in pages[name].anchors:
                yield Finding(page.name, link.line, f"the link {link.text}: {name} has no heading for #{anchor}"
                              f"{nearest(anchor, pages[name].anchors)}")


def unreached(pages: dict[str, Page]) -> Iterator[Finding]:
    """Pages of docs/ that the index doesn't name."""
    index = pages.get("docs/README.md")
    named = {posixpath.normpath("docs/" + link.text.partition("#")[0]) for link in index.links} if index else set()
    for name in pages:
        if name.startswith("docs/") and name != "docs/README.md" and name not in named:
            yield Finding(name, 0, "docs/README.md, the index, doesn't link this page: add it there")


def _exists(root: pathlib.Path, path: str) -> bool:
    if "*" in path or "{" in path:
        return any(root.glob(re.sub(r"\{[^}]*\}", "*", path.rstrip("/"))))
    return any((root / (path.rstrip("/") + ending)).exists() for ending in _ENDINGS)


def paths(root: pathlib.Path, pages: dict[str, Page]) -> Iterator[Finding]:
    """Code spans that begin with one of the project's own directories."""
    ours = {entry.name for entry in root.iterdir() if entry.is_dir()} - SKIPPED
    for page in pages.values():
        if page.name == "CHANGELOG.md":  # it names what was
            continue
        for span in page.spans:
            words = span.text.split()
            for word in words:
                path = word.rstrip(".,:;")
                if _PATH.fullmatch(path) and path.split("/")[0] in ours and not _exists(root, path):
                    yield Finding(page.name, span.line, f"`{path}` isn't there: correct the path")
