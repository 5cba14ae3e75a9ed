"""A kubelet for tests: drives a CSI plugin's socket in the order, with the deadlines and with the error classes
that kubelet has (Kubernetes 1.36, pkg/volume/csi and pkg/kubelet/volumemanager), on a kubelet root of its own; and what external-provisioner sends."""

from kubelet_double.kubelet import Kubelet
from kubelet_double.pod import ClaimVolume, InlineVolume, Pod
from kubelet_double.provisioner import Claim, PersistentVolume, Provisioner, StorageClass
from kubelet_double.records import Call, Timing
from kubelet_double.wire import CsiClient

__all__ = ["Call", "Claim", "ClaimVolume", "CsiClient", "InlineVolume", "Kubelet", "PersistentVolume", "Pod", "Provisioner",
           "StorageClass", "Timing"]
