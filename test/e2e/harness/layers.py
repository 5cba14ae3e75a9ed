"""Models whose files lie in layers that must be read whole: images, and archives of several files."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Iterable

from harness.registry import KITOPS, MODELPACK, Layout, Registry, files_of, sha256_of, tar_of

IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"


def content_of(model: Path) -> dict[str, bytes]:
    return {path: (model / path).read_bytes() for path in files_of(model)}


def below_models(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"models/{path}": content for path, content in files.items()}


def tar_with(files: dict[str, bytes], others: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """A tar of files, and of entries that are something else."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in others:
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def entry_of(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def image_layout(directory: Path, tars: list[bytes], packed: list[bytes] | None = None, suffix: str = "",
                 diff_ids: list[str] | None = None) -> Layout:
    """An image of layers: `packed` is what each tar was made into, `suffix` what its media type says of that."""
    layout = Layout(directory)
    layers = [layout.add(data, IMAGE_LAYER + suffix) for data in packed or tars]
    config = {"os": "linux", "architecture": "amd64", "config": {},
              "rootfs": {"type": "layers", "diff_ids": diff_ids or [sha256_of(tar) for tar in tars]}}
    layout.tag(layout.manifest(IMAGE_CONFIG, json.dumps(config).encode(), layers))
    return layout


def push_image(registry: Registry, name: str, tars: list[bytes], compression: str = "") -> str:
    """An image whose layers skopeo compresses as it pushes them: gzip, zstd, or not at all."""
    layout = image_layout(_new(registry), tars)
    if not compression:
        return registry.push_layout(name, layout)
    command = ["skopeo", "--insecure-policy", "copy", "--format=oci", "--dest-tls-verify=false", "--dest-compress",
               f"--dest-compress-format={compression}", f"oci:{layout.directory}:latest",
               f"docker://{registry.address}/{name}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return registry.digest(name)


def push_layers(registry: Registry, name: str, tars: list[bytes], **how: Any) -> str:
    """An image as `image_layout` makes it."""
    return registry.push_layout(name, image_layout(_new(registry), tars, **how))


def push_archive(registry: Registry, name: str, files: dict[str, bytes], family: str, compressed: bool) -> str:
    """All files in one tar, as KitOps packs a directory, and as ModelPack may."""
    return push_archives(registry, name, [files], family, compressed)


def push_archives(registry: Registry, name: str, parts: list[dict[str, bytes]], family: str, compressed: bool) -> str:
    """The same, in several."""
    layout = Layout(_new(registry))
    media_type = f"{family}.{'weight' if family == MODELPACK else 'model'}.v1.tar" + ("+gzip" if compressed else "")
    tars = [tar_of(files) for files in parts]
    layers = [layout.add(gzip.compress(tar, 1, mtime=0) if compressed else tar, media_type) for tar in tars]
    modelfs = {"type": "layers", "diffIds": [sha256_of(tar) for tar in tars]}
    config = {"descriptor": {}, "modelfs": modelfs} if family == MODELPACK else {}
    layout.tag(layout.manifest(f"{family}.config.v1+json", json.dumps(config).encode(), layers))
    return registry.push_layout(name, layout)


def push_directory(registry: Registry, name: str, model: Path) -> str:
    """As `oras push` packs a directory: a compressed tar, whose names begin with the directory's."""
    registry.oras("push", f"{registry.address}/{name}", model.name, cwd=model.parent)
    return registry.digest(name)


def layers_of(registry: Registry, name: str) -> list[dict[str, Any]]:
    """The layers that a tag's manifest has."""
    document: dict[str, Any] = json.loads(registry.blob_file(registry.digest(name)).read_text())
    layers: list[dict[str, Any]] = document["layers"]
    return layers


def _new(registry: Registry) -> Path:
    return registry.directory / f"layout-{len(list(registry.directory.glob('layout-*')))}"


__all__ = ["KITOPS", "MODELPACK", "content_of", "below_models", "tar_with", "entry_of", "image_layout", "push_image",
           "push_layers", "push_archive", "push_archives", "push_directory", "layers_of"]
