"""One run of one tool, made fair, and rounds of them back to back."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import tools
from arithmetic import Case, Pair, Run
from machine import RunFailed, clear, level_memory, measure_ceiling, run_measured
from servers import Nginx
from shapes import Shape, read_into_cache

WireCount = Callable[[], int]
"""Bytes that came to the client since the last call."""


def say(text: str) -> None:
    """Progress, apart from the results."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


@dataclass
class Bench:
    """Where a stage measures: the shape, who serves it, and where results may lie."""

    models: Path
    work: Path
    shape: Shape
    digests: dict[str, str]
    nginx: Nginx
    origin: tools.Origin
    network: str = "loopback"
    tls: bool = False
    wire_count: WireCount | None = None
    """Unset: nginx's log says it."""
    connections: list[int] = field(default_factory=list)
    """What each of Weighhouse's runs settled at."""

    def case(self, tool: str, verified: bool) -> Case:
        return Case(tool, self.shape.name, self.network, self.tls, verified)

    def wire(self) -> int:
        return self.wire_count() if self.wire_count else self.nginx.sent_bytes()


def _prepare(bench: Bench) -> tools.Job:
    """The same state of memory, disk and server before every run, whatever the tool."""
    output = bench.work / "output"
    clear(output)
    level_memory(bench.shape.bytes)
    read_into_cache(bench.models, bench.shape)
    bench.wire()
    return tools.Job(bench.origin, bench.shape, bench.digests, output, bench.work)


def _measured(bench: Bench, tool: str, job: tools.Job) -> tuple[Run, str]:
    """The run with what the server spent on it and what came over the wire."""
    command = tools.weighhouse(job) if tool == "weighhouse" else tools.PEERS[tool](job)
    before = bench.nginx.cpu_seconds()
    run, said = run_measured(command, bench.shape.bytes, bench.work)
    server = bench.nginx.cpu_seconds() - before
    time.sleep(0.1)  # nginx writes its line after the client has the last byte
    return Run(run.bytes, run.wall_s, run.user_s, run.system_s, run.max_rss_kib, bench.wire(), server), said


def _verification(bench: Bench, tool: str, job: tools.Job, said: str) -> Run:
    """What verifying the result takes. RunFailed if a byte is wrong."""
    found = tools.fetched_files(tool, job, said)
    run, printed = run_measured(tools.digest(list(found.values())), bench.shape.bytes, bench.work)
    if tools.read_digests(printed) != [job.digests[name] for name in found]:
        raise RunFailed(f"{tool} brought wrong bytes of {bench.shape.name}")
    return run


def run_weighhouse(bench: Bench, pair: Pair) -> Run:
    """One pull, verified and durable by itself, right after hashing as many bytes from memory."""
    job = _prepare(bench)
    pair.sha256 = measure_ceiling("sha256", bench.shape.bytes)
    run, said = _measured(bench, "weighhouse", job)
    answer = json.loads(said)
    if answer["bytes"] != bench.shape.bytes:
        raise RunFailed(f"weighhouse brought {answer['bytes']} of {bench.shape.bytes} bytes of {bench.shape.name}")
    bench.connections.append(sum(host["allowance"] for host in answer["hosts"]))
    pair.runs[bench.case("weighhouse", True)] = run
    clear(job.output)
    return run


def run_peer(bench: Bench, tool: str, pair: Pair) -> None:
    """One fetch, and its verification as a second part that only the verified row counts."""
    job = _prepare(bench)
    run, said = _measured(bench, tool, job)
    pair.runs[bench.case(tool, False)] = run
    pair.runs[bench.case(tool, True)] = run.then(_verification(bench, tool, job, said))
    clear(job.output)


def run_rounds(bench: Bench, peers: list[str], rounds: int, pairs: int, until: float) -> list[Pair]:
    """`pairs` rounds with Weighhouse, the first `rounds` of them with the peers too; fewer if time is up, but one. A
    peer that fails is said and left out from then on."""
    done: list[Pair] = []
    peers = list(peers)
    for number in range(max(rounds, pairs)):
        if done and time.monotonic() > until:
            say(f"{bench.shape.name}: time is up after {number} rounds")
            break
        pair = Pair(measure_ceiling("sha256", 1 << 20))
        ours = run_weighhouse(bench, pair)
        speeds = [f"weighhouse {ours.gbps:.2f}"]
        for tool in list(peers) if number < rounds else []:
            try:
                run_peer(bench, tool, pair)
                speeds.append(f"{tool} {pair.runs[bench.case(tool, False)].gbps:.2f}")
            except RunFailed as error:
                say(f"{tool} is left out of {bench.shape.name}: {error}")
                peers.remove(tool)
        say(f"{bench.shape.name} {bench.network}{' tls' if bench.tls else ''} {number + 1}: "
            f"{', '.join(speeds)} (sha256 {pair.sha256.gbps:.2f}) GB/s")
        done.append(pair)
    return done
