"""OCI registries as a source: Debian's docker-registry, with models that real clients (oras, skopeo) pushed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.canary import canary
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.layers import content_of, push_archive
from harness.models import MIB, digests, make_model
from harness.node import Node
from harness.registry import (KITOPS, MODELPACK, PASSWORD, USER, Layout, Registry, TokenServer, docker_config, files_of,
                              sha256_of, tar_of)
from harness.relay import Relay
from harness.served import acquire, blobs, refusal, shown
from kubelet_double import Claim, StorageClass

Code = grpc.StatusCode
MODEL = "acme/sharded"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """One that asks nobody who they are."""
    made = Registry(workspace.directory() / "registry")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def private() -> Iterator[Registry]:
    """One that wants a user's name and password."""
    made = Registry(workspace.directory() / "private-registry", basic=True)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    made = TokenServer(workspace.directory())
    yield made
    made.close()


@pytest.fixture(scope="module")
def guarded(tokens: TokenServer) -> Iterator[Registry]:
    """One that wants tokens."""
    made = Registry(workspace.directory() / "guarded-registry", tokens=tokens)
    yield made
    made.stop()


@pytest.fixture
def daemon(new_daemon: Callable[..., CacheDaemon]) -> CacheDaemon:
    made = new_daemon()
    made.start()
    return made


PUSHES: dict[str, Callable[[Registry, str, Path], str]] = {
    "oras-files": Registry.push_files,
    "modelpack-raw": Registry.push_modelpack,
    "cnai-raw": lambda registry, name, model: registry.push_modelpack(name, model, "org.cnai.model"),
    "docker-model-runner": Registry.push_docker_model,
    "modelpack-tar": lambda registry, name, model: registry.push_tars(name, model, MODELPACK),
    "kitops-tar": lambda registry, name, model: registry.push_tars(name, model, KITOPS),
}


@pytest.mark.parametrize("kind", PUSHES)
def test_a_model_that_a_client_pushed_is_served(registry: Registry, daemon: CacheDaemon, models: Path, kind: str) -> None:
    digest = PUSHES[kind](registry, f"kinds/{kind}:v1", models / MODEL)
    uri = f"oci://{registry.address}/kinds/{kind}"
    ready = acquire(daemon, f"{uri}:v1")
    assert shown(daemon, ready) == digests(models / MODEL)
    assert ready.revision == digest
    # By its digest it is the same, and as nobody's secret it need not be asked for again.
    asked = registry.requests(f"kinds/{kind}/manifests/{digest}")
    assert acquire(daemon, f"{uri}@{digest}").tree == ready.tree
    assert acquire(daemon, f"{uri}@{digest}").tree == ready.tree
    assert registry.requests(f"kinds/{kind}/manifests/{digest}") == asked + 1
    assert refusal(daemon, f"{uri}:v2")[0] == Code.NOT_FOUND


