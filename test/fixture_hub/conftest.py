"""What the fixture Hub's own tests share: a running hub, and a client that follows nothing by itself."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

os.environ["HF_HUB_DISABLE_XET"] = "1"  # read when huggingface_hub is imported: the bridge is what we serve
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
sys.path.append(str(Path(__file__).parent.parent))

from models import synthetic  # noqa: E402

TOKEN = "hf_test_token"
OTHER_TOKEN = "hf_other_token"
REPO = "acme/llama"
SHARD = "model-00001-of-00002.safetensors"


@dataclass
class Answer:
    """What came back for one request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    broken: bool = False
    """The connection ended before the promised length."""

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


def fetch(url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None,
          tls: ssl.SSLContext | None = None) -> Answer:
    """One request; no redirect is followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    if tls:
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=20, context=tls)
    try:
        connection.request(method, url.removeprefix(f"{parts.scheme}://{parts.netloc}"), body, headers or {})
        response = connection.getresponse()
        try:
            return Answer(response.status, response.headers, response.read())
        except http.client.IncompleteRead as error:
            return Answer(response.status, response.headers, error.partial, True)
    finally:
        connection.close()


@dataclass
class RunningHub:
    """A fixture Hub process."""

    models: Path
    arguments: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> RunningHub:
        script = Path(__file__).parent / "fixture_hub.py"
        command = ["/usr/bin/python3", script, "--models", self.models, "--token", TOKEN, "--token", OTHER_TOKEN]
        self.process = subprocess.Popen([*command, *self.arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ready = json.loads(self.process.stdout.readline())
        self.url, self.cdn = ready["hub"], ready["cdn"]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0
        self.process.stdout.close()

    def trust(self, certificate: Path) -> None:
        """Speaks TLS from here on and believes only this certificate."""
        self.tls = ssl.create_default_context(cafile=str(certificate))

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """One request to the Hub; headers as keywords, `_` for `-`."""
        return fetch(self.url + path, method, {name.replace("_", "-"): value for name, value in headers.items()},
                     tls=self.tls)

    def control(self, method: str, call: str, value: Any = None) -> Any:
        """A call of the tests' own."""
        body = None if value is None else json.dumps(value).encode()
        answer = fetch(f"{self.url}/_fixture/{call}", method, {}, body, self.tls)
        assert answer.status == 200, answer.body
        return answer.json()

    def faults(self, *rules: dict[str, Any]) -> None:
        """Puts these rules in force."""
        self.control("POST", "faults", list(rules))

    def stats(self) -> dict[str, Any]:
        """All counters."""
        return self.control("GET", "stats")

    def commit(self, repo: str = REPO) -> str:
        """The commit on main."""
        return self.stats()["commit"][repo]

    def signed_url(self, path: str = SHARD, repo: str = REPO, **headers: str) -> str:
        """Where resolve sends one to for an LFS file."""
        answer = self.get(f"/{repo}/resolve/main/{path}", **headers)
        assert answer.status == 302, answer.body
        return answer.headers["Location"]


def make_model(models: Path, repo: str, shards: list[int], **settings: Any) -> Path:
    """A model on disk with the given fixture settings."""
    model = models / repo
    synthetic.add_small_files(model)
    synthetic.add_shards(model, shards, seed=1)
    if settings:
        synthetic.write_json(model / ".fixture.json", settings)
    return model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one model of every kind of access."""
    directory = tmp_path_factory.mktemp("models")
    make_model(directory, REPO, [6 << 20, 100_000], refs={"v1": "main", "refs/pr/1": "main"})
    make_model(directory, "acme/private", [5000], private=True)
    make_model(directory, "acme/gated", [5000], gated=True, granted=[TOKEN])
    make_model(directory, "acme/disabled", [5000], disabled=True)
    synthetic.write_json(directory / "acme/old" / ".fixture.json", {"renamed_to": REPO})
    return directory


@pytest.fixture(scope="session")
def _session_hub(models: Path) -> Iterator[RunningHub]:
    with RunningHub(models) as hub:
        yield hub


@pytest.fixture
def hub(_session_hub: RunningHub) -> RunningHub:
    """The session's hub without faults, its counters at zero."""
    _session_hub.control("DELETE", "faults")
    _session_hub.control("POST", "reset")
    return _session_hub
