"""The provisioner double against a scripted controller: what it sends, and what it makes of each class of answers."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import grpc
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from kubelet_double import Claim, Provisioner, StorageClass  # noqa: E402
from kubelet_double.wire import contract  # noqa: E402

SEGMENT = {"topology.csi.weighhouse.dev/node": "node-1"}
CLASS = StorageClass("class", {"model": "hf://a/b", "csi.storage.k8s.io/provisioner-secret-name": "token"})
MESSAGES, STUBS = contract("csi")


class FakeController:
    """Answers as an empty driver; CreateVolume first with the scripted codes. Remembers what came."""

    # pylint: disable=invalid-name

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.codes: list[grpc.StatusCode] = []
        self.tied = True

    def Probe(self, request: Any, context: Any) -> Any:
        del request, context
        answer = MESSAGES.ProbeResponse()
        answer.ready.value = True
        return answer

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        del request, context
        return MESSAGES.GetPluginInfoResponse(name="csi.weighhouse.dev", vendor_version="1")

    def GetPluginCapabilities(self, request: Any, context: Any) -> Any:
        del request, context
        return MESSAGES.GetPluginCapabilitiesResponse(capabilities=[
            MESSAGES.PluginCapability(service=MESSAGES.PluginCapability.Service(type=kind)) for kind in (1, 2)])

    def ControllerGetCapabilities(self, request: Any, context: Any) -> Any:
        del request, context
        rpc = MESSAGES.ControllerServiceCapability.RPC
        return MESSAGES.ControllerGetCapabilitiesResponse(capabilities=[
            MESSAGES.ControllerServiceCapability(rpc=rpc(type=kind))
            for kind in (rpc.CREATE_DELETE_VOLUME, rpc.GET_CAPACITY, rpc.SINGLE_NODE_MULTI_WRITER)])

    def NodeGetInfo(self, request: Any, context: Any) -> Any:
        del request, context
        return MESSAGES.NodeGetInfoResponse(node_id="node-1", accessible_topology=MESSAGES.Topology(segments=SEGMENT))

    def GetCapacity(self, request: Any, context: Any) -> Any:
        del context
        self.seen.append(("GetCapacity", request))
        return MESSAGES.GetCapacityResponse(available_capacity=7)

    def CreateVolume(self, request: Any, context: Any) -> Any:
        self.seen.append(("CreateVolume", request))
        if self.codes:
            context.abort(self.codes.pop(0), "scripted")
        topology = [MESSAGES.Topology(segments=SEGMENT)] if self.tied else []
        return MESSAGES.CreateVolumeResponse(volume=MESSAGES.Volume(
            volume_id="id", capacity_bytes=request.capacity_range.required_bytes, volume_context={"model": "hf://a/b"},
            accessible_topology=topology))

    def DeleteVolume(self, request: Any, context: Any) -> Any:
        del context
        self.seen.append(("DeleteVolume", request))
        return MESSAGES.DeleteVolumeResponse()

    def __getattr__(self, name: str) -> Any:
        """The calls that no provisioner makes."""
        if name.startswith(("Node", "Controller", "Create", "List", "Validate", "Get", "Delete", "Modify")):
            return lambda request, context: context.abort(grpc.StatusCode.UNIMPLEMENTED, name)
        raise AttributeError(name)


@pytest.fixture
def controller() -> FakeController:
    return FakeController()


@pytest.fixture
def provisioner(controller: FakeController, tmp_path: Path) -> Iterator[Provisioner]:
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    for service in ("Identity", "Controller", "Node"):
        getattr(STUBS, f"add_{service}Servicer_to_server")(controller, server)
    server.add_insecure_port(f"unix://{tmp_path}/csi.sock")
    server.start()
    yield Provisioner(tmp_path / "csi.sock")
    server.stop(0).wait()


def test_create_volume_gets_stripped_parameters_and_this_node(provisioner: Provisioner,
                                                              controller: FakeController) -> None:
    claim = Claim("claim", 10, ("ReadWriteOnce", "ReadOnlyMany"), "team")
    volume = provisioner.create(CLASS, claim, {"token": "x"})
    [(_, request)] = controller.seen
    assert dict(request.parameters) == {
        "model": "hf://a/b", "csi.storage.k8s.io/pvc/name": "claim", "csi.storage.k8s.io/pvc/namespace": "team",
        "csi.storage.k8s.io/pv/name": f"pvc-{claim.uid}"}
    assert request.name == f"pvc-{claim.uid}" and dict(request.secrets) == {"token": "x"}
    modes = MESSAGES.VolumeCapability.AccessMode
    assert [each.access_mode.mode for each in request.volume_capabilities] == [
        modes.SINGLE_NODE_MULTI_WRITER, modes.MULTI_NODE_READER_ONLY]
    assert [dict(each.segments) for each in request.accessibility_requirements.requisite] == [SEGMENT]
    assert volume.affinity == (SEGMENT,)
    assert set(volume.attributes) == {"model", "storage.kubernetes.io/csiProvisionerIdentity"}
    assert volume.as_kubelet_sees_it().access_mode == "SINGLE_NODE_WRITER"


def test_get_capacity_gets_the_parameters_as_they_are_and_no_capabilities(provisioner: Provisioner,
                                                                          controller: FakeController) -> None:
    capacity = provisioner.capacity(CLASS)
    [(_, request)] = controller.seen
    assert dict(request.parameters) == CLASS.parameters and not request.volume_capabilities
    assert dict(request.accessible_topology.segments) == SEGMENT
    assert (capacity.available, capacity.maximum) == (7, None)
    assert capacity.passes(Claim("fits", 7)) and not capacity.passes(Claim("does not", 8))


def test_what_is_under_way_is_asked_again_and_what_is_full_goes_elsewhere(provisioner: Provisioner,
                                                                          controller: FakeController) -> None:
    controller.codes = [grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE]
    provisioner.create(CLASS, Claim("claim", 1))
    assert len(controller.seen) == 3
    assert controller.seen[0] == controller.seen[1] == controller.seen[2]
    controller.codes = [grpc.StatusCode.RESOURCE_EXHAUSTED]
    with pytest.raises(grpc.RpcError):
        provisioner.create(CLASS, Claim("claim", 1))
    assert len(controller.seen) == 4


def test_only_a_node_that_may_use_the_volume_deletes_it(provisioner: Provisioner, controller: FakeController) -> None:
    tied = provisioner.create(CLASS, Claim("tied", 1))
    assert provisioner.delete(tied)
    provisioner.segment = {"topology.csi.weighhouse.dev/node": "node-2"}
    assert not provisioner.delete(tied)
    controller.tied = False
    assert provisioner.delete(provisioner.create(CLASS, Claim("anywhere", 1)))
    assert [method for method, _ in controller.seen].count("DeleteVolume") == 2
