"""A Markdown page as what is checked of it: blocks, code spans, links, anchors and tables, each with its line."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field

_FENCE = re.compile(r"^(\s*)(```+)\s*(\S*)\s*$")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_CELL = re.compile(r"(?<!\\)\|")
SKIPPED = {"build", ".git", ".cache", "node_modules", "venv", ".venv"}


@dataclass(frozen=True)
class Finding:
    """What is wrong, and the way out; `line` is 0 where the whole file is meant."""

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Part:
    """A piece of a page's text, and the line that it begins on."""

    text: str
    line: int


@dataclass(frozen=True)
class Block(Part):
    """What stands between two fences."""

    language: str


@dataclass(frozen=True)
class Row:
    """A line of a table: what each cell holds, beneath which headings."""

    header: tuple[str, ...]
    cells: tuple[str, ...]
    line: int


@dataclass
class Page:
    """One page. `name` is its path below the project."""

    name: str
    blocks: list[Block] = field(default_factory=list)
    spans: list[Part] = field(default_factory=list)
    links: list[Part] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)


def spans_of(text: str) -> list[str]:
    """The code spans of a cell or a line, unwrapped."""
    return [" ".join(match[2].split()) for match in _SPAN.finditer(text)]


def slug(heading: str) -> str:
    """The anchor that a heading gets on a forge: lower case, of letters, digits, `-` and `_`."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def _blocks(text: str, page: Page) -> str:
    """Takes the fenced blocks out: what is left has their lines empty, so that numbers stay."""
    left: list[str] = []
    opened: tuple[str, str, str, int] | None = None  # indentation, fence, language, line of the first content
    content: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, content = (fence[1], fence[2], fence[3], number + 1), []
        elif opened and fence and fence[2] == opened[1] and not fence[3]:
            page.blocks.append(Block("\n".join(content) + "\n", opened[3], opened[2]))
            opened = None
        elif opened:
            content.append(line.removeprefix(opened[0]))
        else:
            left.append(line)
            continue
        left.append("")
    return "\n".join(left)


def _headings(text: str, page: Page) -> None:
    seen: dict[str, int] = {}
    for line in text.split("\n"):
        if heading := re.match(r"#{1,6} +(.*?)\s*#*$", line):
            name = slug(heading[1])
            count = seen.get(name, 0)
            seen[name] = count + 1
            page.anchors.add(f"{name}-{count}" if count else name)


def _rows(text: str, page: Page) -> None:
    header: tuple[str, ...] | None = None
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.startswith("|"):
            header = None
            continue
        cells = tuple(cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip())[1:-1])
        if header is None:
            header = cells
        elif not re.fullmatch(r"[|\s:-]+", line):
            page.rows.append(Row(header, cells, number))


def read(root: pathlib.Path, name: str) -> Page:
    """Reads the page of this name below `root`."""
    page = Page(name)
    prose = _blocks((root / name).read_text(encoding="utf-8"), page)
    _headings(prose, page)
    _rows(prose, page)
    for paragraph in re.finditer(r"(?:[^\n]+\n?)+", prose):
        for match in _SPAN.finditer(paragraph[0]):
            at = paragraph.start() + match.start()
            page.spans.append(Part(" ".join(match[2].split()), prose.count("\n", 0, at) + 1))
    bare = _SPAN.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), prose)  # no link is inside of code
    for match in _LINK.finditer(bare):
        target = prose[match.start(1):match.end(1)]
        page.links.append(Part(target, prose.count("\n", 0, match.start()) + 1))
    return page


def read_all(root: pathlib.Path) -> dict[str, Page]:
    """Every page of the project, by its name."""
    found = {}
    for path in sorted(root.rglob("*.md")):
        name = path.relative_to(root)
        if not SKIPPED.intersection(name.parts):
            found[str(name)] = read(root, str(name))
    return found
