"""Google's doors in front of fake-gcs-server, which takes everybody: service accounts, their tokens, and who may read."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import re
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

from harness.buckets import GcsServer
from harness.canary import canary

ACCOUNT = "gcloud-application-credentials.json"
"""The key of a pod's secret that a service account lies in."""

_OBJECT = re.compile(r"/storage/v1/b/[^/]+/o(?:/([^/]+))?")
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


class Damage(NamedTuple):
    """One byte of an object that comes as another."""

    name: str
    at: int


class ServiceAccount:
    """Whose key lies in `directory`. `json` is what Google gives out for it."""

    def __init__(self, directory: Path, name: str, token_uri: str, email: str = "") -> None:
        key, self.public_key = directory / f"{name}.key", directory / f"{name}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key)],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(self.public_key)], check=True,
                       capture_output=True)
        self.email = email or f"{name}@tests.iam.gserviceaccount.com"
        self.json = json.dumps({
            "type": "service_account", "client_email": self.email, "private_key": key.read_text(),
            "private_key_id": f"key-of-{name}", "token_uri": token_uri, "client_id": canary(f"account-{name}")})

    def signed(self, assertion: str, signature: Path) -> bool:
        """Whether a JWT's signature is of this account's key; it is left in `signature`."""
        text, _, encoded = assertion.rpartition(".")
        signature.write_bytes(_decoded(encoded))
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", str(self.public_key), "-signature", str(signature)],
                              input=text.encode(), check=False, capture_output=True)
        return done.returncode == 0


class GuardedGcs:
    """Gives tokens to `reader` and to `other`, of whom the first may read; whoever comes without one may read what is below
    `open/`. `forger` claims to be the reader, with a key of its own."""

    def __init__(self, directory: Path) -> None:
        self.storage = GcsServer(directory / "storage")
        self.damage: Damage | None = None
        """What is changed on its way."""
        self.damaged = 0
        """How often it was."""
        self.grants: list[str] = []
        """Whom tokens were given, by their order."""
        self._directory = directory
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"guard": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        token_uri = f"{self.url}/token"
        self.reader = ServiceAccount(directory, "reader", token_uri)
        self.other = ServiceAccount(directory, "other", token_uri)
        self.forger = ServiceAccount(directory, "forger", token_uri, self.reader.email)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.storage.stop()

    def grant(self, form: dict[str, str]) -> str | None:
        """A token for whoever signed a question as Google wants it; None: nobody's."""
        assertion = form.get("assertion", "")
        if form.get("grant_type") != _GRANT or assertion.count(".") != 2:
            return None
        header, claims = (json.loads(_decoded(part)) for part in assertion.split(".")[:2])
        account = {each.email: each for each in (self.reader, self.other)}.get(claims["iss"])
        now = time.time()
        asked = claims["aud"] == f"{self.url}/token" and claims["scope"] == _SCOPE and header["alg"] == "RS256"
        timely = claims["iat"] - 60 <= now < claims["exp"] <= claims["iat"] + 3600
        with self._lock:
            if account is None or not asked or not timely or not account.signed(assertion, self._directory / "signature"):
                return None
            self.grants.append(account.email)
            token = canary(f"google-token-{len(self.grants)}")
            self._tokens[token] = account.email
            return token

    def refusal(self, authorization: str, name: str) -> int:
        """The status for whoever may not; 0: who asks so may read the object, or what begins so."""
        if not authorization:
            return 0 if name.startswith("open/") else 401
        email = self._tokens.get(authorization.removeprefix("Bearer "))
        return 0 if email == self.reader.email else 403 if email else 401

    def on_its_way(self, name: str, begin: int, content: bytes) -> bytes:
        """An object's bytes from `begin` on, as they arrive."""
        if not self.damage or self.damage.name != name or not begin <= self.damage.at < begin + len(content):
            return content
        self.damaged += len(content) > 1  # one byte is asked for to show a right
        at = self.damage.at - begin
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    guard: GuardedGcs

    def log_message(self, format: str, *args: Any) -> None:  # pylint: disable=redefined-builtin
        """Nothing."""

    def do_POST(self) -> None:  # pylint: disable=invalid-name
        """The question for a token."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        token = self.guard.grant({key: values[0] for key, values in urllib.parse.parse_qs(body).items()})
        if token is None:
            return self._json(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        return self._json(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        """What the storage answers, to who may have it."""
        url = urllib.parse.urlsplit(self.path)
        query = {key: values[0] for key, values in urllib.parse.parse_qs(url.query).items()}
        match = _OBJECT.fullmatch(url.path)
        if match is None:
            return self._json(404, {"error": {"code": 404, "message": "no such place"}})
        name = urllib.parse.unquote(match[1]) if match[1] else query.get("prefix", "")
        if status := self.guard.refusal(self.headers.get("Authorization", ""), name):
            return self._json(status, {"error": {"code": status, "message": "the caller may not read it"}})
        return self._pass_on(name if query.get("alt") == "media" else "")

    def _pass_on(self, media: str) -> None:
        """`media`: the object whose bytes are asked for."""
        storage = http.client.HTTPConnection("127.0.0.1", self.guard.storage.port, timeout=30)
        headers = {name: self.headers[name] for name in ("Range", "Accept-Encoding") if name in self.headers}
        storage.request("GET", self.path, headers=headers)
        reply = storage.getresponse()
        body = reply.read()
        storage.close()
        if media and reply.status in (200, 206):
            part = re.match(r"bytes (\d+)-", reply.getheader("Content-Range", ""))
            body = self.guard.on_its_way(media, int(part[1]) if part else 0, body)
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("date", "server", "connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _decoded(part: str) -> bytes:
    """Of a JWT."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
