"""Debian's docker-registry as a child process, and the clients that push models to it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import math
import re
import subprocess
import tarfile
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any, Iterator

from harness.canary import canary
from harness.process import Process
from harness.workspace import PROJECT

USER, PASSWORD = "puller", canary("registry-password")
_HASH = "$2b$05$3YEc6XApmT6zqA91P4w.fOaLIe/CCDazjIDNoAIE82.ZL6ejZjDBC"  # of PASSWORD, by bcrypt

MODELPACK = "application/vnd.cncf.model"
KITOPS = "application/vnd.kitops.modelkit"
DOCKER_MODEL = "application/vnd.docker.ai"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_LEEWAY = 60
"""Seconds that docker-registry still takes a token for behind its end."""


def sha256_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: dict[str, bytes], compressed: bool = False) -> bytes:
    """A tar with the directories that its files need, as archivers write it."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz" if compressed else "w") as archive:
        for directory in sorted({str(parent) for path in files for parent in Path(path).parents} - {"."}):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def docker_config(registry: str, user: str = USER, password: str = PASSWORD) -> str:
    """What `kubectl create secret docker-registry` puts into a secret."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return json.dumps({"auths": {registry: {"username": user, "password": password, "auth": auth}}})


def oras() -> Path:
    """The client, which make built, or this does."""
    subprocess.run([str(PROJECT / "test/registry/build")], check=True)
    return PROJECT / "build/registry/bin/oras"


def make_certificate(key: Path, certificate: Path, *arguments: str) -> None:
    """One that vouches for itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests",
                    "-keyout", str(key), "-out", str(certificate), *arguments], check=True, capture_output=True)


class TokenServer:
    """Gives out tokens that a registry believes: signed by the key whose certificate it is configured with. Anonymous
    callers get some too, for what is below `open/`."""

    def __init__(self, directory: Path, life: int = 300) -> None:
        self._key, self.certificate = directory / "token.key", directory / "token.crt"
        self.life = life
        """Seconds that a token is said to be good for."""
        self.true_life: int | None = None
        """Seconds after which the registry refuses it; None: what is said."""
        self.given: list[str] = []
        """The scopes of the tokens that were given."""
        make_certificate(self._key, self.certificate)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # pylint: disable=invalid-name
                outer._answer(self)

            def log_message(self, *unused: object) -> None:  # pylint: disable=arguments-differ
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.realm = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        shown = request.headers.get("Authorization", "")
        scope = query.get("scope", [""])[0]
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if shown not in ("", basic) or (shown == "" and not name.startswith("open/")):
            status, body = 401, {"errors": [{"code": "UNAUTHORIZED", "message": "no such login"}]}
        else:
            self.given.append(scope)
            access = [{"type": kind, "name": name, "actions": actions.split(",")}] if scope else []
            status, body = 200, {"token": self._token(access), "expires_in": self.life}
        data = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _token(self, access: list[dict[str, Any]]) -> str:
        def encoded(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).decode().rstrip("=")

        now = time.time()
        life = self.life if self.true_life is None else self.true_life
        certificate = "".join(self.certificate.read_text().splitlines()[1:-1])
        header = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
        claims = {"iss": "tokens", "sub": USER, "aud": "registry", "iat": int(now), "nbf": int(now) - 10,
                  "exp": math.ceil(now) + life - _LEEWAY, "jti": canary(f"registry-token-{len(self.given)}"), "access": access}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(self._key)], input=text.encode(),
                                   check=True, capture_output=True).stdout
        return f"{text}.{encoded(signature)}"


