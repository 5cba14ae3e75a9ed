"""What cache-daemon/metrics/README.md lists, and what a PromQL expression takes from it."""

import functools
import re
import subprocess
import tempfile

import yaml
from manifests import ROOT

PAGE = ROOT / "cache-daemon/metrics/README.md"
# What Prometheus adds when it scrapes: `node` is a relabelling of podmonitor.yaml.
SCRAPED = {"node", "instance"}
SUFFIXES = ("_bucket", "_sum", "_count")


def labels_in(cell):
    """Label → its values, where the cell names them: "`a`: `1`, `2`; `b`" → {"a": {"1", "2"}, "b": set()}."""
    labels = {}
    for part in cell.split(";"):
        names, colon, values = part.partition(":")
        if colon:
            labels[re.findall(r"`(\w+)`", names)[0]] = set(re.findall(r"`(\w+)`", values))
        else:
            labels |= {name: set() for name in re.findall(r"`(\w+)`", names)}
    return labels


@functools.cache
def listed():
    """Name → its labels (labels_in), of every series: a histogram's three are among them, and not its own name."""
    found = {}
    for names, kind, cell in re.findall(r"^\| (`weighhouse_[^|]*)\| (\w+) \|([^|]*)\|", PAGE.read_text(encoding="utf-8"),
                                        re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            whole = name if name.startswith("weighhouse") else f"weighhouse_filesystem{name}"
            if kind == "histogram":
                found |= {whole + suffix: labels_in(cell) for suffix in SUFFIXES}
                found[whole + "_bucket"]["le"] = set()
            else:
                found[whole] = labels_in(cell)
    return found


@functools.cache
def in_code():
    """The names that the daemon's sources make families of."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "cache-daemon").rglob("*.cc")]
    return set(re.findall(r'"(weighhouse_\w+)"', "\n".join(sources)))


def labels_of(expression):
    """The names of labels that an expression of PromQL selects or groups by."""
    selected = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    grouped = re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression)
    return {*selected, *(label.strip() for names in grouped for label in names.split(",") if label.strip())}


def problems(expression, shown=""):
    """What is wrong with the names in an expression and in `shown`, its legend or annotations: a list of sentences."""
    names = sorted(set(re.findall(r"\bweighhouse_\w+", expression)))
    found = [] if names else [f"no metric of Weighhouse in: {expression}"]
    allowed = {label: set() for label in SCRAPED}
    for name in names:
        if name not in listed():
            found.append(f"{name} isn't listed in {PAGE.relative_to(ROOT)}")
        if name not in in_code() and not any(name.removesuffix(suffix) in in_code() for suffix in SUFFIXES):
            found.append(f"{name} isn't in the code")
        allowed |= listed().get(name, {})
    used = labels_of(expression) | set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", shown))
    found += [f"no label {label} in: {expression}" for label in sorted(used - set(allowed))]
    for label, value in re.findall(r"(\w+)\s*!?=\s*\"([^\"]*)\"", expression):
        if allowed.get(label) and value not in allowed[label]:
            found.append(f"{label} is never {value} in: {expression}")
    return found


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


def parse_problems(expressions):
    """What promtool says of expressions that it can't parse; empty: nothing."""
    rules = [{"record": f"parsed:{number}", "expr": text} for number, text in enumerate(expressions)]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump({"groups": [{"name": "parsed", "rules": rules}]}, file)
        file.flush()
        checked = promtool("check", "rules", file.name)
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr
