"""What lists of files that a stranger wrote may say: a SHA256SUMS, a JSON manifest, ModelScope's list."""

from __future__ import annotations

import hashlib
import json
import socket
from typing import Callable, Iterator

import grpc
import pytest

from harness.canary import MARK, canary
from harness.daemon import CacheDaemon
from harness.hostile import KIB_LISTING, REQUEST, SERVER, TRAVERSALS, body_without_end, pull, refused, serve, sends
from harness.scripted import Asked, ScriptedServer, answer

Start = Callable[[SERVER], tuple[CacheDaemon, ScriptedServer]]
SHA256 = hashlib.sha256(b"weights").hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
KINDS: dict[str, Callable[[ScriptedServer], str]] = {
    "SHA256SUMS": lambda server: server.url("/model/"),
    "manifest": lambda server: server.url("/model/model.json#manifest"),
    "ModelScope": lambda server: "modelscope://org/name",
}


@pytest.fixture
def start(new_daemon: Callable[..., CacheDaemon]) -> Iterator[Start]:
    """A daemon and a server with that script, which is ModelScope's too."""
    servers: list[ScriptedServer] = []

    def make(script: SERVER) -> tuple[CacheDaemon, ScriptedServer]:
        server = serve(script)
        server.__enter__()  # pylint: disable=unnecessary-dunder-call
        servers.append(server)
        daemon = new_daemon()
        daemon.change("sources", allowAddresses=["127.0.0.1"], http={"allowPlain": True},
                      modelscope={"endpoint": server.url("")})
        daemon.start()
        return daemon, server

    yield make
    for server in servers:
        server.__exit__(None, None, None)


def is_list(asked: Asked) -> bool:
    return any(part in asked.target for part in ("/SHA256SUMS", "/model.json", "/repo/files"))


def lists(body: bytes) -> SERVER:
    """Answers the question for the list; nothing else is there."""
    return lambda server, to, asked: to.sendall(answer("200 OK", body=body) if is_list(asked) else answer("404 Not Found"))


def sums(paths: list[str]) -> bytes:
    lines = []
    for path in paths:
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n")
        lines.append(f"{'' if escaped == path else chr(92)}{SHA256}  {escaped}\n")
    return "".join(lines).encode()


def manifest(paths: list[str], **more: object) -> bytes:
    return json.dumps({"files": [{"path": path, "sha256": SHA256, "size": 7} | more for path in paths]}).encode()


def scope(paths: list[str], **more: object) -> bytes:
    files = [{"Path": path, "Type": "blob", "Size": 7, "Sha256": SHA256, "Revision": COMMIT} | more for path in paths]
    return json.dumps({"Code": 200, "Data": {"Files": files}}).encode()


LISTS: dict[str, Callable[[list[str]], bytes]] = {"SHA256SUMS": sums, "manifest": manifest, "ModelScope": scope}


@pytest.mark.parametrize("path", TRAVERSALS)
@pytest.mark.parametrize("kind", KINDS)
def test_name_that_leads_elsewhere_is_refused(start: Start, kind: str, path: str) -> None:
    if kind == "SHA256SUMS" and path.startswith("./"):
        pytest.skip("that is how sha256sum names what lies beside it")
    daemon, server = start(lists(LISTS[kind]([path, "config.json"])))
    refused(pull(daemon, KINDS[kind](server)), TRAVERSALS[path])
    assert all(is_list(asked) for asked in server.requests), "the list was taken for good"


