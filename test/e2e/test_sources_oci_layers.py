"""Layers that are compressed or hold several files: read whole, unpacked as they come, and right or not there."""

from __future__ import annotations

import gzip
import random
import re
import tarfile
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness import hostile, workspace
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.layers import (KITOPS, MODELPACK, below_models, content_of, entry_of, layers_of, push_archive, push_directory,
                            push_image, push_layers, tar_with)
from harness.models import MIB, digests
from harness.registry import Registry, docker_config, sha256_of
from harness.relay import Relay
from harness.served import acquire, blobs, refusal, shown

Code = grpc.StatusCode
MODEL = "acme/sharded"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    made = Registry(workspace.directory() / "layer-registry")
    yield made
    made.stop()


@pytest.fixture
def daemon(new_daemon: Callable[..., CacheDaemon]) -> CacheDaemon:
    made = new_daemon()
    made.start()
    return made


def nothing_stays(daemon: CacheDaemon) -> None:
    assert not daemon.ingests() and not blobs(daemon)
    assert not any((daemon.root / "trees/files").iterdir())


def split(model: Path, kind: str) -> list[bytes]:
    """A model's files as the layers of an image that has more than them, a file twice, and links elsewhere. (skopeo
    compresses no layer that a registry has already: those of each kind are others.)"""
    files = below_models(content_of(model))
    names = sorted(files)
    first, second = names[: len(names) // 2], names[len(names) // 2:]
    base = tar_with({"etc/kind": kind.encode(), "models/stale/gone.bin": b"stale", names[-1]: b"not this"},
                    [entry_of("bin/sh", tarfile.SYMTYPE, "/bin/busybox"), entry_of("dev/null", tarfile.CHRTYPE)])
    lower = tar_with({"etc/lower": kind.encode(), "models/.wh.stale": b""} | {name: files[name] for name in first}, [entry_of("models", tarfile.DIRTYPE)])
    return [base, lower, tar_with({"etc/upper": kind.encode()} | {name: files[name] for name in second})]


PUSHES: dict[str, Callable[[Registry, str, Path], str]] = {
    "modelcar": lambda registry, name, model: push_image(registry, name, split(model, "tar")),
    "modelcar-gzip": lambda registry, name, model: push_image(registry, name, split(model, "gzip"), "gzip"),
    "modelcar-zstd": lambda registry, name, model: push_image(registry, name, split(model, "zstd"), "zstd"),
    "kitops-directory": lambda registry, name, model: push_archive(registry, name, content_of(model), KITOPS, True),
    "modelpack-directory": lambda registry, name, model: push_archive(registry, name, content_of(model), MODELPACK, False),
    "modelpack-directory-gzip": lambda registry, name, model: push_archive(registry, name, content_of(model), MODELPACK, True),
}


SUFFIXES = {"modelcar": "", "modelcar-gzip": "+gzip", "modelcar-zstd": "+zstd", "kitops-directory": "+gzip",
            "modelpack-directory": "", "modelpack-directory-gzip": "+gzip"}
"""How the layers' media types must end: that the clients did what the test's names say."""


@pytest.mark.parametrize("kind", PUSHES)
def test_a_packed_model_is_what_was_packed(registry: Registry, daemon: CacheDaemon, models: Path, kind: str) -> None:
    digest = PUSHES[kind](registry, f"packed/{kind}:v1", models / MODEL)
    uri = f"oci://{registry.address}/packed/{kind}"
    ready = acquire(daemon, f"{uri}:v1")
    assert shown(daemon, ready) == digests(models / MODEL)
    assert ready.revision == digest and not daemon.ingests()
    types = {layer["mediaType"].rpartition(".tar")[2] for layer in layers_of(registry, f"packed/{kind}:v1")}
    assert types == {SUFFIXES[kind]}
    # What they hold is known now: no layer is asked for again.
    read = registry.requests(f"packed/{kind}/blobs/{layers_of(registry, f'packed/{kind}:v1')[0]['digest']}")
    for reference in (f"{uri}:v1", f"{uri}@{digest}"):
        again = acquire(daemon, reference)
        assert (again.tree, again.bytes_fetched) == (ready.tree, 0)
    assert shown(daemon, ready) == digests(models / MODEL)
    assert registry.requests(f"packed/{kind}/blobs/{layers_of(registry, f'packed/{kind}:v1')[0]['digest']}") <= read + 2
    # After an eviction, and a restart, it comes again.
    with daemon.client() as cache:
        cache.call("Evict", snapshot_id=ready.snapshot_id)
    assert not blobs(daemon)
    daemon.kill()
    daemon.start()
    again = acquire(daemon, f"{uri}:v1")
    assert again.snapshot_id == ready.snapshot_id and shown(daemon, again) == digests(models / MODEL)


def test_a_directory_that_oras_pushed_is_served_with_its_name(registry: Registry, daemon: CacheDaemon, models: Path) -> None:
    push_directory(registry, "oras/directory:v1", models / "acme/tiny")
    ready = acquire(daemon, f"oci://{registry.address}/oras/directory:v1")
    assert digests(daemon.root / ready.tree / "tiny") == digests(models / "acme/tiny")


@pytest.mark.parametrize("first", ["hub", "registry"])
def test_a_packed_model_and_the_hubs_are_one_set_of_blobs(registry: Registry, daemon: CacheDaemon, hub: Hub, first: str) -> None:
    push_image(registry, "same/image:v1", split(hub.models / MODEL, "same"), "gzip")
    uris = [f"hf://{MODEL}", f"oci://{registry.address}/same/image:v1"]
    one = acquire(daemon, uris[0 if first == "hub" else 1])
    alone = blobs(daemon)
    other = acquire(daemon, uris[1 if first == "hub" else 0])
    assert shown(daemon, one) == shown(daemon, other) == digests(hub.models / MODEL)
    together = blobs(daemon)
    print(f"links before and after: {sorted(alone.values())} {sorted(together.values())}")
    assert together == {name: links + 1 for name, links in alone.items()}, "a file has a second copy"
    assert not daemon.ingests()


def noise(size: int, seed: int) -> bytes:
    """What no compression makes smaller."""
    return random.Random(seed).randbytes(size)


def packed_noise(registry: Registry, name: str, size: int, seed: int) -> dict[str, bytes]:
    """Pushes an image of one compressed layer; returns its files."""
    files = {"config.json": b"{}", "model.safetensors": noise(size, seed)}
    tar = tar_with(below_models(files))
    push_layers(registry, name, [tar], packed=[gzip.compress(tar, 1)], suffix="+gzip")
    return files


def same(daemon: CacheDaemon, ready: Any, files: dict[str, bytes]) -> bool:
    return shown(daemon, ready) == {path: sha256_of(data).removeprefix("sha256:") for path, data in files.items()}


def test_a_connection_that_is_cut_is_gone_on_with_where_it_was(registry: Registry, daemon: CacheDaemon) -> None:
    files = packed_noise(registry, "cut/image:v1", 12 * MIB, 80)
    digest = layers_of(registry, "cut/image:v1")[0]["digest"]
    with Relay(registry.address, cut_after=3 * MIB) as relay:
        ready = acquire(daemon, f"oci://{relay.address}/cut/image:v1")
        assert same(daemon, ready, files)
        assert relay.cuts >= 4
    parts = re.findall(rf'"GET /v2/cut/image/blobs/{digest} HTTP/1.1" 206 (\d+)', registry.log.read_text())
    assert len([part for part in parts if int(part) > 1]) >= 3, parts
    assert ready.bytes == sum(len(data) for data in files.values())


def test_all_who_wait_share_one_reading_and_whoever_leaves_ends_nothing(new_daemon: Callable[..., CacheDaemon],
                                                                         registry: Registry) -> None:
    files = packed_noise(registry, "shared/image:v1", 24 * MIB, 81)
    layer = layers_of(registry, "shared/image:v1")[0]
    daemon = new_daemon()
    daemon.change("fill", bandwidthLimit="8Mi")
    daemon.start()
    uri = f"oci://{registry.address}/shared/image:v1"
    with daemon.client() as early, daemon.client() as late:
        def begin(cache: Any) -> Any:
            return cache.call("Acquire", 60, model=cache.model(uri), layout=cache.messages.Layout.Value("LAYOUT_FILES"))
        leaver, waiter = begin(early), begin(late)
        for stream in (leaver, waiter):
            told = next(update.filling for update in stream if update.HasField("filling") and update.filling.bytes_done > MIB)
            assert told.bytes_total == layer["size"] and told.bytes_per_second > 0, told
        leaver.cancel()
        ready = list(waiter)[-1].ready
    assert same(daemon, ready, files)
    # The other's question is the one at which the location was found.
    whole = re.findall(rf'"GET /v2/shared/image/blobs/{layer["digest"]} HTTP/1.1" 200', registry.log.read_text())
    assert len(whole) == 1, "a layer was read twice"


def test_a_reading_goes_on_without_anybody(new_daemon: Callable[..., CacheDaemon], registry: Registry) -> None:
    files = packed_noise(registry, "left/image:v1", 8 * MIB, 82)
    daemon = new_daemon()
    daemon.change("fill", bandwidthLimit="512Ki")
    daemon.start()
    uri = f"oci://{registry.address}/left/image:v1"
    with daemon.client() as cache:
        assert cache.call("Prefetch", model=cache.model(uri)).snapshot_id == ""
        stream = cache.call("Acquire", 60, model=cache.model(uri), layout=cache.messages.Layout.Value("LAYOUT_FILES"))
        next(update for update in stream if update.HasField("filling"))
        stream.cancel()
    assert not blobs(daemon), "it was over: this shows nothing"
    daemon.change("fill", bandwidthLimit="0")
    daemon.process.wait_ready(lambda: len(blobs(daemon)) == 2, timeout=60)
    ready = acquire(daemon, uri)
    assert same(daemon, ready, files) and ready.bytes_fetched == 0


def test_a_kill_in_the_middle_leaves_nothing_and_the_next_reading_is_right(new_daemon: Callable[..., CacheDaemon],
                                                                           registry: Registry) -> None:
    files = packed_noise(registry, "killed/image:v1", 16 * MIB, 83)
    daemon = new_daemon()
    daemon.change("fill", bandwidthLimit="1Mi")
    daemon.start()
    uri = f"oci://{registry.address}/killed/image:v1"
    with daemon.client() as cache:
        cache.call("Prefetch", model=cache.model(uri))
    daemon.process.wait_ready(lambda: bool(daemon.ingests()), timeout=60)
    daemon.kill()
    daemon.change("fill", bandwidthLimit="0")
    daemon.start()
    nothing_stays(daemon)
    assert same(daemon, acquire(daemon, uri), files)


def test_a_private_image_is_shown_to_who_may_pull_it_only(daemon: CacheDaemon) -> None:
    private = Registry(workspace.directory() / "private-layer-registry", basic=True)
    try:
        files = packed_noise(private, "secret/image:v1", MIB, 84)
        uri = f"oci://{private.address}/secret/image:v1"
        assert refusal(daemon, uri)[0] == Code.UNAUTHENTICATED
        ready = acquire(daemon, uri, {".dockerconfigjson": docker_config(private.address)})
        assert same(daemon, ready, files)
        assert refusal(daemon, uri)[0] == Code.UNAUTHENTICATED, "what is here is shown to anybody"
    finally:
        private.stop()


def test_an_origin_that_lists_anothers_private_layer_learns_nothing(registry: Registry, daemon: CacheDaemon) -> None:
    private = Registry(workspace.directory() / "robbed-registry", basic=True)
    try:
        packed_noise(private, "secret/image:v1", MIB, 85)
        acquire(daemon, f"oci://{private.address}/secret/image:v1", {".dockerconfigjson": docker_config(private.address)})
        # The same manifest at a registry that never had the layer.
        packed_noise(registry, "thief/image:v1", MIB, 85)
        stored = registry.blob_file(layers_of(registry, "thief/image:v1")[0]["digest"])
        stored.unlink()
        code, message = refusal(daemon, f"oci://{registry.address}/thief/image:v1")
        assert code in (Code.NOT_FOUND, Code.UNAVAILABLE), message
        with daemon.client() as cache, pytest.raises(grpc.RpcError) as unknown:
            cache.call("Stat", model=cache.model(f"oci://{registry.address}/thief/image:v1"))
        assert unknown.value.code() == Code.FAILED_PRECONDITION and "layers have been read" in unknown.value.details()
    finally:
        private.stop()


def test_there_must_be_room_for_what_a_layer_unpacks_to(new_daemon: Callable[..., CacheDaemon], registry: Registry,
                                                        models: Path) -> None:
    zeros = tar_with({"models/model.safetensors": bytes(60 * MIB)})
    push_layers(registry, "large/image:v1", [zeros], packed=[gzip.compress(zeros, 1)], suffix="+gzip")
    daemon = new_daemon(limit="48Mi")
    daemon.start()
    code, message = refusal(daemon, f"oci://{registry.address}/large/image:v1")
    assert code in (Code.OUT_OF_RANGE, Code.RESOURCE_EXHAUSTED) and "48.0 MiB" in message, (code, message)
    nothing_stays(daemon)
    # What is idle goes for it, as for any fill.
    first = packed_noise(registry, "large/first:v1", 30 * MIB, 86)
    second = packed_noise(registry, "large/second:v1", 30 * MIB, 87)
    assert same(daemon, acquire(daemon, f"oci://{registry.address}/large/first:v1"), first)
    assert same(daemon, acquire(daemon, f"oci://{registry.address}/large/second:v1"), second)
    with daemon.client() as cache:
        assert len(cache.call("List").snapshots) == 1


def bomb() -> bytes:
    return tar_with({f"models/{number:03}.bin": bytes(2 * MIB) for number in range(150)})


HOSTILE: dict[str, tuple[Callable[[], bytes], Code, str]] = {
    "traversal": (lambda: tar_with({"models/../../evil": b"x"}), Code.INVALID_ARGUMENT, "'..'"),
    "traversal elsewhere": (lambda: tar_with({"../evil": b"x", "models/a": b"a"}), Code.INVALID_ARGUMENT, "'..'"),
    "absolute": (lambda: tar_with({"/models/a": b"x"}), Code.INVALID_ARGUMENT, "absolute"),
    "symbolic link": (lambda: tar_with({"models/a": b"a"}, [entry_of("models/b", tarfile.SYMTYPE, "/etc/passwd")]),
                      Code.INVALID_ARGUMENT, "symbolic link"),
    "hard link": (lambda: tar_with({"models/a": b"a"}, [entry_of("models/b", tarfile.LNKTYPE, "models/a")]),
                  Code.INVALID_ARGUMENT, "hard link"),
    "device": (lambda: tar_with({"models/a": b"a"}, [entry_of("models/b", tarfile.BLKTYPE)]), Code.INVALID_ARGUMENT, "neither"),
    "link in the directory's place": (lambda: tar_with({"a": b"a"}, [entry_of("models", tarfile.SYMTYPE, "/")]),
                                      Code.INVALID_ARGUMENT, "should be the directory"),
    "sparse": (lambda: tar_with({"models/a": b"a"}, [entry_of("models/b", tarfile.GNUTYPE_SPARSE)]), Code.INVALID_ARGUMENT,
               "sparse"),
    "control character": (lambda: tar_with({"models/a\x1b[2J": b"a"}), Code.INVALID_ARGUMENT, "control characters"),
    "file and directory": (lambda: tar_with({"models/a": b"a", "models/a/b": b"b"}), Code.INVALID_ARGUMENT, "directory"),
    "nothing": (lambda: tar_with({"usr/lib/libc.so": b"elf"}), Code.INVALID_ARGUMENT, "no files in /models"),
    "garbage": (lambda: noise(5000, 88), Code.INVALID_ARGUMENT, "no tar"),
    "bomb": (bomb, Code.INVALID_ARGUMENT, "more than one of its size may have"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_layer_is_refused_and_nothing_stays(registry: Registry, daemon: CacheDaemon, kind: str) -> None:
    make, code, part = HOSTILE[kind]
    tar, name = make(), f"hostile/{kind.replace(' ', '-').replace(chr(39), '')}:v1"
    push_layers(registry, name, [tar], packed=[gzip.compress(tar)], suffix="+gzip")
    outcome = hostile.acquire(daemon, f"oci://{registry.address}/{name}", {})
    hostile.refused(outcome, part)
    assert outcome.status == code.value[0], outcome
    nothing_stays(daemon)


LIES = {
    "another blob": ("by the manifest", lambda good: gzip.compress(tar_with({"models/a": b"another"}))),
    "a byte of the stream": ("", lambda good: good[:-20] + bytes([good[-20] ^ 1]) + good[-19:]),
    "bytes behind it": ("", lambda good: good + b"more"),
    "a byte that no unpacker minds": ("digest mismatch of a layer", lambda good: good[:4] + bytes([good[4] ^ 1]) + good[5:]),
}


@pytest.mark.parametrize("kind", LIES)
def test_a_layer_that_is_not_its_digest_is_refused(registry: Registry, daemon: CacheDaemon, kind: str) -> None:
    part, lie = LIES[kind]
    name = f"lies/{kind.replace(' ', '-')}:v1"
    tar = tar_with({"models/a": kind.encode(), "models/b": noise(MIB, len(kind))})
    packed = gzip.compress(tar)
    push_layers(registry, name, [tar], packed=[packed], suffix="+gzip")
    stored = registry.blob_file(sha256_of(packed))
    stored.write_bytes(lie(packed))
    code, message = refusal(daemon, f"oci://{registry.address}/{name}")
    assert code in (Code.DATA_LOSS, Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION) and part in message, (code, message)
    nothing_stays(daemon)
    stored.write_bytes(packed)
    acquire(daemon, f"oci://{registry.address}/{name}")


def test_a_layer_that_unpacks_to_something_else_than_the_image_says_is_refused(registry: Registry, daemon: CacheDaemon) -> None:
    tar = tar_with({"models/a": b"a"})
    push_layers(registry, "lies/diff-id:v1", [tar], packed=[gzip.compress(tar)], suffix="+gzip",
                diff_ids=[sha256_of(b"something else")])
    code, message = refusal(daemon, f"oci://{registry.address}/lies/diff-id:v1")
    assert code == Code.DATA_LOSS and "unpacks to" in message, (code, message)
    nothing_stays(daemon)
    # A true image of the same layer is served, and the lie isn't from then on either.
    push_layers(registry, "lies/diff-id:v2", [tar], packed=[gzip.compress(tar)], suffix="+gzip")
    acquire(daemon, f"oci://{registry.address}/lies/diff-id:v2")
    assert refusal(daemon, f"oci://{registry.address}/lies/diff-id:v1")[0] == Code.DATA_LOSS


def test_a_layer_that_is_cut_off_before_it_was_hashed_is_refused(registry: Registry, daemon: CacheDaemon) -> None:
    tar = tar_with({"models/a": noise(MIB, 89)})
    cut = gzip.compress(tar)[:-1000]
    push_layers(registry, "cut/off:v1", [tar], packed=[cut], suffix="+gzip")
    code, message = refusal(daemon, f"oci://{registry.address}/cut/off:v1")
    assert code == Code.INVALID_ARGUMENT and "can't be unpacked" in message, (code, message)
    nothing_stays(daemon)


def test_layers_hide_what_is_below_them(registry: Registry, daemon: CacheDaemon) -> None:
    lower = tar_with({"models/a": b"a1", "models/b": b"b1", "models/c/d": b"d1", "models/c/e": b"e1", "models/f/g": b"g1",
                      "models/h": b"h1"})
    upper = tar_with({"models/a": b"a2", "models/.wh.b": b"", "models/c/.wh..wh..opq": b"", "models/c/e": b"e2",
                      "models/.wh.f": b"", "models/h/i": b"i2"})
    push_image(registry, "overlay/image:v1", [lower, upper])
    ready = acquire(daemon, f"oci://{registry.address}/overlay/image:v1")
    assert same(daemon, ready, {"a": b"a2", "c/e": b"e2", "h/i": b"i2"})
    top = tar_with({"tmp/x": b"", ".wh.models": b""})
    push_image(registry, "overlay/emptied:v1", [lower, upper, top])
    assert "no files in /models" in refusal(daemon, f"oci://{registry.address}/overlay/emptied:v1")[1]
    refilled = tar_with({"models/.wh..wh..opq": b"", "models/only": b"one"})
    push_image(registry, "overlay/refilled:v1", [lower, upper, refilled])
    assert same(daemon, acquire(daemon, f"oci://{registry.address}/overlay/refilled:v1"), {"only": b"one"})
