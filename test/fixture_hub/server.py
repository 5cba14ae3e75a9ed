"""The HTTP/1.1 server below both sides: threads, keep-alive, sendfile, and the faults that concern bytes."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import struct
import sys
import threading
import time
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Protocol

from content import ContentChanged
from faults import FaultRules, Plan
from messages import Request, Response
from records import Entry, Records

if TYPE_CHECKING:
    import ssl  # imported only where TLS is wanted: every test program waits for our start

_PIECE = 64 << 10
_SENDFILE_PIECE = 8 << 20


class Application(Protocol):
    """One side of the fixture: makes answers."""

    side: str

    def label(self, request: Request) -> str:
        """What the log calls the thing asked for. A rule's path may be part of it, or of the target."""

    def answer(self, request: Request, plan: Plan) -> Response:
        """The answer, with the plan's actions that concern its meaning done; the server does the others."""

    def authorization(self, request: Request) -> str:
        """none, ok or bad: for the log."""

    def is_control(self, request: Request) -> bool:
        """True for the tests' own calls: neither counted nor hit by faults."""


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on a loopback port of the kernel's choice; each connection has a thread."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, family: socket.AddressFamily, address: tuple[str, int], application: Application,
                 rules: FaultRules, records: Records, tls: ssl.SSLContext | None) -> None:
        self.address_family = family
        self.application = application
        self.rules = rules
        self.records = records
        self.tls = tls
        super().__init__(address, Handler)
        threading.Thread(target=self.serve_forever, args=(3600,), daemon=True).start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may leave at any time; anything else is a defect of ours and is shown."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handle_error(request, client_address)


