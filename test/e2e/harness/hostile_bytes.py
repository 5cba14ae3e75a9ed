"""Sources of each kind whose list is decent, and whose one file's bytes are said to lie elsewhere."""

from __future__ import annotations

import hashlib
import json
import socket
from typing import Any, Callable, NamedTuple

from harness.hostile import SERVER, HostileHub, entry, found
from harness.registry import MODELPACK, OCI_MANIFEST, sha256_of
from harness.scripted import Asked, ScriptedServer, answer

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Replies = Callable[[Asked, bytes], bytes]
"""The answer to a question; the second is that to a question for the file's bytes."""


def _hub(asked: Asked, away: bytes) -> bytes:
    if "/revision/" in asked.target:
        return answer("200 OK", body=json.dumps({"sha": HostileHub.COMMIT, "gated": False}).encode())
    if "/tree/" in asked.target:
        return answer("200 OK", body=json.dumps([entry("a.bin", CONTENT)]).encode())
    return away


def _s3(asked: Asked, away: bytes) -> bytes:
    if "list-type" in asked.target:
        listed = f"<Contents><Key>model/a.bin</Key><Size>{len(CONTENT)}</Size><ETag>\"e\"</ETag></Contents>"
        return answer("200 OK", body=f"<ListBucketResult><EncodingType>url</EncodingType>{listed}</ListBucketResult>".encode())
    return answer("200 OK", 'ETag: "e"', length=len(CONTENT)) if asked.method == "HEAD" else away


def _gcs(asked: Asked, away: bytes) -> bytes:
    listed = {"name": "model/a.bin", "size": str(len(CONTENT)), "generation": "1"}
    if "maxResults" in asked.target:
        return answer("200 OK", body=json.dumps({"items": [listed]}).encode())
    return away if "alt=media" in asked.target else answer("200 OK", body=json.dumps(listed).encode())


def _registry(asked: Asked, away: bytes) -> bytes:
    if asked.target == "/v2/":
        return answer("200 OK", "Docker-Distribution-API-Version: registry/2.0")
    if "/manifests/" not in asked.target:
        return away
    layer = {"mediaType": f"{MODELPACK}.weight.v1.raw", "digest": sha256_of(CONTENT), "size": len(CONTENT),
             "annotations": {"org.cncf.model.filepath": "a.bin"}}
    config = {"mediaType": f"{MODELPACK}.config.v1+json", "digest": sha256_of(b"{}"), "size": 2}
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    return answer("200 OK", f"Content-Type: {OCI_MANIFEST}", body=json.dumps(body).encode())


def _model_scope(asked: Asked, away: bytes) -> bytes:
    if "/repo/files" not in asked.target:
        return away
    file = {"Path": "a.bin", "Type": "blob", "Size": len(CONTENT), "Sha256": SHA256, "Revision": HostileHub.COMMIT}
    return answer("200 OK", body=json.dumps({"Code": 200, "Data": {"Files": [file]}}).encode())


def _web(asked: Asked, away: bytes) -> bytes:
    return found(asked, body=CONTENT) if asked.method == "HEAD" else away


class Kind(NamedTuple):
    """How a source is named, and configured where it has an endpoint."""

    uri: str
    replies: Replies
    endpoint: str = ""
    followed: bool = True
    """False: no redirect of the bytes is followed, wherever it leads."""

    def script(self, location: str) -> SERVER:
        """Sends everybody there for the bytes."""
        away = answer("307 Temporary Redirect", f"Location: {location}")
        return lambda server, to, asked: to.sendall(self.replies(asked, away))

    def settings(self, server: ScriptedServer) -> dict[str, Any]:
        """Of `sources`. What has no endpoint is at an address that must be allowed."""
        plain: dict[str, Any] = {"http": {"allowPlain": True}}
        if self.endpoint:
            return plain | {"allowAddresses": [], self.endpoint: {"endpoint": server.url("")}}
        return plain | {"allowAddresses": ["127.0.0.1"]}


BYTES: dict[str, Kind] = {
    "a Hub's file": Kind("hf://org/name", _hub, "huggingface"),
    "an object of S3": Kind("s3://bucket/model", _s3, "s3"),
    "an object of GCS": Kind("gs://bucket/model", _gcs, "gcs", followed=False),
    "a registry's blob": Kind("oci://127.0.0.1:{port}/org/name:v1", _registry),
    "ModelScope's file": Kind("modelscope://org/name", _model_scope, "modelscope"),
    "a web server's file": Kind("http://127.0.0.1:{port}/a.bin", _web, followed=False),
}


def part_of(content: bytes, asked: Asked, total: int = 0) -> bytes:
    """The range that was asked for, of what is said to have `total` bytes; all of it where none was."""
    if "\r\nrange:" not in asked.head.lower():
        return answer("200 OK", body=content)
    begin, end = 0, len(content)
    for line in asked.head.split("\r\n"):
        if line.lower().startswith("range: bytes="):
            first, _, last = line.partition("=")[2].partition("-")
            begin, end = int(first), min(int(last) + 1, len(content))
    body = content[begin:end]
    return answer("206 Partial Content", f"Content-Range: bytes {begin}-{begin + len(body) - 1}/{total or len(content)}", body=body)


def serves_the_bytes(to: socket.socket, asked: Asked) -> None:
    """What a victim of a redirect does, or a decent server of content."""
    to.sendall(found(asked, body=CONTENT) if asked.method == "HEAD" else part_of(CONTENT, asked))
