"""A CSI plugin without mounts, whose answers a test scripts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from kubelet_double.wire import contract


class FakePlugin:
    """Answers each publish and unpublish with the next scripted code, then with OK. `gate` holds publishes back."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.seen: list[tuple[str, Any]] = []
        self.publish_codes: list[grpc.StatusCode] = []
        self.unpublish_codes: list[grpc.StatusCode] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._messages, stubs = contract("csi")
        self._server = grpc.server(ThreadPoolExecutor(max_workers=16))
        stubs.add_NodeServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix://{socket}")
        self._server.start()

    def stop(self) -> None:
        self.gate.set()
        self._server.stop(0).wait()

    def methods(self) -> list[str]:
        with self._lock:
            return [method for method, _ in self.seen]

    # pylint: disable=invalid-name

    def NodeGetCapabilities(self, request: Any, context: grpc.ServicerContext) -> Any:
        del request, context
        return self._messages.NodeGetCapabilitiesResponse()

    def NodePublishVolume(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.seen.append(("publish", request))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.entered.release()
        while not self.gate.wait(0.01) and context.is_active():
            pass
        with self._lock:
            self._at_once -= 1
            code = self.publish_codes.pop(0) if self.publish_codes else grpc.StatusCode.OK
        if code != grpc.StatusCode.OK:
            context.abort(code, "scripted")
        Path(request.target_path).mkdir(exist_ok=True)
        return self._messages.NodePublishVolumeResponse()

    def NodeUnpublishVolume(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.seen.append(("unpublish", request))
            code = self.unpublish_codes.pop(0) if self.unpublish_codes else grpc.StatusCode.OK
        if code != grpc.StatusCode.OK:
            context.abort(code, "scripted")
        target = Path(request.target_path)
        if target.exists():
            target.rmdir()
        return self._messages.NodeUnpublishVolumeResponse()

    def __getattr__(self, name: str) -> Any:
        """The calls that no test makes."""
        if name.startswith("Node"):
            return lambda request, context: context.abort(grpc.StatusCode.UNIMPLEMENTED, name)
        raise AttributeError(name)
