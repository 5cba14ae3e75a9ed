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
    """Empty: bytes, of a model that wasn't known here while its source told nobody of it."""
    bytes: int
    certain: bool
    """Nothing but the cache itself has taken room since, and the source is good."""
    present: set[str] = field(default_factory=set)


def create(world: World, volume: str, model: str) -> Any:
    """What CreateVolume answers, or grpc.RpcError."""
    digest = hashlib.sha256(f"{volume} {model}".encode()).hexdigest()
    return world.cache.call("CreateVolume", volume_id=volume, request_digest=digest, model=world.cache.model(f"hf://{model}"),
                            required_bytes=world.shelf.room_of(model)).volume


def take(world: World, model: str, refused: bool) -> None:
    """Has a volume created, or raises grpc.RpcError. From the answer on there is room for it, a snapshot's or bytes, until
    somebody comes or its time is over. `refused`: the source tells nobody of the model."""
    world.last_number += 1
    volume = f"claim-{world.last_number}"
    logged = world.daemon.log.stat().st_size
    world.volumes[volume] = (model, create(world, volume, model))
    taken = [hold for hold in world.cache.call("Info").holds if hold.volume_id == volume]
    if not taken:
        must(world.said(f"the hold of volume {volume} on", logged), f"{volume} was created, and nothing is held for it")
        return
    [hold] = taken
    if not hold.snapshot_id:
        world.seen["promises of bytes"] += 1
        must(refused, f"{volume} got bytes only: {hold}")
        must(hold.bytes == world.shelf.room_of(model), f"{volume} got other bytes than it asked for: {hold}")
    world.holds[volume] = Held(volume, model, hold.snapshot_id, hold.bytes, certain=not world.faulty)


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
    known = {hold.volume_id: (hold.snapshot_id, hold.bytes) for hold in info.holds}
    expected = {held.volume: (held.snapshot, held.bytes) for held in world.holds.values()}
    must(known == expected, f"holds: {known} instead of {expected}")
    must(info.volumes == len(world.volumes), f"{info.volumes} volumes instead of {set(world.volumes)}")
    for held in world.holds.values():
        if not held.snapshot:  # bytes that no model was known for: there is nothing that could be lost but them
            continue
        must(held.snapshot in disk.records, f"{held} lost its snapshot")
        present = disk.records[held.snapshot] & disk.blobs
        must(held.present <= present, f"{held} lost {held.present - present}")
        held.present = present
