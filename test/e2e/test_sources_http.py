"""Models from a web server (nginx): one file, a directory by its SHA256SUMS, a JSON manifest; and the same model from the Hub, from
ModelScope and from a local directory is one set of blobs on the disk."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator
from urllib.parse import unquote

import grpc
import pytest

from harness import workspace
from harness.canary import MARK, canary
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.models import MIB, digests, file_digest, make_model
from harness.web import BEARER, PASSWORD, SIGNATURE, USER, WebServer, basic_header
from harness.web_origins import SCOPE_TOKEN, write_manifest, write_sums
from modelscope_double.server import ModelScopeDouble

MODEL = "acme/everywhere"


@pytest.fixture(scope="module")
def files(models: Path) -> Path:
    """The model's files, with the lists beside them."""
    directory = make_model(models, MODEL, (3 * MIB, 5 * MIB + 7), seed=40)
    copy = workspace.directory() / "web-models" / MODEL
    copy.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(directory), str(copy)], check=True)
    write_sums(copy)
    write_manifest(copy)
    return copy


@pytest.fixture(scope="module")
def _web(files: Path) -> Iterator[WebServer]:
    server = WebServer(workspace.directory() / "nginx", files.parents[1])
    yield server
    server.stop()


@pytest.fixture
def web(_web: WebServer) -> WebServer:
    _web.reset()
    return _web


@pytest.fixture(scope="module")
def scope(files: Path) -> Iterator[ModelScopeDouble]:
    with ModelScopeDouble(files.parents[1]) as double:
        yield double


@pytest.fixture
def daemon(new_daemon: Callable[..., CacheDaemon], hub: Hub, files: Path, scope: ModelScopeDouble) -> CacheDaemon:
    hub.rescan()
    made = new_daemon(local_roots=(files.parents[1],))
    made.change("sources", modelscope={"endpoint": scope.url})
    made.start()
    return made


def acquire(daemon: CacheDaemon, uri: str, **credentials: str) -> Path:
    """Where the model's files are then."""
    with daemon.client() as cache:
        return daemon.root / cache.acquire(uri, timeout=120, credentials=credentials).tree


def refusal(daemon: CacheDaemon, uri: str, **credentials: str) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        acquire(daemon, uri, **credentials)
    return raised.value


def model_of(directory: Path) -> dict[str, str]:
    """The digests of a model's own files."""
    return {path: sha256 for path, sha256 in digests(directory).items() if path not in ("SHA256SUMS", "model.json")}


@dataclass(frozen=True)
class Source:
    """One way to the model, and what it shows to be let in."""

    uri: Callable[["Ways"], str]
    credentials: dict[str, str]


@dataclass(frozen=True)
class Ways:
    """Where the servers are."""

    web: WebServer
    scope: ModelScopeDouble
    files: Path


