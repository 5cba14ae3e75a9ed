"""weighhouse-cached as it runs in the DaemonSet: its own uid, no capabilities; and a client of its admin socket."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import grpc

from harness.canary import EARLIER, search
from harness.config_map import ConfigMap
from harness.process import Process
from harness.workspace import DAEMON_UID, binaries, note, owned_by_daemon
from kubelet_double.wire import contract

UNPRIVILEGED = ["setpriv", "--reuid", str(DAEMON_UID), "--regid", str(DAEMON_UID), "--clear-groups",
                "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"]


LOOPBACK = ["127.0.0.0/8", "::1"]  # where the tests' servers are: an admin must allow it


class Cache:
    """Calls the daemon's socket; a new connection per object."""

    def __init__(self, socket: Path | str) -> None:
        """Where it is: a unix socket, or an address of a relay before it."""
        self.messages = contract("cache").messages
        target = socket if isinstance(socket, str) else f"unix://{socket}"
        self._channel = grpc.insecure_channel(target, options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
            ("grpc.initial_reconnect_backoff_ms", 20),
            ("grpc.max_reconnect_backoff_ms", 100)])
        self._stub = contract("cache").stubs.CacheStub(self._channel)

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def call(self, method: str, timeout: float = 30, **fields: Any) -> Any:
        """One RPC by name; raises grpc.RpcError."""
        request = getattr(self.messages, f"{method}Request")(**fields)
        try:
            answer = getattr(self._stub, method)(request, timeout=timeout)
        except grpc.RpcError as error:
            note(method, error)
            raise
        if method == "List":
            note(method, answer)
        return answer

    def model(self, uri: str, **fields: Any) -> Any:
        return self.messages.Model(uri=uri, **fields)

    def acquire(self, uri: str, layout: str = "files", lease_id: str = "", timeout: float = 60,
                credentials: dict[str, str] | None = None, **model: Any) -> Any:
        """Makes a model present and returns its `Ready`."""
        holder = self.messages.Holder(volume_id=lease_id, target_path=f"/test/{lease_id}") if lease_id else None
        value = self.messages.Layout.Value(f"LAYOUT_{layout.upper()}")
        updates: Iterator[Any] = self.call("Acquire", timeout, lease_id=lease_id, holder=holder,
                                           model=self.model(uri, **model), layout=value, credentials=credentials or {})
        try:
            seen = list(updates)
        except grpc.RpcError as error:  # of a stream, it comes with what is read of it
            note("Acquire", error)
            raise
        note("Acquire", seen)
        return seen[-1].ready


class CacheDaemon:
    """One cache root, one socket directory, and the daemon on them. Not started until `start()`."""

    def __init__(self, directory: Path, hub_url: str, limit: str = "4Gi", local_roots: tuple[Path, ...] = ()) -> None:
        self.directory = directory
        self.root = owned_by_daemon(directory / "cache")
        self.sockets = owned_by_daemon(directory / "run")
        self.log = directory / "cached.log"
        self.launcher: list[str] = []
        """A command that runs the daemon's in circumstances of its own."""
        self.flags: list[str] = []
        """More of its command line."""
        self.config_map = ConfigMap(directory / "config")
        self.config_file = self.config_map.file
        self.listen = "127.0.0.1:0"
        """admin.listen of the next configuration."""
        self.configure(hub_url, limit, local_roots)
        self._process: Process | None = None

    def configure(self, hub_url: str, limit: str, local_roots: tuple[Path, ...] = (), min_free: str = "0") -> None:
        """Writes the configuration (JSON is YAML). No limit: the daemon's own defaults of space."""
        self.hub_url = hub_url
        sources: dict[str, Any] = {"local": {"roots": [str(root) for root in local_roots]},
                                   "allowAddresses": LOOPBACK}
        if hub_url:
            sources["huggingface"] = {"endpoint": hub_url}
        cache = {"root": str(self.root)} | ({"limit": limit, "minFree": min_free} if limit else {})
        self.settings: dict[str, Any] = {"cache": cache, "sources": sources, "log": {"level": "debug"},
                                                    "admin": {"listen": self.listen}}
        self.config_map.swap(json.dumps(self.settings))

    def change(self, group: str, **values: Any) -> None:
        """Changes keys of one group of the configuration, as an admin does."""
        self.settings.setdefault(group, {}).update(values)
        self.config_map.swap(json.dumps(self.settings))

    def keep(self, *models: str) -> None:
        """Changes the list of what the configuration keeps."""
        self.settings["keep"] = list(models)
        self.config_map.swap(json.dumps(self.settings))

    @property
    def node_socket(self) -> Path:
        return self.sockets / "node.sock"

    @property
    def admin_socket(self) -> Path:
        return self.sockets / "admin.sock"

    @property
    def watch_socket(self) -> Path:
        return self.sockets / "watch.sock"

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def command(self, sockets: Path | None = None) -> list[str]:
        return [*self.launcher, *UNPRIVILEGED, str(binaries() / "weighhouse-cached"),
                "--config", str(self.config_file), "--root", str(self.root),
                "--socket-directory", str(sockets or self.sockets), *self.flags]

    def spawn(self, environment: dict[str, str] | None = None, sockets: Path | None = None) -> Process:
        """Starts the program without waiting for it; the process is the caller's."""
        return Process("weighhouse-cached", self.command(sockets), self.log,
                       {"HOME": str(self.directory), "TMPDIR": str(self.sockets)} | (environment or {}))

    def start(self, environment: dict[str, str] | None = None) -> None:
        """Starts and waits until it answers."""
        self._process = self.spawn(environment)
        self._process.wait_ready(self.answers)

    def answers(self) -> bool:
        try:
            with Cache(self.admin_socket) as cache:
                cache.call("Info", timeout=1)
            return True
        except grpc.RpcError:
            return False

    def admin_address(self) -> str:
        """Where the daemon that runs serves its metrics."""
        return re.findall(r'metrics and probes on ([^\s"]+)', self.log.read_text())[-1]

    def kill(self) -> None:
        self.process.kill()

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM and the exit status."""
        return self.process.stop(timeout)

    def end(self) -> None:
        """Stops what still runs."""
        if self._process is not None and self._process.running():
            self._keep_metrics()
            self._process.stop()
        if self.root.exists() and self.root.stat().st_dev != self.directory.parent.stat().st_dev:
            search(self.root, EARLIER)  # its disk goes with the test

    def _keep_metrics(self) -> None:
        """What /metrics says at last."""
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                    f"http://{self.admin_address()}/metrics", timeout=5) as page:
                note("metrics", page.read().decode())
        except (OSError, IndexError):
            pass  # it has no such port, or a network of its own

    def client(self) -> Cache:
        return Cache(self.admin_socket)

    def leases(self) -> list[str]:
        """The names of the lease files."""
        directory = self.root / "leases"
        return sorted(os.listdir(directory)) if directory.exists() else []

    def ingests(self) -> list[str]:
        directory = self.root / "ingests"
        return sorted(os.listdir(directory)) if directory.exists() else []

    def cli(self, *arguments: str, check: bool = True,
            environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs `weighhouse` against the admin socket."""
        command = [str(binaries() / "weighhouse"), "--socket", str(self.admin_socket), *arguments]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120,
                             env=os.environ | (environment or {}))
        note(arguments[0] if arguments else "cli", ran.stdout + ran.stderr)
        if check:
            ran.check_returncode()
        return ran
