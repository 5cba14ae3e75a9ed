"""Layers that are compressed or hold several files: read whole, unpacked as they come, and right or not there."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.layers import (KITOPS, MODELPACK, below_models, content_of, entry_of, layers_of, push_archive, push_directory,
                            push_image, push_layers, tar_with)
from harness.models import MIB, digests, make_model
from harness.registry import Registry, docker_config, sha256_of, tar_of

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


def acquire(daemon: CacheDaemon, uri: str, credentials: dict[str, str] | None = None, timeout: float = 60) -> Any:
    with daemon.client() as cache:
        updates = list(cache.call("Acquire", timeout, model=cache.model(uri), credentials=credentials or {},
                                  layout=cache.messages.Layout.Value("LAYOUT_FILES")))
    return updates[-1].ready


def refusal(daemon: CacheDaemon, uri: str) -> tuple[Code, str]:
    with pytest.raises(grpc.RpcError) as refused:
        acquire(daemon, uri)
    return refused.value.code(), refused.value.details()


def shown(daemon: CacheDaemon, ready: Any) -> dict[str, str]:
    return digests(daemon.root / ready.tree)


def blobs(daemon: CacheDaemon) -> dict[str, int]:
    return {path.name: path.stat().st_nlink for path in (daemon.root / "blobs").rglob("*") if path.is_file()}


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
    assert acquire(daemon, f"{uri}:v1").tree == acquire(daemon, f"{uri}@{digest}").tree == ready.tree
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
