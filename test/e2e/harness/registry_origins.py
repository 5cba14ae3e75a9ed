"""Registries as sources of the contract suite: Debian's docker-registry. Each has the members of harness.sources.Origin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness.canary import canary
from harness.layers import below_models, content_of, push_archives, push_image, tar_with
from harness.registry import KITOPS, MODELPACK, PASSWORD, USER, Registry, TokenServer


class ModelPackOrigin:
    """ModelPack's raw layers; models are for those with the right user and password."""

    def __init__(self, directory: Path) -> None:
        self._models = directory / "models"
        self._models.mkdir(parents=True)
        self.registry = self._registry(directory)
        self.settings: dict[str, Any] = {}
        self.secret = {"username": USER, "password": PASSWORD}
        self.wrong = {"username": USER, "password": canary("another-password")}

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


class ModelcarOrigin(ModelPackOrigin):
    """An image with the model in /models, a layer for each file, which skopeo compresses; whoever asks may have it."""

    packed = True
    compression = "gzip"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.secret, self.wrong = {}, {}

    def _registry(self, directory: Path) -> Registry:
        return Registry(directory / "registry")

    def upload(self, name: str, model: Path) -> str:
        base = tar_with({"etc/os-release": self.compression.encode()})
        tars = [tar_with({path: data}) for path, data in below_models(content_of(model)).items()]
        return push_image(self.registry, name, [base, *tars], self.compression)


class ModelcarZstdOrigin(ModelcarOrigin):
    """The same, by zstd."""

    compression = "zstd"


class KitOpsOrigin(ModelPackOrigin):
    """KitOps-shaped: the weights in one compressed tar, all else in another."""

    packed = True

    def upload(self, name: str, model: Path) -> str:
        files = content_of(model)
        weights = {path: data for path, data in files.items() if path.endswith(".safetensors")}
        return push_archives(self.registry, name, [weights, {path: files[path] for path in files.keys() - weights.keys()}],
                             KITOPS, True)


REGISTRY_SOURCES = {
    "modelcar, gzip": ModelcarOrigin,
    "modelcar, zstd": ModelcarZstdOrigin,
    "kitops, gzip": KitOpsOrigin,
    "modelpack": ModelPackOrigin,
    "modelpack, in tars": ModelPackTarOrigin,
    "oras": OrasOrigin,
}
"""Entries for harness.sources.SOURCES."""
