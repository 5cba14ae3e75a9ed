"""One node's external-provisioner (6.x) as `--node-deployment --enable-capacity --strict-topology
--immediate-topology=false --extra-create-metadata` runs it: what it asks a CSI plugin, and what it makes of the answers."""

from __future__ import annotations

import dataclasses
import time
import uuid
from pathlib import Path
from typing import Any, Mapping

import grpc

from kubelet_double.pod import ClaimVolume
from kubelet_double.wire import CsiClient

DRIVER = "csi.weighhouse.dev"
PREFIX = "csi.storage.k8s.io/"
TIMEOUT = 15.0  # --timeout

_UNDER_WAY = {grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE,
              grpc.StatusCode.ABORTED}
# Kubernetes' access modes on the wire, for a driver with SINGLE_NODE_MULTI_WRITER.
ACCESS_MODES = {"ReadOnlyMany": "MULTI_NODE_READER_ONLY", "ReadWriteMany": "MULTI_NODE_MULTI_WRITER",
                "ReadWriteOnce": "SINGLE_NODE_MULTI_WRITER", "ReadWriteOncePod": "SINGLE_NODE_SINGLE_WRITER"}


@dataclasses.dataclass(frozen=True)
class StorageClass:
    """With volumeBindingMode WaitForFirstConsumer."""

    name: str
    parameters: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim that no volume is bound to yet."""

    name: str
    storage: int
    """Bytes that it asks for."""
    access_modes: tuple[str, ...] = ("ReadWriteMany",)
    namespace: str = "default"
    uid: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def volume_name(self) -> str:
        """Of the volume that is provisioned for it."""
        return f"pvc-{self.uid}"


@dataclasses.dataclass(frozen=True)
class PersistentVolume:
    """What the provisioner writes into the API."""

    name: str
    handle: str
    attributes: dict[str, str]
    storage: int
    access_modes: tuple[str, ...]
    affinity: tuple[dict[str, str], ...]
    """Segments of the nodes that may use it; none: every node may."""

    def as_kubelet_sees_it(self, secrets: Mapping[str, str] | None = None, read_only: bool = False) -> ClaimVolume:
        """For a pod; `secrets` are those of its nodePublishSecretRef."""
        mode = ACCESS_MODES[self.access_modes[0]]
        # kubelet's own word, which it makes SINGLE_NODE_MULTI_WRITER by the node's capabilities
        mode = "SINGLE_NODE_WRITER" if mode == "SINGLE_NODE_MULTI_WRITER" else mode
        return ClaimVolume(self.name, self.handle, self.attributes, mode, read_only, dict(secrets or {}))


@dataclasses.dataclass(frozen=True)
class Capacity:
    """One CSIStorageCapacity object."""

    available: int
    maximum: int | None

    def passes(self, claim: Claim) -> bool:
        """The scheduler's filter."""
        return (self.available if self.maximum is None else self.maximum) >= claim.storage


