"""Where a hostile server, or whoever names one, may lead: each way is refused within bounds of time and of memory, which are
measured."""

from __future__ import annotations

import hashlib
import socket
from typing import Callable, Iterator

import pytest

from harness.daemon import CacheDaemon
from harness.hostile import GIB, REQUEST, found, pull, refused
from harness.names import Names
from harness.scripted import Asked, ScriptedServer, answer

NewDaemon = Callable[..., CacheDaemon]


@pytest.fixture
def daemon(new_daemon: NewDaemon) -> Iterator[CacheDaemon]:
    """One that lets plain http be used, and the loopback by its IPv4 addresses' first one only."""
    daemon = new_daemon()
    daemon.settings["sources"] |= {"http": {"allowPlain": True}, "allowAddresses": ["127.0.0.1"]}
    daemon.change("log", level="debug")
    daemon.start()
    yield daemon
    assert daemon.answers(), "it doesn't answer any more"


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


NOWHERE = "answers a redirect that can't be followed"
LOCATIONS = {
    "file:///etc/passwd": NOWHERE,
    "ftp://127.0.0.1/x": NOWHERE,
    "gopher://127.0.0.1/x": NOWHERE,
    "dict://h/x": NOWHERE,
    "//": NOWHERE,
    "http://": NOWHERE,
    "http://user:pw@127.0.0.1/": NOWHERE,
    "javascript:alert(1)": NOWHERE,
    "\x01": "more than 5 redirects",  # the name of a file, which leads there again
}


@pytest.mark.parametrize("location", LOCATIONS)
def test_no_redirect_leads_to_another_scheme(daemon: CacheDaemon, location: str) -> None:
    with ScriptedServer(lambda to, asked: to.sendall(answer("302 Found", f"Location: {location}"))) as server:
        outcome = pull(daemon, server.url("/model.gguf"))
        refused(outcome, f"127.0.0.1:{server.port}", LOCATIONS[location])
        assert "pw@" not in outcome.error


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


ESCAPES = ["/dir/%2e%2e", "/..%2fescape", "/a%2fescape", "/%2fetc%2fescape", "/a%5c..%5cescape", "/escape%00.json",
              "/escape%0a.json", "/escape%1b%5b31m"]


@pytest.mark.parametrize("path", ESCAPES)
def test_file_of_a_url_whose_name_leads_elsewhere_is_refused(daemon: CacheDaemon, path: str) -> None:
    with ScriptedServer(lambda to, asked: to.sendall(found(asked))) as server:
        outcome = pull(daemon, server.url(path))
        refused(outcome)
        assert server.requests == [], "it is refused before anybody is asked"


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
