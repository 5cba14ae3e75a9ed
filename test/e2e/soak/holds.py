"""What the soak does with holds: room that a node promised to a volume until its first pod comes."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc

from soak.disk_view import DiskView
from soak.invariants import must
from soak.world import Pod, World

Code = grpc.StatusCode
NO_ROOM = (Code.RESOURCE_EXHAUSTED, Code.OUT_OF_RANGE)
MOST_HOLDS = 4


@dataclass
class Held:
    """A volume that the daemon holds room for."""

    volume: str
    model: str
    snapshot: str
    certain: bool
    """Nothing but the cache itself has taken room since, and the source is good."""
    present: set[str] = field(default_factory=set)


def take(world: World, model: str, fill: bool) -> None:
    """Has a volume's room held, or raises grpc.RpcError."""
    world.last_number += 1
    volume = f"claim-{world.last_number}"
    answer = world.cache.call("Hold", volume_id=volume, model=world.cache.model(f"hf://{model}"), fill=fill)
    world.holds[volume] = Held(volume, model, answer.hold.snapshot_id, certain=not world.faulty)


def drop(world: World, held: Held) -> None:
    world.cache.call("Unhold", volume_id=held.volume)
    world.holds.pop(held.volume, None)


def doubt(world: World) -> None:
    """Somebody took room that had been promised, or the source fails."""
    for held in world.holds.values():
        held.certain = False


def pod_for(world: World, held: Held) -> Pod:
    pod = world.new_pod(held.model)
    pod.volume = held.volume
    return pod


def check(world: World, disk: DiskView) -> None:
    """The daemon holds what it said, no more and no less, and has lost nothing of it."""
    known = {hold.volume_id for hold in world.cache.call("Info").holds}
    must(known == set(world.holds), f"holds: {known} instead of {set(world.holds)}")
    for held in world.holds.values():
        must(held.snapshot in disk.records, f"{held} lost its snapshot")
        present = disk.records[held.snapshot] & disk.blobs
        must(held.present <= present, f"{held} lost {held.present - present}")
        held.present = present
