"""Models that the fixture hub serves: small, real safetensors files, and reproducible."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy
from safetensors.numpy import save_file

MIB = 1024 * 1024


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _weights(path: Path, size: int, seed: int) -> dict[str, str]:
    """A safetensors file of about `size` bytes; returns tensor -> file name for the index."""
    generator = numpy.random.default_rng(seed)
    rows = max(1, size // 4 // 1024 // 2)
    tensors = {f"layer.{seed}.{part}.weight": generator.random((rows, 1024), dtype=numpy.float32)
               for part in ("query", "value")}
    save_file(tensors, path)
    path.chmod(0o644)  # the daemon may read it where it is a source of its own
    return {name: path.name for name in tensors}


def make_model(models: Path, name: str, sizes: tuple[int, ...] = (MIB,), seed: int = 1,
               fixture: dict[str, Any] | None = None) -> Path:
    """One repository with a shard per size, beside the small files that a Hub model has."""
    directory = models / name
    directory.mkdir(parents=True)
    index: dict[str, str] = {}
    for number, size in enumerate(sizes, 1):
        shard = "model.safetensors" if len(sizes) == 1 else f"model-{number:05}-of-{len(sizes):05}.safetensors"
        index |= _weights(directory / shard, size, seed * 1000 + number)
    if len(sizes) > 1:
        _text(directory / "model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": index}, indent=1))
    _text(directory / "config.json", json.dumps({"architectures": ["Tiny"], "name": name, "seed": seed}))
    _text(directory / "tokenizer.json", json.dumps({"version": "1.0", "vocabulary": [f"w{n}" for n in range(500)]}))
    _text(directory / "README.md", f"# {name}\n")
    _text(directory / "1_Pooling/config.json", json.dumps({"pooling_mode_mean_tokens": True}))
    if fixture:
        _text(directory / ".fixture.json", json.dumps(fixture))
    return directory


def digests(directory: Path) -> dict[str, str]:
    """sha256 of every file below `directory` by relative path; the fixture's own notes left out."""
    found = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent) / name
            if name != ".fixture.json":
                found[str(path.relative_to(directory))] = file_digest(path)
    return found


def file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
