"""What the workload does: one function a step, each with how often it comes."""

from __future__ import annotations

import random
import time
from typing import Any, Callable

import grpc

from harness.hub import fault
from harness.models import MIB
from soak import holds, invariants
from soak.disk_view import DiskView
from soak.invariants import must
from soak.shelf import TOO_LARGE
from soak.world import LIMITS, MOST_ARRIVALS, Pod, World

Code = grpc.StatusCode
MOST_PODS = 12
NO_ROOM = holds.NO_ROOM
SOURCE_TROUBLE = (Code.UNAVAILABLE, Code.ABORTED, Code.DATA_LOSS, Code.DEADLINE_EXCEEDED, Code.NOT_FOUND,
                  Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION)
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 503}, {"kind": "status", "status": 404}, {"kind": "cut", "after": 300_000},
    {"kind": "cut", "after": 10, "reset": True}, {"kind": "corrupt", "at": 1000}, {"kind": "expire"},
    {"kind": "ignore_range"}, {"kind": "short_length", "bytes": 1}, {"kind": "rate", "bytes_per_second": 4_000_000})


def met_eviction(error: grpc.RpcError) -> bool:
    """The publish met the eviction of its own model, and is to be tried again."""
    return bool(error.code() == Code.ABORTED and "evicted" in error.details())


def check_refusal(world: World, pod: Pod, error: grpc.RpcError, still: int | None = None) -> None:
    """A publish may fail for want of room, or because the source was made to fail; then it leaves nothing. `still`: what
    World.still said before it. Only where nothing was under way before, after and between is the room now what it was when
    the publish was refused: else a fill may have had it meanwhile, and given it back or become idle since."""
    code = error.code()
    if code in NO_ROOM:
        if still is not None and world.still() == still:
            check_there_is_no_room(world, pod, error)
    elif not met_eviction(error):
        must(world.faulty and code in SOURCE_TROUBLE, f"{pod}: {code}: {error.details()}")
    world.release(pod)  # as kubelet does when it gives up


def check_there_is_no_room(world: World, pod: Pod, error: grpc.RpcError) -> None:
    """What its own idle blobs take is on offer, and of no use to it: so the whole model is compared."""
    if world.faulty or "No space left" in error.details():  # somebody else took what the fill had been promised
        return
    selected = world.cache.call("Stat", model=world.cache.model(f"hf://{pod.model}")).bytes_selected
    sums = world.cache.call("Capacity")
    world.seen["refusals judged"] += 1
    must(selected + MIB > sums.available, f"{pod}: {error.details()}\nbut it is {selected} bytes:\n{sums}")


def arrive(world: World) -> None:
    """A pod comes and waits for its model."""
    if len(world.pods) >= MOST_PODS:
        leave(world)
    pod = world.new_pod(world.shelf.choose(world.random))
    still = world.still()
    try:
        world.settle(pod, world.acquire(pod))
    except grpc.RpcError as error:
        check_refusal(world, pod, error, still)


def arrive_meanwhile(world: World) -> None:
    """A pod comes, and the next steps don't wait for it."""
    if len(world.pods) + len(world.arrivals) < MOST_PODS and len(world.arrivals) < MOST_ARRIVALS:
        world.begin_arrival(world.shelf.choose(world.random))


def arrive_too_large(world: World) -> None:
    pod = world.new_pod(TOO_LARGE)
    try:
        world.acquire(pod)
    except grpc.RpcError as error:
        must(error.code() == Code.OUT_OF_RANGE or world.faulty, f"{error.code()}: {error.details()}")
        world.release(pod)
    else:
        raise invariants.Broken(f"{TOO_LARGE} fits {world.limit}")


def hold(world: World, model: str = "", refused: bool = False) -> None:
    """A claim is provisioned here. `refused`: the source tells nobody of the model."""
    if len(world.holds) >= holds.MOST_HOLDS:
        return
    try:
        holds.take(world, model or world.shelf.choose(world.random), refused)
    except grpc.RpcError as error:
        evicting = error.code() == Code.ABORTED
        must(error.code() in NO_ROOM or evicting or (world.faulty and error.code() in SOURCE_TROUBLE),
             f"hold: {error.code()}: {error.details()}")


