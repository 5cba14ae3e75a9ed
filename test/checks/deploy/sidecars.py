"""What the sidecars of the DaemonSet know and do, read from their sources at the versions that the manifests name.

A new version of an image needs a look at its flags (cmd/*/main.go and csi-lib-utils' standardflags) and, for the
provisioner, at each call of the Kubernetes API; then both are renewed here.
"""

REGISTRY = "registry.k8s.io/sig-storage/"

# Image → flags that are not deprecated. klog's are left out but for -v.
FLAGS = {
    f"{REGISTRY}csi-provisioner:v6.2.1": {
        "--capacity-for-immediate-binding", "--capacity-ownerref-level", "--capacity-poll-interval",
        "--capacity-threads", "--cloning-protection-threads", "--controller-publish-readonly", "--csi-address",
        "--default-fstype", "--enable-capacity", "--enable-pprof", "--extra-create-metadata", "--feature-gates",
        "--http-endpoint", "--immediate-topology", "--kube-api-burst", "--kube-api-capacity-burst",
        "--kube-api-capacity-qps", "--kube-api-qps", "--kubeconfig", "--leader-election",
        "--leader-election-labels", "--leader-election-lease-duration", "--leader-election-namespace",
        "--leader-election-renew-deadline", "--leader-election-retry-period", "--logging-format", "--master",
        "--metrics-path", "--node-deployment", "--node-deployment-base-delay",
        "--node-deployment-immediate-binding", "--node-deployment-max-delay", "--prevent-volume-mode-conversion",
        "--retry-interval-max", "--retry-interval-start", "--snapshot-orphan-sweep-interval", "--strict-topology",
        "--timeout", "--v", "--version", "--volume-name-prefix", "--volume-name-uuid-length", "--worker-threads",
    },
    f"{REGISTRY}csi-node-driver-registrar:v2.17.0": {
        "--csi-address", "--enable-pprof", "--http-endpoint", "--kubelet-registration-path",
        "--plugin-registration-path", "--timeout", "--v", "--version",
    },
    f"{REGISTRY}livenessprobe:v2.19.0": {
        "--csi-address", "--http-endpoint", "--metrics-path", "--probe-timeout", "--v",
    },
}

# (API group, resource) → verbs that the provisioner uses with our flags and the plugin's capabilities, as a node
# deployment without snapshots, clones, attached volumes or a VolumeAttributesClass. Namespaced: in its own namespace.
PROVISIONER_VERBS = {
    ("", "persistentvolumes"): {"list", "watch", "create", "patch", "delete"},
    ("", "persistentvolumeclaims"): {"list", "watch", "update"},
    ("storage.k8s.io", "storageclasses"): {"list", "watch"},
    ("", "events"): {"create", "patch"},
}
PROVISIONER_NAMESPACED_VERBS = {
    ("storage.k8s.io", "csistoragecapacities"): {"list", "watch", "create", "update", "delete"},
    ("", "pods"): {"get"},
}
