"""What a hostile server, or whoever names one, can try: each is refused within bounds of time and of memory, which are
measured."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

import pytest

from harness import workspace
from harness.daemon import CacheDaemon
from harness.names import Names
from harness.scripted import Asked, ScriptedServer, answer

NewDaemon = Callable[..., CacheDaemon]
GIB = 1 << 30
QUICK = 10.0  # seconds, of what needs no timeout; with room for a machine that does other things
REQUEST = 75.0  # of what ends with a request's own minute
KIB_SMALL = 24 << 10  # KiB of memory that what is small may take at its peak, of all together
KIB_LISTING = 200 << 10  # what a listing of 64 MiB may


class Outcome(NamedTuple):
    """How the command line ended, and what that cost."""

    status: int
    error: str
    seconds: float
    peak_kib: int
    """By how much the daemon's peak of resident memory was above what it had before."""


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> Iterator[CacheDaemon]:
    """One that lets plain http be used, and the loopback by its IPv4 addresses' first one only."""
    daemon = new_daemon()
    daemon.settings["sources"] |= {"http": {"allowPlain": True}, "allowAddresses": ["127.0.0.1"]}
    daemon.change("log", level="debug")
    daemon.start()
    yield daemon
    assert daemon.answers(), "it doesn't answer any more"


def _memory(daemon: CacheDaemon, field: str) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    match = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert match is not None
    return int(match[1])


def pull(daemon: CacheDaemon, model: str) -> Outcome:
    """One pull that must fail; nothing of it may stay."""
    Path(f"/proc/{daemon.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before, begun = _memory(daemon, "VmRSS"), time.monotonic()
    done = daemon.cli("pull", "--quiet", model, check=False)
    seconds = time.monotonic() - begun
    outcome = Outcome(done.returncode, done.stderr, seconds, _memory(daemon, "VmHWM") - before)
    print(f"{model}: {seconds:.1f} s, {outcome.peak_kib} KiB: {done.stderr.strip()}")
    assert outcome.status != 0, "it was served"
    assert list(workspace.directory().rglob("escape*")) == []
    return outcome


def refused(outcome: Outcome, *reasons: str, seconds: float = QUICK, kib: int = KIB_SMALL) -> None:
    for reason in reasons:
        assert reason in outcome.error, outcome
    assert outcome.seconds < seconds, outcome
    assert outcome.peak_kib < kib, outcome


def found(asked: Asked, *headers: str, body: bytes = b"weights") -> bytes:
    """A file, as a decent server has it."""
    sent = b"" if asked.method == "HEAD" else body
    return answer("200 OK", "ETag: \"v1\"", *headers, body=sent, length=len(body))


# Where sources may be

ELSEWHERE = {
    "metadata": ("http://169.254.169.254/latest/meta-data/iam", "link-local"),
    "metadata by its name": ("http://metadata.test/computeMetadata/v1/instance", "link-local"),
    "metadata in IPv6": ("http://[fd00:ec2::254]/latest", "metadata"),
    "metadata as one number": ("http://2852039166/latest/x", "link-local"),
    "metadata mapped to IPv6": ("http://[::ffff:169.254.169.254]/latest/x", "link-local"),
    "loopback": ("http://127.0.0.2/x", "loopback"),
    "loopback in IPv6": ("http://[::1]/x", "loopback"),
    "loopback by its name": ("http://six.test/x", "loopback"),
    "this host": ("http://0.0.0.0/x", "unspecified"),
    "a name that is private": ("http://private.test/x", "10.1.2.3, a private address over plain http"),
    "a name of two addresses, both elsewhere": ("http://both.test/x", "refused"),
    "multicast": ("http://224.0.0.1/x", "multicast"),
    "broadcast": ("http://255.255.255.255/x", "reserved"),
}
NAMES = {"metadata_test": "169.254.169.254", "six_test": "::1", "private_test": "10.1.2.3",
         "both_test": "169.254.169.254 127.0.0.3"}


@pytest.fixture
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    with Names(tmp_path_factory.mktemp("names"), **NAMES) as names:
        yield names


@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_model_is_asked_for_elsewhere(daemon: CacheDaemon, names: Names, name: str) -> None:
    del names
    url, reason = ELSEWHERE[name]
    refused(pull(daemon, url), reason, "sources.allowAddresses")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_redirect_leads_elsewhere(daemon: CacheDaemon, names: Names, name: str) -> None:
    del names
    url, reason = ELSEWHERE[name]
    with ScriptedServer(lambda to, asked: to.sendall(answer("302 Found", f"Location: {url}"))) as server:
        refused(pull(daemon, server.url("/model.gguf")), reason, "sources.allowAddresses")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "dict://h/x",
                                      "javascript:alert(1)", "//", "http://", "http://user:pw@127.0.0.1/", "\x01"])
