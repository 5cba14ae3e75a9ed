"""Scripted faults: which requests they hit, and what is then done to the answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

KINDS: dict[str, tuple[set[str], set[str]]] = {
    "status": ({"status"}, {"headers", "body"}),
    "redirect": ({"location"}, {"status"}),
    "expire": (set(), set()),
    "delay": ({"seconds"}, set()),
    "pause": (set(), set()),
    "cut": ({"after"}, {"reset"}),
    "corrupt": ({"at"}, set()),
    "stall": ({"after", "seconds"}, set()),
    "rate": ({"bytes_per_second"}, set()),
    "ignore_range": (set(), set()),
    "etag": ({"value"}, set()),
    "content_range": ({"value"}, set()),
    "header": ({"name"}, {"value"}),
    "short_length": (set(), {"bytes"}),
    "long_body": (set(), {"bytes"}),
    "listing": ({"entries"}, set()),
}
"""Every kind of action, the keys it needs and those it may have. README.md says what they do."""

RULE_KEYS = {"side", "path", "method", "skip", "times", "covers", "action"}


class BadRule(ValueError):
    """A rule that would never do what its writer meant."""


@dataclass
class Plan:
    """What the matching rules want done to one answer."""

    actions: list[dict[str, Any]] = field(default_factory=list)
    replaced: threading.Event = field(default_factory=threading.Event)
    """Set once the rules that it comes from are no longer in force."""

    def find(self, kind: str) -> dict[str, Any] | None:
        """The first action of that kind."""
        return next((action for action in self.actions if action["kind"] == kind), None)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every action of that kind, in the order of the rules."""
        return [action for action in self.actions if action["kind"] == kind]

    def __contains__(self, kind: str) -> bool:
        return self.find(kind) is not None


class Rule:
    """One rule and how often it has matched. Guarded by the lock of its FaultRules."""

    def __init__(self, raw: dict[str, Any]) -> None:
        unknown = raw.keys() - RULE_KEYS
        if unknown or raw.get("side") not in ("hub", "cdn"):
            raise BadRule(f"rule {raw}: side is hub or cdn; the keys are {sorted(RULE_KEYS)}")
        self.action = dict(raw.get("action", {}))
        needed, optional = KINDS.get(self.action.get("kind", ""), (None, set()))
        keys = self.action.keys() - {"kind"}
        if needed is None or not needed <= keys <= needed | optional:
            raise BadRule(f"action {self.action}: the kinds, the keys they need and may have are {KINDS}")
        self._side = raw["side"]
        self._path = raw.get("path", "")
        self._method = raw.get("method")
        self._skip = int(raw.get("skip", 0))
        self._times = int(raw.get("times", -1))
        self._covers = raw.get("covers", self.action.get("at") if self.action["kind"] == "corrupt" else None)

    def take(self, side: str, method: str, names: list[str], wanted: tuple[int, float]) -> bool:
        """True if the rule acts on this request; counts it."""
        if side != self._side or (self._method and method != self._method):
            return False
        if not any(self._path in name for name in names):
            return False
        if self._covers is not None and not wanted[0] <= self._covers < wanted[1]:
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._times == 0:
            return False
        self._times -= self._times > 0
        return True


class FaultRules:
    """The rules in force. All that match a request act on it, each by its own count. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._replaced = threading.Event()

    def replace(self, raw: list[dict[str, Any]]) -> None:
        """Puts these rules in place of all others. Raises BadRule and changes nothing if one is wrong."""
        rules = [Rule(one) for one in raw]
        with self._lock:
            self._rules = rules
            self._replaced.set()
            self._replaced = threading.Event()

    def plan(self, side: str, method: str, names: list[str], wanted: tuple[int, float]) -> Plan:
        """What is to be done to the answer for a request: `names` are what a rule's path may be part of, `wanted`
        the half-open range of file positions asked for."""
        with self._lock:
            actions = [rule.action for rule in self._rules if rule.take(side, method, names, wanted)]
            return Plan(actions, self._replaced)
