"""Pods and their volumes, as far as a CSI plugin can see them."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid

INFO = "csi.storage.k8s.io/"


@dataclasses.dataclass(frozen=True)
class InlineVolume:
    """`csi:` in the pod spec."""

    name: str
    attributes: dict[str, str]
    read_only: bool = False
    secrets: dict[str, str] = dataclasses.field(default_factory=dict)

    inline = True
    access_mode = "SINGLE_NODE_WRITER"

    def handle(self, pod: "Pod") -> str:
        return "csi-" + hashlib.sha256((pod.uid + self.name).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class ClaimVolume:
    """A persistent volume behind a claim; `name` is the PV's, which kubelet uses for the directory."""

    name: str
    volume_handle: str
    attributes: dict[str, str]
    access_mode: str = "MULTI_NODE_READER_ONLY"
    read_only: bool = False
    secrets: dict[str, str] = dataclasses.field(default_factory=dict)

    inline = False

    def handle(self, pod: "Pod") -> str:
        del pod
        return self.volume_handle


Volume = InlineVolume | ClaimVolume


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod that the API server has bound to this node."""

    name: str
    volumes: tuple[Volume, ...]
    namespace: str = "default"
    uid: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))

    def context(self, volume: Volume) -> dict[str, str]:
        """volume_context: the volume's attributes, with kubelet's own keys laid over them (podInfoOnMount)."""
        return volume.attributes | {
            INFO + "pod.name": self.name,
            INFO + "pod.namespace": self.namespace,
            INFO + "pod.uid": self.uid,
            INFO + "serviceAccount.name": "default",
            INFO + "ephemeral": "true" if volume.inline else "false",
        }
