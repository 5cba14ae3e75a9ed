"""What the soak's hub serves: models of mixed sizes, a few of which share files; some are asked for far more often."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

from harness.models import MIB, digests, make_model

KIB = 1024
BLOCK = 4 * KIB
_SHARDS = ((64 * KIB,), (256 * KIB,), (MIB,), (MIB,) * 3, (2 * MIB, 5 * MIB), (4 * MIB,) * 4, (9 * MIB,), (6 * MIB,) * 5)
MODELS = 28
TOO_LARGE = "soak/too-large"  # for every limit that the soak sets


class Shelf:
    """The models by name, from the most popular on, and what their files hold."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        generator = random.Random(seed)
        self.names = [f"soak/model-{number:02}" for number in range(MODELS)]
        for number, name in enumerate(self.names):
            make_model(directory, name, _SHARDS[number % len(_SHARDS)], seed=number + 1)
        for taker in generator.sample(self.names, MODELS // 4):
            giver = generator.choice(self.names)
            weights = next((directory / giver).glob("*.safetensors"))
            shutil.copyfile(weights, directory / taker / f"shared-{weights.name}")
        make_model(directory, TOO_LARGE, (40 * MIB,) * 4, seed=99)
        generator.shuffle(self.names)
        self.digests = {name: digests(directory / name) for name in self.names}
        # Zipf's law with the exponent 1.
        self._weights = list(itertools.accumulate(1 / rank for rank in range(1, MODELS + 1)))

    def room_of(self, model: str) -> int:
        """What the model's files take on a disk: a claim that asks for it gets all of the model in."""
        sizes = [(self.directory / model / name).stat().st_size for name in self.digests[model]]
        return sum(-(-size // BLOCK) * BLOCK for size in sizes)

    def size_of(self, model: str, digests_of_files: set[str]) -> int:
        """What these files of the model take together, each content once."""
        sizes = {digest: (self.directory / model / name).stat().st_size for name, digest in self.digests[model].items()}
        return sum(size for digest, size in sizes.items() if digest in digests_of_files)

    def choose(self, generator: random.Random) -> str:
        """A model, the popular ones more often."""
        return generator.choices(self.names, cum_weights=self._weights)[0]
