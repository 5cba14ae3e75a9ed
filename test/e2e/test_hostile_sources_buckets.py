"""What a hostile service of buckets may list, S3's or GCS': names, sizes, pages without end; and what comes of Google's where
the bytes are wrong, or who asks has no right."""

from __future__ import annotations

import json
import socket
from typing import Callable, Iterator
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

import grpc
import pytest

from harness import workspace
from harness.buckets import GcsServer
from harness.daemon import CacheDaemon
from harness.google import ACCOUNT, Damage, GuardedGcs
from harness.hostile import (KIB_LISTING, KIB_SMALL, REQUEST, SERVER, TRAVERSALS, acquire, body_without_end, pull, refused,
                             serve, sends)
from harness.scripted import Asked, ScriptedServer, answer

Start = Callable[[SERVER], tuple[CacheDaemon, ScriptedServer]]
KINDS = {"s3": "s3://bucket/model", "gcs": "gs://bucket/model"}
MOST_PAGES = 2000


@pytest.fixture
def start(new_daemon: Callable[..., CacheDaemon]) -> Iterator[Start]:
    """A daemon whose buckets are at a server with that script."""
    servers: list[ScriptedServer] = []

    def make(script: SERVER) -> tuple[CacheDaemon, ScriptedServer]:
        server = serve(script)
        server.__enter__()  # pylint: disable=unnecessary-dunder-call
        servers.append(server)
        daemon = new_daemon()
        endpoint = {"endpoint": server.url("")}
        daemon.change("sources", allowAddresses=["127.0.0.1"], http={"allowPlain": True}, s3=endpoint, gcs=endpoint)
        daemon.start()
        return daemon, server

    yield make
    for server in servers:
        server.__exit__(None, None, None)


def s3_page(keys: list[str], following: str = "", size: object = 7, etag: str = '"e"') -> bytes:
    contents = "".join(f"<Contents><Key>{escape(quote(key))}</Key><Size>{size}</Size><ETag>{escape(etag)}</ETag></Contents>"
                       for key in keys)
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{following}</NextContinuationToken>" if following else ""
    return f"<ListBucketResult><EncodingType>url</EncodingType>{more}{contents}</ListBucketResult>".encode()


def gcs_page(keys: list[str], following: str = "", size: object = 7, generation: object = "1") -> bytes:
    items = [{"name": key, "size": str(size), "generation": generation} for key in keys]
    return json.dumps({"items": items} | ({"nextPageToken": following} if following else {})).encode()


PAGES = {"s3": s3_page, "gcs": gcs_page}


def is_list(asked: Asked) -> bool:
    query = parse_qs(urlsplit(asked.target).query)
    return "list-type" in query or "maxResults" in query


def lists(page: Callable[[str], bytes]) -> SERVER:
    """Answers lists by `page`, of the token that the question has; nothing else is there."""
    def script(server: ScriptedServer, to: socket.socket, asked: Asked) -> None:
        del server
        query = parse_qs(urlsplit(asked.target).query)
        token = (query.get("continuation-token") or query.get("pageToken") or ["0"])[0]
        to.sendall(answer("200 OK", body=page(token)) if is_list(asked) else answer("404 Not Found"))

    return script


@pytest.mark.parametrize("path", TRAVERSALS)
@pytest.mark.parametrize("kind", KINDS)
def test_key_that_leads_elsewhere_is_refused(start: Start, kind: str, path: str) -> None:
    daemon, server = start(lists(lambda token: PAGES[kind](["model/" + path, "model/config.json"])))
    refused(pull(daemon, KINDS[kind]), TRAVERSALS[path])
    assert all(is_list(asked) for asked in server.requests), "the listing was taken for good"


@pytest.mark.parametrize("kind", KINDS)
def test_key_that_is_not_below_the_prefix_is_refused(start: Start, kind: str) -> None:
    daemon, server = start(lists(lambda token: PAGES[kind](["elsewhere/escape.json"])))
    refused(pull(daemon, KINDS[kind]), "isn't below 'model/'")
    assert all(is_list(asked) for asked in server.requests)


