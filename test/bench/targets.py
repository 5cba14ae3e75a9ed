"""The summary: each figure that the fill must reach, beside its target."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from arithmetic import GIB, Case, Pair, cpu_ratio, of_ceiling, speed_ratio

OUR_SINGLE = Case("weighhouse", "single", verified=True)


@dataclass(frozen=True)
class Figure:
    """One line of the summary."""

    name: str
    value: float
    target: float
    at_least: bool = True
    note: str = ""

    @property
    def reached(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def line(self) -> str:
        target = f"{'at least' if self.at_least else 'at most'} {self.target:g}"
        return f"{self.name}: {self.value:.2f} (target {target}) {'ok' if self.reached else 'MISSED'}{self.note}"


def _fastest(pairs: list[Pair], verified: bool) -> Case | None:
    """The peer with the highest median on the single file."""
    speeds: dict[Case, list[float]] = {}
    for pair in pairs:
        for case, run in pair.runs.items():
            if case.tool != "weighhouse" and case.verified == verified:
                speeds.setdefault(case, []).append(run.gbps)
    return max(speeds, key=lambda case: median(speeds[case]), default=None)


def _cpu_figure(name: str, pairs: list[Pair], case: Case, target: float) -> Figure:
    """Client CPU by hashing's, with what it is made of."""
    runs = [pair.runs[case] for pair in pairs if case in pair.runs]
    user, system = (median(seconds * GIB / run.bytes for seconds, run in zip(parts, runs))
                    for parts in ([run.user_s for run in runs], [run.system_s for run in runs]))
    hashing = median(pair.sha256.cpu_s_per_gib for pair in pairs)
    note = f"; s/GiB: user {user:.2f}, system {system:.2f}, hashing {hashing:.2f}"
    return Figure(name, cpu_ratio(pairs, case), target, at_least=False, note=note)


def single_figures(pairs: list[Pair], cores: int) -> list[Figure]:
    """The one file over plain loopback."""
    found = [Figure("single, loopback, plain: part of its ceiling", of_ceiling(pairs, OUR_SINGLE, cores), 0.85)]
    for verified, target in ((True, 2.0), (False, 1.0)):
        peer = _fastest(pairs, verified)
        if peer:
            kind = "verified" if verified else "unverified"
            found.append(Figure(f"single: times the fastest {kind} peer ({peer.tool})",
                                speed_ratio(pairs, OUR_SINGLE, peer), target))
    found.append(_cpu_figure("single, plain: client CPU / CPU of hashing", pairs, OUR_SINGLE, 1.75))
    return found


def tls_figure(pairs: list[Pair]) -> Figure:
    """The one file over TLS 1.3."""
    case = Case("weighhouse", "single", tls=True, verified=True)
    return _cpu_figure("single, TLS 1.3: client CPU / CPU of hashing", pairs, case, 2.9)


def shards_figure(single: list[Pair], shards: list[Pair]) -> Figure:
    """Four shards against the one file; minutes lie between the two, so each speed counts by the hashing beside it."""
    ours = Case("weighhouse", "llama8b", verified=True)
    speeds = [median(pair.runs[case].gbps / pair.sha256.gbps for pair in pairs)
              for pairs, case in ((shards, ours), (single, OUR_SINGLE))]
    return Figure("llama8b: part of the single file's speed, each by hashing's", speeds[0] / speeds[1], 0.9)


def memory_figures(pairs: list[Pair], daemon_rss_kib: int) -> list[Figure]:
    """The largest resident set over all shapes, and of the daemon with four models filling."""
    peaks = {case: run.max_rss_kib for pair in pairs for case, run in pair.runs.items() if case.tool == "weighhouse"}
    largest = max((run.max_rss_kib for pair in pairs for case, run in pair.runs.items() if case in peaks), default=0)
    found = [Figure("peak RSS in every shape, MiB", largest / 1024, 256, False)] if peaks else []
    if daemon_rss_kib:
        found.append(Figure("peak RSS of the daemon, four models at once, MiB", daemon_rss_kib / 1024, 256, False))
    return found


def far_figures(goodput_gbps: float, steady: list[float], troubled: list[float],
                connections: list[int]) -> list[Figure]:
    """Speeds from the far origin by the link's goodput."""
    note = f"; connections it settled at: {', '.join(map(str, connections))}"
    return [
        Figure("far: part of the goodput", median(steady) / goodput_gbps, 0.93, note=note),
        Figure("far, a reset every 2 s: part of the goodput", median(troubled) / goodput_gbps, 0.85),
    ]


def slow_first_figure(plain_seconds: list[float], slowed_seconds: list[float]) -> Figure:
    """The worst run with the first connection at 1 MB/s, by the median without it."""
    return Figure("first connection at 1 MB/s: times the median without", max(slowed_seconds) / median(plain_seconds),
                  2.0, False)
