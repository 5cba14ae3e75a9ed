#!/usr/bin/python3
"""The Helm chart makes what the manifests and their components do, object for object, and refuses values that can't be."""

import json
import re
import unittest

import helm_python
import schemas
import yaml
from helm_chart import CHART, HELM_LABELS, chart_values, comparable, leaves, lint, notes, render
from manifests import DEPLOY, ROOT, configuration, find, kustomize, kustomize_with

# Component → the values that switch it on.
TOGGLES = {
    "admission-policy": {"admissionPolicy": {"enabled": True}},
    "agent": {"agent": {"enabled": True}},
    "monitoring": {"monitoring": {"enabled": True}},
    "network-policy": {"networkPolicy": {"enabled": True}},
    "node-labels": {"agent": {"enabled": True, "nodeLabels": {"enabled": True}}},
    "provisioner-secrets": {"provisionerSecrets": {"enabled": True}},
}
# What other components contain.
CONTAINED = {"agent"}
EVERYTHING = {key: value for values in TOGGLES.values() for key, value in values.items()}
ELSEWHERE = {
    "image": {"repository": "registry.example.com:5000/weighhouse", "tag": "0.1.0", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "namespace": {"name": "models"},
    "paths": {"kubeletRoot": "/opt/kubelet", "cacheRoot": "/mnt/nvme/models"},
    "config": {"cache": {"limit": "80%"}, "keep": ["hf://org/name"]},
    "daemon": {"nodeLabels": "pool=gpu,zone=a", "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
              "volumes": [{"name": "ca", "configMap": {"name": "authorities"}}],
              "volumeMounts": [{"name": "ca", "mountPath": "/etc/authorities", "readOnly": True}],
              "resources": {"limits": {"memory": "2Gi"}}},
    "agent": {"enabled": True, "resources": {"limits": {"memory": "256Mi"}}, "nodeLabels": {"enabled": True, "most": 0}},
    "nodeSelector": {"nvidia.com/gpu.present": "true"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["nvme"]}]}]}}},
    "maxUnavailable": 3,
    "podAnnotations": {"example.com/team": "models"},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {"enabled": True, "monitoringNamespace": "observability",
                      "extraEgress": [{"ports": [{"port": 5000, "protocol": "TCP"}]}]},
    "provisionerSecrets": {"enabled": True, "createNamespace": False, "names": ["hf-token"]},
}
# Values that can't be, and what the message says.
REFUSED = (
    ({"pahts": {}}, "additional properties 'pahts' not allowed"),
    ({"image": {"tag": 1}}, "/image/tag': got number, want string"),
    ({"image": {"repository": "weighhouse:0.1.0"}}, "/image/repository': 'weighhouse:0.1.0' does not match"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy': value must be one of '', 'Always'"),
    ({"paths": {"kubeletRoot": "var/lib/kubelet"}}, "/paths/kubeletRoot': 'var/lib/kubelet' does not match"),
    ({"paths": {"cacheRoot": "/mnt/models/"}}, "/paths/cacheRoot': '/mnt/models/' does not match"),
    ({"namespace": {"name": "Models"}}, "/namespace/name': 'Models' does not match"),
    ({"config": {"chache": {"limit": "80%"}}}, "/config': additional properties 'chache' not allowed"),
    ({"config": {"cache": {"root": "/models"}}}, "/config/cache/root': value must be '/var/lib/weighhouse'"),
    ({"config": {"admin": {"listen": ":9000"}}}, "/config/admin/listen': ':9000' does not match"),
    ({"daemon": {"resources": {"limits": {"memory": "1GB"}}}}, "/daemon/resources/limits/memory': '1GB' does not match"),
    ({"daemon": {"nodeLabels": "pool"}}, "/daemon/nodeLabels': 'pool' does not match"),
    ({"daemon": {"env": {"HTTPS_PROXY": "http://proxy"}}}, "/daemon/env': got object, want array"),
    ({"sidecars": {"provisioner": {"image": "registry.example.com/csi-provisioner"}}}, "/sidecars/provisioner/image': "),
    ({"maxUnavailable": "ten"}, "/maxUnavailable': 'ten' does not match"),
    ({"agent": {"nodeLabels": {"enabled": True}}}, "/agent/enabled': value must be true"),
    ({"agent": {"enabled": True, "nodeLabels": {"most": 65}}}, "/agent/nodeLabels/most': maximum: got 65, want 64"),
    ({"monitoring": {"enabled": "yes"}}, "/monitoring/enabled': got string, want boolean"),
)


def with_components(*names):
    """What kustomize makes of the DaemonSet with these components."""
    used = ", ".join(f"../components/{name}" for name in names)
    new = ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../daemonset]\n"
           f"components: [{used}]\n")
    return kustomize_with({"new/kustomization.yaml": new})