def listen(application: Application, rules: FaultRules, records: Records, tls: ssl.SSLContext | None,
           both_families: bool) -> Server:
    """Serves on 127.0.0.1 and, if asked and there is one, on ::1 with the same port: "localhost" may mean either."""
    while True:
        server = Server(socket.AF_INET, ("127.0.0.1", 0), application, rules, records, tls)
        if not both_families:
            return server
        try:
            Server(socket.AF_INET6, ("::1", server.port), application, rules, records, tls)
            return server
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return server
            server.shutdown()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0

    def setup(self) -> None:
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.server.records.count(f"{self.server.application.side}_connections")
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server knows only the socket below TLS

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin
        """Tests read the log through /_fixture/log."""

    def serve(self) -> None:
        """Answers one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body)
        application = self.server.application
        if application.is_control(request):
            self._send(application.answer(request, Plan()), Plan(), None)
            return
        label = application.label(request)
        plan = self.server.rules.plan(application.side, request.method, [request.target, label], request.wanted())
        for delay in plan.all("delay"):
            time.sleep(delay["seconds"])
        if "pause" in plan:
            plan.replaced.wait()
        response = _replacement(plan) or self._checked_answer(request, plan)
        _decorate(response, plan)
        entry = {"side": application.side, "method": request.method, "path": request.target,
                 "file": label, "range": request.header("Range"),
                 "status": response.status, "bytes": 0, "authorization": application.authorization(request),
                 "request_id": request.header("X-Request-Id")}
        self.server.records.begin(entry)
        try:
            self._send(response, plan, entry)
        finally:
            self.server.records.end(entry)

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = serve

    def _checked_answer(self, request: Request, plan: Plan) -> Response:
        response = self.server.application.answer(request, plan)
        try:
            response.content.check()
        except ContentChanged as error:
            return Response.json({"error": str(error)}, 500, {"X-Error-Message": str(error)})
        return response

    def _head(self, response: Response) -> bytes:
        """Status line and headers. What isn't latin-1 becomes a question mark: no header of ours needs more."""
        reason = HTTPStatus(response.status).phrase if response.status in set(HTTPStatus) else "Unknown"
        lines = [f"HTTP/1.1 {response.status} {reason}", "Server: fixture-hub", f"Date: {formatdate(usegmt=True)}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        if response.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif response.status not in (204, 304):
            lines.append(f"Content-Length: {response.length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")

    def _send(self, response: Response, plan: Plan, entry: Entry | None) -> None:
        head = self._head(response)
        if self.command == "HEAD" or response.length == 0 and not response.chunked:
            self.wfile.write(head)
        elif any(kind in plan for kind in ("cut", "stall", "rate", "corrupt")):
            self.wfile.write(head)
            self._send_slowly(response, plan, entry)
        elif response.content.descriptor is None or self.server.tls or response.chunked:
            self._send_pieces(head, response, entry)
        else:
            self.wfile.write(head)
            self._send_file(response, response.content.descriptor, entry)

    def _send_file(self, response: Response, descriptor: int, entry: Entry | None) -> None:
        """A large file without touching its bytes."""
        position = response.begin
        while position < response.end:
            wanted = min(response.end - position, _SENDFILE_PIECE)
            self._account(entry, wanted)
            sent = 0
            try:
                sent = os.sendfile(self.connection.fileno(), descriptor, position, wanted)
            finally:
                if sent != wanted:
                    self._account(entry, sent - wanted)
            if sent == 0:
                self.close_connection = True  # the file shrank: the promise can't be kept
                return
            position += sent
        if response.surplus:
            self._write_framed(response.surplus, False, entry)

    def _send_pieces(self, head: bytes, response: Response, entry: Entry | None) -> None:
        """Head and first piece leave together, so a small answer is one segment."""
        waiting = head
        for offset in range(response.begin, response.end, 1 << 20):
            piece = response.content.read(offset, min(1 << 20, response.end - offset))
            self._account(entry, len(piece))
            self.wfile.write(waiting + (b"%x\r\n%s\r\n" % (len(piece), piece) if response.chunked else piece))
            waiting = b""
        waiting += response.surplus + (b"0\r\n\r\n" if response.chunked else b"")
        if waiting:
            self._account(entry, len(response.surplus))
            self.wfile.write(waiting)

    def _send_slowly(self, response: Response, plan: Plan, entry: Entry | None) -> None:
        """Piece by piece, with everything the plan wants done to the bytes."""
        started = time.monotonic()
        rate = plan.find("rate")
        piece = max(1, min(_PIECE, rate["bytes_per_second"] // 20)) if rate else _PIECE
        stops = {action["after"] for kind in ("cut", "stall") for action in plan.all(kind)}
        position, total = 0, response.length
        while True:
            for action in plan.all("stall"):
                if action["after"] == position:
                    time.sleep(action["seconds"])
            for action in plan.all("cut"):
                if action["after"] <= position:
                    self._cut(bool(action.get("reset")))
                    return
            if position >= total:
                break
            end = min([position + piece, total, *(stop for stop in stops if stop > position)])
            if rate:
                time.sleep(max(0.0, started + end / rate["bytes_per_second"] - time.monotonic()))
            self._write_framed(_bytes_at(response, plan, position, end), response.chunked, entry)
            position = end
        if response.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _cut(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _write_framed(self, piece: bytes, chunked: bool, entry: Entry | None) -> None:
        self._account(entry, len(piece))
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)

    def _account(self, entry: Entry | None, count: int) -> None:
        """Counts body bytes before they leave: a client that has them may ask for the counters at once."""
        if entry is not None:
            self.server.records.sent(entry, count)


def _bytes_at(response: Response, plan: Plan, begin: int, end: int) -> bytes:
    """Body bytes [begin, end), with those at the file offsets that the plan names inverted."""
    body = response.end - response.begin
    piece = bytearray(response.content.read(response.begin + begin, max(0, min(end, body) - begin)))
    piece += response.surplus[max(0, begin - body) : max(0, end - body)]
    for action in plan.all("corrupt"):
        index = action["at"] - response.begin - begin
        if 0 <= index < len(piece):
            piece[index] ^= 0xFF
    return bytes(piece)


def _replacement(plan: Plan) -> Response | None:
    """The answer that a fault puts in place of the true one."""
    if action := plan.find("status"):
        body = action.get("body", "").encode()
        headers = action.get("headers", {})
        return Response.of(action["status"], body, headers.get("Content-Type", "text/plain; charset=utf-8"), headers)
    if action := plan.find("redirect"):
        return Response.redirect(action.get("status", 302), action["location"])
    return None


def _decorate(response: Response, plan: Plan) -> None:
    """The faults that concern headers and lengths."""
    if action := plan.find("etag"):
        response.headers["ETag"] = action["value"]
        if "X-Linked-Etag" in response.headers:
            response.headers["X-Linked-Etag"] = action["value"]
    if action := plan.find("content_range"):
        response.headers["Content-Range"] = action["value"]
    for action in plan.all("header"):
        response.headers.pop(action["name"], None)
        if action.get("value") is not None:
            response.headers[action["name"]] = action["value"]
    if action := plan.find("short_length"):
        response.end = max(response.begin, response.end - action.get("bytes", 1))
    if action := plan.find("long_body"):
        response.surplus = b"+" * action.get("bytes", 1)
