"""What a client of our own relies on: headers, redirects, ranges, signatures, refusals."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import OTHER_TOKEN, REPO, SHARD, TOKEN, Answer, RunningHub, fetch, make_model
from models import synthetic


def bearer(token: str) -> str:
    """An Authorization header's value."""
    return f"Bearer {token}"


def test_a_git_file_goes_by_a_relative_307_to_its_bytes(hub: RunningHub, models: Path) -> None:
    content = (models / REPO / "config.json").read_bytes()
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    first = hub.get(f"/{REPO}/resolve/main/config.json")
    assert first.status == 307 and first.headers["Location"].startswith("/api/resolve-cache/models/")
    second = hub.get(first.headers["Location"])
    for answer in (first, second):
        assert answer.headers["ETag"] == f'"{oid}"' and answer.headers["X-Repo-Commit"] == hub.commit()
    assert (second.status, second.body) == (200, content)
    assert int(second.headers["Content-Length"]) == len(content)
    assert hub.stats()["resolve_calls"] == 1 and hub.stats()["resolve_cache_calls"] == 1


def test_text_is_compressed_and_chunked_for_who_takes_it(hub: RunningHub, models: Path) -> None:
    location = hub.get(f"/{REPO}/resolve/main/config.json").headers["Location"]
    packed = hub.get(location, Accept_Encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip" and "Content-Length" not in packed.headers
    assert packed.headers["ETag"].startswith('W/"')
    assert gzip.decompress(packed.body) == (models / REPO / "config.json").read_bytes()
    plain = hub.get(location, Accept_Encoding="identity")
    assert "Content-Encoding" not in plain.headers


def test_an_lfs_file_goes_by_302_to_another_host(hub: RunningHub, models: Path) -> None:
    content = (models / REPO / SHARD).read_bytes()
    for method in ("HEAD", "GET"):
        answer = hub.get(f"/{REPO}/resolve/main/{SHARD}", method)
        location = urlsplit(answer.headers["Location"])
        assert answer.status == 302 and location.hostname == "localhost" != urlsplit(hub.url).hostname
        assert answer.headers["X-Linked-Etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        assert answer.headers["X-Linked-Size"] == str(len(content))
        assert answer.headers["X-Repo-Commit"] == hub.commit()
        assert len(answer.headers["X-Xet-Hash"]) == 64
        query = parse_qs(location.query)
        assert query["X-Amz-Expires"] == ["3600"] and {"X-Amz-Date", "Expires", "Signature"} <= query.keys()


def test_the_cdn_serves_ranges_under_an_etag_of_its_own(hub: RunningHub, models: Path) -> None:
    content = (models / REPO / SHARD).read_bytes()
    size = len(content)
    url = hub.signed_url()
    whole = fetch(url)
    assert whole.body == content and hashlib.sha256(content).hexdigest() not in whole.headers["ETag"]
    for asked, begin, end in (("5-9", 5, 10), (f"{size - 3}-{size + 50}", size - 3, size), ("-4", size - 4, size),
                              ("4194300-", 4194300, size)):
        part = fetch(url, headers={"Range": f"bytes={asked}"})
        assert (part.status, part.body) == (206, content[begin:end])
        assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
    beyond = fetch(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    head = fetch(url, "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(size), b"")


def test_the_cdn_refuses_a_second_authorization(hub: RunningHub) -> None:
    answer = fetch(hub.signed_url(), headers={"Authorization": bearer(TOKEN)})
    assert answer.status == 400 and b"Only one auth mechanism allowed" in answer.body


def test_the_cdn_refuses_what_is_not_signed(hub: RunningHub) -> None:
    url = hub.signed_url()
    later = parse_qs(urlsplit(url).query)["Expires"][0]
    for wrong in (url.partition("?")[0], url.replace(f"Expires={later}", f"Expires={int(later) + 9}"),
                  url.replace("/xet-bridge-us/", "/xet-bridge-us/0")):
        answer = fetch(wrong)
        assert answer.status == 403 and answer.body.startswith(b"<?xml")


def test_a_signed_url_dies_when_its_time_is_up(models: Path) -> None:
    with RunningHub(models, ["--url-lifetime", "1"]) as hub:
        url = hub.signed_url()
        deadline = time.monotonic() + 10
        while (answer := fetch(url, headers={"Range": "bytes=0-0"})).status == 206:
            assert time.monotonic() < deadline
        assert answer.status == 403 and b"AccessDenied" in answer.body


def test_revisions_are_percent_encoded_in_one_piece(hub: RunningHub) -> None:
    assert hub.get(f"/api/models/{REPO}/revision/refs%2Fpr%2F1").json()["sha"] == hub.commit()
    assert hub.get(f"/api/models/{REPO}/revision/{hub.commit()}").json()["sha"] == hub.commit()
    assert hub.get(f"/api/models/{REPO}/revision/refs/pr/1").status == 404


def test_the_tree_tells_pointer_and_content_apart(hub: RunningHub, models: Path) -> None:
    entries = {entry["path"]: entry for entry in hub.get(f"/api/models/{REPO}/tree/main?recursive=true").json()}
    content = (models / REPO / SHARD).read_bytes()
    shard = entries[SHARD]
    assert shard["lfs"]["oid"] == hashlib.sha256(content).hexdigest()
    assert shard["lfs"]["size"] == shard["size"] == len(content) and len(shard["xetHash"]) == 64
    assert shard["oid"] != hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    assert entries["1_Pooling"]["type"] == "directory" and "lfs" not in entries["config.json"]
    flat = {entry["path"] for entry in hub.get(f"/api/models/{REPO}/tree/main").json()}
    assert "1_Pooling" in flat and "1_Pooling/config.json" not in flat


def test_pages_are_linked_by_absolute_urls_with_every_parameter(models: Path) -> None:
    with RunningHub(models, ["--page-size", "4"]) as hub:
        url, paths = f"{hub.url}/api/models/{REPO}/tree/main?recursive=true&expand=false", []
        while url:
            answer = fetch(url)
            paths += [entry["path"] for entry in answer.json()]
            link = answer.headers.get("Link", "")
            url = link[1 : link.index(">")] if link else ""
            assert not link or (url.startswith(hub.url) and "recursive=true" in url and link.endswith('rel="next"'))
    assert len(paths) == len(set(paths)) > 8


REFUSALS = [
    ("/api/models/acme/nothing", None, 401, None, "Invalid username or password."),
    ("/api/models/acme/nothing", TOKEN, 404, "RepoNotFound", "Repository not found"),
    ("/api/models/acme/private", None, 401, None, "Invalid username or password."),
    (f"/api/models/{REPO}", "hf_wrong", 401, None, "Invalid credentials in Authorization header"),
    (f"/api/models/{REPO}/revision/none", None, 404, "RevisionNotFound", "Invalid rev id: none"),
    (f"/{REPO}/resolve/main/none", None, 404, "EntryNotFound", "Entry not found"),
    ("/acme/gated/resolve/main/config.json", None, 401, "GatedRepo", None),
    ("/acme/gated/resolve/main/config.json", OTHER_TOKEN, 403, "GatedRepo", None),
    ("/api/models/acme/disabled", TOKEN, 403, None, "Access to this resource is disabled."),
]


@pytest.mark.parametrize("path,token,status,code,message", REFUSALS)
def test_refusals_say_why(hub: RunningHub, path: str, token: str | None, status: int, code: str | None,
                          message: str | None) -> None:
    answer = hub.get(path, **({"Authorization": bearer(token)} if token else {}))
    assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)
    assert answer.headers["X-Error-Message"] == answer.json()["error"]
    assert message is None or answer.json()["error"] == message
    assert (answer.headers["X-Repo-Commit"] is not None) == (code == "EntryNotFound")


def test_a_granted_token_opens_what_is_gated(hub: RunningHub) -> None:
    assert hub.get("/api/models/acme/gated").json()["gated"] == "manual"
    assert hub.get("/acme/gated/resolve/main/model.safetensors", Authorization=bearer(TOKEN)).status == 302


def test_a_renamed_repository_is_a_relative_307(hub: RunningHub) -> None:
    for path in ("/api/models/{}/revision/main?blobs=true", "/{}/resolve/main/config.json"):
        answer = hub.get(path.format("acme/old"))
        assert (answer.status, answer.headers["Location"]) == (307, path.format(REPO))


def test_a_used_up_quota_is_429_with_the_seconds_to_wait(models: Path) -> None:
    with RunningHub(models, ["--resolve-quota", "2"]) as hub:
        answers: list[Answer] = [hub.get(f"/{REPO}/resolve/main/{SHARD}") for _ in range(3)]
        assert [answer.status for answer in answers] == [302, 302, 429]
        assert answers[2].headers["RateLimit"].startswith('"resolvers";r=0;t=')
        assert answers[2].headers["RateLimit-Policy"] == '"fixed window";"resolvers";q=2;w=300'
        assert hub.get(f"/api/models/{REPO}").status == 200


def test_old_commits_stay_and_a_repository_can_appear(tmp_path: Path) -> None:
    model = make_model(tmp_path, REPO, [5000])
    with RunningHub(tmp_path) as hub:
        old, content = hub.commit(), (model / "model.safetensors").read_bytes()
        synthetic.add_shards(model, [6000], seed=9)
        make_model(tmp_path, "acme/new", [5000])
        hub.control("POST", "rescan")
        location = hub.get(f"/{REPO}/resolve/{old}/model.safetensors").headers["Location"]
        assert fetch(location).body == content
        assert hub.commit() != old and hub.get("/api/models/acme/new").status == 200


def test_a_large_file_overwritten_in_place_is_never_served_as_the_old_one(tmp_path: Path) -> None:
    model = make_model(tmp_path, REPO, [6 << 20])
    with RunningHub(tmp_path) as hub:
        url = hub.signed_url("model.safetensors")
        with open(model / "model.safetensors", "r+b") as file:
            file.write(b"changed")
        answer = fetch(url)
        assert answer.status == 500 and b"in place" in answer.body


def test_both_sides_speak_tls_with_a_certificate_of_the_tests(models: Path, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    with RunningHub(models, ["--tls-cert", str(certificate), "--tls-key", str(key)]) as hub:
        hub.trust(certificate)
        url = hub.signed_url()
        assert hub.url.startswith("https://127.0.0.1:") and url.startswith("https://localhost:")
        assert fetch(url, tls=hub.tls).body == (models / REPO / SHARD).read_bytes()


def test_what_was_asked_is_counted_and_logged(hub: RunningHub) -> None:
    hub.get(f"/api/models/{REPO}", Authorization=bearer(TOKEN))
    fetch(hub.signed_url(), headers={"Range": "bytes=0-99"})
    stats, log = hub.stats(), hub.control("GET", "log")
    assert (stats["api_calls"], stats["resolve_calls"], stats["cdn_requests"], stats["cdn_bytes"]) == (1, 1, 1, 100)
    assert [entry["side"] for entry in log] == ["hub", "hub", "cdn"]
    assert [entry["authorization"] for entry in log] == ["ok", "none", "none"]
    assert (log[2]["file"], log[2]["range"], log[2]["status"]) == (f"{REPO}/{SHARD}", "bytes=0-99", 206)


def test_a_token_can_be_revoked(hub: RunningHub) -> None:
    def asked() -> int:
        return hub.get(f"/api/models/{REPO}", Authorization=bearer(TOKEN)).status

    assert asked() == 200
    hub.control("POST", "tokens", [OTHER_TOKEN])
    try:
        assert asked() == 401
        assert hub.get(f"/api/models/{REPO}", Authorization=bearer(OTHER_TOKEN)).status == 200
    finally:
        hub.control("POST", "tokens", [TOKEN, OTHER_TOKEN])
    assert asked() == 200
