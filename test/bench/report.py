"""What is printed and written: fill.json, the summary, and the table of docs/measured.md."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from machine import description
from targets import Figure

_HEADS = ["tool", "shape", "network", "TLS", "verified", "GB/s", "min-max", "of ceiling", "CPU s/GiB", "RSS MiB",
          "wire GB"]


def _cells(row: dict[str, Any]) -> list[str]:
    return [row["tool"], row["shape"], row["network"], "yes" if row["tls"] else "", "yes" if row["verified"] else "",
            f"{row['gbps']:.2f}", f"{row['gbps_min']:.2f}-{row['gbps_max']:.2f}", f"{row['of_ceiling']:.2f}",
            f"{row['cpu_s_per_gib']:.2f}", f"{row['peak_rss_mib']:.0f}", f"{row['wire_bytes'] / 1e9:.2f}"]


def table(rows: list[dict[str, Any]]) -> str:
    """For the eye."""
    lines = [_HEADS, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def ceilings_text(ceilings: dict[str, float]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in ceilings.items())


def markdown(fill: dict[str, Any], command: str) -> str:
    """What docs/measured.md shows, ready to be pasted."""
    ceilings = ", ".join(f"{name.removesuffix('_gbps')} {value:.2f}" for name, value in fill["ceilings"].items()
                         if name.endswith("_gbps"))
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} with `{command}` on {description()}.",
        f"Ceilings in the same run, GB/s: {ceilings}.",
        "",
        "| " + " | ".join(_HEADS) + " |",
        "|" + "---|" * len(_HEADS),
        *("| " + " | ".join(_cells(row)) + " |" for row in fill["rows"]),
    ]
    return "\n".join(lines) + "\n"


def write(directory: Path, fill: dict[str, Any], figures: list[Figure], command: str) -> None:
    """fill.json, summary.json and table.md in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "fill.json").write_text(json.dumps(fill, indent=1) + "\n")
    summary = [{"name": figure.name, "value": round(figure.value, 4), "target": figure.target,
                "at_least": figure.at_least, "reached": figure.reached, "note": figure.note.strip("; ")}
               for figure in figures]
    (directory / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    (directory / "table.md").write_text(markdown(fill, command))