class Chart(unittest.TestCase):
    maxDiff = None

    def check_same(self, made, wanted):
        made, wanted = comparable(made), comparable(wanted)
        self.assertEqual(set(made), set(wanted))
        for key, item in wanted.items():
            self.assertEqual(made[key], item, key)

    def test_is_what_helm_takes(self):
        for values in ({}, EVERYTHING, ELSEWHERE):
            self.assertEqual(lint(values), [])
        self.assertIn("additional properties", " ".join(lint({"pahts": {}})))

    def test_makes_what_the_manifests_do(self):
        self.check_same(render(), kustomize(DEPLOY / "daemonset"))

    def test_makes_what_each_component_does(self):
        components = {path.name for path in (DEPLOY / "components").iterdir()}
        self.assertEqual(set(TOGGLES), components)
        for name, values in TOGGLES.items():
            with self.subTest(component=name):
                self.check_same(render(values), with_components(name))

    def test_makes_what_all_components_do(self):
        self.check_same(render(EVERYTHING), with_components(*[name for name in TOGGLES if name not in CONTAINED]))

    def test_makes_what_the_overlay_of_other_paths_does(self):
        paths = yaml.safe_load((DEPLOY / "overlays/k0s/paths/paths.yaml").read_text(encoding="utf-8"))["data"]
        self.check_same(render({"paths": paths, "image": {"repository": "registry.example.com/weighhouse"}}),
                        kustomize(DEPLOY / "overlays/k0s"))

    def test_would_show_a_difference(self):
        for values in ({"storageCapacity": False}, {"config": {"fill": {"files": 4}}}, {"csi": {"resources": {"limits": {"memory": "1Gi"}}}},
                       {"image": {"tag": "0.2.0"}}, {"namespace": {"create": False}}, EVERYTHING):
            with self.assertRaises(AssertionError):
                self.check_same(render(values), kustomize(DEPLOY / "daemonset"))

    def test_makes_objects_that_kubernetes_takes(self):
        for values in (EVERYTHING, ELSEWHERE, {"maxUnavailable": "25%", "tolerations": []}):
            for version in schemas.VERSIONS:
                for item in render(values):
                    schemas.check(item, version)

    def test_puts_values_where_they_belong(self):
        made = render(ELSEWHERE)
        text = json.dumps(made)
        for default in ("weighhouse-system", "/var/lib/kubelet", '"monitoring"'):
            self.assertNotIn(default, text)
        spec = find(made, "DaemonSet")["spec"]["template"]["spec"]
        cache = spec["containers"][0]
        self.assertIn("--node-labels=pool=gpu,zone=a", cache["command"])
        self.assertEqual(cache["env"][-1], ELSEWHERE["daemon"]["env"][0])
        self.assertEqual(cache["resources"], {"requests": {"cpu": "200m", "memory": "384Mi"}, "limits": {"memory": "2Gi"}})
        self.assertEqual(cache["volumeMounts"][-1], ELSEWHERE["daemon"]["volumeMounts"][0])
        self.assertEqual(spec["volumes"][-1], ELSEWHERE["daemon"]["volumes"][0])
        self.assertEqual(cache["image"], "registry.example.com:5000/weighhouse:0.1.0")
        self.assertEqual({item.get("imagePullPolicy") for item in [*spec["initContainers"], *spec["containers"]]}, {"Always"})
        agent = spec["containers"][-1]
        self.assertEqual(agent["env"][-1], {"name": "WEIGHHOUSE_NODE_LABELS", "value": "0"})
        self.assertEqual(agent["resources"], {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}})
        policy = find(made, "ValidatingAdmissionPolicy", "weighhouse-node-labels")["spec"]
        self.assertIn('"system:serviceaccount:models:weighhouse-node"', policy["matchConditions"][0]["expression"])
        self.assertEqual(spec["nodeSelector"], {"kubernetes.io/os": "linux", "nvidia.com/gpu.present": "true"})
        self.assertEqual((spec["tolerations"], spec["affinity"]), (ELSEWHERE["tolerations"], ELSEWHERE["affinity"]))
        config = yaml.safe_load(find(made, "ConfigMap", "weighhouse-config")["data"]["config.yaml"])
        self.assertEqual(config["cache"], {"root": "/var/lib/weighhouse", "limit": "80%"})
        self.assertEqual(find(made, "PodMonitor")["metadata"]["labels"]["release"], "prometheus")
        self.assertEqual(find(made, "Role", "weighhouse-provisioner-secrets")["rules"][0]["resourceNames"], ["hf-token"])
        self.assertEqual(find(made, "NetworkPolicy")["spec"]["egress"][-1], ELSEWHERE["networkPolicy"]["extraEgress"][0])

    def test_makes_a_namespace_only_where_it_is_not_the_releases_own(self):
        self.assertTrue(find(render(), "Namespace"))
        self.assertNotIn("enforce=privileged", notes())
        own = render(namespace="weighhouse-system")
        self.assertNotIn("Namespace", {item["kind"] for item in own})
        self.assertIn("label namespace weighhouse-system pod-security.kubernetes.io/enforce=privileged",
                      notes(namespace="weighhouse-system"))

    def test_marks_its_objects_and_leaves_pods_alone(self):
        for item in render(EVERYTHING):
            self.assertLessEqual(HELM_LABELS, set(item["metadata"]["labels"]), item["kind"])
        template = find(render(), "DaemonSet")["spec"]["template"]
        self.assertEqual(template["metadata"]["labels"], {"app.kubernetes.io/name": "weighhouse"})

    def test_needs_custom_resources_only_for_monitoring(self):
        self.assertFalse((CHART / "crds").exists())
        without = {key: value for key, value in EVERYTHING.items() if key != "monitoring"}
        self.assertNotIn("monitoring.coreos.com", json.dumps(render(without)))
        dashboard = render({"monitoring": {"enabled": True, "podMonitor": False, "prometheusRule": False}})
        self.assertNotIn("monitoring.coreos.com", json.dumps(dashboard))
        self.assertTrue(find(dashboard, "ConfigMap", "weighhouse-dashboard"))

    def test_refuses_values_that_cannot_be(self):
        for values, message in REFUSED:
            with self.subTest(values=values), self.assertRaises(helm_python.HelmValuesError) as refused:
                render(values)
            self.assertIn(message, str(refused.exception))

    def test_has_the_version_of_the_programs_and_copies_that_are_true(self):
        version = re.search(r"^project\(weighhouse VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"),
                            re.MULTILINE).group(1)
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
        self.assertEqual((chart["version"], chart["appVersion"]), (version, version))
        for path in (CHART / "files").iterdir():
            self.assertEqual(path.read_bytes(), (DEPLOY / "components/monitoring" / path.name).read_bytes(), path.name)

    def test_knows_the_sections_of_the_configuration(self):
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
        self.assertEqual(set(schema["properties"]["config"]["properties"]),
                         {*yaml.safe_load(configuration(uncommented=True)), "overrides"})


