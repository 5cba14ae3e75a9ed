"""The fixture hub as a child process, and its control calls."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from harness.canary import canary
from harness.process import Process
from harness.workspace import PROJECT

_SMALL_FILE = re.compile(r"/(?:api/resolve-cache/models/)?([^/]+/[^/]+)/(?:resolve/)?[0-9a-f]{40}/([^?]+)")

TOKEN = canary("fixture_token_0123456789")  # the one that the tests' hubs accept


class Hub:
    """Serves the models below a directory; see test/fixture_hub."""

    def __init__(self, models: Path, log: Path, *arguments: str) -> None:
        self.models = models
        program = PROJECT / "test/fixture_hub/fixture_hub.py"
        self._process = Process("fixture hub", [sys.executable, str(program), "--models", str(models), *arguments], log,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fixture hub did not start:\n{self._process.log_tail()}")
        ready = json.loads(line)
        self.url: str = ready["hub"]
        self.cdn_url: str = ready["cdn"]

    def _control(self, method: str, name: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_fixture/{name}", data=data, method=method)
        anybody = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())  # nobody vouches for a test's hub
        with urllib.request.build_opener(urllib.request.ProxyHandler({}), anybody).open(request, timeout=30) as reply:
            text = reply.read()
        return json.loads(text) if text.strip() else None

    def stats(self) -> dict[str, Any]:
        return self._control("GET", "stats")

    def log(self) -> list[dict[str, Any]]:
        """Every request since the last reset."""
        return self._control("GET", "log")

    def reset(self) -> None:
        """Forgets the counts and the log."""
        self._control("POST", "reset", {})

    def rescan(self) -> None:
        """Reads the models' directories again."""
        self._control("POST", "rescan", {})

    def tokens(self, *valid: str) -> None:
        """These and no others are valid from now on."""
        self._control("POST", "tokens", list(valid))

    def commit(self, repository: str) -> str:
        return self.stats()["commit"][repository]

    def faults(self, *faults: dict[str, Any]) -> None:
        """Replaces the scripted faults; none clears them."""
        if faults:
            self._control("POST", "faults", list(faults))
        else:
            self._control("DELETE", "faults")

    def slow(self, bytes_per_second: int, path: str = "") -> None:
        """Slows each transfer from the CDN down."""
        self.faults(fault("cdn", path, {"kind": "rate", "bytes_per_second": bytes_per_second}))

    def fetched(self) -> dict[str, int]:
        """Bytes sent of each file, by `org/name/path`, on both sides."""
        sums: dict[str, int] = {}
        for entry in self.log():
            small = _SMALL_FILE.match(entry["path"])
            name = f"{small[1]}/{small[2]}" if small else entry["file"] if entry["side"] == "cdn" else ""
            if name and entry["bytes"] and entry["status"] in (200, 206):
                sums[name] = sums.get(name, 0) + entry["bytes"]
        return sums

    def requests(self, side: str = "") -> int:
        """How many requests came in, of one side or both."""
        return sum(1 for entry in self.log() if side in ("", entry["side"]))

    def stop(self) -> None:
        self._process.stop()


def fault(side: str, path: str, action: dict[str, Any], times: int = -1, skip: int = 0) -> dict[str, Any]:
    """One scripted fault; `times` -1: for ever."""
    return {"side": side, "path": path, "skip": skip, "times": times, "action": action}
