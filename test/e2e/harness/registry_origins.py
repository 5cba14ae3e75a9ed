"""Registries as sources of the contract suite: Debian's docker-registry. Each has the members of harness.sources.Origin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness.registry import MODELPACK, PASSWORD, USER, Registry, TokenServer


class ModelPackOrigin:
    """ModelPack's raw layers; models are for those with the right user and password."""

    def __init__(self, directory: Path) -> None:
        self._models = directory / "models"
        self._models.mkdir(parents=True)
        self.registry = self._registry(directory)
        self.settings: dict[str, Any] = {}
        self.secret = {"username": USER, "password": PASSWORD}
        self.wrong = {"username": USER, "password": "another-password"}

    def _registry(self, directory: Path) -> Registry:
        return Registry(directory / "registry", basic=True)

    def upload(self, name: str, model: Path) -> str:
        """Pushes a model's directory as this kind does."""
        return self.registry.push_modelpack(name, model)

    def push(self, model: Path, name: str) -> str:
        shutil.copytree(model, self._models / name)
        self.upload(f"acme/{name}:v1", self._models / name)
        return f"oci://{self.registry.address}/acme/{name}:v1"

    def replace(self, name: str, path: str, content: bytes) -> None:
        (self._models / name / path).write_bytes(content)
        self.upload(f"acme/{name}:v1", self._models / name)

    def missing(self) -> str:
        return f"oci://{self.registry.address}/acme/nothing:v1"

    def stop(self) -> None:
        self.registry.stop()


class ModelPackTarOrigin(ModelPackOrigin):
    """Each file in a tar, as `modctl build` makes them."""

    def upload(self, name: str, model: Path) -> str:
        return self.registry.push_tars(name, model, MODELPACK)


class OrasOrigin(ModelPackOrigin):
    """What `oras push` makes of files, in a registry that wants tokens."""

    def _registry(self, directory: Path) -> Registry:
        directory.mkdir(parents=True, exist_ok=True)
        self._tokens = TokenServer(directory)
        return Registry(directory / "registry", tokens=self._tokens)

    def upload(self, name: str, model: Path) -> str:
        return self.registry.push_files(name, model)

    def stop(self) -> None:
        super().stop()
        self._tokens.close()


REGISTRY_SOURCES = {
    "modelpack": ModelPackOrigin,
    "modelpack, in tars": ModelPackTarOrigin,
    "oras": OrasOrigin,
}
"""Entries for harness.sources.SOURCES."""
