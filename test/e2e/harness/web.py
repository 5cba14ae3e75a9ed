"""nginx as the web server that models come from: plain files, basic and bearer authentication, redirects, and its log."""

from __future__ import annotations

import base64
import shutil
import urllib.parse
from pathlib import Path

from harness.canary import canary
from harness.process import answers, start_on_free_port

BEARER = canary("bearer")
USER, PASSWORD = "reader", canary("password")
SIGNATURE = urllib.parse.quote(canary("signature+0123/456789"), safe="")

_CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log warn;
worker_processes 1;
user root;
events {{ worker_connections 256; }}
http {{
  log_format lines '$request_method $request_uri $status $body_bytes_sent "$http_authorization"';
  access_log {directory}/nginx-access.log lines;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  default_type application/octet-stream;
  map $http_authorization $bearer {{ default 0; "Bearer {bearer}" 1; }}
  map $arg_sig $signed {{ default 0; "{signature}" 1; }}
  server {{
    listen 127.0.0.1:{port}{tls};
    root {root};
    location /basic/ {{
      alias {root}/;
      auth_basic "models";
      auth_basic_user_file {directory}/nginx-users;
    }}
    location /bearer/ {{
      if ($bearer = 0) {{ return 401; }}
      alias {root}/;
    }}
    location /signed/ {{
      if ($signed = 0) {{ return 403; }}
      alias {root}/;
    }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /plain/$1 redirect; }}
    location /plain/ {{ alias {root}/; }}
  }}
}}
"""

_OURS = "/asked-by-the-test"
"""What no test asks for."""
_TLS = " ssl;\n    ssl_certificate {};\n    ssl_certificate_key {}"


class WebServer:
    """Serves the directory `root`: below /plain/ to all, below /basic/, /bearer/ and /signed/ to those who may; /moved/ sends
    to /plain/."""

    def __init__(self, directory: Path, root: Path, tls: tuple[Path, Path] | None = None) -> None:
        """`tls`: a certificate and its key, of whom speaks https."""
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        directory.mkdir(parents=True)
        self.root = root
        self._log = directory / "nginx-access.log"
        (directory / "nginx-users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        configuration = directory / "nginx.conf"
        scheme = "https" if tls else "http"

        def command(port: int) -> list[str]:
            configuration.write_text(_CONFIGURATION.format(directory=directory, root=root, port=port, bearer=BEARER,
                                                           signature=SIGNATURE, tls=_TLS.format(*tls) if tls else ""))
            return [nginx, "-c", str(configuration)]

        self._process, port = start_on_free_port("nginx", directory / "nginx.log", command,
                                                 lambda port: answers(f"{scheme}://127.0.0.1:{port}{_OURS}"))
        self.url = f"{scheme}://127.0.0.1:{port}"

    def requests(self) -> list[str]:
        """A line for each: method, target, status, bytes, and the Authorization header."""
        self._settle()
        return [line for line in self._log.read_text().splitlines() if f" {_OURS} " not in line]

    def reset(self) -> None:
        """Forgets the log."""
        self._settle()
        with self._log.open("r+b") as log:
            log.truncate(0)

    def stop(self) -> None:
        self._process.stop()

    def _settle(self) -> None:
        """nginx logs an answer once it is out, which may be after its reader goes on. Its one worker logs it before it takes the
        next request."""
        assert answers(self.url + _OURS), "nginx is away"


def basic_header() -> str:
    """What the right user and password look like on the wire."""
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
