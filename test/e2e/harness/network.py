"""Network namespaces that reach one fixture hub and nothing else, without a device but their own loopback."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import subprocess
import threading
from typing import Iterable
from urllib.parse import urlsplit

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _check(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _own() -> int:
    """A descriptor of this thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class NodeNetwork:
    """One node's network. The addresses `urls` name on the loopback here are the same ones on the loopback there: what
    comes in is handed on, unread."""

    def __init__(self, urls: Iterable[str]) -> None:
        here = _own()
        try:
            _check(_libc.unshare(_CLONE_NEWNET), "unshare the network")
            self._namespace = _own()
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            self._listeners = [listener for url in urls for listener in self._listen(urlsplit(url).port or 80)]
        finally:
            _check(_libc.setns(here, _CLONE_NEWNET), "come back to the network")
            os.close(here)
        self._stop, self._stopped = os.pipe()
        self._worker = threading.Thread(target=self._serve, daemon=True)
        self._worker.start()

    @property
    def launcher(self) -> tuple[str, ...]:
        """A command that runs another in this network, as long as this object lives."""
        return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{self._namespace}", "--")

    def close(self) -> None:
        """What still listens ends; connections end with their programs."""
        os.close(self._stopped)
        self._worker.join()
        os.close(self._stop)
        os.close(self._namespace)

    @staticmethod
    def _listen(port: int) -> list[socket.socket]:
        """On both loopback addresses, where there are two: "localhost" may mean either."""
        listeners = [socket.create_server(("127.0.0.1", port))]
        if socket.has_ipv6:
            try:
                listeners.append(socket.create_server(("::1", port), family=socket.AF_INET6))
            except OSError:  # a kernel without
                pass
        return listeners

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._stop, *self._listeners], [], [])
            if self._stop in ready:
                break
            for listener in ready:
                accepted, _ = listener.accept()
                threading.Thread(target=_relay, args=(accepted, listener.getsockname()[1]), daemon=True).start()
        for listener in self._listeners:
            listener.close()


def _relay(inner: socket.socket, port: int) -> None:
    """Hands bytes on between a connection and a new one to the same port on this side, until both have ended."""
    with inner, socket.create_connection(("127.0.0.1", port)) as outer:
        back = threading.Thread(target=copy_through, args=(outer, inner), daemon=True)
        back.start()
        copy_through(inner, outer)
        back.join()


def copy_through(source: socket.socket, sink: socket.socket) -> None:
    """Passes on what comes, until one side ends."""
    try:
        while piece := source.recv(256 * 1024):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one side is gone: so is the other, then
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
