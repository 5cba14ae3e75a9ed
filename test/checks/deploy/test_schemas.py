"""Every manifest, what kustomize makes of every overlay, and every example in the documentation is what Kubernetes 1.30
and the newest version take. Offline: the schemas are in the package kubernetes-validate."""

import copy
import re
import unittest

import schemas
import yaml
from manifests import DEPLOY, ROOT, documents, kustomize, kustomize_with, load

# For kustomize, or parts of objects: they are checked in what kustomize makes of them.
NOT_OBJECTS = ("kustomization.yaml", "overlays/k0s/paths/paths.yaml", ".rules.yaml")
PAGES = [ROOT / "README.md", *DEPLOY.rglob("*.md"), *(ROOT / "docs").rglob("*.md")]


def manifests():
    """Path below deploy/ → its objects."""
    found = {}
    for path in sorted(DEPLOY.rglob("*.yaml")):
        name = str(path.relative_to(DEPLOY))
        # What the chart makes is checked by test_helm.py.
        if not name.endswith(NOT_OBJECTS) and not name.startswith("helm/"):
            found[name] = documents(path)
    return found


def examples():
    """(page, object) of each YAML block of a page that holds whole objects."""
    for page in PAGES:
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for item in yaml.safe_load_all(block):
                if isinstance(item, dict) and "apiVersion" in item and "kind" in item:
                    yield page.name, item


class Schemas(unittest.TestCase):
    def check(self, items, name):
        for version in schemas.VERSIONS:
            for item in items:
                with self.subTest(name=name, kind=item["kind"], version=version):
                    try:
                        schemas.check(item, version)
                    except ValueError as error:
                        self.fail(str(error))

    def test_are_of_the_oldest_and_the_newest_kubernetes(self):
        oldest, newest = schemas.VERSIONS
        self.assertEqual(oldest, "1.30")
        self.assertGreaterEqual(tuple(map(int, newest.split(".")[:2])), (1, 37))

    def test_take_every_manifest(self):
        found = manifests()
        self.assertGreater(len(found), 20)
        for name, items in found.items():
            self.assertTrue(items, name)
            self.check(items, name)

    def test_take_what_kustomize_makes(self):
        roots = [DEPLOY / "daemonset", *sorted((DEPLOY / "overlays").iterdir())]
        self.assertGreater(len(roots), 2)
        for root in roots:
            built = kustomize(root)
            self.assertGreater(len(built), 8, root)
            self.check(built, root.name)

    def test_take_each_component_alone(self):
        base = len(kustomize(DEPLOY / "daemonset"))
        for component in sorted((DEPLOY / "components").iterdir()):
            new = ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../daemonset]\n"
                   f"components: [../components/{component.name}]\n")
            built = kustomize_with({"new/kustomization.yaml": new})
            self.assertGreater(len(built), base, component.name)
            self.check(built, component.name)

    def test_take_the_examples_of_the_documentation(self):
        found = list(examples())
        self.assertTrue(found)
        for name, item in found:
            self.check([item], name)


class Strictness(unittest.TestCase):
    """The checks above would fail: each of these manifests has one fault."""

    def refuse(self, item, reason):
        for version in schemas.VERSIONS:
            with self.assertRaisesRegex(ValueError, reason):
                schemas.check(item, version)

    def test_refuses_an_unknown_field(self):
        daemonset = load("daemonset.yaml")
        daemonset["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
        self.refuse(daemonset, "volumeMount")

    def test_refuses_a_value_of_another_type(self):
        driver = load("csidriver.yaml")
        driver["spec"]["storageCapacity"] = "yes"
        self.refuse(driver, "storageCapacity: 'yes' is not of type")

    def test_refuses_an_object_that_lacks_what_it_must_have(self):
        item = copy.deepcopy(documents(DEPLOY / "storageclass/storageclass.yaml")[0])
        del item["provisioner"]
        self.refuse(item, "'provisioner' is a required property")

    def test_refuses_a_kind_that_it_doesnt_know(self):
        self.refuse({"apiVersion": "storage.k8s.io/v1", "kind": "StorageKlass", "metadata": {"name": "x"}},
                    "find schema")

    def test_refuses_faults_in_objects_of_other_projects(self):
        composed = documents(DEPLOY / "storageclass/llminference/composed.yaml")
        runtimes = [item for item in composed if item["spec"]["forProvider"]["manifest"]["kind"] == "VLLMRuntime"]
        runtime = copy.deepcopy(runtimes[0])
        runtime["spec"]["forProvider"]["manifest"]["spec"]["pvcStorage"] = "10Gi"
        self.refuse(runtime, "pvcStorage")
        request = documents(DEPLOY / "storageclass/llminference/xr.yaml")[0]
        request["spec"]["modelCacheConfig"]["size"] = "large"
        self.refuse(request, "'large' does not match")

    def test_refuses_an_overlay_that_doesnt_build(self):
        with self.assertRaisesRegex(AssertionError, "resourcez"):
            kustomize_with({"new/kustomization.yaml": "resourcez: [../daemonset]\n"})


if __name__ == "__main__":
    unittest.main()
