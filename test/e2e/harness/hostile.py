"""What tests of hostile servers share: one pull that must fail, what it may cost, and servers that mean harm."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from pathlib import Path
from typing import Callable, NamedTuple

import grpc
import pytest

from harness import workspace
from harness.daemon import CacheDaemon
from harness.scripted import Asked, ScriptedServer, answer

GIB = 1 << 30
QUICK = 10.0  # seconds, of what needs no timeout; with room for a machine that does other things
REQUEST = 75.0  # of what ends with a request's own minute
KIB_SMALL = 24 << 10  # KiB of memory that what is small may take at its peak, of all together
KIB_LISTING = 200 << 10  # what a listing of 64 MiB may

TRAVERSALS = {
    "../escape.json": "'..' component",
    "a/../../escape.json": "'..' component",
    "./escape.json": "'.' or '..' component",
    "a//escape.json": "empty component",
    "/etc/escape.json": "absolute path",
    "a\\..\\escape.json": "backslash",
    "escape\n.json": "control characters",
    "escape\x1b[31m.json": "control characters",
    "x" * 300: "255 bytes",
    "/".join(["d"] * 70): "64 deep",
}
"""Names that lead out of the tree, or into a terminal, and how they are refused."""

SERVER = Callable[[ScriptedServer, socket.socket, Asked], None]


class Outcome(NamedTuple):
    """How the command line ended, and what that cost."""

    status: int
    error: str
    seconds: float
    peak_kib: int
    """By how much the daemon's peak of resident memory was above what it had before."""


def _memory(daemon: CacheDaemon, field: str) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    match = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert match is not None
    return int(match[1])


def measured(daemon: CacheDaemon, what: str, act: Callable[[], tuple[int, str]]) -> Outcome:
    """What `act`, which must fail, took of the daemon; it returns a status and the error. Nothing of it may stay."""
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before, begun = _memory(daemon, "VmRSS"), time.monotonic()
    status, error = act()
    seconds = time.monotonic() - begun
    outcome = Outcome(status, error, seconds, _memory(daemon, "VmHWM") - before)
    print(f"{what}: {seconds:.1f} s, {outcome.peak_kib} KiB: {error.strip()}")
    assert outcome.status != 0, "it was served"
    assert list(workspace.directory().rglob("escape*")) == []
    return outcome


def pull(daemon: CacheDaemon, model: str, environment: dict[str, str] | None = None) -> Outcome:
    """One pull by the command line that must fail."""
    def act() -> tuple[int, str]:
        done = daemon.cli("pull", "--quiet", model, check=False, environment=environment)
        return done.returncode, done.stderr

    return measured(daemon, model, act)


def acquire(daemon: CacheDaemon, model: str, credentials: dict[str, str]) -> Outcome:
    """One call that must fail, with what a pod's secret holds; the outcome's status is gRPC's."""
    def act() -> tuple[int, str]:
        with daemon.client() as cache, pytest.raises(grpc.RpcError) as raised:
            cache.acquire(model, credentials=credentials)
        return raised.value.code().value[0], raised.value.details() or ""

    return measured(daemon, model, act)


def refused(outcome: Outcome, *reasons: str, seconds: float = QUICK, kib: int = KIB_SMALL) -> None:
    """That it was, for those reasons, within bounds; and that no message would change a terminal."""
    for reason in reasons:
        assert reason in outcome.error, outcome
    assert not any(ord(character) < 0x20 for character in outcome.error.rstrip("\n")), outcome
    assert outcome.seconds < seconds, outcome
    assert outcome.peak_kib < kib, outcome


def found(asked: Asked, *headers: str, body: bytes = b"weights") -> bytes:
    """A file, as a decent server has it."""
    sent = b"" if asked.method == "HEAD" else body
    return answer("200 OK", "ETag: \"v1\"", *headers, body=sent, length=len(body))


def serve(script: SERVER) -> ScriptedServer:
    """A server whose script knows it."""
    server: ScriptedServer = ScriptedServer(lambda to, asked: script(server, to, asked))
    return server


def sends(body: bytes, *headers: str) -> SERVER:
    """Answers every request so."""
    return lambda server, to, asked: to.sendall(answer("200 OK", *headers, body=body))


def headers_without_end(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
    """10 GB of headers, whatever is asked for; but whether it is a registry, which would be asked by https too."""
    if asked.target == "/v2/":
        return to.sendall(answer("200 OK", "Docker-Distribution-API-Version: registry/2.0"))
    to.sendall(b"HTTP/1.1 200 OK\r\n")
    return server.send_for_ever(to, b"X-Endless: " + b"x" * 1000 + b"\r\n", 10 * GIB)


def body_without_end(begin: bytes, piece: bytes) -> SERVER:
    """10 GB of `piece` after `begin`."""
    def script(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
        del asked
        to.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + begin)
        server.send_for_ever(to, piece * (65536 // len(piece) + 1), 10 * GIB)

    return script


class HostileHub:
    """A Hub whose revision is decent, and whose tree is what `tree` sends. It has no files."""

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, tree: SERVER, **revision: object) -> None:
        self._tree = tree
        self._revision = {"sha": self.COMMIT, "gated": False} | revision
        self.server = ScriptedServer(self._answer)

    def files_asked(self) -> list[str]:
        """The requests for files' bytes."""
        return [asked.target for asked in self.server.requests if "/api/" not in asked.target]

    def _answer(self, to: socket.socket, asked: Asked) -> None:
        if "/revision/" in asked.target:
            to.sendall(answer("200 OK", body=json.dumps(self._revision).encode()))
        elif "/tree/" in asked.target:
            self._tree(self.server, to, asked)
        else:
            to.sendall(answer("404 Not Found"))


def entry(path: str, body: bytes = b"weights") -> dict[str, object]:
    """A file of the Hub's tree."""
    return {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(b"").hexdigest(),
            "lfs": {"oid": hashlib.sha256(body).hexdigest(), "size": len(body)}}
