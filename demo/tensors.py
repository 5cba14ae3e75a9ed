"""Reading weights the way a pod does."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, deserialize, safe_open


def _read(path: Path) -> int:
    """Reads every tensor of one file; their number."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return sum(1 for name in opened.keys() if opened.get_tensor(name) is not None)
    except (TypeError, AttributeError, SafetensorError):  # numpy has no bfloat16: take the raw bytes of each
        return len(deserialize(path.read_bytes()))


def read_tensors(directory: Path) -> tuple[int, str]:
    """How many tensors all safetensors files below `directory` hold, and how many files in words."""
    files = sorted(directory.rglob("*.safetensors"))
    count = sum(_read(path) for path in files)
    return count, "one file" if len(files) == 1 else f"{len(files)} files"
