"""What S3 alone has: signatures, checksums, pages, regions, and secrets by `weighhouse pull`; against versitygw."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import socket
from pathlib import Path
from typing import Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.buckets import S3Server
from harness.daemon import CacheDaemon
from harness.models import MIB, digests, make_model
from harness.node import Node
from harness.relay import Relay
from harness.web_origins import sums_of

Code = grpc.StatusCode
NewDaemon = Callable[..., CacheDaemon]

ODD_NAMES = ["a b.json", "plus+plus.json", "equal=s.json", "ünï/日本 🦙.json", "per%20cent.json", "q?m#k.json",
             "amp&er;sand,(x)'!*@$.json", "dir.with/~tilde_-.json", "<xml>\".json"]


@pytest.fixture(scope="module")
def server(_namespace: None) -> Iterator[S3Server]:
    running = S3Server(workspace.directory() / "s3")
    yield running
    running.stop()


@pytest.fixture
def daemon(new_daemon: NewDaemon, server: S3Server) -> CacheDaemon:
    made = new_daemon()
    made.change("sources", s3={"endpoint": server.url})
    made.start()
    return made


@pytest.fixture(scope="module")
def model(_namespace: None) -> Path:
    return make_model(workspace.directory() / "pushed-s3", "acme/model", (9 * MIB,), seed=78)


def test_pull_takes_the_environments_keys(daemon: CacheDaemon, server: S3Server, model: Path) -> None:
    uri = server.push(model, "pulled")
    pulled = json.loads(daemon.cli("pull", uri, "--output", "json", environment=S3Server.KEYS).stdout)
    assert digests(Path(pulled["tree"])) == digests(model)
    # Of an id that it doesn't know versitygw says so by HTTP 404, with a code of its own.
    for keys, reason in ((S3Server.WRONG, "doesn't accept the keys"), (S3Server.UNKNOWN, "No user exists with the provided")):
        refused = daemon.cli("pull", uri, check=False, environment=keys)
        assert refused.returncode == 1 and reason in refused.stderr
        for secret in (*S3Server.KEYS.values(), *keys.values()):
            assert secret not in refused.stderr and secret not in daemon.log.read_text()


def test_pull_without_a_daemon_goes_to_the_environments_endpoint(server: S3Server, model: Path) -> None:
    uri = server.push(model, "rooted")
    made = CacheDaemon(workspace.directory() / "rooted", "")
    found = made.cli("--root", str(made.root), "pull", uri, "--output", "json",
                     environment=S3Server.KEYS | {"AWS_ENDPOINT_URL": server.url})
    assert digests(Path(json.loads(found.stdout)["tree"])) == digests(model)


def test_every_key_arrives_whatever_is_in_it(daemon: CacheDaemon, server: S3Server) -> None:
    for number, name in enumerate(ODD_NAMES):
        server.put(f"odd keys+=/{name}", f"content {number}".encode())
    with daemon.client() as cache:
        ready = cache.acquire(f"s3://{S3Server.BUCKET}/odd keys+=", credentials=S3Server.KEYS)
    tree = daemon.root / ready.tree
    assert {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()} == {
        name: f"content {number}".encode() for number, name in enumerate(ODD_NAMES)}


def test_lists_more_than_a_page(daemon: CacheDaemon, server: S3Server) -> None:
    for number in range(1003):
        server.put(f"many/{number:04}", b"%d" % number)
    answer = json.loads(daemon.cli("inspect", f"s3://{S3Server.BUCKET}/many", "--output", "json",
                                   environment=S3Server.KEYS).stdout)
    assert [entry["path"] for entry in answer["files"]] == [f"{number:04}" for number in range(1003)]


def test_one_object(daemon: CacheDaemon, server: S3Server) -> None:
    server.put("single/model.gguf", b"G" * 100_000)
    server.put("single/model.gguf.other", b"no")
    with daemon.client() as cache:
        ready = cache.acquire(f"s3://{S3Server.BUCKET}/single/model.gguf", credentials=S3Server.KEYS)
    assert digests(daemon.root / ready.tree).keys() == {"model.gguf"}


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC64NVME", "CRC32C"])
def test_bytes_that_are_not_the_checksums_are_refused(daemon: CacheDaemon, server: S3Server, algorithm: str) -> None:
    """The object's file is changed behind the server's back: the right size, the old ETag and checksum."""
    key = f"damaged-{algorithm}/model.bin"
    content = bytes(range(256)) * 40_000
    server.put(key, content, ChecksumAlgorithm=algorithm)
    stored = workspace.directory() / "s3/objects" / S3Server.BUCKET / key
    assert stored.read_bytes() == content
    with stored.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"!")
    uri = f"s3://{S3Server.BUCKET}/damaged-{algorithm}"
    with daemon.client() as cache, pytest.raises(grpc.RpcError) as refused:
        cache.acquire(uri, credentials=S3Server.KEYS)
    assert refused.value.code() == Code.DATA_LOSS and f"want {algorithm.lower()}:" in refused.value.details()
    with stored.open("r+b") as file:
        file.seek(5_000_000)
        file.write(content[5_000_000:5_000_001])
    with daemon.client() as cache:
        ready = cache.acquire(uri, credentials=S3Server.KEYS)
    assert (daemon.root / ready.tree / "model.bin").read_bytes() == content


class Careless(Relay):
    """What is behind it sees no If-Match, as a service that knows none."""

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(b"If-Match:", b"X-Unknown:"))


@pytest.mark.parametrize("algorithm,careless", [("SHA256", False), ("CRC32", False), ("CRC32", True)])
def test_an_object_that_is_replaced_in_the_middle_of_a_fill_is_refused(new_daemon: NewDaemon, server: S3Server,
                                                                       algorithm: str, careless: bool) -> None:
    """By another of its size. Of the second algorithm nothing is known here: If-Match tells, else the version at the end."""
    key = f"replaced-{algorithm}-{careless}/model.bin"
    uri = f"s3://{S3Server.BUCKET}/{key.partition('/')[0]}"
    before, after = (random.Random(seed).randbytes(40 * MIB) for seed in (80, 81))
    server.put(key, before, ChecksumAlgorithm=algorithm)
    with (Careless if careless else Relay)(f"127.0.0.1:{server.port}") as relay:
        daemon = new_daemon()
        daemon.change("sources", s3={"endpoint": f"http://{relay.address}"})
        # Few buffers: not all of the file's ranges begin at once. Slow: the other object is there before the last one does.
        daemon.change("fill", bandwidthLimit="2Mi", bufferMemory="16Mi")
        daemon.start()
        with daemon.client() as cache, pytest.raises(grpc.RpcError) as refused:
            for update in cache.call("Acquire", 60, model=cache.model(uri), credentials=S3Server.KEYS,
                                     layout=cache.messages.Layout.Value("LAYOUT_FILES")):
                if before and update.HasField("filling") and update.filling.bytes_done > 2 * MIB:
                    server.put(key, after, ChecksumAlgorithm=algorithm)
                    before = b""
                    daemon.change("fill", bandwidthLimit="0")
        assert not before, "it was served, or refused, before it was replaced"
        assert refused.value.code() == Code.DATA_LOSS and "changed since it was listed" in refused.value.details()
        assert ("HTTP 412" in daemon.log.read_text()) != careless, "the service didn't do as is assumed here"
        daemon.process.wait_ready(lambda: not daemon.ingests())
        assert not any(path.is_file() for path in (daemon.root / "blobs").rglob("*"))
        assert not any((daemon.root / "trees/files").iterdir())
        with daemon.client() as cache:
            ready = cache.acquire(uri, credentials=S3Server.KEYS)
        assert (daemon.root / ready.tree / "model.bin").read_bytes() == after


def test_what_has_no_digest_is_said_to_be_trusted(daemon: CacheDaemon, server: S3Server) -> None:
    server.put("trusted/model.bin", b"x" * 1000, ChecksumAlgorithm="CRC32")
    with daemon.client() as cache:
        cache.acquire(f"s3://{S3Server.BUCKET}/trusted", credentials=S3Server.KEYS)
    assert "fill model.bin: its source gives no digest of it" in daemon.log.read_text()


def test_the_digests_beside_the_objects_count(daemon: CacheDaemon, server: S3Server, model: Path) -> None:
    uri = server.push(model, "summed")
    server.put("summed/SHA256SUMS", sums_of(model))
    with daemon.client() as cache:
        listed = {file.path: file.identity for file in cache.call(
            "Stat", model=cache.model(uri), credentials=S3Server.KEYS).files}
        assert listed["model.safetensors"].endswith(digests(model)["model.safetensors"])
        cache.acquire(uri, credentials=S3Server.KEYS)
        server.put("summed/config.json", b"not what SHA256SUMS says")
        with pytest.raises(grpc.RpcError) as refused:
            cache.acquire(uri, credentials=S3Server.KEYS)
    assert refused.value.code() == Code.DATA_LOSS and "want sha256:" in refused.value.details()


def test_finds_the_region_and_the_bucket_by_host(new_daemon: NewDaemon, model: Path) -> None:
    elsewhere = S3Server(workspace.directory() / "s3-elsewhere", region="eu-central-7")
    try:
        uri = elsewhere.push(model, "far")
        daemon = new_daemon()
        daemon.change("sources", s3={"endpoint": f"http://localhost:{elsewhere.port}", "addressing": "virtual"})
        daemon.start()
        with daemon.client() as cache:
            ready = cache.acquire(uri, credentials=S3Server.KEYS)
        assert digests(daemon.root / ready.tree) == digests(model)
    finally:
        elsewhere.stop()


def test_a_pods_secret_names_the_keys_and_the_endpoint(node: Node, server: S3Server, model: Path) -> None:
    uri = server.push(model, "of-a-pod")
    [path] = node.start(node.pod("pod", uri, secrets=S3Server.KEYS | {"AWS_ENDPOINT_URL": server.url}))
    assert digests(path) == digests(model)


def test_a_public_bucket_is_everybodys(new_daemon: NewDaemon, model: Path) -> None:
    public = S3Server(workspace.directory() / "s3-public")
    try:
        uri = public.push(model, "open")
        public.let_everybody("GetObject", "ListBucket")
        daemon = new_daemon()
        daemon.change("sources", s3={"endpoint": public.url})
        daemon.start()
        with daemon.client() as cache:
            ready = cache.acquire(uri)
        assert digests(daemon.root / ready.tree) == digests(model)
        record = json.loads((daemon.root / "snapshots" / f"{ready.snapshot_id}.json").read_text())
        assert record["anonymous"] is True
        assert record["origin"] == f"s3+{public.url}/{S3Server.BUCKET}/open/"
    finally:
        public.stop()


def test_a_tenants_own_endpoint_names_nothing_for_others(new_daemon: NewDaemon, model: Path) -> None:
    """A model's name leads to whatever endpoint a secret names: for those with that secret only, and never while the
    node's endpoint is away."""
    own, tenants = (S3Server(workspace.directory() / name) for name in ("s3-own", "s3-tenants"))
    try:
        uri = own.push(model, "named")
        other = make_model(workspace.directory() / "tenants-s3", "acme/other", (3 * MIB,), seed=79)
        assert tenants.push(other, "named") == uri
        for server in (own, tenants):
            server.let_everybody("GetObject", "ListBucket")
        daemon = new_daemon()
        daemon.change("sources", s3={"endpoint": own.url})
        daemon.start()
        with daemon.client() as cache:
            of_tenants = {"AWS_ENDPOINT_URL": tenants.url}
            assert digests(daemon.root / cache.acquire(uri, credentials=of_tenants).tree) == digests(other)
            own.stop()
            with pytest.raises(grpc.RpcError) as refused:
                cache.acquire(uri)
            assert refused.value.code() == Code.UNAVAILABLE
            tenants.stop()
            assert digests(daemon.root / cache.acquire(uri, credentials=of_tenants).tree) == digests(other)
    finally:
        own.stop()
        tenants.stop()