class Values(unittest.TestCase):
    def test_are_those_of_the_readme(self):
        page = (CHART / "README.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| `([^`]+)` \| `([^`]*)` \| (.+) \|$", page, re.MULTILINE)
        self.assertEqual(len(rows), len({name for name, _, _ in rows}))
        defaults = {name: yaml.safe_load(default) for name, default, _ in rows}
        self.assertEqual(defaults, leaves(chart_values()))

    def test_of_the_readmes_example_are_taken(self):
        page = (CHART / "README.md").read_text(encoding="utf-8")
        (example,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        values = yaml.safe_load(example)
        self.assertEqual(lint(values), [])
        self.assertIn("hf://Qwen/Qwen2.5-1.5B-Instruct", json.dumps(render(values)))

    def test_are_described_by_the_schema(self):
        schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

        def described(part, prefix=""):
            for key, value in part.get("properties", {}).items():
                self.assertTrue(value.get("description"), prefix + key)
                if value.get("properties") and key not in ("resources", "config"):
                    yield from described(value, f"{prefix}{key}.")
                else:
                    yield prefix + key

        # `global` is Helm's own: a parent chart hands it down.
        self.assertEqual(set(described(schema)) - {"global"}, set(leaves(chart_values())))


if __name__ == "__main__":
    unittest.main()
