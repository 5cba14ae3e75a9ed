"""Four models filled at once by weighhouse-cached, run as in the DaemonSet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from machine import PROGRAMS, RunFailed, clear, peak_rss_kib, wait_until
from servers import Child, Hub, Nginx
from shapes import Shape, write_files

_UID = 64100
_MODELS = 4
_UNPRIVILEGED = ["setpriv", "--reuid", str(_UID), "--regid", str(_UID), "--clear-groups", "--bounding-set", "-all",
                 "--inh-caps", "-all", "--no-new-privs"]


def _own_directory(path: Path) -> Path:
    path.mkdir(mode=0o755)
    os.chown(path, _UID, _UID)
    return path


def _start(work: Path, hub: Hub) -> tuple[Child, Path]:
    """The daemon and its admin socket. The program is copied: its user may not be let through to the clone."""
    program = work / "weighhouse-cached"
    shutil.copy(PROGRAMS / "weighhouse-cached", program)
    root, sockets = _own_directory(work / "output"), _own_directory(work / "run")
    configuration = work / "config.yaml"
    configuration.write_text(json.dumps({"cache": {"root": str(root), "minFree": "5%"},
                                         "sources": {"huggingface": {"endpoint": hub.url},
                                                     "allowAddresses": ["127.0.0.0/8", "::1"]}}))
    daemon = Child([*_UNPRIVILEGED, str(program), "--config", str(configuration), "--root", str(root),
                    "--socket-directory", str(sockets)], log=work / "cached.log")
    socket = sockets / "admin.sock"
    wait_until("weighhouse-cached", lambda: socket.exists() or daemon.process.poll() is not None)
    return daemon, socket


def fill_four(models: Path, work: Path, shape: Shape, nginx: Nginx) -> int:
    """Four models, each a quarter of `shape` with its own bytes, pulled at once; the daemon's peak RSS in KiB."""
    quarter = {name: size // _MODELS for name, size in shape.files.items()}
    shapes = [replace(shape, name=f"four-{number}", files=quarter) for number in range(_MODELS)]
    for one in shapes:
        write_files(models, one)
    with Hub(models, nginx.url(), work / "hub.log") as hub:
        daemon, socket = _start(work, hub)
        with daemon:
            pulls = [subprocess.Popen([str(PROGRAMS / "weighhouse"), "--socket", str(socket), "--output", "json",
                                       "pull", "--quiet", f"hf://{one.repository}"], stdout=subprocess.DEVNULL)
                     for one in shapes]
            statuses = [pull.wait(300) for pull in pulls]
            if any(statuses):
                raise RunFailed(f"pulls by the daemon ended with {statuses}: "
                                f"{(work / 'cached.log').read_text(errors='replace')[-1500:]}")
            peak = peak_rss_kib(daemon.process.pid)
    clear(work / "output")
    clear(work / "run")
    for one in shapes:
        clear(models / one.repository)
    return peak
