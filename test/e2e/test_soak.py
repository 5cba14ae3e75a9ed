"""A seeded random workload against the real daemon on a small real disk: what must be true is true after each step.

WEIGHHOUSE_SOAK_SECONDS and _STEPS make it longer (`make soak SECONDS=n`; it ends with whichever comes later), _SEED
repeats a run's choices."""

from __future__ import annotations

import collections
import os
import time

import pytest

from harness import workspace
from soak import holds, invariants, steps
from soak.disk_view import DiskView
from soak.world import World

SECONDS = float(os.environ.get("WEIGHHOUSE_SOAK_SECONDS") or 20)
STEPS = int(os.environ.get("WEIGHHOUSE_SOAK_STEPS") or 0)
SEED = int(os.environ.get("WEIGHHOUSE_SOAK_SEED") or time.time_ns() % 1_000_000)
HUB_LOG_STEPS = 200  # the hub keeps a log of every request, in memory


def take_step(world: World) -> str:
    """One random step and its invariants; the step's name."""
    step = steps.choose(world.random)
    free, hog = world.disk.free(), world.hog_bytes
    promised = world.cache.call("Capacity").unallocated
    step(world)
    for pod, error in world.collect(everything=False):
        steps.check_refusal(world, pod, error)
    invariants.after_step(world, free, hog, promised)
    holds.check(world, DiskView(world.daemon.root))
    return step.__name__


def test_soak(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(workspace.directory() / "soak", SEED)
    taken: list[str] = []
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline or len(taken) < STEPS:
            taken.append(take_step(world))
            if len(taken) % HUB_LOG_STEPS == 0:
                world.hub.reset()
    except BaseException as error:
        error.add_note(f"seed {SEED}, after step {len(taken)}: {' '.join(taken[-12:])}, then this\n"
                       f"{world.daemon.process.log_tail(30)}")
        raise
    finally:
        world.close()
    counts = ", ".join(f"{name} {count}" for name, count in collections.Counter(taken).most_common())
    seen = ", ".join(f"{count} {name}" for name, count in world.seen.items())
    with capsys.disabled():
        print(f"\nseed {SEED}: {len(taken)} steps, {world.kills} SIGKILLs: {counts}; {seen}")
