"""The CSI wire: stubs made from our own proto files at run time, and one connection per call as kubelet does."""

from __future__ import annotations

import atexit
import functools
import importlib
import importlib.resources
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import grpc
from grpc_tools import protoc

PROJECT = Path(__file__).resolve().parents[2]


class Contract(NamedTuple):
    """The messages of one proto file and the stubs of its services."""

    messages: ModuleType
    stubs: ModuleType


@functools.cache
def _generated_directory() -> str:
    directory = tempfile.mkdtemp(prefix="weighhouse-stubs.")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    sys.path.insert(0, directory)
    return directory


@functools.cache
def contract(name: str) -> Contract:
    """The contract `proto/<name>.proto`, compiled on first use."""
    out = _generated_directory()
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    status = protoc.main([
        "protoc", f"-I{PROJECT / 'proto'}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}",
        f"{name}.proto",
    ])
    if status != 0:
        raise RuntimeError(f"protoc can't compile proto/{name}.proto (status {status})")
    importlib.invalidate_caches()
    return Contract(importlib.import_module(f"{name}_pb2"), importlib.import_module(f"{name}_pb2_grpc"))


def open_channel(socket: Path) -> grpc.Channel:
    """A connection of its own (no sharing below gRPC) to a unix socket, with kubelet's authority."""
    return grpc.insecure_channel(f"unix://{socket}", options=[
        ("grpc.default_authority", "localhost"),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ])


class CsiClient:
    """Calls a CSI plugin, each call on a new connection. `abandon()` ends those under way, as kubelet's death would."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.messages = contract("csi").messages
        self._stubs = contract("csi").stubs
        self._lock = threading.Lock()
        self._open: set[grpc.Channel] = set()
        self._abandoned = False

    def call(self, service: str, method: str, request: Any, timeout: float) -> Any:
        """The reply; raises grpc.RpcError. `service` is Identity, Node or Controller."""
        channel = open_channel(self.socket)
        with self._lock:
            self._open.add(channel)
            if self._abandoned:
                channel.close()
        try:
            stub = getattr(self._stubs, f"{service}Stub")(channel)
            return getattr(stub, method)(request, timeout=timeout)
        finally:
            with self._lock:
                self._open.discard(channel)
            channel.close()

    def abandon(self) -> None:
        """Closes the connections of all calls under way, and of later ones: they end with CANCELLED here and for the
        plugin."""
        with self._lock:
            self._abandoned = True
            channels = list(self._open)
        for channel in channels:
            channel.close()
