"""The agent container's program, as its pod runs it: a user of its own, a projected token; and a daemon that says what a test says."""

from __future__ import annotations

import os
import threading
import time
from concurrent import futures
from pathlib import Path
from typing import Any, Iterator

import grpc

from harness.canary import MOUNTED
from harness.process import Process
from harness.workspace import DAEMON_UID, binaries
from kubelet_double.wire import contract

AGENT_UID = 64101
_UNPRIVILEGED = ["setpriv", "--reuid", str(AGENT_UID), "--regid", str(DAEMON_UID), "--clear-groups", "--bounding-set", "-all",
                 "--inh-caps", "-all", "--no-new-privs"]
POD_UID = "11111111-2222-3333-4444-555555555555"


class ServiceAccount:
    """What kubelet projects into the container: a token, which it replaces by a link that it moves, and the cluster's CA."""

    def __init__(self, directory: Path, token: str, authority: Path) -> None:
        self.directory = directory / "account"
        self.directory.mkdir()
        self._version = 0
        self._authority = authority.read_text()
        (self.directory / "token").symlink_to("..data/token")
        (self.directory / "ca.crt").symlink_to("..data/ca.crt")
        self.renew(token)

    def renew(self, token: str) -> None:
        self._version += 1
        version = self.directory / f"..version{self._version}" / MOUNTED
        version.mkdir(parents=True)
        (version / "token").write_text(token)
        (version / "ca.crt").write_text(self._authority)
        link = self.directory / "..data.new"
        link.symlink_to(version.relative_to(self.directory))
        link.replace(self.directory / "..data")


class ScriptedDaemon:
    """Serves WatchPublishes and List on a watch socket; what they answer is the test's. Restarting it is `stop`, `start`."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.messages = contract("cache").messages
        self.listing = self.messages.ListResponse()
        self.asked = threading.Event()
        """Somebody wanted a listing."""
        self.lists = threading.Event()
        """Cleared: he waits for it."""
        self.lists.set()
        self._publishes: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._version = 0
        self._stopped = False
        self._server: grpc.Server | None = None

    def start(self) -> None:
        outer = self

        class Servicer(contract("cache").stubs.CacheServicer):  # type: ignore[misc,name-defined]
            def WatchPublishes(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
                yield from outer._updates(context)

            def List(self, request: Any, context: grpc.ServicerContext) -> Any:
                outer.asked.set()
                while not outer.lists.wait(0.1) and context.is_active():
                    pass
                return outer.listing

        self._stopped = False
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        contract("cache").stubs.add_CacheServicer_to_server(Servicer(), self._server)
        assert self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()
        os.chown(self.socket, DAEMON_UID, DAEMON_UID)
        self.socket.chmod(0o660)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._server is not None:
            self._server.stop(0).wait(10)
            self._server = None

    def _updates(self, context: grpc.ServicerContext) -> Iterator[Any]:
        seen = -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._version != seen or not context.is_active(), 1)
                if not context.is_active():
                    return
                if self._stopped:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the daemon stops")
                if self._version == seen:
                    continue
                seen = self._version
                update = self.messages.PublishesUpdate(publishes=list(self._publishes.values()))
            yield update

    def publish(self, pod: str, waited: float = 0, uid: str = POD_UID, namespace: str = "default", **state: Any) -> None:
        """From now on the pod's publish, which began `waited` seconds ago, is so: `resolving={}`, `filling={…}`, …"""
        with self._changed:
            lease = f"{pod}.{uid}"  # of a target path, in which the pod's uid is
            before = self._publishes.get(lease)
            since = before.since_unix_ms if before else int((time.time() - waited) * 1000)
            self._publishes[lease] = self.messages.Publish(
                lease_id=f"{lease:0>64}", model="hf://acme/tiny@main", since_unix_ms=since,
                holder=self.messages.Holder(pod_namespace=namespace, pod_name=pod, pod_uid=uid), **state)
            self._version += 1
            self._changed.notify_all()

    def caches(self, *models: str) -> None:
        """These are complete, the last used first."""
        state = self.messages.Snapshot.COMPLETE
        self.listing = self.messages.ListResponse(
            snapshots=[self.messages.Snapshot(id=model, state=state, references=[model]) for model in models])


class Agent:
    """`weighhouse agent`; not started until `start()`."""

    def __init__(self, directory: Path, socket: Path, url: str, account: ServiceAccount, node: str = "node-1") -> None:
        self.log = directory / "agent.log"
        self.heartbeat = directory / "agent-home" / "heartbeat"
        self.heartbeat.parent.mkdir()
        os.chown(self.heartbeat.parent, AGENT_UID, AGENT_UID)
        self._command = [*_UNPRIVILEGED, str(binaries() / "weighhouse"), "agent", f"--watch-socket={socket}",
                         f"--service-account={account.directory}", f"--heartbeat={self.heartbeat}",
                         "--update-interval=1", "--label-interval=1", "--log-level=debug"]
        host, _, port = url.removeprefix("https://").rpartition(":")
        # The cluster's own API is no proxy's business: nothing would get through this one.
        self._environment = {"NODE_NAME": node, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port,
                             "HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "NO_PROXY": "",
                             "no_proxy": ""}
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def start(self, *flags: str) -> None:
        self._process = Process("weighhouse agent", [*self._command, *flags], self.log, self._environment)

    def probe(self) -> int:
        """The exit status of the liveness probe."""
        return Process("probe", [*self._command, "--probe"], self.log, self._environment).wait()

    def end(self, within: float = 30) -> None:
        """SIGTERM; it ends well within so many seconds."""
        if self._process is not None and self._process.running():
            assert self._process.stop(within) == 0
