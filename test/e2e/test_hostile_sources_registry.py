"""What a hostile registry may say: names in manifests and in tars, where tokens are, digests, sizes, and without end."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import tarfile
from typing import Any, Callable, Iterator

import pytest

from harness.bombs import BOMBS, PACKERS, in_zstd, many_files
from harness.canary import MARK, canary
from harness.daemon import CacheDaemon
from harness.hostile import (GIB, KIB_LISTING, KIB_SMALL, SERVER, TRAVERSALS, acquire, body_without_end,
                             headers_without_end, pull, refused)
from harness.hostile_bytes import part_of
from harness.registry import MODELPACK, OCI_INDEX, OCI_MANIFEST, docker_config, sha256_of
from harness.scripted import Asked, ScriptedServer, answer

RAW, TAR = f"{MODELPACK}.weight.v1.raw", f"{MODELPACK}.weight.v1.tar"
NAMES = {"ORAS": "org.opencontainers.image.title", "ModelPack": "org.cncf.model.filepath",
         "the older ModelPack": "org.cnai.model.filepath"}
CONTENT = b"weights"


class HostileRegistry:
    """Serves within its `with` block `blobs` by their digests, and `manifests` by tag or digest as (type, bytes). What `scripts`
    has for a beginning of a path is answered by that."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.scripts: dict[str, SERVER] = {}
        self.server = ScriptedServer(self._answer)

    def __enter__(self) -> "HostileRegistry":
        self.server.__enter__()  # pylint: disable=unnecessary-dunder-call
        return self

    def __exit__(self, *unused: Any) -> None:
        self.server.__exit__(None, None, None)

    def uri(self, reference: str = ":v1") -> str:
        return f"oci://127.0.0.1:{self.server.port}/org/name{reference}"

    def blobs_asked(self) -> int:
        return sum("/blobs/" in asked.target for asked in self.server.requests)

    def layer(self, content: bytes, media_type: str = RAW, size: int | None = None, **annotations: str) -> dict[str, Any]:
        """A layer that is there."""
        self.blobs[sha256_of(content)] = content
        return {"mediaType": media_type, "digest": sha256_of(content), "size": len(content) if size is None else size,
                "annotations": annotations}

    def manifest(self, *layers: dict[str, Any], **fields: Any) -> bytes:
        """The manifest of tag v1, whose configuration is there."""
        self.blobs[sha256_of(b"{}")] = b"{}"
        config = {"mediaType": f"{MODELPACK}.config.v1+json", "digest": sha256_of(b"{}"), "size": 2}
        body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": list(layers)} | fields
        self.manifests["v1"] = (OCI_MANIFEST, json.dumps(body).encode())
        return self.manifests["v1"][1]

    def _answer(self, to: socket.socket, asked: Asked) -> None:
        path = asked.target.partition("?")[0]
        for begin, script in self.scripts.items():
            if path.startswith(begin):
                return script(self.server, to, asked)
        name = path.rpartition("/")[2]
        if path == "/v2/":
            return to.sendall(answer("200 OK", "Docker-Distribution-API-Version: registry/2.0"))
        if "/manifests/" in path and name in self.manifests:
            kind, body = self.manifests[name]
            return to.sendall(answer("200 OK", f"Content-Type: {kind}", body=body))
        if "/blobs/" in path and name in self.blobs:
            return to.sendall(part_of(self.blobs[name], asked))
        return to.sendall(answer("404 Not Found"))


@pytest.fixture
def registry() -> Iterator[HostileRegistry]:
    with HostileRegistry() as made:
        yield made


@pytest.fixture
def daemon(new_daemon: Callable[..., CacheDaemon]) -> Iterator[CacheDaemon]:
    made = new_daemon()
    made.change("sources", allowAddresses=["127.0.0.1"], http={"allowPlain": True})
    made.start()
    yield made
    assert made.answers(), "it doesn't answer any more"


@pytest.mark.parametrize("path", [path for path in TRAVERSALS if not path.startswith("./")])
@pytest.mark.parametrize("kind", NAMES)
def test_layer_whose_name_leads_elsewhere_is_refused(daemon: CacheDaemon, registry: HostileRegistry, kind: str,
                                                     path: str) -> None:
    registry.manifest(registry.layer(CONTENT, **{NAMES[kind]: path}))
    refused(pull(daemon, registry.uri()), TRAVERSALS[path])
    assert registry.blobs_asked() == 0, "the manifest was taken for good"


