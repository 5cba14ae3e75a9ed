#!/usr/bin/python3
"""The example of a composition function makes exactly what the examples show, and what the operator needs."""

import copy
import re
import subprocess
import sys
import unittest

import yaml
from manifests import CLASS_PARAMETERS, STORAGE_CLASS, documents

LLMINFERENCE = STORAGE_CLASS / "llminference"
sys.path.insert(0, str(LLMINFERENCE))

import composition  # noqa: E402  # pylint: disable=wrong-import-position


def request(name):
    return documents(LLMINFERENCE / f"xr{name}.yaml")[0]


def manifests(xr):
    """Kind → the one object of it in the target cluster."""
    return {item["kind"]: item for item in composition.manifests(xr).values()}


class Composition(unittest.TestCase):
    def test_makes_what_the_examples_show(self):
        names = sorted(path.stem.removeprefix("xr") for path in LLMINFERENCE.glob("xr*.yaml"))
        self.assertEqual(names, ["", "-files", "-minimal"])
        for name in names:
            made = []
            for key, item in composition.compose(request(name)).items():
                annotations = {"crossplane.io/composition-resource-name": key}
                made.append({**item, "metadata": {"annotations": annotations}})
            self.assertEqual(made, documents(LLMINFERENCE / f"composed{name}.yaml"), name)

    def test_is_shown_by_its_page_as_it_is(self):
        page = (LLMINFERENCE / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        shown = [item for block in blocks for item in yaml.safe_load_all(block)]
        made = [item["spec"]["forProvider"]["manifest"] for item in documents(LLMINFERENCE / "composed.yaml")]
        self.assertEqual([item["kind"] for item in shown], ["VLLMRuntime"])
        for item in shown:
            self.assertIn(item, made)

    def test_asks_prometheus_where_it_is_told_to(self):
        xr = request("")
        scaling = manifests(xr)["VLLMRuntime"]["spec"]["autoscalingConfig"]
        self.assertEqual(scaling["triggers"], {"prometheusAddress": xr["spec"]["prometheusAddress"]})
        del xr["spec"]["prometheusAddress"]
        self.assertNotIn("triggers", manifests(xr)["VLLMRuntime"]["spec"]["autoscalingConfig"])

    def test_without_the_switch_is_what_it_was(self):
        xr = request("")
        del xr["spec"]["modelCache"], xr["spec"]["maxReplicas"], xr["spec"]["minReplicas"]
        made = manifests(xr)
        self.assertEqual(set(made), {"VLLMRuntime", "Ingress"})
        self.assertEqual(made["VLLMRuntime"]["metadata"]["name"], "llama")
        self.assertNotIn("storageConfig", made["VLLMRuntime"]["spec"])

    def test_never_shares_a_class_between_requests(self):
        names = set()
        for namespace, name in (("a", "b"), ("a", "c"), ("b", "c"), ("a-b", "c"), ("a", "b-c")):
            xr = request("-minimal")
            xr["spec"]["targetNamespace"], xr["metadata"]["name"] = namespace, name
            names.add(manifests(xr)["StorageClass"]["metadata"]["name"])
        self.assertEqual(len(names), 5, "deleting one request would take the class from another")

    def test_gives_what_changed_another_name(self):
        names = set()
        for change in ({}, {"revision": "v2"}, {"size": "20Gi"}, {"layout": "files"}, {"tokenSecretName": "other"}):
            xr = request("-minimal")
            xr["spec"]["modelCacheConfig"] = change
            names.add(manifests(xr)["VLLMRuntime"]["metadata"]["name"])
        self.assertEqual(len(names), 5)
        xr = request("-minimal")
        xr["spec"]["gpu"] = 2
        self.assertIn(manifests(xr)["VLLMRuntime"]["metadata"]["name"], names, "this the operator changes in place")

    def test_takes_a_class_that_is_there(self):
        xr = request("")
        xr["spec"]["modelCacheConfig"] = {"storageClassName": "llama-70b", "size": "132Gi"}
        made = manifests(xr)
        self.assertNotIn("StorageClass", made)
        self.assertEqual(made["VLLMRuntime"]["spec"]["storageConfig"]["storageClassName"], "llama-70b")

    def test_writes_sizes_as_kubernetes_prints_them(self):
        for given, printed in (("10Gi", "10Gi"), ("1024Gi", "1Ti"), ("2048Mi", "2Gi"), ("1536Gi", "1536Gi")):
            self.assertEqual(composition.canonical(given), printed)

    def test_takes_numbers_as_a_function_gets_them(self):
        xr = request("")
        floats = copy.deepcopy(xr)
        for key in ("gpu", "minReplicas", "maxReplicas"):
            floats["spec"][key] = float(xr["spec"][key])
        self.assertEqual(repr(composition.compose(floats)), repr(composition.compose(xr)))

    def test_makes_claims_for_replicas_on_any_node(self):
        for name in ("", "-files", "-minimal"):
            made = manifests(request(name))
            self.assertIn(made["VLLMRuntime"]["spec"]["storageConfig"]["accessMode"], ("ReadWriteMany", "ReadOnlyMany"))
            parameters = {key for key in made["StorageClass"]["parameters"] if not key.startswith("csi.storage.k8s.io")}
            self.assertLessEqual(parameters, CLASS_PARAMETERS)
            self.assertLessEqual(len(made["VLLMRuntime"]["metadata"]["name"]), 63, "it is a Service's name too")

    def test_leaves_replicas_to_keda(self):
        deployment = manifests(request(""))["VLLMRuntime"]["spec"]["deploymentConfig"]
        self.assertNotIn("replicas", deployment)
        self.assertEqual(manifests(request("-minimal"))["VLLMRuntime"]["spec"]["deploymentConfig"]["replicas"], 1)

    def test_lends_no_namespaces_token_to_another(self):
        parameters = manifests(request(""))["StorageClass"]["parameters"]
        self.assertEqual(parameters["csi.storage.k8s.io/node-publish-secret-namespace"], "${pvc.namespace}")

    def test_needs_nothing_but_python(self):
        source = (LLMINFERENCE / "composition.py").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^import (\w+)|^from (\w+)", source, re.MULTILINE)),
                         {("hashlib", ""), ("json", "")})
        done = subprocess.run([sys.executable, "-I", "-B", LLMINFERENCE / "composition.py"], check=False)
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    unittest.main()
