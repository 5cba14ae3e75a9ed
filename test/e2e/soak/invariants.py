"""What must be true after each step of the soak."""

from __future__ import annotations

import re
import time
from typing import Any, NamedTuple

from harness.models import MIB, digests, file_digest
from soak.disk_view import DiskView
from soak.world import MIN_FREE, Pod, World

METADATA = 2 * MIB  # directories and records, which the sums leave out
SCANS = 5
BLOCK = 4096
FITTING_SECONDS = 5
EVICTED_BY_ITSELF = "the cache was over its limit"  # the cause in the daemon's log, said when an eviction is done


class Broken(AssertionError):
    """An invariant does not hold."""


def must(condition: bool, what: str) -> None:
    if not condition:
        raise Broken(what)


def ceiling(sums: Any) -> int:
    """What the cache may have on the disk: its limit, or after that was lowered what may not be evicted."""
    return max(sums.limit, sums.held + sums.reserved)


def check_sums(world: World) -> Any:
    """At once; only after the limit was lowered below what pods held, what they let go of goes within seconds."""
    deadline = time.monotonic() + FITTING_SECONDS
    sums = world.cache.call("Capacity")
    while world.fitting and sums.used + sums.unallocated > ceiling(sums) and time.monotonic() < deadline:
        time.sleep(0.05)
        sums = world.cache.call("Capacity")
    world.fitting = world.fitting and sums.used + sums.unallocated > sums.limit
    must(sums.limit == world.limit, f"limit {sums.limit} instead of {world.limit}")
    must(sums.used + sums.unallocated <= ceiling(sums), f"used and unallocated beyond the limit:\n{sums}")
    must(sums.held <= sums.used, f"more held than there is:\n{sums}")
    must(sums.available <= max(0, sums.limit - sums.held - sums.reserved), f"too much on offer:\n{sums}")
    return sums


def in_pieces(disk: DiskView) -> int:
    """A file in more than four pieces costs ext4 a block more, for the list of them, which the ledger leaves out."""
    return BLOCK * (len(disk.blobs) + len(disk.ingests))


def check_disk(world: World) -> None:
    """The disk, as somebody who doesn't believe the daemon sees it. A scan is no snapshot: a true excess persists. The sums
    that it is held against must be right themselves, each time: a fill that ends between a look at them and a scan may leave
    what is evicted a moment later, because the limit was lowered meanwhile."""
    for _ in range(SCANS):
        disk = DiskView(world.daemon.root)
        allocated = disk.allocated()
        sums = check_sums(world)
        if allocated <= ceiling(sums) + in_pieces(disk):
            return
    raise Broken(f"{allocated} bytes on the disk in {SCANS} scans, of at most {ceiling(sums)}:\n{sums}")


def check_free(world: World, free_before: int, hog_before: int, promised_before: int) -> None:
    """The cache itself takes nothing below minFree, but for what it had promised before others took the room."""
    foreign = max(0, world.hog_bytes - hog_before)
    floor = min(MIN_FREE, free_before - foreign) - promised_before - METADATA
    free = world.disk.free()
    must(free >= floor, f"{free} bytes free of {MIN_FREE} to be kept; {free_before} before, {foreign} of them by others")


def check_pod(world: World, pod: Pod, every_byte: bool) -> None:
    directory = world.files_of(pod)
    expected = world.shelf.digests[pod.model]
    for name, digest in expected.items():
        path = directory / name
        must(path.is_file(), f"{pod} lost {name}")
        size = (world.shelf.directory / pod.model / name).stat().st_size
        must(path.stat().st_size == size, f"{pod}: {name} has {path.stat().st_size} bytes of {size}")
        if every_byte:
            must(file_digest(path) == digest, f"{pod}: {name} holds other bytes")
    if every_byte:
        must(digests(directory) == expected, f"{pod} shows files that its model doesn't have")


def check_leases(world: World, disk: DiskView) -> None:
    certain = {pod.lease for pod in world.pods}
    possible = certain | {arrival.pod.lease for arrival in world.arrivals} | {pod.lease for pod in world.ghosts}
    must(certain <= disk.leases, f"lost leases: {certain - disk.leases}")
    must(disk.leases <= possible, f"leases that nobody has: {disk.leases - possible}")
    # Of all publishes only one that nobody waits for can be met while it writes its lease.
    arriving = {arrival.pod.lease for arrival in world.arrivals}
    must(disk.written_leases <= arriving, f"half-written leases that are nobody's: {disk.written_leases - arriving}")


