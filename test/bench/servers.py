"""What serves the bytes: nginx, plain and TLS; the fixture Hub before it; the shaping proxy."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self, Sequence

from machine import PROGRAMS, PROJECT, children, cpu_seconds, wait_until

_CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
worker_processes {workers};
worker_rlimit_nofile 8192;
user {user};
events {{ worker_connections 4096; }}
http {{
  log_format sent '$bytes_sent';
  access_log {directory}/access.log sent;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 65;
  keepalive_requests 100000;
  open_file_cache max=4096;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    root {root};
  }}
}}
"""


def free_port() -> int:
    """A port of the kernel's choice that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """An ECDSA P-256 certificate for 127.0.0.1 of an authority of our own, and its key; the authority is ca.pem."""
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    request, certificate, key = directory / "server.csr", directory / "server.pem", directory / "server.key"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    extensions = directory / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    commands = [
        ["req", "-x509", *curve, "-days", "2", "-subj", "/CN=bench authority", "-keyout", str(authority_key),
         "-out", str(authority)],
        ["req", *curve, "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(request)],
        ["x509", "-req", "-in", str(request), "-CA", str(authority), "-CAkey", str(authority_key), "-CAcreateserial",
         "-days", "2", "-extfile", str(extensions), "-out", str(certificate)],
    ]
    for command in commands:
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return certificate, key


class Child:
    """A server process that ends with its `with` block, and with us if we are killed."""

    def __init__(self, arguments: Sequence[str], namespace: str = "", log: Path | None = None) -> None:
        begin = ["setpriv", "--pdeathsig", "TERM"] + (["ip", "netns", "exec", namespace] if namespace else [])
        with (log or Path("/dev/null")).open("ab") as errors:
            self.process = subprocess.Popen([*begin, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=errors, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stop()

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stop(self) -> None:
        """Closes its stdin, asks it to end, and in the end makes it."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Child):
    """nginx over the models, on one plain and one TLS port of 127.0.0.1 in its namespace."""

    def __init__(self, directory: Path, models: Path, workers: int, namespace: str = "") -> None:
        directory.mkdir()
        certificate, key = make_certificate(directory)
        self.authority = directory / "ca.pem"
        self.plain_port, self.tls_port = free_port(), free_port()
        self._log = directory / "access.log"
        self._read = 0
        configuration = directory / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(
            directory=directory, workers=workers, user="www-data", plain=self.plain_port, tls=self.tls_port,
            certificate=certificate, key=key, root=models))
        super().__init__(["nginx", "-c", str(configuration), "-p", str(directory)], namespace, directory / "output")
        wait_until("nginx", lambda: self.process.poll() is not None or self._ready(directory))
        if self.process.poll() is not None:
            raise RuntimeError(f"nginx: {(directory / 'output').read_text()}{(directory / 'error.log').read_text()}")
        self.authority.chmod(0o644)

    def _ready(self, directory: Path) -> bool:
        """The pid file stands before the workers do."""
        return (directory / "nginx.pid").exists() and bool(children(self.process.pid))

    def url(self, tls: bool = False) -> str:
        return f"https://127.0.0.1:{self.tls_port}" if tls else f"http://127.0.0.1:{self.plain_port}"

    def cpu_seconds(self) -> float:
        """Of all workers so far."""
        return cpu_seconds(children(self.process.pid))

    def sent_bytes(self) -> int:
        """Sent in answers that ended since the last call, heads included, TLS not."""
        with self._log.open() as log:
            log.seek(self._read)
            text = log.read()
            self._read = log.tell()
        return sum(int(line) for line in text.split())


class Hub(Child):
    """The fixture Hub over the models; large files come from `content_url`."""

    def __init__(self, models: Path, content_url: str, log: Path) -> None:
        program = PROJECT / "test/fixture_hub/fixture_hub.py"
        super().__init__([sys.executable, str(program), "--models", str(models), "--cdn-base", content_url], log=log)
        self.url: str = json.loads(self.line())["hub"]


class Proxy(Child):
    """bench-proxy before a port of 127.0.0.1 in its namespace."""

    def __init__(self, server_port: int, *options: str, namespace: str = "", listen: str = "127.0.0.1",
                 log: Path | None = None) -> None:
        super().__init__([str(PROGRAMS / "bench-proxy"), "--server-port", str(server_port), "--listen", listen,
                          *options], namespace, log)
        self.url = f"http://{listen}:{int(self.line())}"
