"""The beginning and the end of the search for secrets over a whole suite: see harness/canary.py.

Arguments: begin or check, and where the runs leave their reports.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.canary import Reports


def main() -> None:
    """`begin` forgets earlier reports; `check` ends with 1 and says why, unless every run is clean."""
    step, directory = sys.argv[1], Path(sys.argv[2])
    reports = Reports(directory)
    if step == "begin":
        reports.clear()
        return
    total = reports.total()
    print(f"{total.files} files, {total.bytes} bytes looked through in {len(list(directory.iterdir()))} runs")
    if problems := reports.problems():
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