def fits_disk(disk: DiskView, sums: Any) -> bool:
    return 0 <= disk.allocated() - sums.used <= in_pieces(disk)


def owed_room(world: World, disk: DiskView) -> int:
    """What must be kept for the volumes of claims: what is lacking of each snapshot, however many volumes have it, and bytes
    where no snapshot was known."""
    lacking = {held.snapshot: world.shelf.size_of(held.model, disk.records[held.snapshot] - disk.blobs)
               for held in world.holds.values() if held.snapshot}
    return sum(lacking.values()) + sum(held.bytes for held in world.holds.values() if not held.snapshot)


class Settled(NamedTuple):
    """The disk and the sums, once they agree or had their time to."""

    disk: DiskView
    sums: Any
    halfway: set[str]
    """What was seen of evictions on the way: trees out of sight, blobs whose record is gone."""
    evicted: bool
    """The daemon said meanwhile that it evicted because it was over its limit."""


def settled(world: World) -> Settled:
    """What a fill that ended leaves goes a moment later, and the ledger is ahead of it; a true difference persists."""
    deadline = time.monotonic() + FITTING_SECONDS
    logged = world.daemon.log.stat().st_size
    halfway: set[str] = set()
    while True:
        disk = DiskView(world.daemon.root)
        sums = world.cache.call("Capacity")
        passing = disk.garbage() | disk.unfinished
        halfway |= passing
        evicted = world.said(EVICTED_BY_ITSELF, logged)
        fits = sums.reserved == sums.for_holds and fits_disk(disk, sums)
        if (fits and not passing and (evicted or not halfway)) or time.monotonic() > deadline:
            return Settled(disk, sums, halfway, evicted)
        time.sleep(0.05)


def check_quiet(world: World, now: Settled) -> None:
    """While nothing is under way: the ledger is the disk, and nothing lies there without a reason."""
    disk, sums = now.disk, now.sums
    must(sums.reserved == sums.for_holds, f"reserved for nobody:\n{sums}")
    must(fits_disk(disk, sums), f"the ledger says {sums.used}, the disk {disk.allocated()}:\n{sums}")
    owed = owed_room(world, disk)
    world.seen["unfetched promises"] += owed > 0
    must(owed <= sums.for_holds, f"{world.holds} lack {owed} bytes, which nobody keeps for them:\n{sums}")
    must(not disk.garbage(), f"blobs that nobody lists: {disk.garbage()}")
    must(not disk.unfinished, f"left behind: {disk.unfinished}")
    # Nobody waits for the evictions of a cache that is over its limit, and only for those.
    must(now.evicted or not now.halfway, f"seen for a moment, while nothing was evicted: {now.halfway}")


def after_step(world: World, free_before: int, hog_before: int, promised_before: int) -> None:
    sums = check_sums(world)
    check_disk(world)
    check_free(world, free_before, hog_before, promised_before)
    for pod in world.pods:
        check_pod(world, pod, every_byte=False)
    if world.pods:
        check_pod(world, world.random.choice(world.pods), every_byte=True)
    if not world.quiet():
        return
    fetched = world.fetched()
    now = settled(world)
    if world.quiet() and world.fetched() == fetched:  # nothing began meanwhile
        check_quiet(world, now)
        check_leases(world, now.disk)


def evicted_since(world: World, logged: int) -> set[str]:
    """The snapshots that the daemon says it evicted, from this place in its log."""
    with world.daemon.log.open("rb") as log:
        log.seek(logged)
        return set(re.findall(r"evicted snapshot ([0-9a-f]+)", log.read().decode()))


def after_restart(world: World, before: DiskView, logged: int) -> None:
    """A snapshot that is still there has lost no blob, unless it went for a fill that goes on, and came back since."""
    now = DiskView(world.daemon.root)
    evicted = evicted_since(world, logged)  # said before the record of the next fill is written
    for snapshot, listed in now.records.items():
        lost = (before.records.get(snapshot, set()) & listed & before.blobs) - now.blobs
        must(not lost or snapshot in evicted, f"snapshot {snapshot} lost {lost}")
    for pod in world.pods:
        check_pod(world, pod, every_byte=True)
