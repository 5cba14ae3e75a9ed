"""A fill that is cut off in the middle of one file goes on where it was: the daemon killed, and the power lost.

The power cut: the cache lies on a filesystem in an image, the image on an xfs; a reflink copy of the image, taken while
the daemon writes, is what a disk would hold at that instant. It is mounted, and a daemon started on it.

WEIGHHOUSE_RESUME_MIB, _ROUNDS and _KINDS make it larger (`make resume`), _SEED repeats a run."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import time
from pathlib import Path
from typing import Iterator

import pytest

from harness import workspace
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.images import copy_image, images_on_xfs, make_filesystem, mount_image, unmount
from harness.models import MIB, file_digest

MODEL = "resume/large"
SIZE = int(os.environ.get("WEIGHHOUSE_RESUME_MIB", "512")) * MIB + 12345
ROUNDS = int(os.environ.get("WEIGHHOUSE_RESUME_ROUNDS", "1"))
KINDS = os.environ.get("WEIGHHOUSE_RESUME_KINDS", "kill,cut-ext4,cut-xfs").split(",")
SEED = int(os.environ.get("WEIGHHOUSE_RESUME_SEED", str(time.time_ns() % 1_000_000)))
PERCENTS = (25, 50, 90)
MOST_REFETCHED = 256 * MIB
RANDOM = random.Random(SEED)


class Round:
    """One interrupted fill: its daemon, and the disk below it."""

    def __init__(self, hub: Hub, images: Path, kind: str, name: str) -> None:
        self.daemon = CacheDaemon(workspace.directory() / f"resume-{name}", hub.url, limit=str(SIZE + 64 * MIB))
        self._hub = hub
        self._kind = kind.removeprefix("cut-")
        self._images = [images / f"{name}.image", images / f"{name}.copy"] if kind != "kill" else []
        if self._images:
            make_filesystem(self._images[0], self._kind, SIZE + 384 * MIB)  # no room for the file twice
            self._mount(self._images[0])

    def _mount(self, image: Path) -> None:
        mount_image(image, self._kind, self.daemon.root)
        os.chown(self.daemon.root, workspace.DAEMON_UID, workspace.DAEMON_UID)

    def fill_until(self, wanted: int) -> None:
        """Until the server has sent so many bytes; bounded by the daemon's life and two minutes."""
        self.daemon.start()
        with self.daemon.client() as cache:
            cache.call("Prefetch", model=cache.model(f"hf://{MODEL}"))
        self.daemon.process.wait_ready(lambda: sent(self._hub) >= wanted, timeout=120)

    def interrupt(self) -> int:
        """Ends the daemon, or the disk's life; the bytes sent until then."""
        if self._images:
            copy_image(*self._images)
        before = sent(self._hub)
        self.daemon.kill()
        if not self._images:
            return settled(self._hub)
        settled(self._hub)
        unmount(self.daemon.root)
        self._mount(self._images[1])
        return before

    def remove(self) -> None:
        self.daemon.end()
        if self._images:
            unmount(self.daemon.root)
        for image in self._images:
            image.unlink()
        shutil.rmtree(self.daemon.directory)


@pytest.fixture(scope="module")
def large_hub() -> Iterator[Hub]:
    directory = workspace.directory() / "resume-models" / MODEL
    directory.mkdir(parents=True)
    noise = random.Random(SEED).randbytes(MIB - 8)
    with (directory / "model.safetensors").open("wb") as stream:
        for begin in range(0, SIZE, MIB):  # no two alike: a block in another's place would be noticed
            stream.write((begin.to_bytes(8, "little") + noise)[:SIZE - begin])
    hub = Hub(workspace.directory() / "resume-models", workspace.directory() / "resume-hub.log")
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def digest(large_hub: Hub) -> str:
    return file_digest(large_hub.models / MODEL / "model.safetensors")


@pytest.fixture(scope="module")
def images() -> Iterator[Path]:
    with images_on_xfs("resume", 4 * SIZE + 4096 * MIB) as directory:
        yield directory


def sent(hub: Hub) -> int:
    return hub.stats()["cdn_bytes"]


def settled(hub: Hub) -> int:
    """What was sent in all, once the connections of a killed daemon are gone."""
    last, now = -1, sent(hub)
    while last != now:
        time.sleep(0.05)
        last, now = now, sent(hub)
    return now


def refetched_bytes(hub: Hub, images: Path, digest: str, kind: str, percent: float, name: str) -> int:
    """One fill, interrupted at about `percent`: how many of its bytes came twice."""
    hub.reset()
    interrupted = Round(hub, images, kind, name)
    daemon = interrupted.daemon
    try:
        interrupted.fill_until(int(SIZE * percent / 100))
        before = interrupted.interrupt()
        hub.reset()
        daemon.start()
        with daemon.client() as cache:
            ready = cache.acquire(f"hf://{MODEL}", timeout=300)
        assert file_digest(daemon.root / ready.tree / "model.safetensors") == digest
        assert daemon.ingests() == []
        return max(0, before + sent(hub) - SIZE)
    finally:
        interrupted.remove()


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_resumes_after(large_hub: Hub, images: Path, digest: str, capsys: pytest.CaptureFixture[str], kind: str,
                       percent: int) -> None:
    refetched = [refetched_bytes(large_hub, images, digest, kind, percent + RANDOM.uniform(-4, 4),
                                 f"{kind}-{percent}-{number}") for number in range(ROUNDS)]
    with capsys.disabled():
        print(f"\n{kind:>9} {percent:>3} %  rounds {ROUNDS:>3}  refetched MiB: max {max(refetched) / MIB:6.1f}  "
              f"median {statistics.median(refetched) / MIB:6.1f}  ({SIZE // MIB} MiB, seed {SEED})", end="")
    assert max(refetched) <= MOST_REFETCHED
