"""The plugin of kubectl: which pod it finds, and what it has kubectl run there. kubectl itself asks a cluster that is a few
answers; its `exec` is a double, which writes down what it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import parse_qs, urlparse

import pytest

PROJECT = Path(__file__).resolve().parents[2]
KUBECTL = PROJECT / "build/venv/bin/kubectl"
LABEL = {"app.kubernetes.io/name": "weighhouse"}
DOUBLE = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps({{"arguments": sys.argv[1:], "stdin": "--stdin" in sys.argv and not sys.stdin.isatty() and sys.stdin.read()}}) + "\\n")
if "exec" not in sys.argv:
    os.execv({kubectl!r}, ["kubectl", "--server", {server!r}, *sys.argv[1:]])
"""


def pod(namespace: str, name: str, node: str = "", phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, **metadata},
            "spec": {"nodeName": node} if node else {}, "status": {"phase": phase}}


def daemon(name: str, node: str, **more: Any) -> dict[str, Any]:
    return pod("weighhouse-system", name, node, labels=LABEL, **more)


class Cluster(ThreadingHTTPServer):
    """Serves as much of Kubernetes' API as finding pods takes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.pods: list[dict[str, Any]] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, Any] | None:
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
        if path == "/api/v1":
            return {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
                {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]}]}
        parts = path.split("/")
        assert parts[:4] == ["", "api", "v1", "namespaces"] and parts[5] == "pods", path
        found = [each for each in self.pods if each["metadata"]["namespace"] == parts[4]]
        if len(parts) == 7:
            return next((each for each in found if each["metadata"]["name"] == parts[6]), None)
        label, value = query["labelSelector"][0].split("=")
        found = [each for each in found if each["metadata"].get("labels", {}).get(label) == value]
        for field in query.get("fieldSelector", []):
            assert field.startswith("spec.nodeName=")
            found = [each for each in found if each["spec"].get("nodeName") == field.split("=")[1]]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}


class Answers(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        url = urlparse(self.path)
        answer = self.server.answer(url.path, parse_qs(url.query))
        body = json.dumps(answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                                     "message": "pods not found", "code": 404}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin
        pass


class Plugin:
    """Runs the plugin, with the double in its PATH."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self.log = directory / "log"
        self.log.touch()
        double = directory / "kubectl"
        double.write_text(DOUBLE.format(python=sys.executable, log=str(self.log), kubectl=str(KUBECTL),
                                        server=f"http://127.0.0.1:{cluster.server_port}"))
        double.chmod(0o755)
        self.environment = {"PATH": f"{directory}:/usr/bin:/bin", "HOME": str(directory)}

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(PROJECT / "cli/kubectl-weighhouse"), *arguments], input=stdin, check=False, text=True,
                              capture_output=True, timeout=60, env=self.environment | environment)

    def executed(self, *arguments: str, **options: str) -> list[str]:
        """What `kubectl exec` was called with."""
        ran = self.run(*arguments, **options)
        assert ran.returncode == 0, ran.stderr
        return self.calls()[-1]["arguments"]

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def refused(self, *arguments: str) -> str:
        """Why it ran nothing."""
        ran = self.run(*arguments)
        assert ran.returncode != 0 and not any("exec" in call["arguments"] for call in self.calls())
        return ran.stderr


@pytest.fixture(name="plugin")
def _plugin(tmp_path: Path) -> Iterator[Plugin]:
    cluster = Cluster()
    thread = threading.Thread(target=cluster.serve_forever)
    thread.start()
    cluster.pods = [daemon("weighhouse-a", "node-a"), daemon("weighhouse-b", "node-b"),
                    pod("weighhouse-system", "other", "node-b"), pod("team", "server-0", "node-b")]
    yield Plugin(tmp_path, cluster)
    cluster.shutdown()
    thread.join()
    cluster.server_close()


def test_node_names_the_daemon_and_the_rest_is_weighhouses(plugin: Plugin) -> None:
    assert plugin.executed("--node", "node-b", "ls", "--sort", "size") == [
        "--namespace", "weighhouse-system", "exec", "weighhouse-b", "--container", "cache", "--",
        "weighhouse", "ls", "--sort", "size"]
    assert plugin.executed("--node=node-a", "pull", "hf://a/b c", "--help")[-4:] == [
        "weighhouse", "pull", "hf://a/b c", "--help"]