class Registry:
    """Runs until `stop()`. With `tokens` it wants theirs, with `basic` a user's name and password, with `tls` it speaks
    https, with a certificate of its own."""

    def __init__(self, directory: Path, basic: bool = False, tokens: TokenServer | None = None, tls: bool = False) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.storage = directory / "storage"
        settings: dict[str, Any] = {
            "version": "0.1", "log": {"level": "info"}, "http": {"addr": "127.0.0.1:0"},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": True}}}
        self.certificate = directory / "server.crt"
        self._transport = ["--plain-http"]
        if tls:
            make_certificate(directory / "server.key", self.certificate, "-addext", "subjectAltName=IP:127.0.0.1")
            settings["http"]["tls"] = {"certificate": str(self.certificate), "key": str(directory / "server.key")}
            self._transport = ["--ca-file", str(self.certificate)]
        if basic:
            (directory / "htpasswd").write_text(f"{USER}:{_HASH}\n")
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
        if tokens:
            settings["auth"] = {"token": {"realm": tokens.realm, "service": "registry", "issuer": "tokens",
                                          "rootcertbundle": str(tokens.certificate)}}
        (directory / "config.yml").write_text(json.dumps(settings))  # JSON is YAML
        self.log = directory / "registry.log"
        self._process = Process("docker-registry", ["docker-registry", "serve", str(directory / "config.yml")], self.log)
        self._process.wait_ready(lambda: bool(self._listening()))
        self.address = self._listening()[0]
        self._login = directory / "registry-login.json"
        self._login.write_text(docker_config(self.address) if basic or tokens else "{}")

    def _listening(self) -> list[str]:
        return re.findall(r"listening on (127\.0\.0\.1:\d+)", self.log.read_text())

    def stop(self) -> None:
        self._process.stop()

    def requests(self, part: str, method: str = "GET") -> int:
        """How many such requests it has logged that have `part` in their path."""
        pattern = rf'"{method} \S*{re.escape(part)}\S* HTTP'
        return len(re.findall(pattern, self.log.read_text()))

    def ended_tokens(self) -> int:
        """How many requests it refused because their token had ended."""
        return self.log.read_text().count("token not to be used after")

    def blob_file(self, digest: str) -> Path:
        """Where it keeps a blob."""
        name = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def oras(self, *arguments: str, cwd: Path | None = None) -> str:
        command = [str(oras()), *arguments, *self._transport, "--registry-config", str(self._login)]
        done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def digest(self, name: str) -> str:
        """The digest that a tag means now."""
        return self.oras("resolve", f"{self.address}/{name}").strip()

    def push_files(self, name: str, model: Path) -> str:
        """As `oras push` does it: a layer a file, named by its title. Returns the manifest's digest."""
        self.oras("push", f"{self.address}/{name}", *(f"{path}" for path in files_of(model)), cwd=model)
        return self.digest(name)

    def push_modelpack(self, name: str, model: Path, prefix: str = "org.cncf.model") -> str:
        """In ModelPack's raw layers; `prefix` is that of its annotation, which had another before."""
        family = MODELPACK if "cncf" in prefix else "application/vnd.cnai.model"
        return self._push_layers(name, model, f"{family}.manifest.v1+json", f"{family}.config.v1+json",
                                 lambda path: f"{family}.{'weight' if path.endswith('.safetensors') else 'doc'}.v1.raw",
                                 f"{prefix}.filepath")

    def push_docker_model(self, name: str, model: Path) -> str:
        """As Docker Model Runner's config v0.2 has it: a layer a file, which isn't compressed."""
        return self._push_layers(name, model, "", f"{DOCKER_MODEL}.model.config.v0.2+json",
                                 lambda path: f"{DOCKER_MODEL}.{'safetensors' if path.endswith('safetensors') else 'model.file'}",
                                 "org.cncf.model.filepath")

    def push_tars(self, name: str, model: Path, family: str) -> str:
        """Each file in a tar of its own, as modctl makes ModelPack's layers by default, and KitOps those of one file."""
        layout = Layout(self.directory / f"layout-{len(list(self.directory.glob('layout-*')))}")
        media_type = f"{family}.{'weight' if family == MODELPACK else 'model'}.v1.tar"
        layers = [layout.add(tar_of({path: (model / path).read_bytes()}), media_type) for path in files_of(model)]
        layout.tag(layout.manifest(f"{family}.config.v1+json", b"{}", layers))
        return self.push_layout(name, layout)

    def _push_layers(self, name: str, model: Path, artifact_type: str, config_type: str, media_type: Any,
                     annotation: str) -> str:
        """An image of files as they are, in an OCI layout, which skopeo copies to the registry."""
        layout = Layout(self.directory / f"layout-{len(list(self.directory.glob('layout-*')))}")
        layers = [layout.add((model / path).read_bytes(), media_type(path), {annotation: path}) for path in files_of(model)]
        manifest = layout.manifest(config_type, b'{"descriptor": {}}', layers, artifact_type)
        layout.tag(manifest)
        return self.push_layout(name, layout)

    def push_layout(self, name: str, layout: "Layout") -> str:
        command = ["skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false",
                   "--dest-authfile", str(self._login), f"oci:{layout.directory}:latest",
                   f"docker://{self.address}/{name}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return self.digest(name)


class Layout:
    """An OCI image layout that is being made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs/sha256").mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, data: bytes, media_type: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
        """Stores a blob and returns its descriptor."""
        digest = sha256_of(data)
        (self.directory / "blobs/sha256" / digest.removeprefix("sha256:")).write_bytes(data)
        descriptor: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(data)}
        return descriptor | ({"annotations": annotations} if annotations else {})

    def manifest(self, config_type: str, config: bytes, layers: list[dict[str, Any]], artifact_type: str = "") -> dict[str, Any]:
        body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": self.add(config, config_type), "layers": layers}
        if artifact_type:
            body["artifactType"] = artifact_type
        return self.add(json.dumps(body).encode(), OCI_MANIFEST)

    def index(self, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}
        return self.add(json.dumps(body).encode(), OCI_INDEX)

    def tag(self, descriptor: dict[str, Any]) -> None:
        entry = descriptor | {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def files_of(model: Path) -> Iterator[str]:
    """The paths of a model's files, those of the fixtures excepted."""
    for path in sorted(model.rglob("*")):
        if path.is_file() and path.name != ".fixture.json":
            yield str(path.relative_to(model))
