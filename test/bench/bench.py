"""make bench: fills against the tools that people use, and against the ceilings of the machine.

Writes build/bench/fill.json, summary.json and table.md, and prints the table and the summary. Needs root: for network
namespaces, and because Weighhouse becomes the owner of its cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import report
from arithmetic import GIB, MIB, Ceiling, Pair, cases, ceilings, row
from daemon import fill_four
from far import BYTES_PER_SECOND, FIRST_BYTE_MS, RESET_SECONDS, SERVER_ADDRESS, FarLink
from machine import PROGRAMS, PROJECT, clear, core_count, measure_ceiling
from rounds import Bench, run_peer, run_rounds, run_weighhouse, say
from servers import Hub, Nginx, Proxy
from shapes import Shape, make_shapes, write_files
from targets import (
    Figure,
    far_figures,
    memory_figures,
    shards_figure,
    single_figures,
    slow_first_figure,
    tls_figure,
)
from tools import PEERS, Origin

_SLOW_FIRST_BYTES_PER_SECOND = 1_000_000


@dataclass(frozen=True)
class Plan:
    """How much is measured. Minutes are limits, for machines slower than expected."""

    bytes: int
    far_bytes: int
    many: int
    rounds: int
    pairs: int
    far_rounds: int
    minutes: float
    """Of one shape."""
    command: str


FULL = Plan(4 * GIB, 2 * GIB, 2000, 5, 9, 3, 14, "make bench")
QUICK = Plan(1 * GIB, 512 * MIB, 500, 2, 3, 1, 1.5, "make bench QUICK=1")
SMOKE = Plan(64 * MIB, 64 * MIB, 20, 1, 1, 1, 1.5, "bench.py --plan smoke")
PLANS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


@dataclass
class Session:
    """What one run of the bench knows so far."""

    plan: Plan
    work: Path
    cores: int
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    """By stage."""
    writes: list[Ceiling] = field(default_factory=list)
    receives: list[Ceiling] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    @property
    def models(self) -> Path:
        return self.work / "models"

    def until(self) -> float:
        """When a stage that begins now must not begin another round."""
        return time.monotonic() + self.plan.minutes * 60

    def bench(self, shape: Shape, digests: dict[str, str], nginx: Nginx, hub_url: str = "", tls: bool = False) -> Bench:
        origin = Origin(nginx.url(tls), hub_url, nginx.authority if tls else None)
        return Bench(self.models, self.work, shape, digests, nginx, origin, tls=tls)


def measure_ceilings(session: Session, nginx: Nginx, shape: Shape) -> None:
    """Disk and network of the machine, beside the single file's rounds."""
    for _ in range(session.plan.rounds):
        session.writes.append(measure_ceiling("write", session.work / "ceiling", shape.bytes))
        path = f"{shape.repository}/model.safetensors"
        session.receives.append(measure_ceiling("recv", nginx.plain_port, path, shape.bytes))


def measure_shape(session: Session, nginx: Nginx, shape: Shape) -> None:
    """All tools over plain loopback; the single file also over TLS and behind a slow first connection."""
    say(f"writing {shape.name}")
    digests = write_files(session.models, shape)
    plan = session.plan
    with Hub(session.models, nginx.url(), session.work / "hub.log") as hub:
        bench = session.bench(shape, digests, nginx, hub.url)
        pairs = plan.pairs if shape.name == "single" else plan.rounds
        session.pairs[shape.name] = run_rounds(bench, list(PEERS), plan.rounds, pairs, session.until())
    if shape.name == "single":
        measure_ceilings(session, nginx, shape)
        tls = session.bench(shape, digests, nginx, tls=True)
        peers = [tool for tool in PEERS if tool != "hf"]  # the fixture Hub's own side has no TLS here
        session.pairs["tls"] = run_rounds(tls, peers, plan.rounds, plan.rounds, session.until())
        measure_slow_first(session, nginx, shape, digests)
    clear(session.models / shape.repository)


def measure_slow_first(session: Session, nginx: Nginx, shape: Shape, digests: dict[str, str]) -> None:
    """Three pulls through the proxy, and three whose first connection crawls for its whole life."""
    seconds: dict[int, list[float]] = {0: [], _SLOW_FIRST_BYTES_PER_SECOND: []}
    for _ in range(session.plan.far_rounds):
        for rate, found in seconds.items():
            with Proxy(nginx.plain_port, "--first-connection-rate", str(rate)) as proxy:
                bench = Bench(session.models, session.work, shape, digests, nginx, Origin(proxy.url))
                found.append(run_weighhouse(bench, Pair(Ceiling(1, 1, 1))).wall_s)
    say(f"through the proxy, seconds by the first connection's rate: {seconds}")
    session.figures.append(slow_first_figure(seconds[0], seconds[_SLOW_FIRST_BYTES_PER_SECOND]))


