"""How each tool is asked for a shape, and how what it brought is verified."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from machine import PROGRAMS, PROJECT, Command
from shapes import Shape

VENV = PROJECT / "build/venv/bin"


@dataclass(frozen=True)
class Origin:
    """Where a shape can be had."""

    files_url: str
    """The server of the bytes: URL/org/name/path."""
    hub_url: str = ""
    """The Hub before it; empty: there is none, and only single files can be fetched."""
    authority: Path | None = None
    """What vouches for its certificate."""
    namespace: str = ""
    """Where the client runs."""

    def file_url(self, shape: Shape, name: str) -> str:
        return f"{self.files_url}/{shape.repository}/{name}"

    def resolve_url(self, shape: Shape, name: str) -> str:
        """As users of other tools name a file of a model; a single file is asked for at its server."""
        if len(shape.files) == 1:
            return self.file_url(shape, name)
        return f"{self.hub_url}/{shape.repository}/resolve/main/{name}"


@dataclass(frozen=True)
class Job:
    """One fetch."""

    origin: Origin
    shape: Shape
    digests: dict[str, str]
    output: Path
    """Does not exist yet, but the directory that it will stand in does."""
    scratch: Path

    @property
    def single(self) -> str:
        """The only file's name."""
        (name,) = self.shape.files
        return name


def weighhouse(job: Job, *, socket: Path | None = None) -> Command:
    """A pull with the engine inside, which becomes the owner of its root; or by the daemon at `socket`."""
    where = ["--socket", str(socket)] if socket else ["--root", str(job.output)]
    plain = ["--allow-plain-http"] if job.origin.namespace and not socket else []
    environment = {"SSL_CERT_FILE": str(job.origin.authority)} if job.origin.authority else {}
    if len(job.shape.files) == 1:
        url = job.origin.file_url(job.shape, job.single)
        model = [f"{url}#sha256={job.digests[job.single]}"]
    else:
        model = [f"hf://{job.shape.repository}"]
        plain += [] if socket else ["--hf-endpoint", job.origin.hub_url]
    return Command([str(PROGRAMS / "weighhouse"), *where, "--output", "json", *plain, "pull", "--quiet", *model],
                   environment, job.origin.namespace)


def curl(job: Job) -> Command:
    """Side by side where there are many files."""
    config = job.scratch / "curl.config"
    lines = []
    for name in job.shape.files:
        lines += [f'url = "{job.origin.resolve_url(job.shape, name)}"', f'output = "{job.output / name}"']
    config.write_text("\n".join(lines) + "\n")
    authority = ["--cacert", str(job.origin.authority)] if job.origin.authority else []
    parallel = ["--parallel", "--parallel-max", "16"] if len(job.shape.files) > 1 else []
    return Command(["curl", "--silent", "--show-error", "--fail", "--location", "--create-dirs", *parallel, *authority,
                    "--config", str(config)], None, job.origin.namespace)


def aria2c(job: Job) -> Command:
    """Sixteen connections a file, and sixteen files at once."""
    listing = job.scratch / "aria2.list"
    lines = []
    for name in job.shape.files:
        lines += [job.origin.resolve_url(job.shape, name), f"  out={name}"]
    listing.write_text("\n".join(lines) + "\n")
    authority = [f"--ca-certificate={job.origin.authority}"] if job.origin.authority else []
    return Command(["aria2c", "--no-conf", "--quiet", "-x16", "-s16", "-k1M", "-j16", "--file-allocation=falloc",
                    *authority, "--dir", str(job.output), "--input-file", str(listing)], None, job.origin.namespace)


def rclone(job: Job) -> Command:
    """Its multi-thread download; the files by a list, because the server gives no index."""
    listing = job.scratch / "rclone.list"
    listing.write_text("\n".join(job.shape.files) + "\n")
    base = job.origin.files_url + "/" + job.shape.repository
    authority = ["--ca-cert", str(job.origin.authority)] if job.origin.authority else []
    return Command(["rclone", "copy", "--config", "", "--quiet", "--http-url", base, "--files-from-raw", str(listing),
                    "--no-traverse", "--multi-thread-streams", "4", "--multi-thread-cutoff", "64M", "--transfers", "8",
                    *authority, ":http:", str(job.output)], None, job.origin.namespace)


def hf(job: Job) -> Command:
    """The Hub's own client. hf_xet is installed, as users have it, but the fixture has no Xet storage to talk to."""
    environment = {"HF_ENDPOINT": job.origin.hub_url, "HF_HOME": str(job.output), "HF_HUB_DISABLE_XET": "1",
                   "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return Command([str(VENV / "hf"), "download", job.shape.repository], environment, job.origin.namespace)


PEERS: dict[str, Callable[[Job], Command]] = {"curl": curl, "aria2c": aria2c, "rclone": rclone, "hf": hf}


def fetched_files(tool: str, job: Job, said: str) -> dict[str, Path]:
    """Where each file lies now."""
    directory = job.output
    if tool == "weighhouse":
        directory = Path(json.loads(said)["tree"])
        if len(job.shape.files) == 1:
            return {job.single: directory / job.single}
    if tool == "hf":
        (directory,) = job.output.glob("hub/models--*/snapshots/*")
    return {name: directory / name for name in job.shape.files}


def digest(files: list[Path]) -> Command:
    """The fastest verification that users have."""
    return Command(["openssl", "dgst", "-sha256", *map(str, files)])


def read_digests(said: str) -> list[str]:
    """What `digest` printed, in its order."""
    return [line.rsplit(" ", 1)[1] for line in said.splitlines()]
