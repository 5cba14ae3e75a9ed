"""Names in the documentation against the sources, in both directions: keys, parameters, metrics, flags, make's targets."""

from __future__ import annotations

import difflib
import re
from typing import Iterable, Iterator

from pages import Finding, Page, spans_of
from programs import Command, NAMES
from sources import Sources

CONFIGURATION, PARAMETERS, SOURCES = "docs/configuration.md", "docs/parameters.md", "docs/sources.md"
METRICS, COMMAND_LINE = "cache-daemon/metrics/README.md", "docs/command-line.md"
TROUBLESHOOTING = "docs/troubleshooting.md"
_FILES = (".md", ".json", ".sock", ".proto", ".cc", ".h", ".py", ".yaml", ".txt", ".log")
_HISTOGRAM = ("_bucket", "_sum", "_count")


def nearest(name: str, known: Iterable[str]) -> str:
    """ "did you mean …?", or nothing."""
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f": did you mean `{close[0]}`?" if close else ""


def _column(page: Page | None, heading: str) -> dict[str, int]:
    """The code spans of the first cells beneath this heading, and their lines."""
    rows = page.rows if page else []
    return {span: row.line for row in rows if row.header[0] == heading for span in spans_of(row.cells[0])}


def _table(page: str, listed: dict[str, int], known: set[str], what: str) -> Iterator[Finding]:
    """A table that is the one list of its names."""
    for name in sorted(known - set(listed)):
        yield Finding(page, 0, f"the {what} `{name}` of the sources is missing: give it a row")
    for name in sorted(set(listed) - known):
        yield Finding(page, listed[name], f"`{name}` is no {what} of the sources{nearest(name, known)}")


def config_keys(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    known = sources.config_keys()
    yield from _table(CONFIGURATION, _column(pages.get(CONFIGURATION), "key"), known, "configuration key")
    groups = "|".join(sorted({key.split(".")[0] for key in known}))
    shape = re.compile(rf"((?:{groups})(?:\.[A-Za-z0-9]+)+)(?=$|[:=\s])")
    for page in pages.values():
        for span in page.spans:
            name = shape.match(span.text)
            if not name or name[1].endswith(_FILES):
                continue
            if name[1] not in known and not any(key.startswith(name[1] + ".") for key in known):
                yield Finding(page.name, span.line, f"`{name[1]}` is no configuration key{nearest(name[1], known)}")


def parameters(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    known = sources.parameters() | sources.class_parameters()
    yield from _table(PARAMETERS, _column(pages.get(PARAMETERS), "parameter"), known, "parameter")
    for page in pages.values():
        listed = {} if page.name == PARAMETERS else _column(page, "parameter")
        for name in set(listed) - known:
            yield Finding(page.name, listed[name], f"`{name}` is no parameter of a volume{nearest(name, known)}")


def credential_keys(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    known = sources.credential_keys()
    page = pages.get(SOURCES)
    rows = [row for row in page.rows if row.header[0] == "key"] if page else []
    named = {span: row.line for row in rows for span in spans_of(row.cells[0])}
    yield from _table(SOURCES, named, known, "credential's key")


def metrics(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    known = sources.metrics()
    page = pages.get(METRICS)
    listed: dict[str, int] = {}
    for row in page.rows if page else []:
        spans = spans_of(row.cells[0])
        # `weighhouse_x_size_bytes`, `_free_bytes`: one stem, and the ends of the others.
        stem = re.sub(r"size_bytes$", "", spans[0]).rstrip("_") if spans else ""
        listed |= {stem + span if span.startswith("_") else span: row.line for span in spans}
    yield from _table(METRICS, listed, known, "metric")
    for other in pages.values():
        for span in (*other.spans, *other.blocks):
            for name in re.findall(r"\bweighhouse_[a-z_]*[a-z]\b(?!…|_)", span.text):
                base = next((name.removesuffix(end) for end in _HISTOGRAM if name.endswith(end)), name)
                if name not in known and base not in known and other.name.startswith(("docs/", "deploy/", "README")):
                    yield Finding(other.name, span.line, f"`{name}` is no metric{nearest(name, known)}")


def alerts(pages: dict[str, Page], sources: Sources) -> Iterator[Finding]:
    known = sources.alerts()
    yield from _table(TROUBLESHOOTING, _column(pages.get(TROUBLESHOOTING), "alert"), known, "alert")
    for page in pages.values():
        for span in page.spans:
            if re.fullmatch(r"Weighhouse[A-Z]\w+", span.text) and span.text not in known:
                yield Finding(page.name, span.line, f"`{span.text}` is no alert{nearest(span.text, known)}")


def _flags_of(command: Command, prefix: str) -> Iterator[tuple[str, str]]:
    """(command, flag) of a program and what is below it."""
    for flag in sorted(command.long_flags() - {"--help"}):
        yield prefix, flag
    for name, below in command.commands.items():
        yield f"{prefix} {name}", ""
        yield from _flags_of(below, f"{prefix} {name}")


def flags(pages: dict[str, Page], programs: dict[str, Command]) -> Iterator[Finding]:
    """docs/command-line.md has each command and flag in the first cells of its tables, and no other."""
    page = pages.get(COMMAND_LINE)
    listed: dict[tuple[str, str], int] = {}
    for row in page.rows if page else []:
        if row.header[0] not in NAMES and row.header[0] != "command":
            continue
        for span in spans_of(row.cells[0]):
            words = span.split()
            flag = next((word.split("=")[0] for word in words if word.startswith("--")), "")
            named = [word for word in words[:words.index(flag) if flag in words else None]
                     if re.fullmatch(r"[a-z][\w-]*", word)]
            owner = " ".join(named if named and named[0] in NAMES else [row.header[0], *named])
            listed[owner, flag] = row.line
    known = {entry for name in NAMES for entry in _flags_of(programs[name], name)}
    for owner, flag in sorted(known - set(listed)):
        yield Finding(COMMAND_LINE, 0, f"`{f'{owner} {flag}'.strip()}`, which its --help has, is missing: give it a row")
    for owner, flag in sorted(set(listed) - known):
        yield Finding(COMMAND_LINE, listed[owner, flag], f"`{f'{owner} {flag}'.strip()}` is in no --help: correct or "
                      "remove it")
