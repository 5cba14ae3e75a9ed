"""Where a hostile server, or whoever names one, may lead: each way is refused within bounds of time and of memory, which are
measured."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness import workspace
from harness.daemon import CacheDaemon
from harness.hostile import GIB, REQUEST, found, pull, refused, serve
from harness.hostile_bytes import BYTES, CONTENT, serves_the_bytes
from harness.names import Names
from harness.private_network import TlsServer, private_network
from harness.registry import make_certificate
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
    "metadata over https": ("https://169.254.169.254/latest/meta-data/iam", "link-local"),
    "metadata by its name over https": ("https://metadata.test/computeMetadata/v1/instance", "link-local"),
    "metadata in IPv6 over https": ("https://[fd00:ec2::254]/latest", "metadata"),
    "loopback over https": ("https://127.0.0.2/x", "loopback"),
    "loopback by its name over https": ("https://four.test/x", "loopback"),
    "loopback in IPv6 by its name over https": ("https://six.test/x", "loopback"),
    "this host over https": ("https://0.0.0.0/x", "unspecified"),
    "a name of two addresses, both elsewhere, over https": ("https://both.test/x", "refused"),
}
NAMES = {"metadata_test": "169.254.169.254", "four_test": "127.0.0.2", "six_test": "::1", "private_test": "10.1.2.3",
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


def test_private_address_is_asked_over_https_and_only_whoever_proves_the_name(new_daemon: NewDaemon, names: Names,
                                                                              tmp_path: Path) -> None:
    """Over plain http it isn't asked at all; over https nobody but the one with the name's certificate gets a request."""
    del names
    for name in ("private.test", "both.test"):
        make_certificate(tmp_path / f"{name}.key", tmp_path / name, "-addext", f"subjectAltName=DNS:{name}")
    trusted = workspace.directory() / "private-authorities.pem"
    trusted.write_text("".join((tmp_path / name).read_text() for name in ("private.test", "both.test")))

    def server(certificate: str) -> TlsServer:
        return TlsServer(serves_the_bytes, "10.1.2.3", tmp_path / certificate, tmp_path / f"{certificate}.key")

    def https(at: ScriptedServer, host: str = "private.test") -> str:
        return at.url("/a.bin", host).replace("http:", "https:")

    with private_network("10.1.2.3"):
        daemon = new_daemon()
        daemon.change("sources", allowAddresses=[], http={"allowPlain": True}, caFile=str(trusted))
        daemon.start()
        with server("private.test") as proven, server("both.test") as other:
            pulled = daemon.cli("pull", "--output", "json", https(proven), check=False)
            assert pulled.returncode == 0 and proven.requests, pulled.stderr
            assert (Path(json.loads(pulled.stdout)["tree"]) / "a.bin").read_bytes() == CONTENT
            refused(pull(daemon, https(other)), "certificate")
            assert other.connections > 0 and not other.requests, "what it was asked went to another"
        with ScriptedServer(serves_the_bytes, "10.1.2.3") as plain:
            refused(pull(daemon, plain.url("/a.bin", "private.test")), "10.1.2.3, a private address over plain http")
            assert plain.connections == 0
        daemon.stop()


LEADS = {
    "the metadata service": ("http://169.254.169.254/latest/meta-data/iam", "link-local"),
    "the metadata service over https": ("https://169.254.169.254/latest/meta-data/iam", "link-local"),
    "another loopback": ("http://127.0.0.2:{port}/a.bin", "loopback"),
    "another loopback by its name": ("http://four.test:{port}/a.bin", "loopback"),
    "localhost": ("http://localhost:{port}/a.bin", "loopback"),
    "a file": ("file:///etc/passwd", "can't be followed"),
}
NOT_FOLLOWED = ("HTTP 307", "it refuses the request", "a redirect, where a location is final")
SEVERAL_TRIES = 30.0  # seconds, of what a fill takes for the source's trouble


def _ways() -> Iterator[tuple[str, str]]:
    """All that tell more than those before: what a fill tries again for a while is tried once of each kind."""
    for kind, source in BYTES.items():
        for lead in LEADS:
            allowed = lead == "localhost" and not source.endpoint  # where the source itself is
            tried_again = lead == "a file" and kind in ("a Hub's file", "a registry's blob")
            known = kind == "a web server's file" and lead != "another loopback"
            if not allowed and not tried_again and not known:
                yield kind, lead


@pytest.mark.parametrize("kind,lead", list(_ways()))
def test_no_redirect_of_a_files_bytes_leads_elsewhere(new_daemon: NewDaemon, names: Names, kind: str, lead: str) -> None:
    """The list is decent, and who is sent to has the very bytes: nobody may ask there."""
    del names
    location, reason = LEADS[lead]
    source = BYTES[kind]
    host = "127.0.0.1" if lead == "localhost" else "127.0.0.2"
    with ScriptedServer(serves_the_bytes, host) as victim:
        with serve(source.script(location.format(port=victim.port))) as server:
            daemon = new_daemon()
            daemon.change("sources", **source.settings(server))
            daemon.start()
            outcome = pull(daemon, source.uri.format(port=server.port))
            refused(outcome, *([reason] if source.followed else []), seconds=SEVERAL_TRIES)
            assert source.followed or any(words in outcome.error for words in NOT_FOLLOWED), outcome
        assert victim.connections == 0
        assert daemon.answers(), "it doesn't answer any more"


@pytest.mark.parametrize("kind", [kind for kind in BYTES if BYTES[kind].followed])
def test_redirect_of_a_files_bytes_leads_where_an_admin_says(new_daemon: NewDaemon, kind: str) -> None:
    """Else the tests above would show nothing."""
    source = BYTES[kind]
    with ScriptedServer(serves_the_bytes, "127.0.0.2") as content:
        with serve(source.script(content.url("/a.bin", "127.0.0.2"))) as server:
            daemon = new_daemon()
            daemon.change("sources", **source.settings(server) | {"allowAddresses": ["127.0.0.0/8"]})
            daemon.start()
            pulled = daemon.cli("pull", "--output", "json", source.uri.format(port=server.port), check=False)
            assert pulled.returncode == 0, pulled.stderr
            assert (Path(json.loads(pulled.stdout)["tree"]) / "a.bin").read_bytes() == CONTENT
        assert content.requests


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
