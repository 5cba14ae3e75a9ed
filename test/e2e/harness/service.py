"""A small HTTP service as a test's function answers, and what such a function may do: pass on, or refuse and tell all."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from types import TracebackType
from typing import Callable, NamedTuple
from xml.sax.saxutils import escape

from harness.canary import MARK


class Request(NamedTuple):
    """One request, with its body."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Its value; empty if it isn't there."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def text(self) -> str:
        """All of it."""
        lines = [f"{self.method} {self.target}", *(f"{key}: {value}" for key, value in self.headers)]
        return "\n".join(lines) + "\n\n" + self.body.decode("latin-1")


class Reply(NamedTuple):
    """An answer; `length` where a HEAD's says another than the body's."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None


Script = Callable[[Request], Reply]


class Service:
    """Runs on a port of the loopback within its `with` block. The script is called from threads, one for each connection."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                outer._answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = handle_one

            def log_message(self, *unused: object) -> None:  # pylint: disable=arguments-differ
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "Service":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, handler.path, list(handler.headers.items()), body)
        self.requests.append(request)
        reply = self.script(request)
        handler.send_response(reply.status)
        for name, value in reply.headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        handler.end_headers()
        if request.method != "HEAD":
            handler.wfile.write(reply.body)


_OF_THE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding"}


def passed_on(request: Request, port: int, host: str = "") -> Reply:
    """What the server at `port` of the loopback answers; the Host that was asked for is kept unless there is another, since
    signatures hold it."""
    server = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        server.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            server.putheader(name, host if host and name.lower() == "host" else value)
        server.endheaders(request.body or None)
        answer = server.getresponse()
        headers = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _OF_THE_CONNECTION)
        length = answer.getheader("Content-Length") if request.method == "HEAD" else None
        return Reply(answer.status, answer.read(), headers, int(length) if length else None)
    finally:
        server.close()


def ok(value: object) -> Reply:
    """200 with JSON, or with a text as it is."""
    return Reply(200, (value if isinstance(value, str) else json.dumps(value)).encode())


def _secrets(request: Request) -> list[str]:
    """What holds a canary, from where that begins."""
    values = [*(value for _, value in request.headers), request.body.decode("latin-1")]
    return [value[value.index(MARK) - 3:] for value in values if MARK in value] or [request.text()]


TOLD: dict[str, Callable[[Request], str]] = {
    "all of it": Request.text,
    "each header's value": lambda request: " | ".join(value for _, value in request.headers),
    # The beginning of a secret is one, too: messages of S3 are cut off at 300 bytes.
    "a first secret, cut off": lambda request: "." * 279 + " " + _secrets(request)[0],
    "a last secret, cut off": lambda request: "." * 279 + " " + _secrets(request)[-1],
}
"""What a service may repeat of what it was sent."""


def telling_all(request: Request, told: str) -> Reply:
    """403, and one of TOLD as the message: in Google's JSON, in a registry's, in STS' XML or in S3's; and in headers."""
    text = TOLD[told](request)
    line = " ".join(text.split())
    headers = tuple((name, line[:4000]) for name in ("x-amz-request-id", "x-amz-id-2", "x-guploader-uploadid"))
    if "/storage/v1/" in request.target:
        body = json.dumps({"error": {"code": 403, "message": text, "errors": [{"reason": "forbidden", "message": text}]}})
    elif request.target.startswith(("/v2/", "/token")):
        body = json.dumps({"errors": [{"code": "DENIED", "message": text}]})
    else:
        body = f"<Error><Code>AccessDenied</Code><Message>{escape(text)}</Message></Error>"
        if b"AssumeRole" in request.body:
            body = f"<ErrorResponse>{body}</ErrorResponse>"
    return Reply(403, body.encode(), headers)
