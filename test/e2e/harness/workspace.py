"""Where a test run keeps its files, and the few mounts that it needs itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
DAEMON_UID = 64100


def directory() -> Path:
    """The run's own directory (test/e2e/in-namespace); every uid may pass through it."""
    return Path(os.environ["WEIGHHOUSE_E2E_DIRECTORY"])


def note(kind: str, text: object) -> None:
    """Keeps what the system answered, so that it can be looked through as its logs are (harness.canary)."""
    with (directory() / "answers.log").open("a", errors="replace") as stream:
        stream.write(f"{kind}: {text}\n")


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def binaries() -> Path:
    """The programs under test, bound where the daemon's uid can reach them (a clone may lie where only root can go)."""
    bound = directory() / "bin"
    if not bound.exists():
        built = Path(os.environ.get("WEIGHHOUSE_BIN", PROJECT / "build/dev/bin"))
        if not (built / "weighhouse-cached").exists():
            raise FileNotFoundError(f"{built} has no weighhouse-cached: build first, or set WEIGHHOUSE_BIN")
        bound.mkdir()
        mount("--bind", str(built), str(bound))
    return bound


def shared_directory(path: Path) -> None:
    """Makes `path` a mount whose later mounts reach every namespace that has it, as a kubelet root is."""
    path.mkdir(mode=0o755, parents=True)
    mount("--bind", str(path), str(path))
    mount("--make-private", str(path))
    mount("--make-rshared", str(path))


def owned_by_daemon(path: Path) -> Path:
    """A new directory that belongs to the daemon's uid."""
    path.mkdir(mode=0o755, parents=True)
    os.chown(path, DAEMON_UID, DAEMON_UID)
    return path
