"""Every kind of source that the contract suite (test_sources.py) runs against: one entry of SOURCES each.

An entry is a class whose objects are a running server with what a test needs to know of it. To add a source, add a class
with the members of `Origin` and a line to SOURCES.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

from harness.buckets import GcsServer, S3Server
from harness.canary import canary
from harness.google import ACCOUNT, GuardedGcs
from harness.hub import TOKEN, Hub
from harness.registry_origins import REGISTRY_SOURCES
from harness.web_origins import WEB_SOURCES


class Origin(Protocol):
    """A running server that holds models for one caller, and for others or not."""

    settings: dict[str, Any]
    """What the daemon's configuration says of it, below `sources`."""
    secret: dict[str, str]
    """What a pod that may read its models holds; empty: everybody may."""
    wrong: dict[str, str]
    """What a pod holds that may not; empty where the server takes everybody."""

    def push(self, model: Path, name: str) -> str:
        """Uploads a model's directory; its URI."""

    def replace(self, name: str, path: str, content: bytes) -> None:
        """Changes one file of a model that was pushed."""

    def missing(self) -> str:
        """A URI of nothing."""

    def stop(self) -> None:
        """Ends the server."""


class HubOrigin:
    """The fixture Hub; models are private."""

    def __init__(self, directory: Path) -> None:
        self._models = directory / "models"
        self._models.mkdir(parents=True)
        self._hub = Hub(self._models, directory / "hub.log", "--token", TOKEN)
        self.settings = {"huggingface": {"endpoint": self._hub.url}}
        self.secret = {"HF_TOKEN": TOKEN}
        self.wrong = {"HF_TOKEN": canary("another_token")}

    def push(self, model: Path, name: str) -> str:
        shutil.copytree(model, self._models / "acme" / name)
        (self._models / "acme" / name / ".fixture.json").write_text('{"private": true}')
        self._hub.rescan()
        return f"hf://acme/{name}"

    def replace(self, name: str, path: str, content: bytes) -> None:
        (self._models / "acme" / name / path).write_bytes(content)
        self._hub.rescan()

    def missing(self) -> str:
        return "hf://acme/nothing"

    def stop(self) -> None:
        self._hub.stop()


class S3Origin:
    """versitygw; the whole objects' SHA-256 goes along with each upload."""

    upload: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"}

    def __init__(self, directory: Path) -> None:
        self.server = S3Server(directory)
        self.settings = {"s3": {"endpoint": self.server.url}}
        self.secret = dict(S3Server.KEYS)
        self.wrong = dict(S3Server.WRONG)

    def push(self, model: Path, name: str) -> str:
        return self.server.push(model, f"acme/{name}", **self.upload)

    def replace(self, name: str, path: str, content: bytes) -> None:
        self.server.put(f"acme/{name}/{path}", content, **self.upload)

    def missing(self) -> str:
        return f"s3://{S3Server.BUCKET}/acme/nothing"

    def stop(self) -> None:
        self.server.stop()


class S3CrcOrigin(S3Origin):
    """What AWS stores by itself: CRC64NVME; and the endpoint comes by the pod's secret."""

    upload = {"ChecksumAlgorithm": "CRC64NVME"}

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.settings = {}
        self.secret |= {"AWS_ENDPOINT_URL": self.server.url}
        self.wrong |= {"AWS_ENDPOINT_URL": self.server.url}


class GcsOrigin:
    """fake-gcs-server behind a guard that wants service accounts' tokens."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.guard = GuardedGcs(directory)
        self.settings = {"gcs": {"endpoint": self.guard.url}}
        self.secret = {ACCOUNT: self.guard.reader.json}
        self.wrong = {ACCOUNT: self.guard.other.json}

    def push(self, model: Path, name: str) -> str:
        return self.guard.storage.push(model, f"acme/{name}")

    def replace(self, name: str, path: str, content: bytes) -> None:
        self.guard.storage.put(f"acme/{name}/{path}", content)

    def missing(self) -> str:
        return f"gs://{GcsServer.BUCKET}/acme/nothing"

    def stop(self) -> None:
        self.guard.stop()


SOURCES: dict[str, type[Origin]] = {
    "hugging face": HubOrigin,
    "s3": S3Origin,
    "s3 by the secret's endpoint": S3CrcOrigin,
    "gcs": GcsOrigin,
    **REGISTRY_SOURCES,
    **WEB_SOURCES,
}
