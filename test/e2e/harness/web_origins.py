"""Sources of the contract suite that need no service of their own kind: nginx with a list of files, ModelScope's double, a local
directory. Each has the members of harness.sources.Origin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable

from harness.canary import canary
from harness.models import digests
from harness.web import BEARER, PASSWORD, SIGNATURE, USER, WebServer
from modelscope_double.server import ModelScopeDouble

SCOPE_TOKEN = canary("modelscope")
SUMS, MANIFEST = "SHA256SUMS", "model.json"


def sums_of(directory: Path) -> bytes:
    """What sha256sum says of a model's files."""
    lines = [f"{sha256}  ./{path}\n" for path, sha256 in sorted(digests(directory).items()) if path not in (SUMS, MANIFEST)]
    return "".join(lines).encode()


def write_sums(directory: Path) -> None:
    (directory / SUMS).write_bytes(sums_of(directory))


def write_manifest(directory: Path, name: str = MANIFEST, changes: dict[str, dict[str, object]] | None = None) -> None:
    """A manifest of a model's files; `changes` to entries, by path."""
    files = [{"path": path, "size": (directory / path).stat().st_size, "sha256": sha256} | (changes or {}).get(path, {})
             for path, sha256 in sorted(digests(directory).items()) if path not in (SUMS, MANIFEST, name)]
    (directory / name).write_text(json.dumps({"files": files}))


class _Files:
    """Models as directories below one."""

    write_list: Callable[[Path], None] | None = None

    def __init__(self, directory: Path) -> None:
        self.models = directory / "models"
        self.models.mkdir(parents=True)
        self.settings: dict[str, Any] = {}
        self.secret: dict[str, str] = {}
        self.wrong: dict[str, str] = {}

    def push(self, model: Path, name: str) -> str:
        shutil.copytree(model, self.models / "acme" / name)
        self._list(name)
        return self.uri(f"acme/{name}")

    def replace(self, name: str, path: str, content: bytes) -> None:
        (self.models / "acme" / name / path).write_bytes(content)
        self._list(name)

    def _list(self, name: str) -> None:
        if self.write_list is not None:
            self.write_list(self.models / "acme" / name)

    def uri(self, name: str) -> str:
        raise NotImplementedError

    def missing(self) -> str:
        return self.uri("acme/nothing")

    def stop(self) -> None:
        """Nothing runs."""


class LocalOrigin(_Files):
    """A directory that the admin allows."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.settings = {"local": {"roots": [str(self.models)]}}

    def uri(self, name: str) -> str:
        return f"file://{self.models}/{name}"


class LocalSumsOrigin(LocalOrigin):
    """The same, with a SHA256SUMS in each model."""

    write_list = staticmethod(write_sums)


class WebOrigin(_Files):
    """nginx; models are for those with the right user and password."""

    write_list = staticmethod(write_sums)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.server = WebServer(directory / "nginx", self.models)
        self.secret = {"username": USER, "password": PASSWORD}
        self.wrong = {"username": USER, "password": canary("another-password")}

    def uri(self, name: str) -> str:
        return f"{self.server.url}/basic/{name}/"

    def stop(self) -> None:
        self.server.stop()


class SignedWebOrigin(WebOrigin):
    """The same by a signature in the URL, as a shared access signature is."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.secret, self.wrong = {}, {}

    def uri(self, name: str) -> str:
        return f"{self.server.url}/signed/{name}/?sv=2024-11-04&sr=c&sp=r&sig={SIGNATURE}"


class ManifestOrigin(WebOrigin):
    """A JSON manifest, for those with the right token."""

    write_list = staticmethod(write_manifest)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.secret = {"HTTP_TOKEN": BEARER}
        self.wrong = {"HTTP_TOKEN": canary("another-bearer")}

    def uri(self, name: str) -> str:
        return f"{self.server.url}/bearer/{name}/{MANIFEST}#manifest"


class ScopeOrigin(_Files):
    """ModelScope; models are private."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._double = ModelScopeDouble(self.models, token=SCOPE_TOKEN)
        self._double.start()
        self.settings = {"modelscope": {"endpoint": self._double.url}}
        self.secret = {"MODELSCOPE_API_TOKEN": SCOPE_TOKEN}
        self.wrong = {"MODELSCOPE_API_TOKEN": canary("another-modelscope")}

    def uri(self, name: str) -> str:
        return f"modelscope://{name}"

    def stop(self) -> None:
        self._double.stop()


WEB_SOURCES = {
    "local": LocalOrigin,
    "local with SHA256SUMS": LocalSumsOrigin,
    "web with SHA256SUMS": WebOrigin,
    "web, signed": SignedWebOrigin,
    "web manifest": ManifestOrigin,
    "modelscope": ScopeOrigin,
}
"""Entries for harness.sources.SOURCES."""
