"""The daemon's admin port: its pages, the samples of /metrics, and Prometheus' own opinion of them."""

from __future__ import annotations

import re
import subprocess
import urllib.error
import urllib.request
from typing import NamedTuple

from harness.daemon import CacheDaemon

PREFIX = "weighhouse_"


class Page(NamedTuple):
    """One answer."""

    status: int
    content_type: str
    text: str


def get(daemon: CacheDaemon, path: str) -> Page:
    """Asks the admin port."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{daemon.admin_address()}{path}", timeout=30) as reply:
            return Page(reply.status, reply.headers["Content-Type"], reply.read().decode())
    except urllib.error.HTTPError as error:
        return Page(error.code, error.headers["Content-Type"], error.read().decode())


class Samples(dict[str, str]):
    """Series as the page writes them, without the common prefix, to the text of their values."""

    def __init__(self, page: str) -> None:
        lines = [line for line in page.splitlines() if line and not line.startswith("#")]
        super().__init__((line.rsplit(" ", 1)[0].removeprefix(PREFIX), line.rsplit(" ", 1)[1]) for line in lines)

    def number(self, name: str, **labels: str) -> int:
        """The value of a series, which must be there and whole."""
        inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        return int(self[f"{name}{{{inner}}}" if inner else name])

    def changes(self, before: "Samples") -> dict[str, float]:
        """What differs, apart from how long things took, what the machine's disk has, and how hosts are measured."""
        noise = r"_(sum|bucket)\b|available_bytes|filesystem|fill_connections"
        return {series: float(value) - float(before.get(series, "0")) for series, value in self.items()
                if value != before.get(series, "0") and not re.search(noise, series)}


def scrape(daemon: CacheDaemon) -> Samples:
    page = get(daemon, "/metrics")
    assert page.status == 200, page
    return Samples(page.text)


def promtool(page: str) -> str:
    """What `promtool check metrics` finds wrong; empty: nothing."""
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() or ("" if done.returncode == 0 else f"status {done.returncode}")
