"""A real container from an OCI bundle: a root file system with one static program, and a volume bound into it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from harness import workspace

# In the order of linux/capability.h.
CAPABILITIES = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
]


def _held_capabilities() -> list[str]:
    """All that this machine lets us give away."""
    status = Path("/proc/self/status").read_text()
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd")), 16)
    return [f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1]


def _configuration(volume: Path, options: list[str], arguments: list[str]) -> dict[str, Any]:
    capabilities = _held_capabilities()
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/"], "args": arguments, "noNewPrivileges": False,
            "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")},
        },
        "root": {"path": "rootfs", "readonly": False},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/model", "type": "bind", "source": str(volume), "options": ["rbind", *options]},
        ],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    }


def make_bundle(directory: Path, volume: Path, options: list[str], arguments: list[str]) -> Path:
    """A bundle whose process is root with every capability we have; `arguments` run the attacker."""
    rootfs = directory / "rootfs"
    for name in ("proc", "dev", "model"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(workspace.binaries() / "e2e-attacker", rootfs / "attacker")
    configuration = _configuration(volume, options, arguments)
    (directory / "config.json").write_text(json.dumps(configuration, indent=1))
    return directory


def _prepare_cgroups() -> None:
    """crun 1.8 refuses cgroup v1 with a v2 hierarchy beside it; in our mount namespace the latter can go."""
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)


def run_container(runtime: str, bundle: Path) -> subprocess.CompletedProcess[str]:
    """Runs the bundle's process to its end with crun or runc."""
    _prepare_cgroups()
    state = bundle / "state"
    options = {"crun": ["--cgroup-manager=disabled"], "runc": []}[runtime]
    command = [runtime, "--root", str(state), *options, "run", "--no-new-keyring", "--bundle", str(bundle), bundle.name]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
