"""Fixtures: one fixture hub a file of tests, one fresh node a test."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from harness import workspace  # noqa: E402
from harness.canary import EARLIER, Reports, search  # noqa: E402
from harness.agent_bench import Bench  # noqa: E402
from harness.daemon import CacheDaemon  # noqa: E402
from harness.hub import TOKEN, Hub  # noqa: E402
from harness.kube_cluster import KubeCluster  # noqa: E402
from harness.models import MIB, make_model  # noqa: E402
from harness.node import Node  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _namespace() -> None:
    if "WEIGHHOUSE_E2E_DIRECTORY" not in os.environ:
        pytest.exit("run through test/e2e/in-namespace: these tests mount file systems", returncode=2)
    os.umask(0o022)


@pytest.fixture(scope="session", autouse=True)
def _no_secrets(_namespace: None, request: pytest.FixtureRequest) -> Iterator[None]:
    """At the end, when all that ran has ended: none of the secrets is in anything that was written."""
    kept = os.environ.get("WEIGHHOUSE_CANARY_REPORTS")
    name = "+".join(sorted({item.path.stem for item in request.session.items}))[:100]
    if kept:
        Reports(Path(kept)).begin(name)
    yield
    report = EARLIER
    search(workspace.directory(), report)
    if kept:
        Reports(Path(kept)).end(name, report)
    assert not report.found, f"a secret was written: {report.found}"


@pytest.fixture(scope="session")
def models(_namespace: None) -> Path:
    """The models that the hub serves."""
    directory = workspace.directory() / "models"
    make_model(directory, "acme/tiny")
    make_model(directory, "acme/other", seed=2)
    make_model(directory, "acme/sharded", (4 * MIB, 4 * MIB, 3 * MIB), seed=3)
    make_model(directory, "acme/slow", (8 * MIB, 8 * MIB), seed=4)
    make_model(directory, "acme/private", seed=5, fixture={"private": True})
    make_model(directory, "acme/gated", seed=6, fixture={"gated": True, "granted": []})
    make_model(directory, "acme/disabled", seed=7, fixture={"disabled": True})
    return directory


@pytest.fixture(scope="session")
def _hub(models: Path) -> Iterator[Hub]:
    hub = Hub(models, workspace.directory() / "hub.log", "--token", TOKEN)
    yield hub
    hub.stop()


@pytest.fixture
def hub(_hub: Hub) -> Hub:
    """The fixture hub, without faults and with its counts at zero."""
    _hub.faults()
    _hub.reset()
    return _hub


@pytest.fixture
def new_node(hub: Hub) -> Iterator[Callable[..., Node]]:
    """Makes nodes that end with the test."""
    nodes: list[Node] = []

    def make(**options: object) -> Node:
        nodes.append(Node(hub, **options))  # type: ignore[arg-type]
        return nodes[-1]

    yield make
    for node in nodes:
        node.close()


@pytest.fixture
def node(new_node: Callable[..., Node]) -> Node:
    return new_node()


@pytest.fixture
def new_daemon(hub: Hub) -> Iterator[Callable[..., CacheDaemon]]:
    """Makes daemons without a node around them; not started, ended with the test."""
    daemons: list[CacheDaemon] = []

    def make(**options: object) -> CacheDaemon:
        parent = workspace.directory() / f"daemon{next(_numbers)}"
        daemons.append(CacheDaemon(parent, hub.url, **options))  # type: ignore[arg-type]
        return daemons[-1]

    yield make
    for daemon in daemons:
        daemon.end()


@pytest.fixture(scope="session")
def _kube_cluster(_namespace: None) -> Iterator[KubeCluster]:
    program = os.environ.get("WEIGHHOUSE_KUBE_APISERVER")
    assert program, "needs a real kube-apiserver: make apiserver"
    with KubeCluster(workspace.directory() / "cluster", Path(program)) as cluster:
        yield cluster


@pytest.fixture
def real_bench(_kube_cluster: KubeCluster) -> Bench:
    """The agent and Kubernetes' own API server; to be entered."""
    directory = workspace.directory() / f"real{next(_numbers)}"
    directory.mkdir()
    return Bench(directory, _kube_cluster.fresh())
