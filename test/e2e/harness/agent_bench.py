"""An API server, the agent and a daemon that says what a test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from harness.agent import Agent, ScriptedDaemon, ServiceAccount
from harness.kube_api import KubeApi
from harness.kube_cluster import KubeCluster

Server = KubeApi | KubeCluster


class Bench:
    """The agent between a daemon and an API server. A KubeCluster is up already, and stays so."""

    def __init__(self, directory: Path, api: Any) -> None:
        self.directory = directory
        self.api = api
        self.account = ServiceAccount(directory, api.token, api.certificate)
        self.daemon = ScriptedDaemon(directory / "watch.sock")
        self.agent = Agent(directory, self.daemon.socket, api.url, self.account)

    def __enter__(self) -> "Bench":
        if isinstance(self.api, KubeApi):
            self.api.__enter__()
        self.daemon.start()
        return self

    def __exit__(self, *failure: Any) -> None:
        self.agent.end()
        self.daemon.stop()
        if isinstance(self.api, KubeApi):
            self.api.__exit__(*failure)

    def wait(self, ready: Callable[[], bool], timeout: float = 20) -> None:
        self.agent.process.wait_ready(ready, timeout)

    def wait_event(self, reason: str, text: str = "") -> dict[str, Any]:
        """Waits until the only event says so."""
        self.wait(lambda: self.api.event().get("reason") == reason and text in self.api.event()["message"])
        event: dict[str, Any] = self.api.event()
        return event

    def wrote(self) -> list[tuple[str, int]]:
        """The methods and statuses of the requests about events."""
        return [(each.method, each.status) for each in self.api.requests(lambda told: "/events" in told.path)]

    def wait_wrote(self, wanted: list[tuple[str, int]]) -> None:
        """Waits until the server has written down as much: these requests about events, and no others."""
        self.wait(lambda: len(self.wrote()) >= len(wanted))
        assert self.wrote() == wanted
