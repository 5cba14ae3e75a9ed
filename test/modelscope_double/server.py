"""ModelScope as far as its facts are known (facts on model sources, section 7): the list of a repository's files, and the files."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_LIST = re.compile(r"/api/v1/models/([^/]+/[^/]+)/repo/files")
_FILE = re.compile(r"/api/v1/models/([^/]+/[^/]+)/repo")
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_LEFT_OUT = {"SHA256SUMS", ".fixture.json", "model.json"}


class ModelScopeDouble:
    """Serves the models below a directory on a loopback port of the kernel's choice. Branch master; every file came with one
    commit of its own. With a `token` they are private: for who shows it only."""

    def __init__(self, models: Path, token: str = "") -> None:
        self.models = models
        self.token = token
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"double": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, name="modelscope")
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def files(self, repository: str) -> dict[str, Path]:
        """By path; none if there is no such repository."""
        directory = self.models / repository
        return {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*"))
                if path.is_file() and path.name not in _LEFT_OUT}


def commit_of(path: str) -> str:
    """The commit that brought a file."""
    return hashlib.sha1(path.encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: ModelScopeDouble

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        """Any request; HEAD is not served."""
        self.double.requests.append(self.path)
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if match := _LIST.fullmatch(url.path):
            self._list(match[1], query)
        elif match := _FILE.fullmatch(url.path):
            self._file(match[1], query)
        else:
            self._refuse(404, "no such route")

    def _list(self, repository: str, query: dict[str, str]) -> None:
        files = self._readable(repository)
        if not files:
            return self._refuse(404, f"record not found: {repository}")
        if query.get("Revision", "master") != "master":
            return self._refuse(404, f"no revision {query['Revision']}")
        entries: list[dict[str, Any]] = [{"Path": "1_Pooling", "Name": "1_Pooling", "Type": "tree", "Size": 0, "Sha256": ""}]
        for path, file in files.items():
            content = file.read_bytes()
            entries.append({"Path": path, "Name": file.name, "Type": "blob", "Size": len(content),
                            "Sha256": hashlib.sha256(content).hexdigest(), "Revision": commit_of(path), "IsLFS": False})
        return self._json(200, {"Code": 200, "Success": True, "Message": "success", "Data": {"Files": entries}})

    def _file(self, repository: str, query: dict[str, str]) -> None:
        path = query.get("FilePath", "")
        file = self._readable(repository).get(path)
        if file is None or query.get("Revision") not in ("master", commit_of(path)):
            return self._refuse(404, f"no file {path}")
        content = file.read_bytes()
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked and int(asked[1]) >= len(content):
            return self._refuse(416, "no such range")
        begin, end = (int(asked[1]), min(int(asked[2]) + 1, len(content))) if asked else (0, len(content))
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(content)}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        self.wfile.write(content[begin:end])
        return None

    def _readable(self, repository: str) -> dict[str, Path]:
        shown = f"Bearer {self.double.token}" == self.headers.get("Authorization")
        return {} if self.double.token and not shown else self.double.files(repository)

    def _refuse(self, status: int, message: str) -> None:
        self._json(status, {"Code": 10010205001, "Success": False, "Message": message})

    def _json(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # pylint: disable=redefined-builtin
        """Nothing: the double keeps its own."""
