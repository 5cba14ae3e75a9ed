"""Kubernetes' own API server takes what deploy/ has: `make apiserver`."""

from __future__ import annotations

import itertools
import os

import pytest
import yaml

from harness import workspace
from harness.kube_cluster import KubeCluster
from harness.workspace import PROJECT

_numbers = itertools.count(1)
COMPONENTS = ["admission-policy", "network-policy", "provisioner-secrets", "agent", "node-labels"]
FOREIGN = ("keda.sh/",)
"""Groups whose kinds a cluster has only with another project's definitions."""
FILES = sorted(path.name for path in (PROJECT / "deploy/storageclass").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _namespaces(_kube_cluster: KubeCluster) -> None:
    """Those that the examples are for."""
    for name in ("team-a", "weighhouse-secrets"):
        _kube_cluster.must("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
                           also=(409,))


def taken(cluster: KubeCluster, *where: str, stdin: str = "") -> list[str]:
    """The objects that the server would have written."""
    return cluster.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", *where,
                           stdin=stdin).splitlines()


@pytest.mark.parametrize("base", ["daemonset", "overlays/k0s"])
@pytest.mark.parametrize("component", COMPONENTS)
def test_the_daemonset_with_each_component(_kube_cluster: KubeCluster, base: str, component: str) -> None:
    overlay = workspace.directory() / f"overlay{next(_numbers)}"
    overlay.mkdir()
    deploy = os.path.relpath(PROJECT.resolve() / "deploy", overlay.resolve())
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump({
        "resources": [f"{deploy}/{base}"], "components": [f"{deploy}/components/{component}"]}))
    found = taken(_kube_cluster, "--kustomize", str(overlay))
    assert "daemonset.apps/weighhouse serverside-applied (server dry run)" in found
    assert len(found) > 5


@pytest.mark.parametrize("name", FILES)
def test_each_example_of_a_storage_class(_kube_cluster: KubeCluster, name: str) -> None:
    documents = [item for item in yaml.safe_load_all((PROJECT / "deploy/storageclass" / name).read_text())
                 if item and not item["apiVersion"].startswith(FOREIGN)]
    assert len(taken(_kube_cluster, "--filename=-", stdin=yaml.safe_dump_all(documents))) == len(documents) > 0


def test_the_example_of_a_pod(_kube_cluster: KubeCluster) -> None:
    assert taken(_kube_cluster, f"--filename={PROJECT}/deploy/daemonset/example-pod.yaml")
