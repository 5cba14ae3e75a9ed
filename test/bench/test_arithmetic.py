"""The harness's arithmetic: medians, ratios within rounds, the shape of fill.json, and the targets' lines."""

from __future__ import annotations

import json

import pytest
from arithmetic import (
    GIB,
    Case,
    Ceiling,
    Pair,
    Run,
    cases,
    ceiling_gbps,
    ceilings,
    cpu_budget_gbps,
    cpu_ratio,
    of_ceiling,
    row,
    speed_ratio,
)
from report import markdown, table
from shapes import make_shapes
from targets import Figure, far_figures, memory_figures, shards_figure, single_figures, slow_first_figure

OURS = Case("weighhouse", "single", verified=True)
PEER = Case("curl", "single")
PEER_VERIFIED = Case("curl", "single", verified=True)
BILLION = 10**9


def run(seconds: float, cpu: float = 1.0, server: float = 0.0, rss: int = 1024) -> Run:
    """A billion bytes."""
    return Run(BILLION, seconds, cpu / 2, cpu / 2, rss, BILLION + 7, server)


def pair(sha_seconds: float, **runs: Run) -> Pair:
    named = {"ours": OURS, "peer": PEER, "peer_verified": PEER_VERIFIED}
    return Pair(Ceiling(BILLION, sha_seconds, sha_seconds), {named[name]: one for name, one in runs.items()})


def test_speed_is_in_billions_of_bytes_and_cpu_per_gib() -> None:
    assert run(0.5).gbps == pytest.approx(2.0)
    assert run(0.5, cpu=1.0).cpu_s_per_gib == pytest.approx(GIB / BILLION)


def test_a_verification_adds_time_and_cpu_but_not_memory() -> None:
    both = run(1.0, cpu=1.0, rss=4000).then(Run(BILLION, 0.5, 0.25, 0.25, 3000, 0))
    assert (both.wall_s, both.cpu_s, both.max_rss_kib, both.wire_bytes) == (1.5, 1.5, 4000, BILLION + 7)


def test_the_cpu_budget_counts_both_sides_and_all_cores() -> None:
    assert cpu_budget_gbps(run(1.0, cpu=0.7, server=0.3), cores=2) == pytest.approx(2.0)


def test_the_ceiling_is_the_lower_of_hashing_and_the_budget() -> None:
    assert ceiling_gbps(pair(0.5, ours=run(1, cpu=0.5, server=0.5)), cores=2) == pytest.approx(2.0)
    assert ceiling_gbps(pair(0.5, ours=run(1, cpu=1.5, server=0.5)), cores=2) == pytest.approx(1.0)


def test_ratios_are_taken_within_each_round_before_the_median() -> None:
    # Medians of speed and of hashing would make 1 / 1 here; the rounds say 0.5, 0.5 and 2.
    pairs = [pair(0.5, ours=run(1.0, cpu=0.1)), pair(1.0, ours=run(2.0, cpu=0.1)), pair(2.0, ours=run(1.0, cpu=0.1))]
    assert of_ceiling(pairs, OURS, cores=2) == pytest.approx(0.5)
    pairs = [pair(0.5, ours=run(1, cpu=1.0)), pair(1.0, ours=run(1, cpu=1.0)), pair(0.25, ours=run(1, cpu=1.0))]
    assert cpu_ratio(pairs, OURS) == pytest.approx(2.0)


def test_a_round_without_the_peer_does_not_count_for_it() -> None:
    pairs = [pair(1.0, ours=run(1.0), peer=run(3.0)), pair(1.0, ours=run(0.1))]
    assert speed_ratio(pairs, OURS, PEER) == pytest.approx(3.0)
    assert row(pairs, PEER, 2)["gbps_min"] == row(pairs, PEER, 2)["gbps_max"]


def test_rows_and_ceilings_are_as_the_issue_writes_them() -> None:
    pairs = [pair(0.5, ours=run(1.0, rss=2048), peer=run(2.0)), pair(0.5, ours=run(2.0, rss=1024))]
    assert cases(pairs) == [OURS, PEER]
    found = row(pairs, OURS, 2)
    assert list(found) == ["tool", "shape", "network", "tls", "verified", "gbps", "gbps_min", "gbps_max", "of_ceiling",
                           "cpu_s_per_gib", "peak_rss_mib", "wire_bytes"]
    assert (found["gbps"], found["gbps_min"], found["gbps_max"], found["peak_rss_mib"]) == (0.75, 0.5, 1.0, 2.0)
    assert (found["tls"], found["verified"], found["wire_bytes"]) == (False, True, BILLION + 7)
    top = ceilings(pairs, [Ceiling(BILLION, 0.5, 0.1)], [Ceiling(BILLION, 0.25, 0.1)], 2)
    assert list(top) == ["sha256_gbps", "odirect_write_gbps", "recv_gbps", "cpu_budget_gbps", "sha256_cpu_s_per_gib"]
    assert (top["sha256_gbps"], top["odirect_write_gbps"], top["recv_gbps"]) == (2.0, 2.0, 4.0)
    text = json.dumps({"ceilings": top, "rows": [found]})
    assert "weighhouse" in table([found]) and "| weighhouse |" in markdown(json.loads(text), "make bench")


def test_the_fastest_peer_is_found_for_both_kinds() -> None:
    pairs = [pair(0.5, ours=run(1.0), peer=run(1.25), peer_verified=run(2.5))]
    verified, unverified = single_figures(pairs, 2)[1:3]
    assert (verified.value, verified.reached) == (pytest.approx(2.5), True)
    assert (unverified.value, unverified.reached) == (pytest.approx(1.25), True)


def test_targets_are_limits_from_the_right_side() -> None:
    assert Figure("x", 0.85, 0.85).reached and not Figure("x", 0.84, 0.85).reached
    assert Figure("x", 1.75, 1.75, False).reached and not Figure("x", 1.76, 1.75, False).reached
    assert Figure("x", 0.84, 0.85).line().endswith("MISSED") and Figure("x", 1, 0.85).line().endswith("ok")


def test_the_other_figures() -> None:
    steady, troubled = far_figures(0.1, [0.09, 0.1, 0.08], [0.08], [12])
    assert (steady.value, troubled.value) == (pytest.approx(0.9), pytest.approx(0.8))
    assert slow_first_figure([1.0, 2.0, 3.0], [1.0, 5.0]).value == pytest.approx(2.5)
    shards = Pair(Ceiling(BILLION, 1, 1), {Case("weighhouse", "llama8b", verified=True): run(1.25)})
    assert shards_figure([pair(0.5, ours=run(0.5))], [shards]).value == pytest.approx(0.8)
    pairs = [pair(1, ours=run(1, rss=1 << 10), peer=run(1, rss=1 << 20)), pair(1, ours=run(1, rss=2 << 10))]
    peaks = memory_figures(pairs, 3 << 10)
    assert [figure.value for figure in peaks] == [2.0, 3.0]


def test_shapes_add_up_to_what_was_asked() -> None:
    shapes = make_shapes(GIB, 50)
    assert [len(shapes[name].files) for name in ("single", "llama8b", "deepseek", "small")] == [1, 4, 175, 50]
    assert shapes["llama8b"].bytes == GIB
    assert sum(size for name, size in shapes["deepseek"].files.items() if name.endswith("of-00163.safetensors")) == GIB
    assert shapes["small"].bytes == 50 * (64 << 10)