def hold_unfetched(world: World) -> None:
    """A claim is provisioned here while the source gives no file of its model, or wants to be asked by others who may see
    it: the room stays promised, and empty."""
    if world.faulty or not world.quiet():
        return
    if len(world.holds) >= holds.MOST_HOLDS:
        holds.drop(world, world.random.choice(list(world.holds)))
    model = world.random.choice(world.shelf.names)  # the popular ones are here mostly
    refused = world.random.random() < 0.4
    path, status = (f"/api/models/{model}", 401) if refused else (f"/{model}/resolve/", 404)
    world.hub.faults(fault("hub", path, {"kind": "status", "status": status}))
    hold(world, model, refused)
    world.daemon.process.wait_ready(world.quiet)  # its fill, if any, has ended in vain
    world.hub.faults()


def create_again(world: World) -> None:
    """A provisioner repeats itself, and is answered as at first, whatever became of volume and model since."""
    if world.volumes:
        volume, (model, answer) = world.random.choice(list(world.volumes.items()))
        again = holds.create(world, volume, model)
        must(again == answer, f"{volume}: {again} instead of {answer}")


def delete_volume(world: World) -> None:
    """A claim goes, at times before a pod came for it."""
    if world.volumes:
        holds.drop(world, world.random.choice(list(world.volumes)))


def arrive_for_hold(world: World) -> None:
    """The first pod of a claim finds the room that was promised."""
    if not world.holds or len(world.pods) >= MOST_PODS:
        return
    held = world.random.choice(list(world.holds.values()))
    pod = holds.pod_for(world, held)
    try:
        world.settle(pod, world.acquire(pod))
        del world.holds[held.volume]
    except grpc.RpcError as error:
        must(not held.certain or error.code() not in NO_ROOM,
             f"{held} was refused: {error.details()}\n{world.cache.call('Capacity')}")
        check_refusal(world, pod, error)
        holds.drop(world, held.volume)


def hold_expires(world: World) -> None:
    """A claim is provisioned here, and nobody comes for it in time."""
    known = set(world.holds)
    world.set_hold_timeout("1s")
    hold(world)
    world.set_hold_timeout("600s")
    for volume in set(world.holds) - known:
        world.daemon.process.wait_ready(
            lambda: volume not in {held.volume_id for held in world.cache.call("Info").holds})
        del world.holds[volume]


def leave(world: World) -> None:
    """A pod ends; at times kubelet says so twice."""
    if world.pods:
        pod = world.pods.pop(world.random.randrange(len(world.pods)))
        for _ in range(world.random.choice((1, 1, 2))):
            world.release(pod)


def vanish(world: World) -> None:
    """A pod ends while nobody tells the daemon."""
    if world.pods:
        world.ghosts.append(world.pods.pop(world.random.randrange(len(world.pods))))


def replay(world: World) -> None:
    """kubelet asks again for what a pod has."""
    if world.pods:
        pod = world.random.choice(world.pods)
        must(world.acquire(pod).tree == pod.tree, f"{pod} was given another tree")


def sync(world: World) -> None:
    """The plugin tells which mounts there are; pods that vanished lose their leases, others none."""
    live = [{"lease_id": pod.lease, "tree": pod.tree,
             "holder": {"volume_id": pod.volume_id, "target_path": pod.target, "pod_uid": pod.uid}}
            for pod in world.pods]
    world.cache.call("SyncLeases", epoch_unix_ms=int(time.time() * 1000) + 1, live=live,
                     publishing_lease_ids=[arrival.pod.lease for arrival in world.arrivals],
                     pod_uids=[pod.uid for pod in world.pods] + [arrival.pod.uid for arrival in world.arrivals])
    world.ghosts.clear()
    disk = DiskView(world.daemon.root)
    invariants.check_leases(world, disk)


