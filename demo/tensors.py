"""Reading weights the way a pod does."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

_CHUNK = 16 << 20


def _read_raw(path: Path) -> int:
    """The bytes of every tensor, a chunk at a time: a shard may be larger than this machine's memory."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        tensors = {name: entry for name, entry in json.loads(stream.read(length)).items() if name != "__metadata__"}
        for name, entry in tensors.items():
            begin, end = entry["data_offsets"]
            stream.seek(8 + length + begin)
            while begin < end:
                got = len(stream.read(min(_CHUNK, end - begin)))
                if got == 0:
                    raise OSError(f"{path.name} ends within {name}")
                begin += got
    return len(tensors)


def _read(path: Path) -> int:
    """Reads every tensor of one file; their number."""
    try:
        with safe_open(path, framework="numpy") as opened:
            return sum(1 for name in opened.keys() if opened.get_tensor(name) is not None)
    except (TypeError, AttributeError, SafetensorError):  # numpy has no bfloat16
        return _read_raw(path)


def read_tensors(directory: Path) -> tuple[int, str]:
    """How many tensors all safetensors files below `directory` hold, and how many files in words; "" if none."""
    files = sorted(directory.rglob("*.safetensors"))
    count = sum(_read(path) for path in files)
    return count, "one file" if len(files) == 1 else f"{len(files)} files" if files else ""
