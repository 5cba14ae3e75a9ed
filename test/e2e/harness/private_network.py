"""A network of one's own, with a private address, and a server there that speaks https."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Iterator

from harness.scripted import Answer, ScriptedServer

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def private_network(address: str) -> Iterator[None]:
    """What this thread starts within it, and listens on, has a loopback with this address too, and nothing else."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare the network")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
            yield
        finally:
            if _libc.setns(here, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "come back to the network")
    finally:
        os.close(here)


class TlsServer(ScriptedServer):
    """A ScriptedServer that speaks https with that certificate and key."""

    def __init__(self, script: Answer, host: str, certificate: Path, key: Path) -> None:
        super().__init__(script, host)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except OSError:  # the other side doesn't trust it
            connection.close()
            return
        super()._serve(secured)
