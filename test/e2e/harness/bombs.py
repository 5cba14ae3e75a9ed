"""Layers that are small, and unpack to far more: tars of zeros, by gzip, and by zstd frames that no compressor would write."""

from __future__ import annotations

import tarfile
import zlib
from typing import Callable, Iterable, Iterator, NamedTuple

KIB, MIB = 1 << 10, 1 << 20
MOST_RATIO, MOST_ANYHOW = 256, 64 * MIB  # what docs/sources.md lets a layer unpack to

Part = bytes | int
"""What a stream goes on with: bytes, or so many zeros."""


def file_of_zeros(name: str, size: int) -> Iterator[Part]:
    """A tar's entry, filled up to a whole block."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    yield entry.tobuf(tarfile.USTAR_FORMAT)
    yield (size + 511) // 512 * 512


def many_files(count: int, size: int, same_name: bool = False) -> Iterator[Part]:
    """A whole tar."""
    for number in range(count):
        yield from file_of_zeros("model.bin" if same_name else f"model-{number:05}.bin", size)
    yield 1024


def gzipped(parts: Iterable[Part]) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(MIB)
    packed = []
    for part in parts:
        if isinstance(part, bytes):
            packed.append(packer.compress(part))
            continue
        packed += [packer.compress(block) for _ in range(part // MIB)]
        packed.append(packer.compress(bytes(part % MIB)))
    return b"".join(packed) + packer.flush()


def in_zstd(parts: Iterable[Part], window_log: int = 17) -> bytes:
    """One frame (RFC 8878 section 3.1.1) of raw blocks and of run-length ones: four bytes for each 128 KiB of zeros."""
    def block(kind: int, size: int, content: bytes) -> bytes:
        return (size << 3 | kind << 1).to_bytes(3, "little") + content

    frame = [b"\x28\xb5\x2f\xfd", bytes([0, (window_log - 10) << 3])]
    for part in parts:
        if isinstance(part, bytes):
            frame.append(block(0, len(part), part))
            continue
        frame.append(block(1, 128 * KIB, b"\0") * (part // (128 * KIB)))
        if rest := part % (128 * KIB):
            frame.append(block(1, rest, b"\0"))
    return b"".join(frame) + b"\1\0\0"  # the last block, an empty one


def shown(size: int) -> str:
    """As messages show bytes."""
    value, unit = float(size), 0
    while value >= 1023.95:
        value, unit = value / 1024, unit + 1
    return f"{value:.{1 if unit else 0}f} {('B', 'KiB', 'MiB', 'GiB')[unit]}"


def most_unpacked(packed: bytes) -> int:
    return MOST_RATIO * len(packed) + MOST_ANYHOW


class Bomb(NamedTuple):
    """What is packed, and the file that is refused before it is unpacked; "": it is found out by what comes."""

    parts: Callable[[], Iterable[Part]]
    refused_file: str = ""
    refused_size: int = 0

    def reason(self, packed: bytes) -> str:
        """How it must be refused."""
        if self.refused_file:
            return f"'{self.refused_file}' has {shown(self.refused_size)} in a layer of {shown(len(packed))}: refused"
        return (f"the layer has over {shown(most_unpacked(packed))} unpacked, which is more than one of its size may have: "
                "refused")


def _behind_a_decent_file() -> Iterator[Part]:
    """The end of a tar is where its zeros begin: what comes behind is in no file, and is unpacked for its digest."""
    yield from file_of_zeros("config.json", 0)
    yield 512 * MIB


BOMBS = {
    "many files": Bomb(lambda: many_files(256, 2 * MIB)),
    "a file again and again": Bomb(lambda: many_files(256, 2 * MIB, same_name=True)),
    "one file": Bomb(lambda: many_files(1, 512 * MIB), "model-00000.bin", 512 * MIB),
    "an endless rest": Bomb(_behind_a_decent_file),
    "no tar at all": Bomb(lambda: iter([512 * MIB])),
}
"""Each unpacks to half a GiB, which is more than twice what it may."""
PACKERS: dict[str, Callable[[Iterable[Part]], bytes]] = {"gzip": gzipped, "zstd": in_zstd}