def _far_pairs(session: Session, link: FarLink, nginx: Nginx, shape: Shape, digests: dict[str, str],
               reset_every: int) -> tuple[list[Pair], list[int]]:
    """Weighhouse and aria2c in turns, and the connections that Weighhouse settled at."""
    options = ["--first-byte-ms", str(FIRST_BYTE_MS), "--rate", str(BYTES_PER_SECOND), "--reset-every",
               str(reset_every)]
    last = link.received_bytes()

    def received() -> int:
        nonlocal last
        before, last = last, link.received_bytes()
        return last - before

    found = []
    with Proxy(nginx.plain_port, *options, namespace=link.server, listen=SERVER_ADDRESS,
               log=session.work / "proxy.log") as proxy:
        bench = Bench(session.models, session.work, shape, digests, nginx, Origin(proxy.url, namespace=link.client),
                      "far", wire_count=received)
        for _ in range(session.plan.far_rounds):
            pair = Pair(Ceiling(1, 1, 1))
            run_weighhouse(bench, pair)
            if not reset_every:
                run_peer(bench, "aria2c", pair)
            say(f"far, resets every {reset_every} s: " + ", ".join(
                f"{case.tool} {run.gbps:.4f}" for case, run in pair.runs.items()) + " GB/s")
            found.append(pair)
    return found, bench.connections


def measure_far(session: Session, shape: Shape) -> None:
    """The far origin, without and with resets; those with resets are figures of the summary only."""
    digests = write_files(session.models, shape)
    with FarLink() as link:
        goodput = link.goodput_gbps(8 if session.plan is FULL else 3)
        say(f"the far link's goodput is {goodput:.4f} GB/s")
        with Nginx(session.work / "far-nginx", session.models, session.cores, link.server) as nginx:
            steady, connections = _far_pairs(session, link, nginx, shape, digests, 0)
            troubled, _ = _far_pairs(session, link, nginx, shape, digests, RESET_SECONDS)
    session.pairs["far"] = steady
    speeds = [[run.gbps for pair in pairs for case, run in pair.runs.items() if case.tool == "weighhouse"]
              for pairs in (steady, troubled)]
    session.figures += far_figures(goodput, speeds[0], speeds[1], connections)
    clear(session.models / shape.repository)


def measure(session: Session) -> None:
    """Everything, shape by shape, so that only one lies on the disk at a time."""
    shapes = make_shapes(session.plan.bytes, session.plan.many)
    daemon_rss = 0
    with Nginx(session.work / "nginx", session.models, session.cores) as nginx:
        for shape in shapes.values():
            measure_shape(session, nginx, shape)
        daemon_rss = fill_four(session.models, session.work, shapes["llama8b"], nginx)
    measure_far(session, make_shapes(session.plan.far_bytes, 1)["single"])
    every = [pair for pairs in session.pairs.values() for pair in pairs]
    single = session.pairs["single"]
    session.figures = [
        *single_figures(single, session.cores), shards_figure(single, session.pairs["llama8b"]),
        tls_figure(session.pairs["tls"]), *memory_figures(every, daemon_rss), *session.figures,
    ]


def finish(session: Session) -> None:
    """Tells and writes what was found."""
    fill = {
        "ceilings": ceilings(session.pairs["single"], session.writes, session.receives, session.cores),
        "rows": [row(pairs, case, session.cores) for pairs in session.pairs.values() for case in cases(pairs)],
    }
    directory = PROJECT / "build/bench"
    report.write(directory, fill, session.figures, session.plan.command)
    print(report.table(fill["rows"]), report.ceilings_text(fill["ceilings"]), sep="\n\n", end="\n\n")
    for figure in session.figures:
        print(figure.line())
    print(f"\nWritten: {directory}/fill.json, summary.json, table.md (for the README)", flush=True)


def main() -> None:
    """Measures and tells; ends with 0 if everything could be measured, whatever came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", choices=PLANS, default="full",
                        help="quick: a quarter of the size, fewer runs; smoke: only whether the bench itself works")
    plan = PLANS[parser.parse_args().plan]
    if os.geteuid() != 0:
        sys.exit("make bench needs root: for network namespaces, and to give the cache a user of its own")
    parent = os.environ.get("WEIGHHOUSE_BENCH_PARENT", "/var/tmp")
    needed = plan.bytes * 2 + 2 * GIB
    if shutil.disk_usage(parent).free < needed:
        sys.exit(f"{parent} has less than {needed / GIB:.0f} GiB free: name another WEIGHHOUSE_BENCH_PARENT")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers, namespaces and files go with us
    with tempfile.TemporaryDirectory(prefix="weighhouse-bench.", dir=parent) as name:
        session = Session(plan, Path(name), core_count())
        session.work.chmod(0o755)
        session.models.mkdir()
        measure(session)
        finish(session)
        subprocess.run([str(PROGRAMS / "bench-stages"), "--benchmark_min_time=0.3"], check=True,
                       env=os.environ | {"TMPDIR": str(session.work)})


if __name__ == "__main__":
    main()
