"""A server that sends what a test says, byte for byte: for answers that no decent server gives."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Callable, NamedTuple


class Asked(NamedTuple):
    """A request's line and head."""

    method: str
    target: str
    head: str


Answer = Callable[[socket.socket, Asked], None]
"""Answers one request; the connection is kept when it returns, and closed where it raises OSError."""


def answer(status: str, *headers: str, body: bytes = b"", length: int | None = None) -> bytes:
    """A whole answer, with Content-Length."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class ScriptedServer:
    """Listens on one address of the loopback within its `with` block; a thread for each connection."""

    def __init__(self, script: Answer, host: str = "127.0.0.1", port: int = 0) -> None:
        self._script = script
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[Asked] = []
        self.connections = 0
        self.bytes_sent = 0
        self.ended = threading.Event()
        """Set when the block is left: what sends without end looks at it."""
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def __enter__(self) -> "ScriptedServer":
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._sockets:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:  # it ended by itself
                    pass
        self._acceptor.join(10)

    def send_for_ever(self, connection: socket.socket, piece: bytes, most: int) -> None:
        """Sends `piece` again and again, `most` bytes in all unless the other side ends it."""
        while not self.ended.is_set() and self.bytes_sent < most:
            self.bytes_sent += connection.send(piece)

    def drip(self, connection: socket.socket, text: bytes, pause: float) -> None:
        """Sends a byte at a time."""
        for byte in text:
            if self.ended.wait(pause):
                return
            connection.sendall(bytes([byte]))

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._sockets.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        pending = b""
        try:
            while True:
                while b"\r\n\r\n" not in pending:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    pending += piece
                head, pending = pending.split(b"\r\n\r\n", 1)
                method, target, _ = head.decode("latin-1").split(" ", 2)
                asked = Asked(method, target, head.decode("latin-1"))
                with self._lock:
                    self.requests.append(asked)
                self._script(connection, asked)
        except OSError:  # the other side has had enough
            pass
        finally:
            with self._lock:
                self._sockets.discard(connection)
            connection.close()