def test_no_redirect_leads_to_another_scheme(daemon: CacheDaemon, location: str) -> None:
    with ScriptedServer(lambda to, asked: to.sendall(answer("302 Found", f"Location: {location}"))) as server:
        refused(pull(daemon, server.url("/model.gguf")), f"127.0.0.1:{server.port}")


def test_name_that_means_another_address_a_moment_later_gains_nothing(daemon: CacheDaemon, names: Names) -> None:
    """The listing is asked of a server that is allowed; when the bytes are fetched, the name is somebody else's."""
    names.mean("rebind.test", "127.0.0.1")

    def rebind(to: socket.socket, asked: Asked) -> None:
        names.mean("rebind.test", "127.0.0.3")
        to.sendall(found(asked))

    with ScriptedServer(rebind) as server, ScriptedServer(lambda to, asked: to.sendall(found(asked)), "127.0.0.3",
                                                          server.port) as victim:
        refused(pull(daemon, server.url("/model.gguf", "rebind.test")), "127.0.0.3, a loopback address")
        assert server.requests and victim.connections == 0


def test_address_is_judged_again_once_the_configuration_changed(daemon: CacheDaemon) -> None:
    with ScriptedServer(lambda to, asked: to.sendall(found(asked))) as server:
        assert daemon.cli("inspect", server.url("/model.gguf")).returncode == 0
        daemon.change("sources", allowAddresses=[])
        daemon.process.wait_ready(lambda: "refused" in daemon.cli("inspect", server.url("/model.gguf"), check=False).stderr)
        asked = len(server.requests)
        refused(pull(daemon, server.url("/model.gguf")), "a loopback address")
        assert len(server.requests) == asked, "the kept connection was used"


# Names

TRAVERSALS = ["/dir/%2e%2e", "/..%2fescape", "/a%2fescape", "/%2fetc%2fescape", "/a%5c..%5cescape", "/escape%00.json",
              "/escape%0a.json", "/escape%1b%5b31m"]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_file_of_a_url_whose_name_leads_elsewhere_is_refused(daemon: CacheDaemon, path: str) -> None:
    with ScriptedServer(lambda to, asked: to.sendall(found(asked))) as server:
        outcome = pull(daemon, server.url(path))
        refused(outcome)
        assert server.requests == [], "it is refused before anybody is asked"


class HostileHub:
    """A Hub whose revision is decent, and whose tree is what `tree` sends."""

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, tree: Callable[[ScriptedServer, socket.socket, Asked], None], **revision: object) -> None:
        self._tree = tree
        self._revision = {"sha": self.COMMIT, "gated": False} | revision
        self.server = ScriptedServer(self._answer)

    def _answer(self, to: socket.socket, asked: Asked) -> None:
        if "/revision/" in asked.target:
            to.sendall(answer("200 OK", body=json.dumps(self._revision).encode()))
        else:
            self._tree(self.server, to, asked)


def entry(path: str, body: bytes = b"weights") -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(body), "oid": hashlib.sha1(b"").hexdigest(),
            "lfs": {"oid": hashlib.sha256(body).hexdigest(), "size": len(body)}}


@pytest.fixture
def hostile(new_daemon: NewDaemon) -> Iterator[Callable[[HostileHub], CacheDaemon]]:
    """Starts a daemon whose Hub is the hostile one."""
    hubs: list[HostileHub] = []

    def start(hub: HostileHub) -> CacheDaemon:
        hub.server.__enter__()  # pylint: disable=unnecessary-dunder-call
        hubs.append(hub)
        daemon = new_daemon()
        daemon.change("sources", huggingface={"endpoint": hub.server.url("")}, allowAddresses=["127.0.0.1"])
        daemon.start()
        return daemon

    yield start
    for hub in hubs:
        hub.server.__exit__(None, None, None)


