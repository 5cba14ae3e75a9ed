"""What was asked and answered: counters and the log of requests."""

from __future__ import annotations

import threading
from typing import Any

Entry = dict[str, Any]
"""One request in the log."""

COUNTERS = ("api_calls", "resolve_calls", "resolve_cache_calls", "cdn_requests", "cdn_bytes", "hub_bytes",
            "hub_connections", "cdn_connections", "cdn_active_peak")


class Records:
    """Counters and log since the start or the last reset. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._log: list[Entry] = []
        self._cdn_active = 0

    def reset(self) -> None:
        """Forgets everything but the transfers under way."""
        with self._lock:
            self._counters = dict.fromkeys(COUNTERS, 0)
            self._log = []

    def count(self, counter: str, amount: int = 1) -> None:
        """Adds to one counter."""
        with self._lock:
            self._counters[counter] += amount

    def begin(self, entry: Entry) -> None:
        """Logs a request when its answer begins; `sent` and `end` complete the entry."""
        with self._lock:
            self._log.append(entry)
            if entry["side"] == "cdn":
                self._cdn_active += 1
                self._counters["cdn_active_peak"] = max(self._counters["cdn_active_peak"], self._cdn_active)

    def sent(self, entry: Entry, count: int) -> None:
        """Adds body bytes that go out; a negative count takes back what did not."""
        with self._lock:
            entry["bytes"] += count
            self._counters[f"{entry['side']}_bytes"] += count

    def end(self, entry: Entry) -> None:
        """The answer is out, or cut."""
        if entry["side"] == "cdn":
            with self._lock:
                self._cdn_active -= 1

    def counters(self) -> dict[str, int]:
        """A copy of all counters."""
        with self._lock:
            return dict(self._counters)

    def log(self) -> list[Entry]:
        """A copy of the log."""
        with self._lock:
            return [dict(entry) for entry in self._log]