def test_a_public_list_opens_no_private_object(new_daemon: NewDaemon, model: Path) -> None:
    listed = S3Server(workspace.directory() / "s3-listed")
    try:
        uri = listed.push(model, "half-open")
        listed.let_everybody("ListBucket")
        daemon = new_daemon()
        daemon.change("sources", s3={"endpoint": listed.url})
        daemon.start()
        with daemon.client() as cache:
            for when in ("cold", "cached"):
                assert b"half-open/config.json" in listed.list_as_nobody("half-open/"), when
                with pytest.raises(grpc.RpcError) as refused:
                    cache.acquire(uri)
                assert refused.value.code() == Code.UNAUTHENTICATED, when
                ready = cache.acquire(uri, credentials=S3Server.KEYS)
                record = json.loads((daemon.root / "snapshots" / f"{ready.snapshot_id}.json").read_text())
                assert record["anonymous"] is False, when
    finally:
        listed.stop()


def test_rights_are_shown_for_what_is_served(new_daemon: NewDaemon) -> None:
    """Everybody may list all and read what is called open: neither does a larger open object beside it open another, nor
    does another that is shut keep anybody from it."""
    partly = S3Server(workspace.directory() / "s3-partly")
    try:
        for key, size in {"flat/large-open.gguf": 2 * MIB, "flat/secret.gguf": MIB, "tree/open/a.gguf": MIB,
                          "tree/shut/b.gguf": 2 * MIB}.items():
            partly.put(key, key.encode().ljust(size))
        partly.let_everybody("ListBucket", "GetObject", read="*open*")
        daemon = new_daemon()
        daemon.change("sources", s3={"endpoint": partly.url})
        daemon.start()
        flat, tree = f"s3://{S3Server.BUCKET}/flat", f"s3://{S3Server.BUCKET}/tree"

        def is_public(uri: str, pattern: str, credentials: dict[str, str]) -> bool:
            ready = cache.acquire(uri, credentials=credentials, allow={"globs": [pattern]})
            record = (daemon.root / "snapshots" / f"{ready.snapshot_id}.json").read_text()
            return bool(json.loads(record)["anonymous"])

        def refusal(uri: str, pattern: str) -> grpc.StatusCode:
            with pytest.raises(grpc.RpcError) as refused:
                cache.acquire(uri, allow={"globs": [pattern]})
            code: grpc.StatusCode = refused.value.code()
            return code

        with daemon.client() as cache:
            assert not is_public(flat, "secret.gguf", S3Server.KEYS)
            assert refusal(flat, "secret.gguf") == Code.UNAUTHENTICATED
            assert not is_public(flat, "secret.gguf", S3Server.KEYS), "nobody's question made it everybody's"
            assert is_public(flat, "large-open.gguf", {}) and is_public(tree, "open/*", {})
            assert refusal(tree, "*") == Code.UNAUTHENTICATED
            partly.stop()
            assert not is_public(flat, "secret.gguf", S3Server.KEYS), "it was granted"
            assert refusal(flat, "secret.gguf") == Code.UNAVAILABLE
            assert is_public(tree, "open/*", {})
    finally:
        partly.stop()