Hostile = Callable[[HostileHub], CacheDaemon]
FIELDS = {
    "path": ({}, [entry("../escape.json")]),
    "path with a NUL": ({}, [entry("escape\0.json")]),
    "path of a directory's entry": ({}, [entry("a/../../escape.json")]),
    "commit": ({"sha": "../../../escape"}, [entry("a.json")]),
    "commit as a path": ({"sha": "/etc/escape"}, [entry("a.json")]),
    "commit that is none": ({"sha": {"a": 1}}, [entry("a.json")]),
    "sha256": ({}, [entry("a.json") | {"lfs": {"oid": "../../escape", "size": 7}}]),
    "size": ({}, [entry("a.json") | {"size": 1 << 63}]),
    "negative size": ({}, [entry("a.json") | {"size": -1}]),
    "sizes whose sum wraps": ({}, [entry(f"{number}.json") | {"size": 1 << 62, "lfs": None} for number in range(4)]),
}


@pytest.mark.parametrize("name", FIELDS)
def test_field_of_a_hub_that_leads_elsewhere_is_refused(hostile: Hostile, name: str) -> None:
    revision, entries = FIELDS[name]
    body = json.dumps(entries).encode()
    daemon = hostile(HostileHub(lambda server, to, asked: to.sendall(answer("200 OK", body=body)), **revision))
    refused(pull(daemon, "hf://org/name"))


# Without end

def test_headers_without_end_are_refused(daemon: CacheDaemon) -> None:
    def headers(to: socket.socket, asked: Asked) -> None:
        del asked
        to.sendall(b"HTTP/1.1 200 OK\r\n")
        server.send_for_ever(to, b"X-Endless: " + b"x" * 1000 + b"\r\n", 10 * GIB)

    with ScriptedServer(headers) as server:
        refused(pull(daemon, server.url("/model.gguf")), "headers")
        assert server.bytes_sent < 16 << 20, "it was read on"


def test_one_header_without_end_is_refused(daemon: CacheDaemon) -> None:
    def header(to: socket.socket, asked: Asked) -> None:
        del asked
        to.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        server.send_for_ever(to, b"x" * 65536, 10 * GIB)

    with ScriptedServer(header) as server:
        refused(pull(daemon, server.url("/model.gguf")), "headers")
        assert server.bytes_sent < 16 << 20, "it was read on"


def test_interim_answers_without_end_are_refused(daemon: CacheDaemon) -> None:
    def hints(to: socket.socket, asked: Asked) -> None:
        del asked
        server.send_for_ever(to, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 10 * GIB)

    with ScriptedServer(hints) as server:
        refused(pull(daemon, server.url("/model.gguf")), "headers")
        assert server.bytes_sent < 16 << 20, "it was read on"


def test_headers_of_the_bytes_without_end_are_refused(daemon: CacheDaemon) -> None:
    """The file is listed decently; what is endless comes with its bytes."""
    def headers(to: socket.socket, asked: Asked) -> None:
        if asked.method == "HEAD":
            return to.sendall(found(asked))
        to.sendall(b"HTTP/1.1 206 Partial Content\r\n")
        return server.send_for_ever(to, b"X-Endless: " + b"x" * 1000 + b"\r\n", 10 * GIB)

    with ScriptedServer(headers) as server:
        refused(pull(daemon, server.url("/model.gguf")), "headers", seconds=REQUEST)


def test_redirects_without_end_are_refused(daemon: CacheDaemon) -> None:
    def onward(to: socket.socket, asked: Asked) -> None:
        to.sendall(answer("302 Found", f"Location: {asked.target}x"))

    with ScriptedServer(onward) as server:
        refused(pull(daemon, server.url("/model.gguf")), "more than 5 redirects")
        assert len(server.requests) <= 12


