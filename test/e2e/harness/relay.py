"""A relay before a server that cuts connections: each after so many bytes that came back through it. And one that is
another user."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from pathlib import Path


class Relay:
    """Listens on the loopback. `cut_after`: bytes; None: never."""

    def __init__(self, server: str, cut_after: int | None = None) -> None:
        self._server = server
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
        with client, self._connect() as server:
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

    def _connect(self) -> socket.socket:
        host, port = self._server.rsplit(":", 1)
        return socket.create_connection((host, int(port)))

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)  # else the server waits for a client that has gone


_CONNECT = """
import socket, sys
connected = socket.socket(socket.AF_UNIX)
connected.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=0), [b"x"], [connected.fileno()])
"""


class UserRelay(Relay):
    """Reaches a unix socket as another user: whoever connects is who the socket's owner sees, whoever writes then."""

    def __init__(self, server: Path, uid: int, gid: int) -> None:
        self._user = ["setpriv", "--reuid", str(uid), "--regid", str(gid), "--clear-groups"]
        super().__init__(str(server))

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # The system's Python: ours may lie where only root can go.
            subprocess.run([*self._user, "/usr/bin/python3", "-c", _CONNECT, self._server], stdin=theirs, check=True)
            _, [descriptor], _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=descriptor)
