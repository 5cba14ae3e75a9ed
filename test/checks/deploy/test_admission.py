"""The admission policies, evaluated: what they leave of the provisioner's rights, and that nobody else is meant."""

import copy
import unittest

from cel_expr_python import cel
from manifests import DAEMONSET, DEPLOY, documents, find, load

DRIVER = load("csidriver.yaml")["metadata"]["name"]
ACCOUNT = find(documents(DAEMONSET / "rbac.yaml"), "ServiceAccount")["metadata"]
PROVISIONER = f"system:serviceaccount:{ACCOUNT['namespace']}:{ACCOUNT['name']}"
SELECTED_NODE = "volume.kubernetes.io/selected-node"

VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {
        "name": "pvc-1",
        "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER},
        "finalizers": ["external-provisioner.volume.kubernetes.io/finalizer"],
    },
    "spec": {
        "accessModes": ["ReadWriteMany"],
        "capacity": {"storage": "3Gi"},
        "claimRef": {"namespace": "default", "name": "qwen", "uid": "1"},
        "csi": {"driver": DRIVER, "volumeHandle": "wh-1", "volumeAttributes": {"model": "hf://Qwen/Qwen2.5-1.5B"}},
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": "qwen",
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {
        "name": "qwen",
        "namespace": "default",
        "annotations": {SELECTED_NODE: "node-a", "volume.kubernetes.io/storage-provisioner": DRIVER},
        "finalizers": ["kubernetes.io/pvc-protection"],
        "labels": {"app": "server"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "server", "uid": "2"}],
    },
    "spec": {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "3Gi"}},
        "storageClassName": "qwen",
    },
}


def evaluate(expression, values):
    """The value of a CEL expression as the API server finds it: no type is known before. What can't be evaluated is an
    exception."""
    environment = cel.NewEnv(variables={name: cel.Type.DYN for name in values})
    result = environment.compile(expression).eval(data=values)
    if result.type() == cel.Type.ERROR:
        raise ValueError(f"{expression}: {result.value()}")
    return result.plain_value()


def admits(resource, new, old, user=PROVISIONER):
    """Whether the policy about `resource` lets `user` make (old None), delete (new None) or change an object."""
    policies = documents(DEPLOY / "components/admission-policy/admission-policy.yaml")
    [spec] = [item["spec"] for item in policies if item["kind"] == "ValidatingAdmissionPolicy"
              and item["spec"]["matchConstraints"]["resourceRules"][0]["resources"] == [resource]]
    values = {"object": new, "oldObject": old, "request": {"userInfo": {"username": user}}}
    if not all(evaluate(item["expression"], values) for item in spec["matchConditions"]):
        return True
    variables = {}
    for item in spec.get("variables", []):
        variables[item["name"]] = evaluate(item["expression"], values | {"variables": variables})
    return all(evaluate(item["expression"], values | {"variables": variables}) for item in spec["validations"])


def changed(item, **spec):
    """A copy of an object with other fields in its spec; None: without that field."""
    new = copy.deepcopy(item)
    new["spec"].update(spec)
    new["spec"] = {key: value for key, value in new["spec"].items() if value is not None}
    return new


def with_metadata(item, **metadata):
    """The same in its metadata."""
    new = copy.deepcopy(item)
    new["metadata"].update(metadata)
    new["metadata"] = {key: value for key, value in new["metadata"].items() if value is not None}
    return new


HOST_PATH = changed(VOLUME, csi=None, hostPath={"path": "/etc"})
FOREIGN = changed(VOLUME, csi={"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"})


class Evaluation(unittest.TestCase):
    """The tests below would fail: what can't be evaluated is no answer."""

    def test_of_what_is_missing_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "driver"):
            evaluate('object.spec.csi.driver == "x"', {"object": {"spec": {"csi": {}}}})


class Volumes(unittest.TestCase):
    def check(self, new, old, allowed, **who):
        self.assertIs(admits("persistentvolumes", new, old, **who), allowed)

    def test_of_the_driver_may_be_made_changed_and_deleted(self):
        self.check(VOLUME, None, True)
        self.check(with_metadata(VOLUME, finalizers=None), VOLUME, True)
        self.check(None, VOLUME, True)

    def test_that_are_a_directory_of_a_node_are_refused(self):
        self.check(HOST_PATH, None, False)
        self.check(HOST_PATH, VOLUME, False)
        self.check(changed(VOLUME, csi=None, local={"path": "/etc"}), None, False)
        self.check(changed(VOLUME, csi=None, nfs={"server": "10.0.0.1", "path": "/"}), None, False)

    def test_of_other_drivers_are_refused(self):
        self.check(FOREIGN, None, False)
        self.check(None, FOREIGN, False)
        self.check(None, HOST_PATH, False)
        self.check(VOLUME, FOREIGN, False)
        self.check(FOREIGN, VOLUME, False)

    def test_of_everybody_else_are_none_of_its_business(self):
        self.check(HOST_PATH, None, True, user="system:serviceaccount:kube-system:persistent-volume-binder")
        self.check(None, FOREIGN, True, user="admin")


class Claims(unittest.TestCase):
    def check(self, new, allowed, old=CLAIM, **who):
        self.assertIs(admits("persistentvolumeclaims", new, old, **who), allowed)

    def annotated(self, **annotations):
        return with_metadata(CLAIM, annotations={key: value for key, value in (
            CLAIM["metadata"]["annotations"] | annotations).items() if value is not None})

    def test_may_have_their_selected_node_taken_off(self):
        self.check(self.annotated(**{SELECTED_NODE: None}), True)
        self.check(CLAIM, True)

    def test_that_had_nothing_but_the_selected_node_may_too(self):
        bare = {"annotations": {SELECTED_NODE: "node-a"}, "finalizers": None, "labels": None, "ownerReferences": None}
        old = with_metadata(CLAIM, **bare)
        self.check(with_metadata(old, annotations=None), True, old=old)
        self.check(with_metadata(old, annotations={}), True, old=old)

    def test_keep_every_other_annotation(self):
        self.check(self.annotated(**{SELECTED_NODE: "node-b"}), False)
        self.check(self.annotated(added="x"), False)
        self.check(self.annotated(**{"volume.kubernetes.io/storage-provisioner": "other"}), False)
        self.check(self.annotated(**{"volume.kubernetes.io/storage-provisioner": None}), False)
        self.check(with_metadata(CLAIM, annotations=None), False)

    def test_get_no_selected_node(self):
        self.check(CLAIM, False, old=self.annotated(**{SELECTED_NODE: None}))

    def test_keep_their_finalizers_labels_and_owners(self):
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "3"}
        for metadata in ({"finalizers": None}, {"finalizers": []}, {"finalizers": ["other"]},
                         {"labels": None}, {"labels": {"app": "other"}}, {"ownerReferences": None},
                         {"ownerReferences": [owner]}):
            with self.subTest(**metadata):
                self.check(with_metadata(CLAIM, **metadata), False)
                self.check(CLAIM, False, old=with_metadata(CLAIM, **metadata))

    def test_keep_their_spec(self):
        self.check(changed(CLAIM, volumeName="pvc-of-others"), False)
        self.check(changed(CLAIM, storageClassName=None), False)
        self.check(changed(CLAIM, resources={"requests": {"storage": "4Gi"}}), False)

    def test_of_everybody_else_are_none_of_its_business(self):
        self.check(with_metadata(CLAIM, finalizers=None), True, user="system:kube-controller-manager")


if __name__ == "__main__":
    unittest.main()
