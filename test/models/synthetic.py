"""Makes models of any shape, the same bytes for the same arguments: shards that safetensors can open, their index,
the small files around them, and repositories that hold the same weights in several formats."""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20
_UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "k": 10**3, "M": 10**6, "G": 10**9}
_HEADER_STEP = 256

VOCABULARY_SIZE = 1000
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY_SIZE,
}


def parse_size(text: str) -> int:
    """Bytes of "50Mi", "988M", "4096"."""
    match = re.fullmatch(r"(\d+)(Ki|Mi|Gi|k|M|G)?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"size {text!r}: write 4096, 512Ki, 50Mi, 988M, 5G")
    return int(match[1]) * _UNITS[match[2] or ""]


def parse_shards(text: str) -> list[int]:
    """Sizes of "3x50Mi,12Mi"."""
    sizes: list[int] = []
    for part in filter(None, text.split(",")):
        count, _, size = part.rpartition("x")
        sizes += [parse_size(size)] * int(count or 1)
    return sizes


def write_noise(path: Path, size: int, seed: str, head: bytes = b"") -> None:
    """A file of `size` bytes: `head`, then bytes that depend on `seed` and repeat nowhere."""
    noise = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(head)
        left = size - len(head)
        while left > 0:
            file.write(noise.randbytes(min(left, _BLOCK)))
            left -= _BLOCK


def _header(names: list[str], data_size: int, padded: int) -> bytes:
    """The head of a safetensors file: its length as u64 little endian, then JSON padded with blanks. The tensors
    share the data; the last, in bytes, takes what doesn't divide."""
    share = data_size // len(names) // 2 * 2
    tensors: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for index, name in enumerate(names[:-1]):
        tensors[name] = {"dtype": "F16", "shape": [share // 2], "data_offsets": [index * share, (index + 1) * share]}
    begin = share * (len(names) - 1)
    tensors[names[-1]] = {"dtype": "U8", "shape": [data_size - begin], "data_offsets": [begin, data_size]}
    text = json.dumps(tensors, separators=(",", ":")).encode().ljust(padded)
    return len(text).to_bytes(8, "little") + text


def write_safetensors(path: Path, size: int, seed: str, names: list[str]) -> None:
    """A safetensors file of exactly `size` bytes with these tensors. ValueError if its header needs more."""
    needed = len(_header(names, size, 0)) - 8
    padded = -(-needed // _HEADER_STEP) * _HEADER_STEP
    if size < padded + 8:
        raise ValueError(f"{path.name}: {size} bytes can't hold a header of {padded + 8}")
    write_noise(path, size, seed, _header(names, size - padded - 8, padded))


def write_json(path: Path, value: Any) -> None:
    """A small file as model repositories have them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def add_small_files(model: Path) -> None:
    """What stands beside weights: configuration, tokenizer, card, and a nested directory."""
    write_json(model / "config.json", CONFIG)
    write_json(model / "generation_config.json", {"temperature": 0.7, "top_p": 0.9})
    write_json(model / "tokenizer_config.json", {"model_max_length": 4096, "tokenizer_class": "LlamaTokenizer"})
    vocabulary = {f"token{number}": number for number in range(VOCABULARY_SIZE)}
    write_json(model / "tokenizer.json", {"version": "1.0", "model": {"type": "BPE", "vocab": vocabulary}})
    write_json(model / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    (model / "README.md").write_text(f"# {model.name}\n\nWeights without a meaning.\n")
    (model / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")


def add_shards(model: Path, sizes: list[int], seed: int) -> None:
    """`model-0000i-of-0000n.safetensors` and their index; one shard is `model.safetensors` without one."""
    weight_map: dict[str, str] = {}
    for index, size in enumerate(sizes, 1):
        name = "model.safetensors" if len(sizes) == 1 else f"model-{index:05}-of-{len(sizes):05}.safetensors"
        tensors = [f"model.layers.{index - 1}.{part}.weight" for part in ("self_attn", "mlp", "norm")]
        write_safetensors(model / name, size, f"{model.name}:{seed}:{index}", tensors)
        weight_map.update(dict.fromkeys(tensors, name))
    if len(sizes) > 1:
        index_file = {"metadata": {"total_size": sum(sizes)}, "weight_map": weight_map}
        write_json(model / "model.safetensors.index.json", index_file)


def add_duplicates(model: Path, size: int, seed: int) -> None:
    """The weights once more in every format that a default filter should leave out, and two `.bin` files that it
    must keep: a projector, and a sub-module without safetensors of its own (facts 8)."""
    wasted = ["pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "onnx/model.onnx",
              "openvino/openvino_model.bin", "original/consolidated.00.pth", "model-q4.gguf", "training_args.bin",
              "coreml/model.mlmodel", "metal/model.bin"]
    for name in [*wasted, "mm_projector.bin", "2_Dense/pytorch_model.bin"]:
        write_noise(model / name, size, f"{model.name}:{seed}:{name}")
    write_json(model / "2_Dense" / "config.json", {"in_features": 64, "out_features": 64})
    write_json(model / "original" / "params.json", {"dim": 64, "n_layers": 2})


def add_many(model: Path, count: int) -> None:
    """`count` tiny files in directories of a hundred: for listings of many pages."""
    for number in range(count):
        write_json(model / f"part-{number // 100:04}" / f"entry-{number:06}.json", {"number": number})


def main() -> None:
    """DIR is the fixture Hub's --models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("repository", metavar="org/name")
    parser.add_argument("--shards", type=parse_shards, default=[], metavar="3x50Mi,12Mi")
    parser.add_argument("--duplicates", type=parse_size, default=0, metavar="SIZE", help="other formats, each so large")
    parser.add_argument("--many", type=int, default=0, metavar="N", help="tiny files in nested directories")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other weights")
    arguments = parser.parse_args()
    model = arguments.directory / arguments.repository
    add_small_files(model)
    add_shards(model, arguments.shards, arguments.seed)
    if arguments.duplicates:
        add_duplicates(model, arguments.duplicates, arguments.seed)
    add_many(model, arguments.many)


if __name__ == "__main__":
    main()
