"""Several nodes, as the scheduler and the provisioners of a cluster see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Sequence

import grpc

from harness.hub import Hub
from harness.network import NodeNetwork
from harness.node import Node
from kubelet_double import Claim, PersistentVolume, StorageClass


class Cluster:
    """Nodes called node-a, node-b …, each in a network of its own that reaches the hub only. `close()` ends them."""

    def __init__(self, hub: Hub, names: Sequence[str] = ("node-a", "node-b", "node-c"), limit: str = "4Gi") -> None:
        self.networks = [NodeNetwork((hub.url, hub.cdn_url)) for _ in names]
        self.nodes: list[Node] = []
        for name, network in zip(names, self.networks):
            self.nodes.append(Node(hub, limit, name=name, launcher=network.launcher))

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        for network in self.networks:
            network.close()

    def schedule(self, storage_class: StorageClass, claim: Claim) -> list[Node]:
        """The nodes whose published capacity passes the scheduler's filter, the best by its score first."""
        capacities = [(node, node.provisioner.capacity(storage_class)) for node in self.nodes]
        passing = [(node, capacity) for node, capacity in capacities if capacity.passes(claim)]
        return [node for node, _ in sorted(passing, key=lambda pair: -pair[1].available)]

    def provision(self, storage_class: StorageClass, claim: Claim) -> tuple[Node, PersistentVolume]:
        """The claim's volume and the node that its first pod goes to: where one has no room after all, the next."""
        for node in self.schedule(storage_class, claim):
            try:
                return node, node.provisioner.create(storage_class, claim)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
        raise LookupError(f"no node has room for {claim.name}")

    def delete(self, volume: PersistentVolume) -> list[str]:
        """Deletes a released volume, on every node that may use it at once; their names."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            deleted = pool.map(lambda node: node.provisioner.delete(volume), self.nodes)
        return [node.name for node, done in zip(self.nodes, deleted) if done]
