"""What is measured, stage by stage, and the session that keeps the results."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable

from arithmetic import Ceiling, Pair
from daemon import fill_four
from far import BYTES_PER_SECOND, FIRST_BYTE_MS, RESET_SECONDS, SERVER_ADDRESS, FarLink
from machine import RunFailed, clear, measure_ceiling
from rounds import Bench, run_peer, run_rounds, run_weighhouse, say
from servers import Hub, Nginx, Proxy
from shapes import Shape, make_shapes, write_files
from targets import Figure, far_figures, slow_first_figure
from tools import PEERS, Origin

_SLOW_FIRST_BYTES_PER_SECOND = 1_000_000
STAGES = ("single", "llama8b", "deepseek", "small", "four", "far")


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
    goodput_seconds: int
    command: str


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
    """Of the stages whose pairs say no more by themselves."""
    daemon_rss_kib: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def models(self) -> Path:
        return self.work / "models"

    def attempt(self, stage: str, work: Callable[[], None]) -> None:
        """A stage that fails is told in the end; what the others measured is not lost with it."""
        try:
            work()
        except (RunFailed, OSError, subprocess.SubprocessError) as error:
            say(f"{stage} failed: {error}")
            self.failures.append(f"{stage}: {error}")

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


def measure_tls(session: Session, nginx: Nginx, shape: Shape, digests: dict[str, str]) -> None:
    """The single file over TLS; without `hf`, because the fixture Hub's own side has none here."""
    bench = session.bench(shape, digests, nginx, tls=True)
    peers = [tool for tool in PEERS if tool != "hf"]
    session.pairs["tls"] = run_rounds(bench, peers, session.plan.rounds, session.plan.rounds, session.until())


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
        session.attempt("TLS", partial(measure_tls, session, nginx, shape, digests))
        session.attempt("slow first connection", partial(measure_slow_first, session, nginx, shape, digests))
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
        goodput = link.goodput_gbps(session.plan.goodput_seconds)
        say(f"the far link's goodput is {goodput:.4f} GB/s")
        with Nginx(session.work / "far-nginx", session.models, session.cores, link.server) as nginx:
            steady, connections = _far_pairs(session, link, nginx, shape, digests, 0)
            troubled, _ = _far_pairs(session, link, nginx, shape, digests, RESET_SECONDS)
    session.pairs["far"] = steady
    speeds = [[run.gbps for pair in pairs for case, run in pair.runs.items() if case.tool == "weighhouse"]
              for pairs in (steady, troubled)]
    session.figures += far_figures(goodput, speeds[0], speeds[1], connections)
    clear(session.models / shape.repository)


def measure_daemon(session: Session, nginx: Nginx, shape: Shape) -> None:
    """Four models at once."""
    session.daemon_rss_kib = fill_four(session.models, session.work, shape, nginx)


def measure(session: Session, stages: list[str]) -> None:
    """The stages, shape by shape, so that only one lies on the disk at a time."""
    shapes = make_shapes(session.plan.bytes, session.plan.many)
    with Nginx(session.work / "nginx", session.models, session.cores) as nginx:
        for shape in shapes.values():
            if shape.name in stages:
                session.attempt(shape.name, partial(measure_shape, session, nginx, shape))
        if "four" in stages:
            session.attempt("four models at once", partial(measure_daemon, session, nginx, shapes["llama8b"]))
    if "far" in stages:
        session.attempt("far", partial(measure_far, session, make_shapes(session.plan.far_bytes, 1)["single"]))