def test_a_content_encoding_is_a_label_of_what_is_stored(daemon: CacheDaemon, server: S3Server) -> None:
    packed = gzip.compress(b"text " * 100_000)
    server.put("labelled/vocab.json", packed, ContentEncoding="gzip")
    with daemon.client() as cache:
        ready = cache.acquire(f"s3://{S3Server.BUCKET}/labelled", credentials=S3Server.KEYS)
    assert (daemon.root / ready.tree / "vocab.json").read_bytes() == packed


def test_half_an_upload_is_no_model(daemon: CacheDaemon, server: S3Server, model: Path) -> None:
    uri = server.push(model, "half")
    server.put("half/SHA256SUMS", sums_of(model) + b"0" * 64 + b"  later.safetensors\n")
    with daemon.client() as cache, pytest.raises(grpc.RpcError) as refused:
        cache.acquire(uri, credentials=S3Server.KEYS)
    assert refused.value.code() == Code.FAILED_PRECONDITION and "'later.safetensors'" in refused.value.details()


def test_the_digest_beside_one_object_counts(daemon: CacheDaemon, server: S3Server) -> None:
    server.put("beside/model.gguf", b"not what SHA256SUMS says")
    server.put("beside/SHA256SUMS", b"0" * 64 + b"  model.gguf\n" + b"1" * 64 + b"  another\n")
    with daemon.client() as cache, pytest.raises(grpc.RpcError) as refused:
        cache.acquire(f"s3://{S3Server.BUCKET}/beside/model.gguf", credentials=S3Server.KEYS)
    assert refused.value.code() == Code.DATA_LOSS and "want sha256:" in refused.value.details()


def test_the_nodes_keys_are_for_all_where_an_admin_says_so(new_daemon: NewDaemon, server: S3Server,
                                                           model: Path) -> None:
    uri = server.push(model, "of-the-node")
    for choice, served in (("off", False), ("auto", True)):
        daemon = new_daemon()
        daemon.change("sources", s3={"endpoint": server.url, "nodeCredentials": choice})
        daemon.start(S3Server.KEYS)
        with daemon.client() as cache:
            if not served:
                with pytest.raises(grpc.RpcError) as refused:
                    cache.acquire(uri)
                assert refused.value.code() == Code.UNAUTHENTICATED
                continue
            ready = cache.acquire(uri)
        record = json.loads((daemon.root / "snapshots" / f"{ready.snapshot_id}.json").read_text())
        assert record["anonymous"] is True, "what the node's keys may read is for all tenants"
        daemon.end()
