"""What a composition function emits for an LLMInference with `modelCache: true`. No network, no Crossplane: a dictionary
in, dictionaries out. README.md says how to call it from a function, and why each field is there."""

import hashlib
import json

DRIVER = "csi.weighhouse.dev"
MOUNT = "/data"
UNITS = ["Mi", "Gi", "Ti", "Pi"]


def canonical(size):
    """`size` as Kubernetes prints it: 2048Gi is 2Ti. The operator compares texts, and another text is a change for it."""
    number, unit = int(size[:-2]), UNITS.index(size[-2:])
    while number % 1024 == 0 and unit + 1 < len(UNITS):
        number, unit = number // 1024, unit + 1
    return f"{number}{UNITS[unit]}"


def class_parameters(model, config):
    parameters = {"model": f"hf://{model}", "revision": config.get("revision", "main"), "layout": config["layout"]}
    if config.get("tokenSecretName"):
        parameters["csi.storage.k8s.io/node-publish-secret-name"] = config["tokenSecretName"]
        # Not the XR's namespace: any claim of the cluster may use the class, and would use this namespace's token.
        parameters["csi.storage.k8s.io/node-publish-secret-namespace"] = "${pvc.namespace}"
    return parameters


def storage_class(name, parameters):
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": DRIVER,
        "parameters": parameters,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": False,
    }


def new_node_capacity(name, namespace, size):
    """What cluster-autoscaler takes for the capacity of a node that it may add."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIStorageCapacity",
        "metadata": {"name": f"{name}-new-nodes", "namespace": namespace},
        "storageClassName": name,
        "nodeTopology": {"matchLabels": {"cluster-autoscaler.kubernetes.io/template-node": "true"}},
        "capacity": size,
        "maximumVolumeSize": size,
    }


def prefetch(name, namespace, config):
    """Pods that do nothing but hold the claim on each node that replicas may run on."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": f"{name}-prefetch", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": f"{name}-prefetch"}},
            "template": {
                "metadata": {"labels": {"app": f"{name}-prefetch"}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "nodeSelector": config["nodeSelector"],
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "containers": [
                        {
                            "name": "hold",
                            "image": "registry.k8s.io/pause:3.10",
                            "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "16Mi"}},
                            "volumeMounts": [{"name": "model", "mountPath": MOUNT, "readOnly": True}],
                        }
                    ],
                    "volumes": [
                        {"name": "model", "persistentVolumeClaim": {"claimName": name, "readOnly": True}},
                    ],
                },
            },
        },
    }


def vllm_runtime(name, namespace, spec, cache):
    """The VLLMRuntime. `cache`: None, or the settings of the cache with `class`, the name of its StorageClass."""
    # Numbers of a protobuf Struct, which is what functions get, come as 8.0.
    model, gpu = spec["model"], int(spec.get("gpu", 1))
    vllm, env = {"gpuMemoryUtilization": "0.9"}, []
    deployment = {
        "image": {"registry": "docker.io", "name": "lmcache/vllm-openai:v0.3.13"},
        "resources": {"cpu": str(2 * gpu), "memory": f"{8 * gpu}Gi", "gpu": str(gpu)},
    }
    body = {"model": {"modelURL": model, "dtype": "auto"}, "vllmConfig": vllm, "deploymentConfig": deployment}
    if gpu > 1:
        vllm["tensorParallelSize"] = gpu
        env.append({"name": "VLLM_WORKER_MULTIPROC_METHOD", "value": "spawn"})
    if cache:
        body["storageConfig"] = {
            "enabled": True,
            "storageClassName": cache["class"],
            "accessMode": "ReadWriteMany",
            "mountPath": MOUNT,
        }
        if "size" in cache:
            body["storageConfig"]["size"] = canonical(cache["size"])
        # One word with `=`: the operator looks for this form when it names the model in KEDA's query.
        vllm["extraArgs"] = [f"--served-model-name={model}"]
        if cache["layout"] == "files":
            body["model"]["modelURL"] = MOUNT
        else:
            env += [{"name": "HF_HUB_CACHE", "value": MOUNT}, {"name": "HF_HUB_OFFLINE", "value": "1"}]
            if cache.get("revision", "main") != "main":
                vllm["extraArgs"].append(f"--revision={cache['revision']}")
    if env:
        vllm["env"] = env
    if "maxReplicas" in spec:
        # No `replicas`: they are KEDA's, and a number here would be set again at every reconciliation.
        body["autoscalingConfig"] = {
            "enabled": True,
            "minReplicas": int(spec.get("minReplicas", 1)),
            "maxReplicas": int(spec["maxReplicas"]),
        }
        if "prometheusAddress" in spec:
            body["autoscalingConfig"]["triggers"] = {"prometheusAddress": spec["prometheusAddress"]}
    else:
        deployment["replicas"] = int(spec.get("minReplicas", 1))
    return {
        "apiVersion": "production-stack.vllm.ai/v1alpha1",
        "kind": "VLLMRuntime",
        "metadata": {"name": name, "namespace": namespace},
        "spec": body,
    }


def ingress(name, namespace, host, service):
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]},
    }


def manifests(xr):
    """Name of the composed resource → what it puts into the target cluster."""
    spec, name = xr["spec"], xr["metadata"]["name"]
    namespace = spec.get("targetNamespace") or xr["metadata"]["namespace"]
    runtime, cache, found = name, None, {}
    if spec.get("modelCache"):
        cache = {"layout": "hub", **spec.get("modelCacheConfig", {})}
        parameters = class_parameters(spec["model"], cache)
        # Parameters of a class and the class of a claim can't be changed, and the operator doesn't notice that they
        # should. So what has other ones is another class, another runtime and another claim, by name.
        # Namespace and name are in it for the class: two requests must not share one, which the first that is deleted
        # would take along.
        words = [namespace, name, parameters, cache.get("storageClassName"), cache.get("size")]
        suffix = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:8]
        runtime = f"{name}-{suffix}"
        cache["class"] = cache.get("storageClassName") or f"{namespace}-{runtime}"
        if "storageClassName" not in cache:
            found[f"storage-class-{suffix}"] = storage_class(cache["class"], parameters)
            if "newNodeCapacity" in cache:
                size = canonical(cache["newNodeCapacity"])
                found[f"new-node-capacity-{suffix}"] = new_node_capacity(cache["class"], namespace, size)
        if "prefetch" in cache:
            found[f"prefetch-{suffix}"] = prefetch(runtime, namespace, cache["prefetch"])
        found[f"vllm-runtime-{suffix}"] = vllm_runtime(runtime, namespace, spec, cache)
    else:
        found["vllm-runtime"] = vllm_runtime(runtime, namespace, spec, None)
    if spec.get("ingressHost"):
        found["ingress"] = ingress(name, namespace, spec["ingressHost"], runtime)
    return found


def compose(xr):
    """Name of the composed resource → the Object of provider-kubernetes. `xr`: the observed LLMInference."""
    reference = {"kind": "ProviderConfig", "name": xr["spec"]["providerConfigName"]}
    return {
        name: {
            "apiVersion": "kubernetes.m.crossplane.io/v1alpha1",
            "kind": "Object",
            "spec": {"forProvider": {"manifest": manifest}, "providerConfigRef": dict(reference)},
        }
        for name, manifest in manifests(xr).items()
    }
