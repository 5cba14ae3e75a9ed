"""The models that are fetched: sizes as real ones have them, scaled; content random, so that nothing can be saved."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

_PIECE = 8 << 20

LLAMA_8B = [4976698672, 4999802720, 4915916176, 1168138808]
"""The shards of meta-llama/Llama-3.1-8B."""

DEEPSEEK_V3 = [5234139343, *[4302383966] * 161, 6584784447]
"""deepseek-ai/DeepSeek-V3: 163 shards, the first and the last larger than the others."""

SMALL_FILES = ["README.md", "config.json", "configuration_deepseek.py", "generation_config.json",
               "inference/convert.py", "inference/fp8_cast_bf16.py", "inference/generate.py", "inference/kernel.py",
               "inference/model.py", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"]
_SMALL_FILE_SIZE = 12_000
_FILE_OF_MANY = 64 << 10


@dataclass(frozen=True)
class Shape:
    """A repository: sizes by path."""

    name: str
    files: dict[str, int]

    @property
    def repository(self) -> str:
        return f"bench/{self.name}"

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


def _scaled(sizes: list[int], total: int) -> dict[str, int]:
    """Shards in these proportions, `total` bytes in sum."""
    shares = [size * total // sum(sizes) for size in sizes]
    shares[-1] += total - sum(shares)
    return {f"model-{number:05}-of-{len(sizes):05}.safetensors": share for number, share in enumerate(shares, 1)}


def make_shapes(total: int, many: int) -> dict[str, Shape]:
    """All shapes, by name: three of `total` bytes of weights, and one of `many` small files."""
    small = dict.fromkeys(SMALL_FILES, _SMALL_FILE_SIZE)
    listed = [
        Shape("single", {"model.safetensors": total}),
        Shape("llama8b", _scaled(LLAMA_8B, total)),
        Shape("deepseek", _scaled(DEEPSEEK_V3, total) | small),
        Shape("small", {f"part-{number:05}.safetensors": _FILE_OF_MANY for number in range(many)}),
    ]
    return {shape.name: shape for shape in listed}


def write_files(models: Path, shape: Shape) -> dict[str, str]:
    """Writes the repository below `models`; the files' sha256 by path."""
    digests = {}
    for name, size in shape.files.items():
        path = models / shape.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for offset in range(0, size, _PIECE):
                piece = os.urandom(min(_PIECE, size - offset))
                digest.update(piece)
                file.write(piece)
        digests[name] = digest.hexdigest()
    return digests


def read_into_cache(models: Path, shape: Shape) -> None:
    """Reads every file once, so that the server has all of it in memory."""
    buffer = bytearray(1 << 20)
    for name in shape.files:
        with (models / shape.repository / name).open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
