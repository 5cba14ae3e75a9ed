"""A real, small HTTP proxy: CONNECT and absolute URLs, Basic authorization; names mean what it is told."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from harness.canary import canary
from harness.network import copy_through

USER, PASSWORD = "proxy-user", canary("proxy")
_EXPECTED = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def log_message(self, format: str, *args: Any) -> None:  # pylint: disable=redefined-builtin
        pass

    def _may(self, target: str) -> bool:
        self.server.asked.append(f"{self.command} {target}")
        if self.headers.get("Proxy-Authorization") != _EXPECTED:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic realm=\"proxy\"")
        elif target.removeprefix("http://").split("/", 1)[0] not in self.server.ports:
            self.send_response(502)
        else:
            return True
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_CONNECT(self) -> None:  # pylint: disable=invalid-name
        """A tunnel, until either side ends it."""
        if not self._may(self.path):
            return
        with socket.create_connection(("127.0.0.1", self.server.ports[self.path])) as server:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=copy_through, args=(server, self.connection), daemon=True)
            back.start()
            copy_through(self.connection, server)
            back.join(30)
        self.close_connection = True

    def _forward(self) -> None:
        if not self._may(self.path):
            return
        host, path = self.path.removeprefix("http://").split("/", 1)
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.ports[host], timeout=30)
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        upstream.request(self.command, "/" + path, headers=headers)
        reply = upstream.getresponse()
        body = reply.read()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("date", "server", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        upstream.close()

    do_GET = do_HEAD = _forward


class _Server(ThreadingHTTPServer):
    """Knows what its connections share."""

    daemon_threads = True

    def __init__(self, ports: dict[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ports = ports
        self.asked: list[str] = []


class Proxy:
    """Serves within its `with` block. `ports`: which port of this loopback a `host:port` really is."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._server = _Server(ports)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def asked(self) -> list[str]:
        """`CONNECT host:port` or `GET url`, in their order; refused ones too."""
        return self._server.asked

    def url(self, user: str = USER, password: str = PASSWORD) -> str:
        return f"http://{user}:{password}@127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
