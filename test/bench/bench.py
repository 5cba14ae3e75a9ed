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
from pathlib import Path
from typing import Any

import report
from arithmetic import GIB, MIB, cases, ceilings, row
from machine import PROGRAMS, PROJECT, core_count
from stages import STAGES, Plan, Session, measure
from targets import Figure, memory_figures, shards_figure, single_figures, tls_figure

FULL = Plan(4 * GIB, 4 * GIB, 2000, 5, 9, 3, 9, 8, "make bench")
QUICK = Plan(1 * GIB, 512 * MIB, 500, 2, 3, 1, 1.5, 3, "make bench QUICK=1")
SMOKE = Plan(64 * MIB, 64 * MIB, 20, 1, 1, 1, 1.5, 2, "bench.py --plan smoke")
PLANS = {"full": FULL, "quick": QUICK, "smoke": SMOKE}


def figures(session: Session) -> list[Figure]:
    """The summary, of the stages that could be measured."""
    pairs = session.pairs
    single = pairs.get("single", [])
    found = single_figures(single, session.cores) if single else []
    if single and "llama8b" in pairs:
        found.append(shards_figure(single, pairs["llama8b"]))
    if "tls" in pairs:
        found.append(tls_figure(pairs["tls"]))
    every = [pair for stage in pairs.values() for pair in stage]
    return [*found, *memory_figures(every, session.daemon_rss_kib), *session.figures]


def finish(session: Session, stages: list[str]) -> None:
    """Tells and writes what was found."""
    single = session.pairs.get("single")
    fill: dict[str, Any] = {
        "ceilings": ceilings(single, session.writes, session.receives, session.cores)
        if single and session.receives else {},
        "rows": [row(pairs, case, session.cores) for pairs in session.pairs.values() for case in cases(pairs)],
    }
    summary = figures(session)
    directory = PROJECT / "build/bench"
    report.write(directory, fill, summary, session.plan.command)
    print(report.table(fill["rows"]), report.ceilings_text(fill["ceilings"]), sep="\n\n", end="\n\n")
    if session.plan is not FULL or set(stages) != set(STAGES):
        print("Less than all of it in full size: figures to look at.")
    for line in [*(figure.line() for figure in summary), *(f"NOT MEASURED: {failure}" for failure in session.failures)]:
        print(line)
    print(f"\nWritten: {directory}/fill.json, summary.json, table.md (for docs/measured.md)", flush=True)


def main() -> None:
    """Measures and tells; ends with 0 if everything could be measured, whatever came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", choices=PLANS, default="full",
                        help="quick: a quarter of the size, fewer runs; smoke: only whether the bench itself works")
    parser.add_argument("--stages", default=",".join(STAGES),
                        help=f"which stages, of {','.join(STAGES)}; the single file's has TLS and the ceilings with it")
    arguments = parser.parse_args()
    plan, stages = PLANS[arguments.plan], arguments.stages.split(",")
    if unknown := set(stages) - set(STAGES):
        parser.error(f"--stages: there is no {', '.join(sorted(unknown))}: give some of {','.join(STAGES)}")
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
        measure(session, stages)
        finish(session, stages)
        subprocess.run([str(PROGRAMS / "bench-stages"), "--benchmark_min_time=0.3"], check=True,
                       env=os.environ | {"TMPDIR": str(session.work)})
    sys.exit(1 if session.failures else 0)


if __name__ == "__main__":
    main()
