"""What the figures mean: from single runs to rows, ceilings and the targets' ratios. Nothing here measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any, Iterable

GIB = 1 << 30
MIB = 1 << 20


@dataclass(frozen=True)
class Run:
    """One tool, once."""

    bytes: int
    wall_s: float
    user_s: float
    system_s: float
    max_rss_kib: int
    wire_bytes: int
    server_cpu_s: float = 0.0

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s

    @property
    def gbps(self) -> float:
        """1e9 bytes a second."""
        return self.bytes / self.wall_s / 1e9

    @property
    def cpu_s_per_gib(self) -> float:
        return self.cpu_s * GIB / self.bytes

    def then(self, other: Run) -> Run:
        """This run and then another over the same bytes, such as a verification, as one."""
        return Run(self.bytes, self.wall_s + other.wall_s, self.user_s + other.user_s,
                   self.system_s + other.system_s, max(self.max_rss_kib, other.max_rss_kib),
                   self.wire_bytes + other.wire_bytes, self.server_cpu_s + other.server_cpu_s)


@dataclass(frozen=True)
class Ceiling:
    """What the machine did with so many bytes."""

    bytes: int
    seconds: float
    cpu_seconds: float

    @property
    def gbps(self) -> float:
        return self.bytes / self.seconds / 1e9

    @property
    def cpu_s_per_gib(self) -> float:
        return self.cpu_seconds * GIB / self.bytes


@dataclass(frozen=True)
class Case:
    """What a row is about."""

    tool: str
    shape: str
    network: str = "loopback"
    tls: bool = False
    verified: bool = False


@dataclass
class Pair:
    """One round of one shape: hashing from memory and the tools' runs, measured next to each other."""

    sha256: Ceiling
    runs: dict[Case, Run] = field(default_factory=dict)


def cpu_budget_gbps(run: Run, cores: int) -> float:
    """What `cores` give if each byte costs what this run's client and server spent on it."""
    return cores * run.bytes / (run.cpu_s + run.server_cpu_s) / 1e9


def ceiling_gbps(pair: Pair, cores: int) -> float:
    """min(SHA-256, CPU budget of Weighhouse's own run) of one round."""
    ours = [run for case, run in pair.runs.items() if case.tool == "weighhouse"]
    return min([pair.sha256.gbps, *(cpu_budget_gbps(run, cores) for run in ours)])


def of_ceiling(pairs: Iterable[Pair], case: Case, cores: int) -> float:
    """The median over the rounds of the ratios within each."""
    return median(pair.runs[case].gbps / ceiling_gbps(pair, cores) for pair in pairs if case in pair.runs)


def cpu_ratio(pairs: Iterable[Pair], case: Case) -> float:
    """Client CPU by the CPU of hashing the same from memory: the median of the ratios within each round."""
    return median(pair.runs[case].cpu_s_per_gib / pair.sha256.cpu_s_per_gib for pair in pairs if case in pair.runs)


def speed_ratio(pairs: Iterable[Pair], case: Case, other: Case) -> float:
    """How many times as fast `case` is as `other`: the median of the ratios within each round."""
    return median(pair.runs[case].gbps / pair.runs[other].gbps
                  for pair in pairs if case in pair.runs and other in pair.runs)


def row(pairs: list[Pair], case: Case, cores: int) -> dict[str, Any]:
    """One row of fill.json."""
    runs = [pair.runs[case] for pair in pairs if case in pair.runs]
    speeds = [run.gbps for run in runs]
    return {
        "tool": case.tool, "shape": case.shape, "network": case.network, "tls": case.tls, "verified": case.verified,
        "gbps": round(median(speeds), 4), "gbps_min": round(min(speeds), 4), "gbps_max": round(max(speeds), 4),
        "of_ceiling": round(of_ceiling(pairs, case, cores), 4),
        "cpu_s_per_gib": round(median(run.cpu_s_per_gib for run in runs), 4),
        "peak_rss_mib": round(max(run.max_rss_kib for run in runs) / 1024, 1),
        "wire_bytes": int(median(run.wire_bytes for run in runs)),
    }


def cases(pairs: Iterable[Pair]) -> list[Case]:
    """Every case that was measured, in the order of its first run."""
    return list(dict.fromkeys(case for pair in pairs for case in pair.runs))


def ceilings(pairs: list[Pair], writes: list[Ceiling], receives: list[Ceiling], cores: int) -> dict[str, float]:
    """The first half of fill.json, from the rounds of the single file over plain loopback."""
    ours = [run for pair in pairs for case, run in pair.runs.items() if case.tool == "weighhouse"]
    return {
        "sha256_gbps": round(median(pair.sha256.gbps for pair in pairs), 4),
        "odirect_write_gbps": round(median(write.gbps for write in writes), 4),
        "recv_gbps": round(median(receive.gbps for receive in receives), 4),
        "cpu_budget_gbps": round(median(cpu_budget_gbps(run, cores) for run in ours), 4),
        "sha256_cpu_s_per_gib": round(median(pair.sha256.cpu_s_per_gib for pair in pairs), 4),
    }
