"""One who watches the publishes of a node."""

from __future__ import annotations

import threading
from typing import Any, Callable

import grpc

from harness.daemon import Cache
from harness.workspace import note


class PublishWatch:
    """What WatchPublishes said since this began, until `close()` or the daemon ends it."""

    def __init__(self, cache: Cache) -> None:
        self.updates: list[Any] = []
        self.ended: grpc.RpcError | None = None
        self._changed = threading.Condition()
        self._stream = cache.call("WatchPublishes", timeout=120)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "PublishWatch":
        return self

    def __exit__(self, *unused: object) -> None:
        self._stream.cancel()

    def _read(self) -> None:
        try:
            for update in self._stream:
                note("WatchPublishes", update)
                with self._changed:
                    self.updates.append(update)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            note("WatchPublishes", error)
            with self._changed:
                self.ended = error
                self._changed.notify_all()

    def of(self, pod: str) -> list[Any]:
        """What was said of a pod's publish, in order."""
        return [publish for update in self.updates for publish in update.publishes if publish.holder.pod_name == pod]

    def wait(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"{what} did not come within {timeout} s: {self.updates[-3:]}")

    def wait_state(self, pod: str, state: str) -> Any:
        """The publish, once it is in the state: resolving, filling, ready or refused."""
        def found() -> list[Any]:
            return [publish for publish in self.of(pod) if publish.WhichOneof("state") == state]
        self.wait(lambda: bool(found()), f"{pod} {state}")
        return found()[0]

    def wait_forgotten(self, pod: str) -> None:
        """Waits until the newest word has nothing of the pod."""
        self.wait(lambda: all(publish.holder.pod_name != pod for publish in self.updates[-1].publishes), f"{pod} gone")
