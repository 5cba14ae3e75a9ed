"""What a hostile Hub may list, in every field, and without end."""

from __future__ import annotations

import json
import socket
from typing import Callable, Iterator

import pytest

from harness.daemon import CacheDaemon
from harness.hostile import GIB, KIB_LISTING, REQUEST, TRAVERSALS, HostileHub, entry, pull, refused, sends
from harness.scripted import Asked, ScriptedServer, answer

NewDaemon = Callable[..., CacheDaemon]


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
FIELDS: dict[str, tuple[dict[str, object], list[dict[str, object]], str]] = {
    "path with a NUL": ({}, [entry("escape\0.json")], "control characters"),
    "path of a directory's entry": ({}, [entry("a/../../escape.json")], "'..' component"),
    "commit": ({"sha": "../../../escape"}, [entry("a.json")], "commit"),
    "commit as a path": ({"sha": "/etc/escape"}, [entry("a.json")], "commit"),
    "commit that is none": ({"sha": {"a": 1}}, [entry("a.json")], "commit"),
    "sha256": ({}, [entry("a.json") | {"lfs": {"oid": "../../escape", "size": 7}}], "a.json"),
    "size": ({}, [entry("a.json") | {"size": 1 << 63}], "size"),
    "negative size": ({}, [entry("a.json") | {"size": -1}], "size"),
    "sizes whose sum wraps": ({}, [entry(f"{number}.json") | {"size": 1 << 62, "lfs": None} for number in range(4)], "size"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_field_of_a_hub_that_leads_elsewhere_is_refused(hostile: Hostile, name: str) -> None:
    revision, entries, reason = FIELDS[name]
    hub = HostileHub(sends(json.dumps(entries).encode()), **revision)
    refused(pull(hostile(hub), "hf://org/name"), reason)
    assert hub.files_asked() == [], "the listing was taken for good"


@pytest.mark.parametrize("path", TRAVERSALS)
def test_name_in_a_hub_that_leads_elsewhere_is_refused(hostile: Hostile, path: str) -> None:
    hub = HostileHub(sends(json.dumps([entry(path), entry("config.json")]).encode()))
    refused(pull(hostile(hub), "hf://org/name"), TRAVERSALS[path])
    assert hub.files_asked() == [], "the listing was taken for good"


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
