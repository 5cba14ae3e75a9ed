"""A relay before a server that cuts connections: each after so many bytes that came back through it."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Listens on the loopback. `cut_after`: bytes; None: never."""

    def __init__(self, server: str, cut_after: int | None = None) -> None:
        host, port = server.rsplit(":", 1)
        self._server = (host, int(port))
        self.cut_after = cut_after
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *unused: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
            left = self.cut_after
            with contextlib.suppress(OSError):
                while data := server.recv(65536 if left is None else min(65536, left)):
                    client.sendall(data)
                    left = None if left is None else left - len(data)
                    if left == 0:
                        self.cuts += 1
                        client.shutdown(socket.SHUT_RDWR)  # closing alone waits for the other thread
                        return

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
