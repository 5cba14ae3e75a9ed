"""Canaries: every secret that the tests hand out is recognisable, and is looked for in all that the system wrote.

What is looked through is the run's whole directory: logs, cache roots, answers, metrics pages. What a digest names is left
out (a model's bytes are the source's own words), and so are the files that the tests themselves write for the servers that they
run (by name) and for the daemon (by where they lie), and what those servers log of requests.
"""

from __future__ import annotations

import base64
import dataclasses
import errno
import json
import os
import stat
import urllib.parse
from pathlib import Path
from typing import BinaryIO

MARK = "canary5f1c"
_EXEMPT_NAMES = {
    ".fixture.json",  # the fixture hub's: who may read a repository
    "registry-login.json",  # of the clients that push to docker-registry
    "nginx.conf", "nginx-users", "nginx-access.log", "nginx-error.log",
}
MOUNTED = "node-credentials"
"""The directory, anywhere, with what Kubernetes would mount for the daemon: tokens and keys that it reads from files."""
_EXEMPT_PATHS = (
    "config/..version*/config.yaml",  # the daemon's ConfigMap (harness.config_map): a proxy's password belongs there
    f"{MOUNTED}/*",
)
_EXEMPT_DIRECTORIES = {"bin", "blobs", "trees", "quarantine"}
_CHUNK = 1 << 20


def canary(whose: str) -> str:
    """A secret's value, such as a token."""
    return f"hf_{MARK}_{whose}"


def _patterns() -> list[bytes]:
    """The mark as it is, and as what programs make of it: base64 at any offset, percent-encoded, in hex."""
    raw = MARK.encode()
    patterns = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        # Those digits only that hold nothing of what comes before and behind.
        patterns.append(encoded[(offset * 8 + 5) // 6:((offset + len(raw)) * 8) // 6])
    patterns.append("".join(f"%{byte:02X}" for byte in raw).encode())
    assert urllib.parse.quote(MARK) == MARK
    return patterns


_PATTERNS = _patterns()


def watch(secret: str) -> str:
    """Has a secret looked for that can't hold the mark, such as a line of a private key; as it is only."""
    assert len(secret) >= 16, "it could be there by chance"
    _PATTERNS.append(secret.encode())
    return secret


def _is_exempt(path: Path) -> bool:
    return path.name in _EXEMPT_NAMES or any(path.match(pattern) for pattern in _EXEMPT_PATHS)


@dataclasses.dataclass
class Report:
    """What was looked through, and where something was found."""

    files: int = 0
    bytes: int = 0
    found: list[str] = dataclasses.field(default_factory=list)


def _holds(path: Path, report: Report) -> bool:
    before, overlap = b"", max(map(len, _PATTERNS))
    with path.open("rb") as stream:
        while _to_data(stream) and (chunk := stream.read(_CHUNK)):
            report.bytes += len(chunk)
            text = before + chunk
            if any(pattern in text for pattern in _PATTERNS):
                return True
            before = text[-overlap:]
    return False


def _to_data(stream: BinaryIO) -> bool:
    """Goes on to where something is, past the hole that a disk's image mostly is; False at the end."""
    try:
        stream.seek(os.lseek(stream.fileno(), stream.tell(), os.SEEK_DATA))
        return True
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise


def search(directory: Path, report: Report) -> None:
    """Looks through every file below `directory`, and through the names."""
    for parent, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in _EXEMPT_DIRECTORIES]
        for name in [*names, *files]:
            if any(pattern in os.fsencode(name) for pattern in _PATTERNS):
                report.found.append(f"the name {os.path.join(parent, name)}")
        for name in files:
            path = Path(parent) / name
            try:
                status = path.lstat()
                if _is_exempt(path) or not stat.S_ISREG(status.st_mode):
                    continue
                report.files += 1
                if _holds(path, report):
                    report.found.append(str(path))
            except FileNotFoundError:
                continue  # a process that goes on removed it


EARLIER = Report()
"""Of what is gone when a run ends, such as a disk of its own."""


class Reports:
    """Where each run of tests leaves what it found, for the check at the end of the whole suite."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def clear(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.iterdir():
            path.unlink()

    def begin(self, name: str) -> None:
        """A run that never comes to its end is noticed."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / name).write_text("")

    def end(self, name: str, report: Report) -> None:
        (self._directory / name).write_text(json.dumps(dataclasses.asdict(report)))

    def problems(self) -> list[str]:
        """Why the whole can't be called clean; empty: it is."""
        problems = []
        total = self.total()
        for path in sorted(self._directory.iterdir()):
            text = path.read_text()
            if not text:
                problems.append(f"{path.name} ended before its files were looked through")
            else:
                problems += [f"{path.name}: a secret in {place}" for place in json.loads(text)["found"]]
        if total.files == 0:
            problems.append("nothing was looked through")
        return problems

    def total(self) -> Report:
        total = Report()
        for path in self._directory.iterdir():
            if text := path.read_text():
                report = json.loads(text)
                total.files += report["files"]
                total.bytes += report["bytes"]
        return total