OBJECTS: dict[str, tuple[str, bytes, str]] = {
    "s3, a key that can't be decoded": ("s3", s3_page(["model/a"]).replace(b"model/a", b"model/%zz"), "a broken escape"),
    "s3, a negative size": ("s3", s3_page(["model/a"], size=-1), "without a possible size"),
    "s3, a size of 2^63": ("s3", s3_page(["model/a"], size=1 << 63), "without a possible size"),
    "s3, an ETag that ends a header": ("s3", s3_page(["model/a"], etag="e\r\nX: y"), "without an ETag"),
    "s3, an ETag of 7 MiB": ("s3", s3_page(["model/a"], etag="e" * (7 << 20)), "without an ETag"),
    "s3, a key of 2 MiB": ("s3", s3_page(["model/" + "k" * (2 << 20)]), "impossible key"),
    "s3, a key twice": ("s3", s3_page(["model/a", "model/a"]), "twice"),
    "s3, a file that is a directory": ("s3", s3_page(["model/a", "model/a/b"]), "both a file and a directory"),
    "s3, a page of elements in elements": ("s3", b"<a>" * (2 << 20), "more in it than a page holds"),
    "s3, a page of empty elements": ("s3", b"<ListBucketResult>" + b"<a/>" * (1 << 20) + b"</ListBucketResult>",
                                     "more in it than a page holds"),
    "gcs, a negative size": ("gcs", gcs_page(["model/a"], size=-1), "without a possible size"),
    "gcs, a generation that goes on": ("gcs", gcs_page(["model/a"], generation="1&x=y"), "without a generation"),
    "gcs, a name of 2 MiB": ("gcs", gcs_page(["model/" + "k" * (2 << 20)]), "impossible name"),
    "gcs, a page of lists in lists": ("gcs", b"[" * (7 << 20), "no JSON object"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_object_that_can_not_be_is_refused(start: Start, name: str) -> None:
    kind, page, reason = OBJECTS[name]
    daemon, server = start(lists(lambda token: page))
    refused(pull(daemon, KINDS[kind]), reason, kib=KIB_LISTING if len(page) > 1 << 20 else 24 << 10)
    assert all(is_list(asked) for asked in server.requests)


@pytest.mark.parametrize("kind", KINDS)
def test_page_without_end_is_refused(start: Start, kind: str) -> None:
    daemon, server = start(body_without_end(b"<ListBucketResult>" if kind == "s3" else b"{\"items\": [", b" "))
    refused(pull(daemon, KINDS[kind]), "longer than 8", kib=KIB_LISTING)
    assert server.bytes_sent < 32 << 20, "it was read on"


@pytest.mark.parametrize("kind", KINDS)
def test_list_without_end_is_refused(start: Start, kind: str) -> None:
    """An object a page."""
    daemon, server = start(lists(lambda token: PAGES[kind]([f"model/{token}"], str(int(token) + 1))))
    refused(pull(daemon, KINDS[kind]), "doesn't end", seconds=REQUEST)
    assert len(server.requests) <= MOST_PAGES + 1


@pytest.mark.parametrize("kind", KINDS)
def test_list_that_goes_round_is_refused(start: Start, kind: str) -> None:
    daemon, server = start(lists(lambda token: PAGES[kind]([], "1")))
    refused(pull(daemon, KINDS[kind]), "doesn't end")
    assert len(server.requests) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_long_names_without_end_is_refused(start: Start, kind: str) -> None:
    """Each name is as long as a key may be, each page has as many as a page has."""
    deep = "/".join(["d" * 240] * 4)

    def page(token: str) -> bytes:
        return PAGES[kind]([f"model/{deep}/{token}-{number}" for number in range(1000)], str(int(token) + 1))

    daemon, server = start(lists(page))
    refused(pull(daemon, KINDS[kind]), "doesn't end", seconds=REQUEST, kib=KIB_LISTING)
    assert len(server.requests) <= MOST_PAGES


def test_error_of_a_service_changes_no_terminal(start: Start) -> None:
    said = b"<Error><Code>Access&#27;[31mDenied</Code><Message>" + b"a&#10;b" * 100_000 + b"</Message></Error>"
    daemon, _ = start(lambda server, to, asked: to.sendall(answer("403 Forbidden", body=said)))
    refused(pull(daemon, KINDS["s3"]), "it is not public")
    json_said = json.dumps({"error": {"message": "a\x1b[31m\n" * 10_000}}).encode()
    daemon, _ = start(lambda server, to, asked: to.sendall(answer("403 Forbidden", body=json_said)))
    refused(pull(daemon, KINDS["gcs"]), "it is not public")


def test_page_that_is_none_is_refused(start: Start) -> None:
    for kind, reason in (("s3", "no list of a bucket"), ("gcs", "no JSON object")):
        daemon, _ = start(sends(b"<!DOCTYPE html><html>\x1b[31m<body>Sign in</body></html>"))
        refused(pull(daemon, KINDS[kind]), reason)


@pytest.fixture(scope="module")
def guard(_namespace: None) -> Iterator[GuardedGcs]:
    directory = workspace.directory() / "guarded-gcs"
    directory.mkdir()
    running = GuardedGcs(directory)
    yield running
    running.stop()


@pytest.fixture
def of_google(new_daemon: Callable[..., CacheDaemon], guard: GuardedGcs) -> CacheDaemon:
    made = new_daemon()
    made.change("sources", allowAddresses=[], gcs={"endpoint": guard.url})
    made.start()
    return made


GOOGLE = f"gs://{GcsServer.BUCKET}"


@pytest.mark.parametrize("at", [0, 4_321_000, 8_999_999])
def test_bytes_that_are_not_an_objects_checksum_are_never_visible(of_google: CacheDaemon, guard: GuardedGcs, at: int) -> None:
    name, content = f"damaged-{at}/model.bin", bytes(range(250)) * 36_000
    guard.storage.put(name, content)
    guard.damage, guard.damaged = Damage(name, at), 0
    model, secret = f"{GOOGLE}/damaged-{at}", {ACCOUNT: guard.reader.json}
    refused(acquire(of_google, model, secret), "model.bin", "digest mismatch", "want crc32c:", seconds=REQUEST,
            kib=KIB_SMALL + (16 << 10))
    assert guard.damaged == 2, "it is fetched exactly twice"
    assert not list((of_google.root / "blobs").rglob("?" * 64)) and not any((of_google.root / "trees/files").iterdir())
    guard.damage = None
    with of_google.client() as cache:
        ready = cache.acquire(model, credentials=secret)
    assert (of_google.root / ready.tree / "model.bin").read_bytes() == content


REFUSED: dict[str, tuple[Callable[[GuardedGcs], dict[str, str]], str, str]] = {
    "nobody": (lambda guard: {}, "UNAUTHENTICATED", "it is not public"),
    "an account without the right": (lambda guard: {ACCOUNT: guard.other.json}, "PERMISSION_DENIED",
                                     "this account may not read it"),
    "an account by another's name": (lambda guard: {ACCOUNT: guard.forger.json}, "UNAUTHENTICATED",
                                     "is the account there and its key valid?"),
    "an account without a key": (lambda guard: {ACCOUNT: json.dumps(json.loads(guard.reader.json) | {"private_key": "x"})},
                                 "UNAUTHENTICATED", "no RSA key in PEM"),
}


@pytest.mark.parametrize("cached", [False, True], ids=["cold", "cached"])
@pytest.mark.parametrize("who", REFUSED)
def test_caller_without_the_right_to_a_bucket_is_refused(of_google: CacheDaemon, guard: GuardedGcs, who: str,
                                                         cached: bool) -> None:
    secret, code, reason = REFUSED[who]
    guard.storage.put("shut/model.bin", b"weights")
    if cached:
        with of_google.client() as cache:
            cache.acquire(f"{GOOGLE}/shut", credentials={ACCOUNT: guard.reader.json})
    outcome = acquire(of_google, f"{GOOGLE}/shut", secret(guard))
    refused(outcome, reason)
    assert outcome.status == grpc.StatusCode[code].value[0], outcome


def test_public_object_of_google_needs_no_account(of_google: CacheDaemon, guard: GuardedGcs) -> None:
    guard.storage.put("open/model.bin", b"weights")
    before = len(guard.grants)
    with of_google.client() as cache:
        ready = cache.acquire(f"{GOOGLE}/open")
    assert (of_google.root / ready.tree / "model.bin").read_bytes() == b"weights"
    assert len(guard.grants) == before