def test_the_command_line_pulls_one(registry: Registry, models: Path) -> None:
    registry.push_files("cli/tiny:v1", models / "acme/tiny")
    root = workspace.directory() / "pulled-from-registry"
    command = [str(workspace.binaries() / "weighhouse"), "--root", str(root), "--output", "json", "pull",
               f"oci://{registry.address}/cli/tiny:v1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert digests(Path(json.loads(done.stdout)["tree"])) == digests(models / "acme/tiny")


def test_a_registry_with_a_certificate_is_asked_over_https(new_daemon: Callable[..., CacheDaemon], models: Path) -> None:
    registry = Registry(workspace.directory() / "tls-registry", tls=True)
    try:
        registry.push_files("tls/tiny:v1", models / "acme/tiny")
        uri = f"oci://{registry.address}/tls/tiny:v1"
        trusting, wary = new_daemon(), new_daemon()
        trusting.start({"SSL_CERT_FILE": str(registry.certificate)})
        assert shown(trusting, acquire(trusting, uri)) == digests(models / "acme/tiny")
        wary.start()
        code, message = refusal(wary, uri)
        assert code == Code.UNAVAILABLE and "not trusted" in message
    finally:
        registry.stop()


def test_an_index_leads_to_the_manifest_of_the_node(registry: Registry, daemon: CacheDaemon, models: Path) -> None:
    layout = Layout(workspace.directory() / "index-layout")
    manifests = []
    for system, architecture, name in (("linux", "amd64", "tiny"), ("linux", "arm64", "tiny"), ("windows", "amd64", "other"),
                                       ("unknown", "unknown", "other")):
        layers = [layout.add((models / "acme" / name / path).read_bytes(), "application/vnd.oci.image.layer.v1.tar",
                             {"org.opencontainers.image.title": path}) for path in files_of(models / "acme" / name)]
        config = json.dumps({"os": system, "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}})
        manifest = layout.manifest("application/vnd.oci.image.config.v1+json", config.encode(), layers)
        manifests.append(manifest | {"platform": {"os": system, "architecture": architecture}})
    layout.tag(layout.index(manifests))
    index = registry.push_layout("index/tiny:v1", layout)
    ready = acquire(daemon, f"oci://{registry.address}/index/tiny:v1")
    assert shown(daemon, ready) == digests(models / "acme/tiny")
    assert ready.revision in [manifest["digest"] for manifest in manifests[:2]] and ready.revision != index


def test_a_model_of_the_hub_and_of_a_registry_is_one_set_of_blobs(registry: Registry, daemon: CacheDaemon,
                                                                  hub: Hub) -> None:
    registry.push_modelpack("same/model:v1", hub.models / MODEL)
    first = acquire(daemon, f"hf://{MODEL}")
    alone = blobs(daemon)
    second = acquire(daemon, f"oci://{registry.address}/same/model:v1")
    assert shown(daemon, first) == shown(daemon, second) == digests(hub.models / MODEL)
    together = blobs(daemon)
    print(f"links before and after: {sorted(alone.values())} {sorted(together.values())}")
    assert together == {name: links + 1 for name, links in alone.items()}, "a file has a second copy"
    assert second.bytes_fetched == 0 and registry.requests("same/model/blobs/sha256") == 0


PRIVATE = {
    "a pull secret": (lambda registry: {".dockerconfigjson": docker_config(registry.address)}, None),
    "user and password": (lambda registry: {"username": USER, "password": PASSWORD}, None),
    "a wrong password": (lambda registry: {"username": USER, "password": canary("wrong-password")}, Code.UNAUTHENTICATED),
    "another registry's secret": (lambda registry: {".dockerconfigjson": docker_config("elsewhere")}, Code.UNAUTHENTICATED),
    "nothing": (lambda registry: {}, Code.UNAUTHENTICATED),
}


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("cached", [False, True], ids=["cold", "cached"])
@pytest.mark.parametrize("auth", ["private", "guarded"])
def test_a_private_model_is_served_to_who_may_pull_it(request: pytest.FixtureRequest, daemon: CacheDaemon, models: Path,
                                                      name: str, cached: bool, auth: str) -> None:
    registry: Registry = request.getfixturevalue(auth)
    digest = registry.push_files("secret/tiny:v1", models / "acme/tiny")
    credentials, refused = PRIVATE[name][0](registry), PRIVATE[name][1]
    uri = f"oci://{registry.address}/secret/tiny"
    if cached:
        acquire(daemon, f"{uri}:v1", {".dockerconfigjson": docker_config(registry.address)})
    for reference in (f"{uri}:v1", f"{uri}@{digest}"):
        if refused is None:
            assert shown(daemon, acquire(daemon, reference, credentials)) == digests(models / "acme/tiny")
            continue
        code, message = refusal(daemon, reference, credentials)
        assert code == refused and "secret/tiny" in message and PASSWORD not in message
    assert PASSWORD not in daemon.log.read_text()


@pytest.mark.parametrize("layer,who,said", [("raw", "anonymous", True), *itertools.product(("raw", "compressed"), ["login"],
                                                                                          (True, False))])
def test_a_token_may_end_in_the_middle_of_a_fill(new_daemon: Callable[..., CacheDaemon], guarded: Registry, tokens: TokenServer,
                                                 models: Path, layer: str, who: str, said: bool) -> None:
    """Where the end was said, nobody is asked with a token that has ended; where a registry ends one earlier, it refuses it, and
    the fill goes on with another. A compressed layer comes by one request: that is cut, as a gateway's time limit does it."""
    name = f"{'open' if who == 'anonymous' else 'shut'}/{layer}-{'said' if said else 'unsaid'}"
    # Of a raw layer, the last range begins at least 5 s after the first: the buffers' 12 MiB and a second's worth before its end.
    size, limit, cut_after = (64, "8Mi", None) if layer == "raw" else (24, "4Mi", 4 * MIB)
    model = make_model(models, name, (size * MIB,), seed=70)
    if layer == "raw":
        guarded.push_files(f"{name}:v1", model)
    else:
        push_archive(guarded, f"{name}:v1", content_of(model), KITOPS, True)
    daemon = new_daemon()
    daemon.change("fill", bandwidthLimit=limit, bufferMemory="16Mi")
    daemon.start()
    refused_before, given_before = guarded.ended_tokens(), len(tokens.given)
    tokens.life, tokens.true_life = (4, 4) if said else (300, 2)
    try:
        with Relay(guarded.address, cut_after) as relay:
            secret = {".dockerconfigjson": docker_config(relay.address)} if who == "login" else {}
            ready = acquire(daemon, f"oci://{relay.address}/{name}:v1", secret, timeout=120)
    finally:
        tokens.life, tokens.true_life = 300, None
    assert shown(daemon, ready) == digests(model)
    asked = tokens.given[given_before:].count(f"repository:{name}:pull")
    refusals = guarded.ended_tokens() - refused_before
    print(f"{asked} tokens, {refusals} refused as ended")
    if said:
        assert asked >= 2 and refusals == 0, "a token that had ended was used on"
    else:
        assert asked >= 2 and refusals >= 1, "no token ended: this shows nothing"


def test_a_file_of_a_tar_is_gone_on_with_after_a_kill(new_daemon: Callable[..., CacheDaemon], registry: Registry,
                                                       models: Path) -> None:
    model = make_model(models, "acme/resumed", (80 * MIB,), seed=72)
    registry.push_tars("resumed/model:v1", model, MODELPACK)
    daemon = new_daemon()
    daemon.change("fill", bandwidthLimit="4Mi")  # a state every 5 s
    daemon.start()
    with daemon.client() as cache:
        cache.call("Prefetch", model=cache.model(f"oci://{registry.address}/resumed/model:v1"))
    daemon.process.wait_ready(lambda: any(daemon.root.glob("ingests/*/state")), timeout=60)
    daemon.kill()
    daemon.change("fill", bandwidthLimit="0")
    daemon.start()
    assert shown(daemon, acquire(daemon, f"oci://{registry.address}/resumed/model:v1")) == digests(model)
    assert "are here from before" in daemon.log.read_text()


def test_bytes_that_are_not_what_the_manifest_says_are_never_shown(registry: Registry, daemon: CacheDaemon,
                                                                    models: Path) -> None:
    model = make_model(models, "acme/rotten", seed=71)
    digest = registry.push_files("rotten/model:v1", model)
    stored = registry.blob_file(sha256_of((model / "model.safetensors").read_bytes()))
    good = stored.read_bytes()
    stored.write_bytes(good[:1000] + b"?" + good[1001:])
    code, message = refusal(daemon, f"oci://{registry.address}/rotten/model:v1")
    assert code == Code.DATA_LOSS and "digest mismatch" in message
    assert not any((daemon.root / "trees/files").iterdir())
    stored.write_bytes(good)
    ready = acquire(daemon, f"oci://{registry.address}/rotten/model:v1")
    assert shown(daemon, ready) == digests(model)
    # A manifest that was asked for by its digest.
    manifest = registry.blob_file(digest)
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with daemon.client() as cache:
        cache.call("Evict", snapshot_id=ready.snapshot_id)
    code, message = refusal(daemon, f"oci://{registry.address}/rotten/model@{digest}")
    assert code == Code.DATA_LOSS and digest in message, message


def test_a_tar_whose_surroundings_lie_is_never_shown(registry: Registry, daemon: CacheDaemon, models: Path) -> None:
    """The file's own bytes are right: what lies around them must be, too, for the layer's digest is all that is known."""
    registry.push_tars("rotten/tars:v1", models / "acme/tiny", MODELPACK)
    layer = tar_of({"model.safetensors": (models / "acme/tiny/model.safetensors").read_bytes()})
    stored = registry.blob_file(sha256_of(layer))
    assert stored.read_bytes() == layer
    lie = bytearray(layer)
    lie[136:147] = b"00000000001"  # another time of change, and the checksum that goes with it
    lie[148:156] = b"        "
    lie[148:155] = f"{sum(lie[:512]):06o}\0".encode()
    stored.write_bytes(lie)
    code, message = refusal(daemon, f"oci://{registry.address}/rotten/tars:v1")
    assert code == Code.DATA_LOSS and "digest mismatch of the layer" in message
    assert not any((daemon.root / "trees/files").iterdir())


def test_what_is_not_served_says_so(registry: Registry, daemon: CacheDaemon, models: Path) -> None:
    layout = Layout(workspace.directory() / "nameless-layout")
    layer = layout.add((models / "acme/tiny/config.json").read_bytes(), f"{MODELPACK}.doc.v1.raw")
    layout.tag(layout.manifest(f"{MODELPACK}.config.v1+json", b"{}", [layer]))
    registry.push_layout("raw/nameless:v1", layout)
    code, message = refusal(daemon, f"oci://{registry.address}/raw/nameless:v1")
    assert code == Code.INVALID_ARGUMENT and "has no file name" in message
    code, message = refusal(daemon, f"oci://{registry.address}/Upper/case:v1")
    assert code == Code.INVALID_ARGUMENT and "oci://registry" in message


def test_a_claim_keeps_the_manifest_that_its_tag_meant(registry: Registry, node: Node, models: Path) -> None:
    registry.push_files("moving/model:v1", models / "acme/tiny")
    storage_class = StorageClass("registry", {"model": f"oci://{registry.address}/moving/model", "revision": "v1"})
    volume = node.provisioner.create(storage_class, Claim("early", 1024 * MIB))
    registry.push_files("moving/model:v1", models / "acme/other")
    [path] = node.start(pod := node.claim_pod("pod", volume))
    assert digests(path) == digests(models / "acme/tiny"), "the claim followed its tag"
    [late] = node.start(inline := node.pod("late", f"oci://{registry.address}/moving/model:v1"))
    assert digests(late) == digests(models / "acme/other")
    node.end(pod, inline)


def test_a_pod_brings_its_pull_secret(private: Registry, node: Node, models: Path) -> None:
    private.push_files("pods/tiny:v1", models / "acme/tiny")
    uri = f"oci://{private.address}/pods/tiny:v1"
    secret = {".dockerconfigjson": docker_config(private.address)}
    [path] = node.start(pod := node.pod("pod", uri, secret))
    assert digests(path) == digests(models / "acme/tiny")
    assert os.statvfs(path).f_flag & os.ST_RDONLY
    node.end(pod)
    for log in (node.daemon.log, node.plugin.log):
        assert PASSWORD not in log.read_text()
