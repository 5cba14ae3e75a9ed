"""csi-sanity (kubernetes-csi/csi-test, as test/sanity pins it) against both daemons: what every CSI driver must do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from harness.hub import Hub
from harness.node import Node
from harness.workspace import PROJECT

# As many cases as the capabilities enable that are claimed today. Fewer means that some were lost.
CASES = 34

# What the suite says of a case that it skips, and the capability that would enable it.
NEEDED = {
    "GroupControllerService not supported": "Identity.GROUP_CONTROLLER_SERVICE",
    "ControllerPublishVolume not supported": "Controller.PUBLISH_UNPUBLISH_VOLUME",
    "ControllerUnpublishVolume not supported": "Controller.PUBLISH_UNPUBLISH_VOLUME",
    "Controller Publish, UnpublishVolume not supported": "Controller.PUBLISH_UNPUBLISH_VOLUME",
    "ListVolumes not supported": "Controller.LIST_VOLUMES",
    "Volume Cloning not supported": "Controller.CLONE_VOLUME",
    "Snapshot not supported": "Controller.CREATE_DELETE_SNAPSHOT",
    "CreateSnapshot not supported": "Controller.CREATE_DELETE_SNAPSHOT",
    "DeleteSnapshot not supported": "Controller.CREATE_DELETE_SNAPSHOT",
    "ListSnapshots not supported": "Controller.LIST_SNAPSHOTS",
    "GetSnapshot not supported": "Controller.GET_SNAPSHOT",
    "ControllerExpandVolume not supported": "Controller.EXPAND_VOLUME",
    "ControllerModifyVolume not supported": "Controller.MODIFY_VOLUME",
    "Modify volume not supported": "Controller.MODIFY_VOLUME",
    "Modify Volume not supported": "Controller.MODIFY_VOLUME",
    "NodeStageVolume not supported": "Node.STAGE_UNSTAGE_VOLUME",
    "NodeUnstageVolume not supported": "Node.STAGE_UNSTAGE_VOLUME",
    "NodeExpandVolume not supported": "Node.EXPAND_VOLUME",
}

# Cases that the suite itself has set aside, whatever a driver claims.
PENDING = {"Controller Service [Controller Server] ListVolumes pagination should detect volumes added between pages and "
           "accept tokens when the last volume from a page is deleted"}


class Case(NamedTuple):
    """One case of the suite as it ended."""

    name: str
    state: str  # passed, skipped, pending, failed, panicked, …
    message: str  # why it was skipped or failed


def cases(report: Path) -> list[Case]:
    """What the suite's JSON report says of each case."""
    specs = [spec for suite in json.loads(report.read_text()) for spec in suite["SpecReports"] or []]
    return [Case(" ".join([*spec["ContainerHierarchyTexts"], spec["LeafNodeText"]]), spec["State"],
                 spec.get("Failure", {}).get("Message", ""))
            for spec in specs if spec["LeafNodeType"] == "It"]


def capabilities(node: Node) -> tuple[set[str], set[str]]:
    """The plugin's capabilities and all that there are, as "Service.NAME"."""
    messages = node.csi.messages
    claimed, all_names = set(), set()
    for service, method, kind in (("Identity", "GetPluginCapabilities", messages.PluginCapability.Service),
                                  ("Controller", "ControllerGetCapabilities", messages.ControllerServiceCapability.RPC),
                                  ("Node", "NodeGetCapabilities", messages.NodeServiceCapability.RPC)):
        reply = node.csi.call(service, method, getattr(messages, f"{method}Request")(), 10)
        part = "service" if service == "Identity" else "rpc"
        claimed |= {f"{service}.{kind.Type.Name(getattr(each, part).type)}" for each in reply.capabilities}
        all_names |= {f"{service}.{name}" for name in kind.Type.keys()}
    return claimed, all_names


def run(node: Node) -> tuple[str, list[Case]]:
    """The suite's output and cases, with volumes of a tiny model."""
    subprocess.run([str(PROJECT / "test/sanity/build")], check=True)
    parameters = node.directory / "parameters.yaml"
    parameters.write_text(json.dumps({"model": "hf://acme/tiny"}))
    report = node.directory / "sanity.json"
    command = [str(PROJECT / "build/sanity/bin/csi-sanity"), "--csi.endpoint", f"unix:{node.plugin.socket}",
               "--csi.testvolumeparameters", str(parameters),
               # Below the kubelet root, as every target is. The suite makes it for each case, and fails if it can't
               # remove it after one.
               "--csi.mountdir", str(node.kubelet_root / "sanity"), "--csi.stagingdir", str(node.directory / "staging"),
               "--ginkgo.json-report", str(report), "--ginkgo.no-color"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    output = ended.stdout + ended.stderr
    assert report.exists(), output
    return output, cases(report)


def test_csi_sanity_passes_every_case_that_the_capabilities_enable(node: Node, hub: Hub) -> None:
    claimed, all_names = capabilities(node)
    assert set(NEEDED.values()) <= all_names, "a capability that doesn't exist would excuse anything"
    output, found = run(node)
    by_state = {state: [case for case in found if case.state == state] for state in {case.state for case in found}}
    passed, skipped = by_state.pop("passed", []), by_state.pop("skipped", [])
    pending = {case.name for case in by_state.pop("pending", [])}
    print("\nskipped, and the capability that each needs:")
    for case in skipped:
        print(f"  {NEEDED.get(case.message, 'UNKNOWN: ' + case.message):42} {case.name}")
    print(f"csi-sanity: {len(passed)} passed, {sum(map(len, by_state.values()))} failed, {len(skipped)} skipped, "
          f"{len(pending)} set aside by the suite; claimed are {', '.join(sorted(claimed))}")
    assert by_state == {}, output
    assert [case for case in skipped if NEEDED.get(case.message) in claimed | {None}] == []
    assert pending == PENDING
    assert len(passed) >= CASES
    node.assert_nothing_left()
    assert list(node.info().holds) == [], "what was promised ends with the volumes"
    assert 0 < hub.fetched()["acme/tiny/model.safetensors"] < 2 * (hub.models / "acme/tiny/model.safetensors").stat().st_size
