"""Requests and answers as the applications see them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from content import Content, MemoryContent


@dataclass
class Request:
    """One request. `path` is still percent-encoded: an encoded slash is part of a name (facts 1.1)."""

    method: str
    target: str
    headers: Any
    body: bytes
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.path = parts.path
        self.query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}

    def header(self, name: str) -> str:
        """A header's value, or ""."""
        return str(self.headers.get(name, ""))

    def accepts_gzip(self) -> bool:
        """True if the client said that it takes gzip. (None said: it does not.)"""
        codings = self.header("Accept-Encoding").lower().replace(" ", "").split(",")
        return "gzip" in codings or any(re.fullmatch(r"gzip;q=(0\.0*[1-9]\d*|1(\.0*)?)", one) for one in codings)

    def wanted(self) -> tuple[int, float]:
        """The file positions asked for as a half-open range, before the size is known."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.header("Range"))
        if not match:
            return 0, math.inf
        return int(match[1]), int(match[2]) + 1 if match[2] else math.inf


@dataclass
class Response:
    """One answer: status, headers and the bytes [begin, end) of `content`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: Content = field(default_factory=lambda: MemoryContent(b""))
    begin: int = 0
    end: int = 0
    chunked: bool = False
    surplus: bytes = b""
    """Sent after the content: the long_body fault."""

    @staticmethod
    def of(status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> Response:
        """An answer with a body in memory."""
        return Response(status, {"Content-Type": content_type, **(headers or {})}, MemoryContent(body), 0, len(body))

    @staticmethod
    def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        """An answer in JSON."""
        return Response.of(status, json.dumps(value).encode(), "application/json; charset=utf-8", headers)

    @staticmethod
    def redirect(status: int, location: str, headers: dict[str, str] | None = None) -> Response:
        """A redirect with the short text that servers put in."""
        text = f"{'Temporary Redirect' if status == 307 else 'Found'}. Redirecting to {location}"
        return Response.of(status, text.encode(), "text/plain; charset=utf-8", {**(headers or {}), "Location": location})

    @property
    def length(self) -> int:
        """Body bytes."""
        return self.end - self.begin + len(self.surplus)


def serve_content(request: Request, content: Content, headers: dict[str, str],
                  ignore_range: bool = False) -> Response:
    """200, 206 or 416 for a GET or HEAD of `content` (RFC 9110 section 14). More than one range in a request is
    answered with the whole, as that section allows."""
    headers = {"Accept-Ranges": "bytes", **headers}
    whole = Response(200, headers, content, 0, content.size)
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.header("Range"))
    condition = request.header("If-Range")
    if ignore_range or not match or match[0] == "bytes=-" or (condition and condition != headers.get("ETag")):
        return whole
    if match[1]:
        begin, end = int(match[1]), min(int(match[2]) + 1 if match[2] else content.size, content.size)
        if match[2] and int(match[2]) < begin:
            return whole
    else:
        begin, end = max(0, content.size - int(match[2])), content.size
    if begin >= content.size:
        headers = {**headers, "Content-Range": f"bytes */{content.size}"}
        return Response.of(416, b"Requested Range Not Satisfiable", "text/plain", headers)
    headers["Content-Range"] = f"bytes {begin}-{end - 1}/{content.size}"
    return Response(206, headers, content, begin, end)
