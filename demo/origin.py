"""Where the demo's model comes from: the fixture Hub with a real model, or the real Hub."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import urllib.parse
import urllib.request
from pathlib import Path

from harness import workspace
from harness.hub import Hub
from harness.models import file_digest

sys.path.insert(0, str(workspace.PROJECT / "test/models"))
import minilm  # noqa: E402


_MODEL = re.compile(r"hf://(?:models/)?([\w.-]+/[\w.-]+)(?:[@:].+)?")


class HubOrigin:
    """A model of the Hub that HF_ENDPOINT names."""

    def __init__(self, model: str) -> None:
        found = _MODEL.fullmatch(model)
        if not found:
            sys.exit(f"demo: MODEL={model}: the demo compares with a Hub's listing: give hf://org/name[@revision]")
        self.model = model
        self.repository = found[1]
        self.url = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self.name = urllib.parse.urlsplit(self.url).netloc
        self.secrets = {"HF_TOKEN": os.environ["HF_TOKEN"]} if os.environ.get("HF_TOKEN") else {}
        self.hub: "HubOrigin | Hub" = self

    def fetched(self) -> int:
        """Bytes sent by the Hub by its own count; 0: unknown."""
        return 0

    def close(self) -> None:
        """Nothing to end."""


class FixtureOrigin(HubOrigin):
    """The fixture Hub with the real all-MiniLM-L6-v2 from PyPI, kept in build/models."""

    def __init__(self) -> None:
        models = workspace.PROJECT / "build/models"
        models.mkdir(parents=True, exist_ok=True)
        minilm.place(models)
        super().__init__(f"hf://{minilm.REPOSITORY}")
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
        self.secrets = {}
        self.hub = self._hub = Hub(models, workspace.directory() / "hub.log")
        self.url = self._hub.url
        self.name = "the fixture Hub on this machine"

    def fetched(self) -> int:
        """Bytes of files by the Hub's log, on both its hosts."""
        return sum(self._hub.fetched().values())

    def close(self) -> None:
        self._hub.stop()


Origin = HubOrigin


def listing(origin: Origin, commit: str) -> dict[str, tuple[str, str]]:
    """Path -> (kind, digest) of every file that the Hub lists for `commit`."""
    url = f"{origin.url}/api/models/{origin.repository}/tree/{commit}?recursive=true&expand=false"
    found: dict[str, tuple[str, str]] = {}
    while url:
        request = urllib.request.Request(url)
        if origin.secrets:
            request.add_header("Authorization", "Bearer " + origin.secrets["HF_TOKEN"])
        with urllib.request.urlopen(request, timeout=60) as reply:
            entries = json.load(reply)
            link = reply.headers.get("Link", "")
        for entry in entries:
            if entry["type"] == "file":
                lfs = entry.get("lfs")
                found[entry["path"]] = ("sha256", lfs["oid"]) if lfs else ("git", entry["oid"])
        url = link.partition("<")[2].partition(">")[0] if 'rel="next"' in link else ""
    return found


def _git_id(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def check_files(mounted: Path, origin: Origin, commit: str) -> tuple[int, list[str], int]:
    """How many mounted files are the Hub's, the names of those that are not, and how many of the Hub's are not
    mounted."""
    listed = listing(origin, commit)
    names = [str(path.relative_to(mounted)) for path in mounted.rglob("*") if path.is_file()]
    wrong = []
    for name in names:
        kind, digest = listed.get(name, ("", ""))
        actual = file_digest(mounted / name) if kind == "sha256" else _git_id(mounted / name)
        if actual != digest:
            wrong.append(name)
    return len(names) - len(wrong), wrong, len(listed.keys() - set(names))
