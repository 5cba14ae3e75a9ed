"""What the sources say: configuration keys, parameters, metrics, messages. Parsed, so that no build is needed."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass

import yaml

PRODUCT = ("base", "cache-daemon", "csi", "cli", "agent")

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/'
    r'|R"(?P<delimiter>[^(\s]*)\((?P<raw>.*?)\)(?P=delimiter)"'
    r'|"(?P<plain>(?:\\.|[^"\\\n])*)"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "0": "\0"}


@dataclass(frozen=True)
class Text:
    """A string of the sources, its pieces joined, and where it stands."""

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Refusal(Text):
    """What is said with a `Code::…`, or a computed code; `…` stands for what is filled in. `code` is such as kAborted, or "" if it is
    computed."""

    code: str


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)


def _tokens(code: str) -> list[tuple[int, int, str | None]]:
    """(begin, end, text) of each literal; text is None for comments and characters, which aren't joined."""
    found: list[tuple[int, int, str | None]] = []
    for match in _TOKEN.finditer(code):
        text = match["raw"] if match["raw"] is not None else match["plain"]
        if text is not None and match["raw"] is None:
            text = _unescaped(text)
        found.append((match.start(), match.end(), text))
    return found


def literals(code: str) -> list[tuple[int, str]]:
    """(offset, text) of each string; neighbours are one, as they are for the compiler."""
    found: list[tuple[int, str]] = []
    end = -1
    for begin, stop, text in _tokens(code):
        if text is None:
            continue
        if found and end >= 0 and not code[end:begin].strip():
            found[-1] = (found[-1][0], found[-1][1] + text)
        else:
            found.append((begin, text))
        end = stop
    return found


def without_literals(code: str) -> str:
    """The same text with comments and literals blanked, so that positions stay."""
    return _TOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code)


def with_gaps(text: str) -> str:
    """A format string with `…` where something is filled in, and doubled braces as they are printed."""
    gaps = re.sub(r"\{\{|\}\}|\{[^{}]*\}", lambda match: {"{{": "{", "}}": "}"}.get(match[0], "…"), text)
    return " ".join(gaps.split())


class Sources:
    """The sources below `root`. A value; reads each file once."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self._code: dict[str, str] = {}
        for directory in PRODUCT:
            for path in sorted((root / directory).rglob("*")):
                if path.suffix in (".cc", ".h"):
                    self._code[str(path.relative_to(root))] = path.read_text(encoding="utf-8")

    def _below(self, *prefixes: str) -> dict[str, str]:
        return {name: code for name, code in self._code.items() if name.startswith(prefixes)}

    def config_keys(self) -> set[str]:
        """Every key that the daemon's tables have."""
        return {key for code in self._below("cache-daemon/config/").values()
                for key in re.findall(r'\bConfigKey\{\s*"([A-Za-z0-9.]+)"', code)}

    def _names(self, table: str) -> list[str]:
        code = self._code.get("csi/volume_context.cc", "")
        found = re.search(rf"\b{table} = \{{(.*?)\}};", code, re.DOTALL)
        return re.findall(r'"([^"]+)"', found[1]) if found else []

    def parameters(self) -> set[str]:
        """What every kind of volume may have."""
        return set(self._names("kParameters"))

    def class_parameters(self) -> set[str]:
        """What only a StorageClass may have."""
        return set(self._names("kClassParameters"))

    def credential_keys(self) -> set[str]:
        """The keys of a secret that a source reads."""
        return set(self._names("kCredentialKeys"))

    def metrics(self) -> set[str]:
        """The names that the daemon's page shows, without what Prometheus adds to a histogram's."""
        found: set[str] = set()
        for code in self._below("cache-daemon/metrics/", "cache-daemon/api/").values():
            found |= {text for _, text in literals(code) if re.fullmatch(r"weighhouse_[a-z_]+", text)}
        return found

    def alerts(self) -> set[str]:
        """The names of the alerts that come with the manifests."""
        rules = self.root / "deploy/components/monitoring/weighhouse.rules.yaml"
        return set(re.findall(r"- alert: (\w+)", rules.read_text(encoding="utf-8")))

    def container_names(self) -> set[str]:
        """Those of the DaemonSet's pod, with what components add."""
        named: set[str] = set()
        for path in (*self.root.glob("deploy/daemonset/daemonset.yaml"), *self.root.glob("deploy/components/*/*.yaml")):
            named |= set(re.findall(r"\bname: ([a-z-]+)\n +image:", path.read_text(encoding="utf-8")))
        return named

    def chart_values(self) -> set[str]:
        """The values of the Helm chart as --set names them, groups too."""
        def below(item: object, prefix: str) -> set[str]:
            inner = item.items() if isinstance(item, dict) else ()
            return {prefix + key for key, _ in inner}.union(*(below(each, f"{prefix}{key}.") for key, each in inner))
        return below(yaml.safe_load((self.root / "deploy/helm/weighhouse/values.yaml").read_text(encoding="utf-8")), "")

    def texts(self) -> list[Text]:
        """Every string of the programs, with gaps."""
        return [Text(name, code.count("\n", 0, offset) + 1, with_gaps(text))
                for name, code in self._code.items() for offset, text in literals(code)]

    def refusals(self) -> list[Refusal]:
        """What each error of the programs says, as far as it is written beside its code."""
        found = []
        for name, code in self._code.items():
            if name.endswith(".cc"):
                found += _refusals(name, code)
        return found


def _end_of_arguments(code: str, position: int) -> int:
    """Where the list of arguments ends that `position` lies in."""
    depth = 0
    for position in range(position, len(code)):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(code[position], 0)
        if depth < 0:
            return position
    return len(code)


def _refusals(name: str, code: str) -> list[Refusal]:
    """A code and what comes behind it: `Fail(Code::kX, …)`, `Error{Code::kX, …}`, a helper's arguments."""
    blank = without_literals(code)
    strings = literals(code)
    found = []
    for match in re.finditer(r"\bCode::(k\w+)\s*,|\bFail\(\s*[\w.>()*-]+?\s*,", blank):
        end = _end_of_arguments(blank, match.end())
        # The first is the format string; others fill it in.
        text = next((text for offset, text in strings if match.end() <= offset < end and text.strip()), "")
        found.append(Refusal(name, code.count("\n", 0, match.start()) + 1, with_gaps(text), match[1] or ""))
    return found


def make_targets(root: pathlib.Path) -> set[str]:
    """What `make` can be asked for."""
    return set(re.findall(r"^([a-z][\w-]*):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