def prefetch(world: World) -> None:
    try:
        world.cache.call("Prefetch", model=world.cache.model(f"hf://{world.shelf.choose(world.random)}"))
    except grpc.RpcError as error:
        must(error.code() in NO_ROOM or (world.faulty and error.code() in SOURCE_TROUBLE),
             f"prefetch: {error.code()}: {error.details()}")


def evict(world: World) -> None:
    model = world.shelf.choose(world.random)
    try:
        world.cache.call("Evict", model=f"hf://{model}")
    except grpc.RpcError as error:
        must(error.code() in (Code.FAILED_PRECONDITION, Code.NOT_FOUND), f"evict: {error.code()}: {error.details()}")


def break_source(world: World) -> None:
    world.hub.faults(*(fault(world.random.choice(("cdn", "cdn", "hub")), world.shelf.choose(world.random), action,
                             times=world.random.randint(1, 3)) for action in world.random.sample(FAULTS, 2)))
    world.faulty = True
    holds.doubt(world)


def mend_source(world: World) -> None:
    """Once nothing is under way that may still fail for it."""
    if world.quiet():
        world.hub.faults()
        world.faulty = False


def foreign_file(world: World) -> None:
    """Somebody else's file grows or shrinks."""
    room = world.disk.free()
    largest = max(0, min(96 * MIB, world.hog_bytes + room - 4 * MIB))
    size = world.random.randrange(largest + 1)
    if size > world.hog_bytes:
        holds.doubt(world)
    world.resize_hog(size)


def change_limit(world: World) -> None:
    """An admin changes it, whatever is under way: what is idle goes at once where it is too much."""
    def fits() -> bool:
        sums = world.cache.call("Capacity")
        return bool(sums.limit == world.limit and sums.used + sums.unallocated <= invariants.ceiling(sums))

    before, world.limit = world.limit, world.random.choice(LIMITS)
    world.fitting = world.fitting or world.limit < before
    if world.limit < before:
        holds.doubt(world)
    world.configure()
    world.daemon.process.wait_ready(fits)


def stop(world: World) -> None:
    restart(world, kill=False)


def kill(world: World) -> None:
    restart(world, kill=True)


def restart(world: World, kill: bool) -> None:  # pylint: disable=redefined-outer-name
    """Ends the daemon in the middle of what it does, and starts it again."""
    for _ in range(world.random.randrange(3)):
        arrive_meanwhile(world)
    time.sleep(world.random.random() * 0.05)  # a random moment, which is the point of it
    if kill:
        world.daemon.kill()
    else:
        world.daemon.stop()
    world.kills += kill
    interrupted = []
    for pod, error in world.collect(everything=True):
        broken_off = error.code() in (Code.UNAVAILABLE, Code.CANCELLED) or met_eviction(error)
        must(broken_off or error.code() in NO_ROOM or (world.faulty and error.code() in SOURCE_TROUBLE),
             f"{pod}: {error.code()}: {error.details()}")
        interrupted.append(pod)
    before = DiskView(world.daemon.root)
    logged = world.daemon.log.stat().st_size
    world.cache.close()
    world.configure()
    world.start()
    invariants.after_restart(world, before, logged)
    for pod in interrupted:
        again(world, pod)


def again(world: World, pod: Pod) -> None:
    """What kubelet does about a publish that broke: asks again, or gives up."""
    if world.random.random() < 0.5:
        world.release(pod)
        return
    try:
        world.settle(pod, world.acquire(pod))
    except grpc.RpcError as error:
        check_refusal(world, pod, error)


STEPS: tuple[tuple[Callable[[World], None], int], ...] = (
    (arrive, 300), (leave, 260), (arrive_meanwhile, 160), (replay, 40), (vanish, 20), (sync, 40), (prefetch, 50),
    (evict, 30), (hold, 60), (hold_unfetched, 40), (delete_volume, 40), (create_again, 30), (arrive_for_hold, 40),
    (hold_expires, 4), (arrive_too_large, 5), (break_source, 20), (mend_source, 30), (foreign_file, 30), (change_limit, 15),
    (stop, 4), (kill, 25))


def choose(generator: random.Random) -> Callable[[World], None]:
    steps, weights = zip(*STEPS)
    return generator.choices(steps, weights)[0]
