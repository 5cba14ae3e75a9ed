"""Answers without end, or that hardly come: each ends within bounds of time and of memory, which are measured."""

from __future__ import annotations

import socket
from typing import Callable, Iterator

import pytest

from harness.daemon import CacheDaemon
from harness.hostile import GIB, REQUEST, found, headers_without_end, pull, refused, serve
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


KINDS = {
    "web": lambda server: server.url("/model.gguf"),
    "list of files": lambda server: server.url("/model/"),
    "manifest": lambda server: server.url("/model.json#manifest"),
    "hub": lambda server: "hf://org/name",
    "s3": lambda server: "s3://bucket/model",
    "gcs": lambda server: "gs://bucket/model",
    "registry": lambda server: f"oci://127.0.0.1:{server.port}/org/name:v1",
    "modelscope": lambda server: "modelscope://org/name",
}


@pytest.mark.parametrize("kind", KINDS)
def test_headers_without_end_are_refused(new_daemon: NewDaemon, kind: str) -> None:
    with serve(headers_without_end) as server:
        daemon = new_daemon()
        endpoint = {"endpoint": server.url("")}
        daemon.change("sources", allowAddresses=["127.0.0.1"], huggingface=endpoint, s3=endpoint, gcs=endpoint,
                      modelscope=endpoint)
        daemon.start()
        refused(pull(daemon, KINDS[kind](server)), "headers")
        assert server.bytes_sent < 32 << 20, "it was read on"
        assert daemon.answers()


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
