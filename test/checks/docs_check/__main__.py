"""`make docs-check`: the documentation and the sources say the same. Findings are FILE:LINE: what is wrong, and the way out.

Needs the built programs (make build), by default those of build/dev/bin; WEIGHHOUSE_BIN names another directory.
"""

from __future__ import annotations

import os
import pathlib
import sys

import project

ROOT = pathlib.Path(__file__).resolve().parents[3]


def main() -> int:
    directory = pathlib.Path(os.environ.get("WEIGHHOUSE_BIN", ROOT / "build/dev/bin"))
    try:
        found = project.findings(ROOT, directory)
    except FileNotFoundError as error:
        print(f"make docs-check: {error}", file=sys.stderr)
        return 1
    for finding in sorted(found, key=lambda each: (each.page, each.line)):
        print(finding)
    print(f"make docs-check: {len(found)} findings" if found else "make docs-check: documentation and sources agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
