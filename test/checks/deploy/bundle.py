"""Runs a container of the DaemonSet with runc, as the manifest says: user, capabilities, seccomp, read-only root."""

import json
import os
import pathlib
import subprocess
import uuid

from manifests import DAEMONSET, mounts

LIBRARIES = ["/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin"]
MERGED = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}


def bind(source, destination, *options):
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["rbind", *options]}


def image(directory, programs):
    """A root filesystem like the image's: this machine's Debian, our programs in /programs, the shipped profile."""
    rootfs = pathlib.Path(directory) / "rootfs"
    for name in ("usr/share/weighhouse/seccomp", "proc", "dev", "etc/ssl/certs", "programs"):
        (rootfs / name).mkdir(parents=True)
    for link, target in MERGED.items():
        (rootfs / link).symlink_to(target)
    profile = (DAEMONSET / "seccomp/weighhouse-cached.json").read_bytes()
    (rootfs / "usr/share/weighhouse/seccomp/weighhouse-cached.json").write_bytes(profile)
    libraries = [bind(path, path, "ro") for path in LIBRARIES if os.path.isdir(path)]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        *libraries,
        bind("/etc/ssl/certs", "/etc/ssl/certs", "ro"),
        bind(programs, "/programs", "ro"),
    ]


def configuration(container, arguments, base_mounts, volumes, profile):
    """The runtime's configuration. `volumes`: volume name → directory of this machine; `profile`: seccomp or None."""
    context = container["securityContext"]
    added = [f"CAP_{name}" for name in context["capabilities"].get("add", [])]
    places = mounts(container)
    linux = {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]}
    if profile is not None:
        linux["seccomp"] = profile
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": context["runAsUser"], "gid": context["runAsGroup"]},
            "args": arguments,
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "capabilities": {kind: added for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": not context["allowPrivilegeEscalation"],
        },
        "root": {"path": "rootfs", "readonly": context["readOnlyRootFilesystem"]},
        "mounts": [*base_mounts, *(bind(source, places[name]) for name, source in volumes.items())],
        "linux": linux,
    }


def start(directory, settings):
    """Starts the container; its output is the process's. SIGTERM is passed on to it."""
    bundle = pathlib.Path(directory)
    (bundle / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    command = ["runc", "--root", str(bundle / "state"), "run", "--no-new-keyring", "--bundle", str(bundle)]
    return subprocess.Popen(
        [*command, f"weighhouse-{uuid.uuid4().hex[:12]}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