def test_pod_stands_for_its_node(plugin: Plugin) -> None:
    assert plugin.executed("--pod", "team/server-0", "status")[3] == "weighhouse-b"
    plugin.cluster.pods.append(pod("default", "mine", "node-a"))
    assert plugin.executed("--pod=mine", "status")[3] == "weighhouse-a"


def test_only_daemon_need_not_be_named(plugin: Plugin) -> None:
    plugin.cluster.pods = [daemon("weighhouse-a", "node-a")]
    assert plugin.executed("status")[3] == "weighhouse-a"


def test_daemon_that_ends_or_has_not_begun_is_passed_over(plugin: Plugin) -> None:
    plugin.cluster.pods = [daemon("ends", "node-a", deletionTimestamp="2026-01-01T00:00:00Z"),
                           daemon("begins", "node-a", phase="Pending"), daemon("runs", "node-a")]
    assert plugin.executed("--node", "node-a", "status")[3] == "runs"


def test_where_it_asks_can_be_said(plugin: Plugin, tmp_path: Path) -> None:
    config = tmp_path / "my config"
    config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "contexts": [
        {"name": "mine", "context": {"cluster": "", "user": ""}}], "clusters": [], "users": []}))
    plugin.cluster.pods = [pod("models", "weighhouse-x", "node-x", labels=LABEL)]
    executed = plugin.executed("--daemons", "models", "--context", "mine", "--kubeconfig", str(config), "status")
    assert executed[:8] == ["--context", "mine", "--kubeconfig", str(config), "--namespace", "models", "exec", "weighhouse-x"]


def test_input_goes_along_only_where_it_is_asked_for(plugin: Plugin) -> None:
    assert "--stdin" not in plugin.executed("--node", "node-a", "ls", stdin="kept for the loop")
    assert plugin.calls()[-1]["stdin"] is False
    executed = plugin.executed("--node", "node-a", "config", "check", "/dev/stdin", stdin="cache: {}")
    assert "--stdin" in executed and "--tty" not in executed
    assert plugin.calls()[-1]["stdin"] == "cache: {}"


def on_terminal(plugin: Plugin, kind: str) -> list[str]:
    """What `kubectl exec` was called with by somebody at a terminal of that kind."""
    ours, theirs = os.openpty()
    try:
        subprocess.run([str(PROJECT / "cli/kubectl-weighhouse"), "--node", "node-a", "top"], stdin=theirs, stdout=theirs,
                       check=True, timeout=60, env=plugin.environment | {"TERM": kind})
    finally:
        os.close(ours)
        os.close(theirs)
    arguments: list[str] = plugin.calls()[-1]["arguments"]
    return arguments


def test_terminal_goes_along_unless_it_is_dumb(plugin: Plugin) -> None:
    assert on_terminal(plugin, "xterm")[2:5] == ["exec", "--stdin", "--tty"]
    assert not {"--stdin", "--tty"} & set(on_terminal(plugin, "dumb"))


def test_no_color_goes_along(plugin: Plugin) -> None:
    assert plugin.executed("--node", "node-a", "ls", NO_COLOR="1")[-4:] == ["env", "NO_COLOR=1", "weighhouse", "ls"]


@pytest.mark.parametrize("arguments, said", [
    (("status",), "several nodes have a cache daemon, give --node or --pod: node-a node-b"),
    (("--node", "node-c", "status"), "no cache daemon runs on node node-c in namespace weighhouse-system"),
    (("--node", "a", "--pod", "b", "status"), "give one of them"),
    (("--node",), "--node wants a value"),
    (("--node=", "status"), "--node is empty"),
    (("--output", "json", "status"), "unknown flag '--output'"),
    ((), "kubectl weighhouse [--node NODE"),
    (("--pod", "team/none", "status"), "not found"),
])
def test_mistake_says_the_way_out(plugin: Plugin, arguments: tuple[str, ...], said: str) -> None:
    assert said in plugin.refused(*arguments)


def test_pod_without_a_node(plugin: Plugin) -> None:
    plugin.cluster.pods.append(pod("team", "waits", phase="Pending"))
    assert "team/waits runs on no node yet" in plugin.refused("--pod", "team/waits", "status")


def test_help_asks_nobody(plugin: Plugin) -> None:
    ran = plugin.run("--help")
    assert ran.returncode == 0 and "--pod [NAMESPACE/]NAME" in ran.stdout and not plugin.calls()