def test_page_without_end_is_refused(hostile: Hostile) -> None:
    piece = json.dumps(entry("some/file.json"), separators=(",", ":")).encode() + b","

    def tree(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
        del asked
        to.sendall(b"HTTP/1.1 200 OK\r\n\r\n[")
        server.send_for_ever(to, piece * 500, 10 * GIB)

    hub = HostileHub(tree)
    refused(pull(hostile(hub), "hf://org/name"), "longer than 64", seconds=REQUEST, kib=KIB_LISTING)
    assert hub.server.bytes_sent < 128 << 20, "it was read on"


def test_pages_without_end_are_refused(hostile: Hostile) -> None:
    def tree(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
        cursor = int(asked.target.rpartition("cursor=")[2]) if "cursor=" in asked.target else 0
        path = asked.target.split("?")[0]
        link = f"Link: <{server.url(path)}?recursive=true&cursor={cursor + 1}>; rel=\"next\""
        to.sendall(answer("200 OK", link, body=b"[]"))

    hub = HostileHub(tree)
    refused(pull(hostile(hub), "hf://org/name"), "pages", seconds=REQUEST)
    assert len(hub.server.requests) < 2100


def test_pages_of_more_files_than_are_served_are_refused(hostile: Hostile) -> None:
    def tree(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
        cursor = int(asked.target.rpartition("cursor=")[2]) if "cursor=" in asked.target else 0
        path = asked.target.split("?")[0]
        body = json.dumps([entry(f"{cursor}/{number}.json") for number in range(5000)]).encode()
        link = f"Link: <{server.url(path)}?recursive=true&cursor={cursor + 1}>; rel=\"next\""
        to.sendall(answer("200 OK", link, body=body))

    refused(pull(hostile(HostileHub(tree)), "hf://org/name"), "100000 files", seconds=REQUEST, kib=KIB_LISTING)


def test_headers_that_drip_end_with_the_requests_minute(daemon: CacheDaemon) -> None:
    def drip(to: socket.socket, asked: Asked) -> None:
        del asked
        server.drip(to, b"HTTP/1.1 200 OK\r\n" + b"X-Slow: x\r\n" * 10_000, 0.2)

    with ScriptedServer(drip) as server:
        refused(pull(daemon, server.url("/model.gguf")), "in time", seconds=REQUEST)


def test_headers_of_the_bytes_that_drip_end_with_the_stall_timeout(daemon: CacheDaemon) -> None:
    daemon.change("fill", stallTimeout="1s")
    daemon.process.wait_ready(lambda: "fill.stallTimeout" in daemon.log.read_text())

    def drip(to: socket.socket, asked: Asked) -> None:
        if asked.method == "HEAD":
            return to.sendall(found(asked))
        return server.drip(to, b"HTTP/1.1 206 Partial Content\r\n" + b"X-Slow: x\r\n" * 10_000, 0.2)

    with ScriptedServer(drip) as server:
        refused(pull(daemon, server.url("/model.gguf")), "nothing came", seconds=REQUEST)


# Lies

def test_bytes_that_are_not_what_was_announced_are_never_visible(daemon: CacheDaemon) -> None:
    body = b"other weights"

    def serve(to: socket.socket, asked: Asked) -> None:
        if asked.method == "HEAD":
            return to.sendall(found(asked, body=body))
        return to.sendall(answer("206 Partial Content", "ETag: \"v1\"",
                                 f"Content-Range: bytes 0-{len(body) - 1}/{len(body)}", body=body))

    announced, true = hashlib.sha256(b"the weights").hexdigest(), hashlib.sha256(body).hexdigest()
    with ScriptedServer(serve) as server:
        refused(pull(daemon, f"{server.url('/model.gguf')}#sha256={announced}"), announced, true)
        fetched = [asked for asked in server.requests if asked.method == "GET"]
        assert len(fetched) == 2, "it is tried exactly twice"
    assert not list((daemon.root / "blobs").rglob("?" * 64))


def test_file_that_never_ends_is_cut_at_its_size(daemon: CacheDaemon) -> None:
    def serve(to: socket.socket, asked: Asked) -> None:
        if asked.method == "HEAD":
            return to.sendall(answer("200 OK", "ETag: \"v1\"", length=1000))
        to.sendall(b"HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes 0-999/1000\r\n\r\n")
        return server.send_for_ever(to, b"x" * 65536, 10 * GIB)

    with ScriptedServer(serve) as server:
        refused(pull(daemon, server.url("/model.gguf")), "1000 bytes", seconds=REQUEST)
        assert server.bytes_sent < 256 << 20, "it was read on"
