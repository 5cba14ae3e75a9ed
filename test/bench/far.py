"""A far origin: two network namespaces with a link of 1 Gbit/s between them, the shaping proxy on the server's side."""

from __future__ import annotations

import json
import os
import subprocess
from types import TracebackType

from servers import Child

_RATE = "1gbit"
SERVER_ADDRESS = "10.213.77.1"
_CLIENT_ADDRESS = "10.213.77.2"
FIRST_BYTE_MS = 40
BYTES_PER_SECOND = 12_000_000
RESET_SECONDS = 2


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class FarLink:
    """Exists within its `with` block."""

    def __init__(self) -> None:
        self.server = f"bench-server-{os.getpid()}"
        self.client = f"bench-client-{os.getpid()}"

    def __enter__(self) -> "FarLink":
        for namespace in (self.server, self.client):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", self.server, "link", "add", "far0", "type", "veth", "peer", "name", "near0", "netns", self.client)
        _ip("-n", self.server, "address", "add", f"{SERVER_ADDRESS}/24", "dev", "far0")
        _ip("-n", self.client, "address", "add", f"{_CLIENT_ADDRESS}/24", "dev", "near0")
        _ip("-n", self.server, "link", "set", "far0", "up")
        _ip("-n", self.client, "link", "set", "near0", "up")
        subprocess.run(["tc", "-n", self.server, "qdisc", "add", "dev", "far0", "root", "tbf", "rate", _RATE, "burst",
                        "256kb", "latency", "50ms"], check=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for namespace in (self.server, self.client):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)

    def _inside(self, namespace: str, *arguments: str) -> str:
        return subprocess.run(["ip", "netns", "exec", namespace, *arguments], check=True, capture_output=True,
                              text=True, timeout=120).stdout

    def goodput_gbps(self, seconds: int) -> float:
        """What iperf3 gets through the link to the client, over eight connections."""
        listen = ["iperf3", "--server", "--one-off", "--bind", SERVER_ADDRESS, "--forceflush"]
        with Child(listen, self.server) as server:
            while "listening" not in server.line():
                continue
            text = self._inside(self.client, "iperf3", "--client", SERVER_ADDRESS, "--reverse", "--parallel", "8",
                                "--time", str(seconds), "--omit", "1", "--json")
        return float(json.loads(text)["end"]["sum_received"]["bits_per_second"]) / 8e9

    def received_bytes(self) -> int:
        """At the client's end of the link, packet heads included."""
        text = self._inside(self.client, "ip", "-json", "-statistics", "link", "show", "dev", "near0")
        return int(json.loads(text)[0]["stats64"]["rx"]["bytes"])
