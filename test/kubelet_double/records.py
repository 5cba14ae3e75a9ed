"""What the kubelet double counts with: its times, its calls, and kubelet's classes of errors."""

from __future__ import annotations

import dataclasses
import enum

import grpc

_NOT_FINAL = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
}


def is_final(code: grpc.StatusCode) -> bool:
    """True if kubelet takes the call as ended for good: it then forgets the volume and never unpublishes it."""
    return code not in _NOT_FINAL


@dataclasses.dataclass(frozen=True)
class Timing:
    """Kubelet's constants in seconds; `scaled` shrinks them all alike."""

    deadline: float = 120.0
    backoff_first: float = 0.5
    backoff_most: float = 122.0
    reconcile: float = 0.1

    @staticmethod
    def scaled(factor: float) -> "Timing":
        """Times `factor`; the reconcile loop not below 10 ms."""
        whole = Timing()
        return Timing(whole.deadline * factor, whole.backoff_first * factor, whole.backoff_most * factor,
                      max(0.01, whole.reconcile * factor))


@dataclasses.dataclass(frozen=True)
class Call:
    """One RPC that has ended."""

    method: str
    pod: str
    volume: str
    code: grpc.StatusCode
    message: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.code == grpc.StatusCode.OK


class State(enum.Enum):
    """What kubelet believes of one volume of one pod."""

    NOT_MOUNTED = "never published, unpublished, or ended by a final error"
    UNCERTAIN = "a publish ended without a verdict, or kubelet restarted: an unpublish is owed"
    MOUNTED = "published"


class Backoff:
    """Exponential backoff of one operation; not thread-safe."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._operation = ""
        self._delay = 0.0
        self._not_before = 0.0

    def may_start(self, operation: str, now: float) -> bool:
        """Another operation than the one that failed starts afresh."""
        if operation != self._operation:
            self._operation, self._delay, self._not_before = operation, 0.0, 0.0
        return now >= self._not_before

    def failed(self, now: float) -> None:
        doubled = self._delay * 2 if self._delay else self._timing.backoff_first
        self._delay = min(doubled, self._timing.backoff_most)
        self._not_before = now + self._delay

    def succeeded(self) -> None:
        self._operation, self._delay, self._not_before = "", 0.0, 0.0
