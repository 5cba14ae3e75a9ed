"""One node, one fixture hub and one web server, on which tenants come and go."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

from harness import workspace
from harness.canary import canary
from harness.hub import Hub, fault
from harness.models import digests
from harness.node import Node
from harness.registry import make_certificate
from harness.web import WebServer
from harness.web_origins import MANIFEST, write_manifest
from kubelet_double import Call, InlineVolume, Pod
from tenancy.table import COLUMNS, EXPECTED

OWNER, SECOND, OTHERS = canary("owner"), canary("second"), canary("others")
REVOKED, WRONG = canary("revoked"), canary("wrong")
TRIES = 40  # a publish that is told to come again

_numbers = itertools.count(1)


@dataclasses.dataclass
class Outcome:
    """What came of a publish, and what it cost the source."""

    call: Call
    mounted: bool
    requests: int
    fetched: int

    def text(self) -> str:
        """Who served, or the code; with what was fetched and asked."""
        if not self.call.ok:
            return f"{self.call.code.name} ({self.requests})"
        by = "source" if self.fetched else "check" if self.requests else "cache"
        return f"{by} ({self.requests}, {self.fetched} B)"

    def verdict(self) -> str:
        """As tenancy.table has it."""
        return self.text().partition(" ")[0]


def slug(row: str, column: str) -> str:
    """The name of a cell's models."""
    return f"{list(EXPECTED).index(row)}-{list(COLUMNS).index(column)}"


