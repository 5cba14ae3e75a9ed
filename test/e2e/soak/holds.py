"""What the soak does with volumes of claims: each is promised room on the node until its first pod comes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

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


def create(world: World, volume: str, model: str) -> Any:
    """What CreateVolume answers, or grpc.RpcError."""
    digest = hashlib.sha256(f"{volume} {model}".encode()).hexdigest()
    return world.cache.call("CreateVolume", volume_id=volume, request_digest=digest,
                            model=world.cache.model(f"hf://{model}")).volume


def take(world: World, model: str) -> None:
    """Has a volume created, or raises grpc.RpcError."""
    world.last_number += 1
    volume = f"claim-{world.last_number}"
    world.volumes[volume] = (model, create(world, volume, model))
    for hold in world.cache.call("Info").holds:
        if hold.volume_id == volume:
            world.holds[volume] = Held(volume, model, hold.snapshot_id, certain=not world.faulty)


def drop(world: World, volume: str) -> None:
    world.cache.call("DeleteVolume", volume_id=volume)
    world.holds.pop(volume, None)
    world.volumes.pop(volume, None)


def doubt(world: World) -> None:
    """Somebody took room that had been promised, or the source fails."""
    for held in world.holds.values():
        held.certain = False


def pod_for(world: World, held: Held) -> Pod:
    pod = world.new_pod(held.model)
    pod.volume = held.volume
    return pod


def check(world: World, disk: DiskView) -> None:
    """The daemon holds what it said, no more and no less, and has lost nothing of it; and it knows its volumes."""
    info = world.cache.call("Info")
    known = {hold.volume_id for hold in info.holds}
    must(known == set(world.holds), f"holds: {known} instead of {set(world.holds)}")
    must(info.volumes == len(world.volumes), f"{info.volumes} volumes instead of {set(world.volumes)}")
    for held in world.holds.values():
        if not held.snapshot:  # the source was made to refuse: bytes
            continue
        must(held.snapshot in disk.records, f"{held} lost its snapshot")
        present = disk.records[held.snapshot] & disk.blobs
        must(held.present <= present, f"{held} lost {held.present - present}")
        held.present = present