class Provisioner:
    """Starts as the sidecar does: ends with an exception where that would exit."""

    def __init__(self, socket: Path) -> None:
        self._csi = CsiClient(socket)
        self._messages: Any = self._csi.messages
        assert self._call("Identity", "Probe", self._messages.ProbeRequest()).ready.value
        info = self._call("Identity", "GetPluginInfo", self._messages.GetPluginInfoRequest())
        assert info.name == DRIVER and info.vendor_version, info
        self._check_capabilities()
        node = self._call("Node", "NodeGetInfo", self._messages.NodeGetInfoRequest())
        self.segment = dict(node.accessible_topology.segments)
        assert self.segment, "with --node-deployment a node has a topology"

    def _check_capabilities(self) -> None:
        messages = self._messages
        plugin = self._call("Identity", "GetPluginCapabilities", messages.GetPluginCapabilitiesRequest())
        services = {each.service.type for each in plugin.capabilities}
        service = messages.PluginCapability.Service
        assert {service.CONTROLLER_SERVICE, service.VOLUME_ACCESSIBILITY_CONSTRAINTS} <= services, services
        controller = self._call("Controller", "ControllerGetCapabilities",
                                messages.ControllerGetCapabilitiesRequest())
        calls = {each.rpc.type for each in controller.capabilities}
        rpc = messages.ControllerServiceCapability.RPC
        assert {rpc.CREATE_DELETE_VOLUME, rpc.GET_CAPACITY, rpc.SINGLE_NODE_MULTI_WRITER} <= calls, calls

    def _call(self, service: str, method: str, request: Any, timeout: float = TIMEOUT) -> Any:
        return self._csi.call(service, method, request, timeout)

    def capacity(self, storage_class: StorageClass) -> Capacity:
        """What it would publish for the class on this node: the class's parameters as they are, no capabilities."""
        answer = self._call("Controller", "GetCapacity", self._messages.GetCapacityRequest(
            parameters=dict(storage_class.parameters),
            accessible_topology=self._messages.Topology(segments=self.segment)))
        maximum = answer.maximum_volume_size.value if answer.HasField("maximum_volume_size") else None
        return Capacity(answer.available_capacity, maximum)

    def create_request(self, storage_class: StorageClass, claim: Claim, secrets: Mapping[str, str]) -> Any:
        """CreateVolume for a claim whose first pod was put on this node."""
        messages = self._messages
        modes = messages.VolumeCapability.AccessMode
        topology = messages.Topology(segments=self.segment)
        parameters = {key: value for key, value in storage_class.parameters.items() if not key.startswith(PREFIX)}
        parameters |= {PREFIX + "pvc/name": claim.name, PREFIX + "pvc/namespace": claim.namespace,
                       PREFIX + "pv/name": claim.volume_name}
        return messages.CreateVolumeRequest(
            name=claim.volume_name, parameters=parameters, secrets=dict(secrets),
            capacity_range=messages.CapacityRange(required_bytes=claim.storage),
            volume_capabilities=[messages.VolumeCapability(
                mount=messages.VolumeCapability.MountVolume(),
                access_mode=modes(mode=modes.Mode.Value(ACCESS_MODES[mode]))) for mode in claim.access_modes],
            accessibility_requirements=messages.TopologyRequirement(requisite=[topology], preferred=[topology]))

    def create(self, storage_class: StorageClass, claim: Claim, secrets: Mapping[str, str] | None = None,
               timeout: float = 60) -> PersistentVolume:
        """Provisions the claim, asking again while it is under way; raises grpc.RpcError for an answer that ends it, of
        which RESOURCE_EXHAUSTED sends the claim back to the scheduler."""
        request = self.create_request(storage_class, claim, secrets or {})
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self._volume(claim, self._call("Controller", "CreateVolume", request).volume)
            except grpc.RpcError as error:
                if error.code() not in _UNDER_WAY or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def _volume(self, claim: Claim, volume: Any) -> PersistentVolume:
        if volume.capacity_bytes and volume.capacity_bytes < claim.storage:
            raise AssertionError(f"created with {volume.capacity_bytes} bytes of {claim.storage}: would be deleted again")
        identity = {"storage.kubernetes.io/csiProvisionerIdentity": f"1700000000000-1234-{DRIVER}"}
        return PersistentVolume(claim.volume_name, volume.volume_id, dict(volume.volume_context) | identity,
                                volume.capacity_bytes or claim.storage, claim.access_modes,
                                tuple(dict(topology.segments) for topology in volume.accessible_topology))

    def delete(self, volume: PersistentVolume) -> bool:
        """Deletes a released volume if this node is one that may use it; without an affinity every node's does."""
        if volume.affinity and self.segment not in volume.affinity:
            return False
        self._call("Controller", "DeleteVolume", self._messages.DeleteVolumeRequest(volume_id=volume.handle))
        return True