@pytest.mark.parametrize("kind", KINDS)
def test_file_that_is_a_directory_is_refused(start: Start, kind: str) -> None:
    def script(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
        """Every file is there: of a SHA256SUMS the sizes are asked for first."""
        del server
        decent = answer("200 OK", 'ETag: "v1"', length=7)
        to.sendall(answer("200 OK", body=LISTS[kind](["a", "a/b"])) if is_list(asked) else decent)

    daemon, server = start(script)
    refused(pull(daemon, KINDS[kind](server)), "both a file and a directory")


ENTRIES: dict[str, tuple[str, bytes, str]] = {
    "manifest, a digest that is a path": ("manifest", manifest(["a"], sha256="../../escape"), "without a sha256"),
    "manifest, a negative size": ("manifest", manifest(["a"], size=-1), "a size that is none"),
    "manifest, a size of 2^63": ("manifest", manifest(["a"], size=1 << 63), "size"),
    "manifest, sizes whose sum wraps": ("manifest", manifest(["a", "b", "c", "d"], size=(1 << 62) - 1), "size"),
    "manifest, a file twice": ("manifest", manifest(["a", "a"]), "twice"),
    "manifest, lists in lists": ("manifest", b'{"files":' + b"[" * (8 << 20), "nested too deep"),
    "manifest, no files": ("manifest", manifest([]), "no files"),
    "manifest, 100001 files": ("manifest", manifest([f"{n}" for n in range(100_001)]), "100000 files"),
    "SHA256SUMS, a digest twice": ("SHA256SUMS", sums(["a"]) + sums(["a"]).replace(SHA256.encode(), b"0" * 64), "a second digest"),
    "SHA256SUMS, no list": ("SHA256SUMS", b"<html>\x1b[31m" + b"x" * (1 << 20), "line 1 is"),
    "SHA256SUMS, as many as it may hold": ("SHA256SUMS", sums([f"{n:09}" for n in range(400_000)]), "without a size"),
    "ModelScope, a digest that is a path": ("ModelScope", scope(["a"], Sha256="../../escape"), "a sha256 that is none"),
    "ModelScope, a commit that is a path": ("ModelScope", scope(["a"], Sha256="", Revision="../../escape"), "neither a sha256"),
    "ModelScope, a negative size": ("ModelScope", scope(["a"], Size=-1), "without a size"),
    "ModelScope, a size of 2^63": ("ModelScope", scope(["a"], Size=1 << 63), "size"),
    "ModelScope, a file twice": ("ModelScope", scope(["a", "a"]), "twice"),
    "ModelScope, lists in lists": ("ModelScope", b'{"Data":' + b"[" * (8 << 20), "not ModelScope's JSON"),
    "ModelScope, 100001 files": ("ModelScope", scope([f"{n}" for n in range(100_001)]), "after 100000 other files"),
    "ModelScope, millions of files that are none": ("ModelScope", b'{"Data": {"Files": [' + b"{}," * 10_000_000 + b"{}]}}",
                                                    "without a path"),
    "ModelScope, an error": ("ModelScope", json.dumps({"Code": 1, "Message": "\x1b[31m\n" * 9999}).encode(), "with code 1"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_that_can_not_be_is_refused(start: Start, name: str) -> None:
    kind, body, reason = ENTRIES[name]
    daemon, server = start(lists(body))
    refused(pull(daemon, KINDS[kind](server)), reason, kib=KIB_LISTING if len(body) > 1 << 20 else 24 << 10)
    assert all(is_list(asked) for asked in server.requests), "the list was taken for good"


@pytest.mark.parametrize("kind", KINDS)
def test_list_without_end_is_refused(start: Start, kind: str) -> None:
    begins = {"SHA256SUMS": b"", "manifest": b'{"files": [', "ModelScope": b'{"Data": {"Files": ['}
    pieces = {"SHA256SUMS": sums(["a"]), "manifest": manifest(["a"])[11:-2] + b",", "ModelScope": scope(["a"])[33:-3] + b","}
    daemon, server = start(body_without_end(begins[kind], pieces[kind]))
    refused(pull(daemon, KINDS[kind](server)), "longer than 32", seconds=REQUEST, kib=KIB_LISTING)
    assert server.bytes_sent < 128 << 20, "it was read on"


ELSEWHERE = {
    "http://169.254.169.254/latest/meta-data/iam": "link-local",
    "https://127.0.0.2/x": "loopback",
    "//169.254.169.254/x": "link-local",
    "file:///etc/passwd": "can't be followed",
    "http://user:pw@127.0.0.1/x": "can't be followed",
}


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
@pytest.mark.parametrize("url", ELSEWHERE)
def test_file_of_a_manifest_that_lies_elsewhere_is_refused(start: Start, url: str, sized: bool) -> None:
    body = json.loads(manifest(["a.json"], url=url))
    if not sized:
        del body["files"][0]["size"]
    daemon, server = start(lists(json.dumps(body).encode()))
    outcome = pull(daemon, KINDS["manifest"](server))
    refused(outcome, ELSEWHERE[url])
    assert "pw@" not in outcome.error


@pytest.mark.parametrize("kind", KINDS)
def test_list_that_lies_elsewhere_is_refused(start: Start, kind: str) -> None:
    away = answer("302 Found", "Location: http://169.254.169.254/latest/meta-data/iam")
    daemon, server = start(lambda server, to, asked: to.sendall(away))
    refused(pull(daemon, KINDS[kind](server)), "link-local")


@pytest.mark.parametrize("kind", KINDS)
def test_list_that_is_none_is_refused(start: Start, kind: str) -> None:
    reasons = {"SHA256SUMS": "line 1 is", "manifest": "is no JSON", "ModelScope": "not ModelScope's JSON"}
    daemon, server = start(sends(b"<!DOCTYPE html><html>\x1b[31m<body>Sign in</body></html>"))
    refused(pull(daemon, KINDS[kind](server)), reasons[kind])


def test_long_manifest_asked_for_with_a_long_token_takes_no_more_memory(start: Start) -> None:
    """20,000 files and a token of 16 KiB: once for each file would be 320 MB."""
    daemon, server = start(lists(manifest([f"{number}.json" for number in range(20_000)])))
    token = canary("long-" + "t" * (16 << 10))
    outcome = pull(daemon, KINDS["manifest"](server), {"HTTP_TOKEN": token})
    refused(outcome, "HTTP 404", seconds=REQUEST, kib=KIB_LISTING)
    assert MARK not in outcome.error
    assert any(token in asked.head for asked in server.requests), "it was not shown"


def test_bytes_that_are_not_what_a_list_says_are_never_visible(start: Start) -> None:
    other = b"Weights"

    def script(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
        del server
        if is_list(asked):
            to.sendall(answer("200 OK", body=manifest(["a.json"])))
        elif asked.method == "HEAD":
            to.sendall(answer("200 OK", 'ETag: "v1"', length=len(other)))
        else:
            to.sendall(answer("206 Partial Content", 'ETag: "v1"', "Content-Range: bytes 0-6/7", body=other))

    daemon, server = start(script)
    refused(pull(daemon, KINDS["manifest"](server)), SHA256, hashlib.sha256(other).hexdigest(), seconds=30)
    assert not list((daemon.root / "blobs").rglob("?" * 64))
    with daemon.client() as cache, pytest.raises(grpc.RpcError):
        cache.acquire(KINDS["manifest"](server))