def tar_of_one(name: str, content: bytes = CONTENT, kind: bytes = tarfile.REGTYPE, style: int = tarfile.PAX_FORMAT,
               **more: str) -> bytes:
    """A tar of one entry, whatever it is called."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=style, pax_headers=more) as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.size = kind, len(content)
        entry.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
        archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()


TAR_NAMES = [path for path in TRAVERSALS if not path.startswith("./")]


@pytest.mark.parametrize("path", TAR_NAMES)
@pytest.mark.parametrize("style", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_tar_whose_name_leads_elsewhere_is_refused(daemon: CacheDaemon, registry: HostileRegistry, style: int,
                                                   path: str) -> None:
    registry.manifest(registry.layer(tar_of_one(path, style=style), TAR))
    refused(pull(daemon, registry.uri()), TRAVERSALS[path])


def _with_size(tar: bytes, size: bytes) -> bytes:
    """The same header with another size, and the checksum that fits."""
    header = tar[:124] + size + tar[136:148] + b" " * 8 + tar[156:512]
    return header[:148] + b"%06o\0 " % sum(header) + header[156:] + tar[512:]


PLAIN = tar_of_one("escape.json", style=tarfile.USTAR_FORMAT)
TARS = {
    "a symbolic link": (tar_of_one("escape", b"", tarfile.SYMTYPE), "neither file nor directory"),
    "a hard link": (tar_of_one("escape", b"", tarfile.LNKTYPE), "neither file nor directory"),
    "a device": (tar_of_one("escape", b"", tarfile.BLKTYPE), "neither file nor directory"),
    "a file of an exabyte": (_with_size(PLAIN, b"\x80" + (1 << 60).to_bytes(11, "big")), "ends before its first file does"),
    "a size of ones": (_with_size(PLAIN, b"\xff" * 12), "a broken size"),
    "no size": (_with_size(PLAIN, b"escape......"), "a broken size"),
    "a wrong checksum": (PLAIN[:148] + b"0" * 8 + PLAIN[156:], "wrong checksum"),
    "a name of a gigabyte": (_with_size(tar_of_one("a", style=tarfile.USTAR_FORMAT)[:156] + b"L" + PLAIN[157:],
                                        b"%011o\0" % GIB), "at too great a length"),
    "nothing": (b"\0" * 10240, "holds no file"),
    "noise": (hashlib.sha512(b"").digest() * 100, "wrong checksum"),
    "directories only": (tar_of_one("escape", b"", tarfile.DIRTYPE), "holds no file"),
    "all its files alike": (tar_of_one("a", path="../escape"), "names all its files alike"),
}


@pytest.mark.parametrize("name", TARS)
def test_tar_that_can_not_be_served_is_refused(daemon: CacheDaemon, registry: HostileRegistry, name: str) -> None:
    tar, reason = TARS[name]
    registry.manifest(registry.layer(tar, TAR))
    refused(pull(daemon, registry.uri()), reason)


def test_tar_with_an_endless_rest_is_refused_for_its_size(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    """It might hold more files, so it would be read whole."""
    layer = registry.layer(PLAIN, TAR, size=1 << 60)
    digest = layer["digest"]
    registry.scripts[f"/v2/org/name/blobs/{digest}"] = lambda server, to, asked: to.sendall(part_of(PLAIN, asked, 1 << 60))
    registry.manifest(layer)
    refused(pull(daemon, registry.uri()), "need 1024.0 PiB")
    assert registry.blobs_asked() < 8, "it was read on"


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", BOMBS)
def test_layer_that_unpacks_to_far_more_than_it_may_is_refused(daemon: CacheDaemon, registry: HostileRegistry, name: str,
                                                               packer: str) -> None:
    packed = PACKERS[packer](BOMBS[name].parts())
    registry.manifest(registry.layer(packed, f"{TAR}+{packer}"))
    refused(pull(daemon, registry.uri()), f"layer {sha256_of(packed)}: {BOMBS[name].reason(packed)}")
    assert not daemon.ingests() and not any((daemon.root / "trees/files").iterdir())
    assert not list((daemon.root / "blobs").rglob("?" * 64))


def test_layer_that_wants_much_memory_to_be_unpacked_is_refused(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    """A frame may name a window of gigabytes, which who unpacks it must keep."""
    packed = in_zstd(many_files(1, 60 << 20), window_log=27)
    registry.manifest(registry.layer(packed, f"{TAR}+zstd"))
    refused(pull(daemon, registry.uri()), "zstd window is over 8")


REALMS = {
    "https://169.254.169.254/token": "link-local",
    "http://169.254.169.254/latest/meta-data/iam": "link-local",
    "https://127.0.0.2/token": "loopback",
    "https://[fd00:ec2::254]/token": "metadata",
    "file:///etc/passwd": "no usable URL",
    "gopher://127.0.0.1/x": "no usable URL",
    "": "no usable URL",
}


@pytest.mark.parametrize("realm", REALMS)
@pytest.mark.parametrize("login", ["", canary("registry-login")], ids=["anonymous", "login"])
def test_realm_that_is_elsewhere_is_refused(daemon: CacheDaemon, registry: HostileRegistry, realm: str, login: str) -> None:
    challenge = f'WWW-Authenticate: Bearer realm="{realm}",service="x",scope="repository:org/name:pull"'
    registry.scripts["/v2/org/"] = lambda server, to, asked: to.sendall(answer("401 Unauthorized", challenge))
    if not login:
        return refused(pull(daemon, registry.uri()), REALMS[realm])
    config = docker_config(f"127.0.0.1:{registry.server.port}", password=login)
    outcome = acquire(daemon, registry.uri(), {".dockerconfigjson": config})
    refused(outcome, REALMS[realm])
    assert MARK not in outcome.error
    return None


def test_realm_that_sends_elsewhere_is_refused(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    realm = registry.server.url("/token")
    registry.scripts["/v2/org/"] = lambda server, to, asked: to.sendall(
        answer("401 Unauthorized", f'WWW-Authenticate: Bearer realm="{realm}"'))
    registry.scripts["/token"] = lambda server, to, asked: to.sendall(
        answer("302 Found", "Location: http://169.254.169.254/latest/meta-data/iam"))
    refused(pull(daemon, registry.uri()), "link-local")


ENDLESS: dict[str, tuple[str, SERVER, str]] = {
    "a manifest": ("/v2/org/name/manifests/", body_without_end(b"{", b" "), "longer than 4"),
    "a manifest's headers": ("/v2/org/name/manifests/", headers_without_end, "headers"),
    "an error": ("/v2/org/name/manifests/", lambda server, to, asked: (
        to.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n"), server.send_for_ever(to, b" " * 65536, 10 * GIB))[0], "longer than 4"),
    "a token": ("/token", body_without_end(b"{", b" "), "longer than"),
    "a token's headers": ("/token", headers_without_end, "headers"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_answer_without_end_is_refused(daemon: CacheDaemon, registry: HostileRegistry, name: str) -> None:
    path, script, reason = ENDLESS[name]
    challenge = f'WWW-Authenticate: Bearer realm="{registry.server.url("/token")}"'
    registry.scripts["/v2/org/"] = lambda server, to, asked: to.sendall(answer("401 Unauthorized", challenge))
    registry.scripts = {path: script} | registry.scripts
    refused(pull(daemon, registry.uri()), reason, kib=KIB_SMALL + (8 << 10))
    assert registry.server.bytes_sent < 32 << 20, "it was read on"


def test_indexes_without_end_are_refused(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    following = registry.manifest(registry.layer(CONTENT, **{NAMES["ORAS"]: "a.json"}))
    kind = OCI_MANIFEST
    for _ in range(20):
        registry.manifests[sha256_of(following)] = (kind, following)
        entry = {"mediaType": kind, "digest": sha256_of(following), "size": len(following)}
        following = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
        kind = OCI_INDEX
    registry.manifests["v1"] = (kind, following)
    refused(pull(daemon, registry.uri()), "over 3 deep")
    assert sum("/manifests/" in asked.target for asked in registry.server.requests) <= 5


def test_manifest_that_is_not_what_its_digest_says_is_refused(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    body = registry.manifest(registry.layer(CONTENT, **{NAMES["ORAS"]: "a.json"}))
    wanted = "sha256:" + "0" * 64
    registry.manifests[wanted] = (OCI_MANIFEST, body)
    refused(pull(daemon, registry.uri("@" + wanted)), "digest mismatch", wanted, sha256_of(body))


def test_layer_that_is_not_what_its_digest_says_is_never_visible(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    layer = registry.layer(CONTENT, **{NAMES["ORAS"]: "a.json"})
    registry.blobs[layer["digest"]] = other = b"Weights"
    registry.manifest(layer)
    refused(pull(daemon, registry.uri()), layer["digest"].removeprefix("sha256:"), hashlib.sha256(other).hexdigest(), seconds=30)
    assert not list((daemon.root / "blobs").rglob("?" * 64))


@pytest.mark.parametrize("size", [-1, 1 << 63, "7", None])
def test_layer_of_an_impossible_size_is_refused(daemon: CacheDaemon, registry: HostileRegistry, size: Any) -> None:
    registry.manifest(registry.layer(CONTENT, **{NAMES["ORAS"]: "a.json"}) | {"size": size})
    refused(pull(daemon, registry.uri()), "no size that a file can have")


def test_manifest_of_many_layers_without_names_is_refused(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    """As many as a manifest may hold."""
    layer = {"mediaType": "a", "digest": sha256_of(b""), "size": 1}
    registry.manifest(*[layer] * 20_000)
    refused(pull(daemon, registry.uri()), "no file name", kib=KIB_LISTING)


def test_manifest_of_many_layers_that_are_none_is_refused(daemon: CacheDaemon, registry: HostileRegistry) -> None:
    """A parser that goes through all of them at the end of each takes a minute, and thirty times their bytes."""
    registry.manifests["v1"] = (OCI_MANIFEST, b'{"config": {}, "layers": [' + b"{}," * 250_000 + b"{}]}")
    refused(pull(daemon, registry.uri()), "more than 100,000 values", kib=KIB_LISTING)
