"""Every fault does what it says, to the requests it names and to no others."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import REPO, SHARD, RunningHub, fetch


@pytest.fixture
def content(models: Path) -> bytes:
    """The true bytes of the shard."""
    return (models / REPO / SHARD).read_bytes()


def on_cdn(kind: str, times: int = -1, **keys: Any) -> dict[str, Any]:
    """A rule for everything on the CDN."""
    return {"side": "cdn", "times": times, "action": {"kind": kind, **keys}}


def test_status_comes_with_its_headers_as_often_as_told(hub: RunningHub) -> None:
    hub.faults({"side": "hub", "path": "/api/models", "skip": 1, "times": 2,
                "action": {"kind": "status", "status": 429, "headers": {"Retry-After": "7"}, "body": "slow"}})
    answers = [hub.get(f"/api/models/{REPO}") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 429, 429, 200]
    assert (answers[1].headers["Retry-After"], answers[1].body) == ("7", b"slow")


def test_a_rule_acts_only_on_its_side_path_and_method(hub: RunningHub) -> None:
    hub.faults({"side": "hub", "path": SHARD, "method": "GET", "action": {"kind": "status", "status": 500}},
               {"side": "cdn", "path": f"{REPO}/model-00002", "action": {"kind": "status", "status": 502}})
    assert hub.get(f"/{REPO}/resolve/main/{SHARD}").status == 500
    assert hub.get(f"/{REPO}/resolve/main/{SHARD}", "HEAD").status == 302
    assert fetch(hub.get(f"/{REPO}/resolve/main/{SHARD}", "HEAD").headers["Location"]).status == 200
    assert fetch(hub.signed_url("model-00002-of-00002.safetensors")).status == 502


@pytest.mark.parametrize("reset", [False, True])
def test_cut_ends_the_connection_after_so_many_bytes(hub: RunningHub, content: bytes, reset: bool) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("cut", 1, after=100_000, reset=reset))
    if reset:
        with pytest.raises(ConnectionResetError):
            fetch(url)
    else:
        answer = fetch(url)
        assert answer.broken and answer.body == content[:100_000]
    assert fetch(url).body == content


def test_corrupt_waits_for_the_range_that_holds_its_byte(hub: RunningHub, content: bytes) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("corrupt", 1, at=5_000_000))
    assert fetch(url, headers={"Range": "bytes=0-4999999"}).body == content[:5_000_000]
    wrong = fetch(url, headers={"Range": "bytes=4000000-5999999"}).body
    assert [at for at, byte in enumerate(wrong) if byte != content[4_000_000 + at]] == [1_000_000]
    assert fetch(url).body == content


def test_stall_pauses_and_then_goes_on(hub: RunningHub, content: bytes) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("stall", 1, after=1000, seconds=0.3))
    begun = time.monotonic()
    assert fetch(url).body == content
    assert time.monotonic() - begun >= 0.3


def test_delay_and_rate_take_their_time(hub: RunningHub, content: bytes) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("delay", seconds=0.2), on_cdn("rate", bytes_per_second=1_000_000))
    begun = time.monotonic()
    assert fetch(url, headers={"Range": "bytes=0-199999"}).body == content[:200_000]
    assert time.monotonic() - begun >= 0.4


def test_pause_ends_when_the_rules_are_replaced(hub: RunningHub, content: bytes) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("pause"))
    with ThreadPoolExecutor(1) as others:
        answer = others.submit(fetch, url)
        with pytest.raises(TimeoutError):
            answer.result(0.3)
        hub.faults()
        assert answer.result().body == content


def test_ignore_range_answers_with_the_whole(hub: RunningHub, content: bytes) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("ignore_range"))
    answer = fetch(url, headers={"Range": "bytes=5-9"})
    assert (answer.status, answer.body) == (200, content)


def test_expire_is_refused_by_the_cdn_or_handed_out_dead_by_the_hub(hub: RunningHub) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("expire", 1), {"side": "hub", "path": "/resolve/", "times": 1, "action": {"kind": "expire"}})
    assert fetch(url).status == 403
    assert fetch(url).status == 200
    dead = fetch(hub.signed_url())
    assert dead.status == 403 and b"AccessDenied" in dead.body
    assert fetch(hub.signed_url()).status == 200


def test_headers_can_lie_or_be_missing(hub: RunningHub) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("etag", value='"other"'), on_cdn("content_range", value="bytes 0-1/9"),
               {"side": "hub", "path": "/resolve/", "action": {"kind": "header", "name": "X-Repo-Commit"}},
               {"side": "hub", "path": "/resolve/", "action": {"kind": "etag", "value": '"wrong"'}})
    answer = fetch(url, headers={"Range": "bytes=5-9"})
    assert (answer.headers["ETag"], answer.headers["Content-Range"]) == ('"other"', "bytes 0-1/9")
    first = hub.get(f"/{REPO}/resolve/main/{SHARD}")
    assert first.headers["X-Repo-Commit"] is None and first.headers["X-Linked-Etag"] == '"wrong"'


def test_lengths_can_differ_from_the_range(hub: RunningHub, content: bytes) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("short_length", 1, bytes=2))
    short = fetch(url, headers={"Range": "bytes=10-19"})
    assert (short.body, short.broken) == (content[10:18], False)
    assert short.headers["Content-Range"] == f"bytes 10-19/{len(content)}"
    hub.faults(on_cdn("long_body", 1, bytes=3))
    long = fetch(url, headers={"Range": "bytes=10-19"})
    assert long.body == content[10:20] + b"+++" and long.headers["Content-Length"] == "13"


def test_a_listing_can_be_hostile(hub: RunningHub) -> None:
    entries = [{"type": "file", "path": "../../etc/passwd", "size": 1, "oid": "0" * 40},
               {"type": "file", "path": SHARD, "size": 7, "oid": "1" * 40}]
    hub.faults({"side": "hub", "path": "/tree/", "action": {"kind": "listing", "entries": entries}})
    listed = hub.get(f"/api/models/{REPO}/tree/main?recursive=true").json()
    assert [entry for entry in listed if entry["path"] == SHARD] == [entries[1]]
    assert entries[0] in listed and any(entry["path"] == "config.json" for entry in listed)


def test_a_redirect_can_go_anywhere(hub: RunningHub) -> None:
    hub.faults({"side": "hub", "path": SHARD, "action": {"kind": "redirect", "location": "http://169.254.169.254/"}})
    answer = hub.get(f"/{REPO}/resolve/main/{SHARD}")
    assert (answer.status, answer.headers["Location"]) == (302, "http://169.254.169.254/")


def test_faults_combine(hub: RunningHub, content: bytes) -> None:
    url = hub.signed_url()
    hub.faults(on_cdn("corrupt", at=3), on_cdn("cut", after=10))
    answer = fetch(url)
    assert answer.broken and answer.body == content[:3] + bytes([content[3] ^ 0xFF]) + content[4:10]


@pytest.mark.parametrize("rule", [
    {"side": "elsewhere", "action": {"kind": "expire"}},
    {"side": "cdn", "action": {"kind": "explode"}},
    {"side": "cdn", "action": {"kind": "cut", "at": 5}},
    {"side": "cdn", "nth": 5, "action": {"kind": "expire"}},
    {"side": "cdn", "action": {"kind": "cut"}},
])
def test_a_rule_that_would_never_act_is_refused(hub: RunningHub, rule: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="faults"):
        hub.faults(rule)