class World:
    """All cells' models, the hub, the node. `close()` ends it."""

    def __init__(self) -> None:
        directory = workspace.directory() / "tenancy-models"
        for row, column in itertools.product(EXPECTED, COLUMNS):
            self._make_models(directory, slug(row, column), public=row.startswith("public"))
            self._make_manifest(directory, slug(row, column))
        self.models = directory
        self.hub = Hub(directory, workspace.directory() / "tenancy-hub.log")
        self.commits: dict[str, str] = self.hub.stats()["commit"]
        self._faults: list[dict[str, Any]] = []
        certificate, key = workspace.directory() / "tenancy-web.crt", workspace.directory() / "tenancy-web.key"
        make_certificate(key, certificate, "-addext", "subjectAltName=IP:127.0.0.1")
        self.web = WebServer(workspace.directory() / "tenancy-nginx", directory / "web", (certificate, key))
        self.node = Node(self.hub)
        self.node.daemon.change("sources", caFile=str(certificate))
        self._restart()  # whom it trusts is read at the start

    @staticmethod
    def _make_models(directory: Path, name: str, public: bool) -> None:
        """A private model, its copy in another tenant's repository, and one there that only looks like it."""
        def write(repository: str, files: dict[str, bytes], granted: list[str] | None) -> None:
            (directory / repository).mkdir(parents=True)
            settings: dict[str, Any] = {} if granted is None else {"private": True, "granted": granted}
            (directory / repository / ".fixture.json").write_text(json.dumps(settings))
            for path, content in files.items():
                (directory / repository / path).write_bytes(content)

        def files(seed: str) -> dict[str, bytes]:
            weights = b"".join(hashlib.sha256(f"{seed} {block}".encode()).digest() for block in range(4096))
            config = json.dumps({"of": hashlib.sha256(seed.encode()).hexdigest()}).encode()
            return {"model.safetensors": weights, "config.json": config}

        write(f"owner/{name}", files(name), None if public else [OWNER, SECOND, REVOKED])
        write(f"copy/{name}", files(name), [OTHERS])
        write(f"lookalike/{name}", files(name + " not"), [OTHERS])

    @staticmethod
    def _make_manifest(directory: Path, name: str) -> None:
        """The files that only look like the model's, on the web, with a manifest that gives them the model's digests."""
        files = directory / "web" / name
        shutil.copytree(directory / "lookalike" / name, files, ignore=shutil.ignore_patterns(".*"))
        theirs = digests(directory / "owner" / name)
        write_manifest(files, changes={path: {"sha256": sha256} for path, sha256 in theirs.items()})

    def manifest(self, name: str) -> str:
        """Its URI."""
        return f"{self.web.url}/plain/{name}/{MANIFEST}#manifest"

    def close(self) -> None:
        self.node.close()
        self.web.stop()
        self.hub.stop()

    def begin(self) -> None:
        """The source is there, and every token is valid but the one that never was."""
        self._fail()
        self.hub.tokens(OWNER, SECOND, OTHERS, REVOKED)
        self.hub.reset()

    # Tenants

    def publish(self, repository: str, token: str, namespace: str = "team-a", revision: str = "") -> Outcome:
        """One pod's publish of a repository of the hub."""
        attributes = {"model": f"hf://{repository}", "revision": revision or self.commits[repository]}
        return self._publish(attributes, {"HF_TOKEN": token} if token else {}, namespace, self.models / repository)

    def publish_manifest(self, name: str, namespace: str = "team-b") -> Outcome:
        """One pod's publish of a manifest on the web."""
        return self._publish({"model": self.manifest(name)}, {}, namespace, self.models / "web" / name)

    def _publish(self, attributes: dict[str, str], secrets: dict[str, str], namespace: str, files: Path) -> Outcome:
        """Repeated for as long as it is told to come again; the pod goes again at once."""
        pod = Pod(f"pod-{next(_numbers)}", (InlineVolume("model", attributes, False, secrets),), namespace)
        self.hub.reset()
        self.web.reset()
        for _ in range(TRIES):
            call = self.node.publish(pod)
            starting = call.code.name == "UNAVAILABLE" and "cache daemon" in call.message
            if call.code.name != "ABORTED" and not starting:
                break
        else:
            raise AssertionError(f"it is told to come again for ever: {call}")
        path = self.node.kubelet.path(pod)
        requests = self.hub.requests() + len(self.web.requests())
        outcome = Outcome(call, path in self.node.mounts(), requests, sum(self.hub.fetched().values()))
        if call.ok:
            assert digests(path) == digests(files), "what is mounted isn't byte for byte what the source has"
        assert self.node.unpublish(pod).ok
        self.node.forget(pod)
        return outcome

    def lie(self, repository: str, of: str, kind: str) -> None:
        """The hub says of the repository's files that they are those of another one."""
        entries = []
        for file in sorted(path.name for path in (self.models / of).iterdir() if path.name[0] != "."):
            content = (self.models / of / file).read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, Any] = {"type": "file", "path": file, "size": len(content), "oid": sha1}
            if kind == "sha256":
                entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
            entries.append(entry)
        rules = [fault("hub", f"/api/models/{repository}/tree/", {"kind": "listing", "entries": entries})]
        for entry in entries:
            oid = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
            rules.append(fault("hub", f"{self.commits[repository]}/{entry['path']}",
                               {"kind": "etag", "value": f'"{oid}"'}))
        self._fail(*rules)

    def _fail(self, *rules: dict[str, Any]) -> None:
        """From now on, these of the hub's answers are others."""
        self._faults = list(rules)
        self.hub.faults(*rules)

    # The states of the cache

    def arrange(self, column: str, repository: str, token: str) -> None:
        """Has whoever `token` belongs to bring the model here, and then what the column says."""
        if column == "cold":
            return
        brought = self.publish(repository, token)
        assert brought.call.ok and brought.fetched > 0, brought
        if column == "after eviction":
            self.node.daemon.cli("evict", f"hf://{repository}")

    def end_arranging(self, column: str, repository: str = "") -> None:
        """What comes after all that the source must be there for. With `repository` it is away for this one only: the hub has
        others that whoever asks sees to."""
        if "restart" in column:
            self._restart()
        if "away" in column:
            places = [f"/api/models/{repository}", f"/{repository}/"] if repository else [""]
            self._fail(*self._faults, *(fault("hub", place, {"kind": "status", "status": 503}) for place in places))

    def _restart(self) -> None:
        assert self.node.daemon.stop() == 0
        self.node.daemon.start()

    def has_blob(self, content: bytes) -> bool:
        """Whether the cache has it, whoever brought it."""
        sha256 = hashlib.sha256(content).hexdigest()
        return os.path.exists(self.node.daemon.root / "blobs/sha256" / sha256[:2] / sha256)