SOURCES = {
    "hub": Source(lambda ways: f"hf://{MODEL}", {}),
    "sums": Source(lambda ways: f"{ways.web.url}/plain/{MODEL}/", {}),
    "sums, moved": Source(lambda ways: f"{ways.web.url}/moved/{MODEL}/", {}),
    "sums, signed": Source(lambda ways: f"{ways.web.url}/signed/{MODEL}/?sv=2024-11-04&sig={SIGNATURE}", {}),
    "sums, basic": Source(lambda ways: f"{ways.web.url}/basic/{MODEL}/", {"username": USER, "password": PASSWORD}),
    "sums, bearer": Source(lambda ways: f"{ways.web.url}/bearer/{MODEL}/", {"HTTP_TOKEN": BEARER}),
    "manifest": Source(lambda ways: f"{ways.web.url}/plain/{MODEL}/model.json#manifest", {}),
    "manifest, bearer": Source(lambda ways: f"{ways.web.url}/bearer/{MODEL}/model.json#manifest", {"token": BEARER}),
    "local": Source(lambda ways: f"file://{ways.files}", {}),
    "modelscope": Source(lambda ways: f"modelscope://{MODEL}", {}),
    "modelscope, token": Source(lambda ways: f"modelscope://{MODEL}@master", {"MODELSCOPE_API_TOKEN": SCOPE_TOKEN}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_model_arrives_whole_from_each_source(daemon: CacheDaemon, web: WebServer, scope: ModelScopeDouble, files: Path,
                                              name: str) -> None:
    tree = acquire(daemon, SOURCES[name].uri(Ways(web, scope, files)), **SOURCES[name].credentials)
    wanted = model_of(files)
    if name == "local":
        wanted["model.json"] = file_digest(files / "model.json")
    assert digests(tree) == wanted


def test_same_model_from_all_sources_is_one_set_of_blobs(daemon: CacheDaemon, web: WebServer, scope: ModelScopeDouble,
                                                         files: Path) -> None:
    ways = Ways(web, scope, files)
    trees = {name: acquire(daemon, source.uri(ways), **source.credentials) for name, source in SOURCES.items()}
    wanted = model_of(files)
    blobs = {path.name for path in (daemon.root / "blobs/sha256").rglob("*") if path.is_file()}
    assert blobs == set(wanted.values()) | {file_digest(files / "model.json")}
    links = {path: os.stat(trees["hub"] / path).st_nlink for path in wanted}
    print(f"link counts over {len(trees)} sources: {links}")
    distinct = len({str(tree) for tree in trees.values()})
    assert set(links.values()) == {distinct + 1}, (links, trees)
    inodes = {path: {os.stat(tree / path).st_ino for tree in trees.values()} for path in wanted}
    assert all(len(numbers) == 1 for numbers in inodes.values()), inodes


def test_pull_of_a_directory_needs_only_its_url(web: WebServer, files: Path, tmp_path: Path) -> None:
    root = workspace.directory() / "pull-root"
    command = [str(workspace.binaries() / "weighhouse"), "--root", str(root), "--output", "json", "pull",
               f"{web.url}/plain/{MODEL}/"]
    outcome = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert digests(Path(json.loads(outcome.stdout)["tree"])) == model_of(files)


def test_nothing_secret_is_in_logs_or_on_disk(daemon: CacheDaemon, web: WebServer, scope: ModelScopeDouble, files: Path) -> None:
    for source in SOURCES.values():
        acquire(daemon, source.uri(Ways(web, scope, files)), **source.credentials)
    assert any(SIGNATURE in line for line in web.requests()) and any(basic_header() in line for line in web.requests())
    daemon.stop()
    secrets = [text.encode() for text in (SIGNATURE, unquote(SIGNATURE), BEARER, PASSWORD, basic_header(), SCOPE_TOKEN)]
    for path in [daemon.log, *daemon.root.rglob("*")]:
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path


def test_who_may_not_is_refused_and_told_the_way_out(daemon: CacheDaemon, web: WebServer) -> None:
    for place, code in (("basic", grpc.StatusCode.UNAUTHENTICATED), ("bearer", grpc.StatusCode.UNAUTHENTICATED),
                        ("signed", grpc.StatusCode.PERMISSION_DENIED)):
        assert refusal(daemon, f"{web.url}/{place}/{MODEL}/").code() == code
    wrong = refusal(daemon, f"{web.url}/basic/{MODEL}/", username=USER, password=canary("wrong-password"))
    assert wrong.code() == grpc.StatusCode.UNAUTHENTICATED and MARK not in wrong.details()
    signed = f"{web.url}/signed/{MODEL}/"
    acquire(daemon, f"{signed}?sv=2024-11-04&sig={SIGNATURE}")
    for query in ("", "?sv=2024-11-04&sig=wrong"):
        assert refusal(daemon, signed + query).code() == grpc.StatusCode.PERMISSION_DENIED, "presence is not permission"
    missing = refusal(daemon, f"{web.url}/plain/acme/")
    assert missing.code() == grpc.StatusCode.NOT_FOUND and "has no SHA256SUMS" in missing.details()
    directory = refusal(daemon, f"{web.url}/plain/{MODEL}")
    assert directory.code() == grpc.StatusCode.INVALID_ARGUMENT and "a '/' at the end" in directory.details()


def test_file_that_is_not_what_the_list_says_is_refused(daemon: CacheDaemon, web: WebServer, files: Path) -> None:
    shard = "model-00001-of-00002.safetensors"
    write_manifest(files, "lying.json", {shard: {"sha256": "0" * 64}})
    try:
        lied = refusal(daemon, f"{web.url}/plain/{MODEL}/lying.json#manifest")
    finally:
        (files / "lying.json").unlink()
    assert lied.code() == grpc.StatusCode.DATA_LOSS and shard in lied.details() and "0" * 64 in lied.details()


def test_manifest_names_files_elsewhere_which_get_no_credentials(daemon: CacheDaemon, web: WebServer, files: Path) -> None:
    elsewhere = web.url.replace("127.0.0.1", "localhost")
    changes = {path: {"url": f"{elsewhere}/plain/{MODEL}/{path}"} for path in model_of(files)}
    write_manifest(files, "elsewhere.json", changes)
    try:
        tree = acquire(daemon, f"{web.url}/bearer/{MODEL}/elsewhere.json#manifest", HTTP_TOKEN=BEARER)
    finally:
        (files / "elsewhere.json").unlink()
    assert digests(tree) == model_of(files)
    sent = [line for line in web.requests() if BEARER in line]
    assert len(sent) == 1 and "/elsewhere.json" in sent[0], sent


@pytest.fixture(name="on_xfs")
def _on_xfs(new_daemon: Callable[..., CacheDaemon], files: Path) -> Iterator[tuple[CacheDaemon, Path]]:
    """A daemon whose cache root lies on the xfs that the model lies on, and the model there."""
    place = workspace.directory() / "xfs"
    place.mkdir()
    image = place.with_suffix(".img")
    with image.open("wb") as disk:
        disk.truncate(400 * MIB)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    workspace.mount("-o", "loop", str(image), str(place))
    models_there = place / "models" / MODEL
    models_there.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(files), str(models_there)], check=True)
    daemon = new_daemon(local_roots=(place / "models",), limit="200Mi")
    cache = place / "cache"
    workspace.owned_by_daemon(cache)
    workspace.mount("--bind", str(cache), str(daemon.root))
    daemon.start()
    yield daemon, models_there
    daemon.end()
    subprocess.run(["umount", str(daemon.root)], check=True)
    subprocess.run(["umount", str(place)], check=True)
    image.unlink()


def free_of(path: Path) -> int:
    subprocess.run(["sync", "-f", str(path)], check=True)
    space = os.statvfs(path)
    return space.f_bfree * space.f_frsize


def test_local_files_share_their_blocks_and_are_still_verified(on_xfs: tuple[CacheDaemon, Path]) -> None:
    daemon, model = on_xfs
    before = free_of(model)
    tree = acquire(daemon, f"file://{model}")
    assert model_of(tree) == model_of(model)
    log = daemon.log.read_text()
    assert log.count("shares the blocks of") == 2, log
    assert before - free_of(model) < 5 * MIB, "8 MiB of weights were copied"
    shard = model / "model-00002-of-00002.safetensors"
    ours = tree / shard.name
    wanted = file_digest(ours)
    with shard.open("r+b") as file:
        file.write(b"changed in place")
    assert file_digest(ours) == wanted, "what is written to the other file isn't written to ours"
    sums = model / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(wanted, "0" * 64))
    changed = refusal(daemon, f"file://{model}")
    assert changed.code() == grpc.StatusCode.DATA_LOSS and shard.name in changed.details(), changed.details()
    assert "0" * 64 in changed.details()
