"""The agent's components: least rights, and a policy that leaves it labels of ours on its own node. WEIGHHOUSE_BIN: the programs."""

import copy
import json
import os
import re
import subprocess
import unittest

from manifests import DEPLOY, command_line, containers, documents, find, kustomize_with, load, mounts
from test_admission import ACCOUNT, PROVISIONER, evaluate

BIN = os.environ["WEIGHHOUSE_BIN"]
NODE_CLAIM = "authentication.kubernetes.io/node-name"
LABEL = "model.csi.weighhouse.dev/0123456789abcdef"
NODE = {
    "metadata": {"name": "node-a", "labels": {"kubernetes.io/hostname": "node-a", LABEL: "cached"},
                 "annotations": {"a": "b"}},
    "spec": {"providerID": "cloud://1"},
}


def built(*components):
    """What kustomize makes of the DaemonSet with these components."""
    listed = ", ".join(f"../components/{name}" for name in components)
    new = ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../daemonset]\n"
           f"components: [{listed}]\n")
    return kustomize_with({"new/kustomization.yaml": new})


class Container(unittest.TestCase):
    def setUp(self):
        self.daemonset = find(built("agent"), "DaemonSet")
        self.containers = containers(self.daemonset)
        self.agent = self.containers["agent"]

    def test_is_the_only_one_that_is_added_and_changes_the_daemon_by_one_flag(self):
        before = containers(load("daemonset.yaml"))
        self.assertEqual(set(self.containers) - set(before), {"agent"})
        flag = f"--allow-watch-uid={self.agent['securityContext']['runAsUser']}"
        for name, container in before.items():
            now = copy.deepcopy(self.containers[name])
            now["image"] = now["image"].removesuffix(":0.1.0") if now["image"].startswith("weighhouse") else now["image"]
            if name == "cache":
                now["command"].remove(flag)
            self.assertEqual(now, container)

    def test_has_no_right_but_its_token(self):
        context = self.agent["securityContext"]
        users = {item["securityContext"].get("runAsUser") for name, item in self.containers.items() if name != "agent"}
        self.assertNotIn(context["runAsUser"], users)
        self.assertEqual(context["runAsGroup"], self.containers["cache"]["securityContext"]["runAsGroup"])
        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertTrue(context["runAsNonRoot"] and context["readOnlyRootFilesystem"])
        self.assertFalse(context["allowPrivilegeEscalation"])
        self.assertNotIn("cache", mounts(self.agent))
        writable = [mount["name"] for mount in self.agent["volumeMounts"] if not mount.get("readOnly")]
        self.assertEqual(writable, ["agent-heartbeat"])

    def test_has_a_token_of_its_own_which_no_other_container_mounts(self):
        spec = self.daemonset["spec"]["template"]["spec"]
        self.assertFalse(spec["automountServiceAccountToken"])
        holders = {item["name"]: {name for name, container in self.containers.items() if item["name"] in mounts(container)}
                   for item in spec["volumes"] if "serviceAccountToken" in json.dumps(item)}
        self.assertEqual(holders, {"api-access": {"csi-provisioner"}, "agent-api-access": {"agent"}})

    def test_runs_the_image_of_the_daemon(self):
        self.assertEqual(self.agent["image"], self.containers["cache"]["image"])

    def test_meets_the_program(self):
        shown = subprocess.run([f"{BIN}/weighhouse", "agent", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
        words = command_line(self.agent)
        probe = self.agent["livenessProbe"]["exec"]["command"]
        self.assertEqual((words[:2], probe[:2]), (["/usr/bin/weighhouse", "agent"],) * 2)
        for word in [*words[2:], *probe[2:]]:
            self.assertRegex(shown, rf"{word.split('=')[0]}\b")
        heartbeat = [word for word in words if word.startswith("--heartbeat=")]
        self.assertEqual([word for word in probe if word.startswith("--heartbeat=")], heartbeat)
        self.assertTrue(heartbeat[0].endswith(mounts(self.agent)["agent-heartbeat"] + "/heartbeat"))
        account = re.search(r"--service-account DIR=(\S+)", shown).group(1)
        self.assertEqual(mounts(self.agent)["agent-api-access"], account)
        socket = re.search(r"--watch-socket PATH=(\S+)", shown).group(1)
        self.assertIn(f"--watch-socket={socket}", words)
        self.assertTrue(socket.startswith(mounts(self.containers["cache"])["run"] + "/"))

    def test_labels_nodes_with_the_other_component_only(self):
        def told(container):
            return [item["value"] for item in container["env"] if item["name"] == "WEIGHHOUSE_NODE_LABELS"]
        self.assertEqual(told(self.agent), [])
        labelling = containers(find(built("node-labels"), "DaemonSet"))
        self.assertEqual(told(labelling["agent"]), ["32"])
        # What is patched by its place, as docs/sources.md does, stays where it is.
        self.assertEqual(list(labelling), list(self.containers))
        self.assertEqual(next(iter(labelling)), "cache")
        del labelling["agent"]["env"][[item["name"] for item in labelling["agent"]["env"]].index("WEIGHHOUSE_NODE_LABELS")]
        self.assertEqual(labelling, self.containers)


class Rules(unittest.TestCase):
    def rules(self, component):
        found = documents(DEPLOY / f"components/{component}/rbac.yaml")
        self.assertEqual(find(found, "ClusterRoleBinding")["subjects"], [
            {"kind": "ServiceAccount", "name": ACCOUNT["name"], "namespace": ACCOUNT["namespace"]}])
        return find(found, "ClusterRole")["rules"]

    def test_are_what_the_agent_uses(self):
        self.assertEqual(self.rules("agent"), [{"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}])
        self.assertEqual(self.rules("node-labels"), [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}])


def admits(new, old=NODE, node="node-a", user=PROVISIONER, operation="UPDATE"):
    """Whether the policy lets that ServiceAccount, of a pod on `node`, change a node so."""
    found = documents(DEPLOY / "components/node-labels/admission-policy.yaml")
    spec = find(found, "ValidatingAdmissionPolicy")["spec"]
    extra = {} if node is None else {"extra": {NODE_CLAIM: [node]}}
    request = {"userInfo": {"username": user} | extra, "operation": operation, "name": (old or new)["metadata"]["name"]}
    values = {"object": new, "oldObject": old, "request": request}
    if not all(evaluate(item["expression"], values) for item in spec["matchConditions"]):
        return True
    for item in spec["validations"]:
        variables = {each["name"]: evaluate(each["expression"], values) for each in spec["variables"]
                     if f"variables.{each['name']}" in item["expression"]}
        if not evaluate(item["expression"], values | {"variables": variables}):
            return False
    return True


def changed(**metadata):
    new = copy.deepcopy(NODE)
    new["metadata"].update(metadata)
    return new


class Policy(unittest.TestCase):
    def labelled(self, **labels):
        return changed(labels={key: value for key, value in (NODE["metadata"]["labels"] | labels).items()
                               if value is not None})

    def test_lets_labels_of_ours_change(self):
        self.assertTrue(admits(self.labelled(**{"model.csi.weighhouse.dev/1": "cached"})))
        self.assertTrue(admits(self.labelled(**{LABEL: None})))

    def test_keeps_every_other_label(self):
        for labels in ({"node-role.kubernetes.io/control-plane": ""}, {"kubernetes.io/hostname": "node-b"},
                       {"kubernetes.io/hostname": None}, {"other.model.csi.weighhouse.dev/1": "cached"}):
            with self.subTest(**labels):
                self.assertFalse(admits(self.labelled(**labels)))

    def test_keeps_what_is_no_label(self):
        tainted = copy.deepcopy(NODE)
        tainted["spec"]["taints"] = [{"key": "a", "effect": "NoExecute"}]
        for new in (tainted, changed(annotations={}), changed(finalizers=["x"]),
                    changed(ownerReferences=[{"kind": "Pod", "name": "gone"}])):
            self.assertFalse(admits(new))

    def test_knows_the_agents_own_node_by_its_token(self):
        new = self.labelled(**{LABEL: None})
        self.assertFalse(admits(new, node="node-b"))
        self.assertFalse(admits(new, node=None))

    def test_lets_no_node_be_made_or_removed(self):
        self.assertFalse(admits(NODE, old=None, operation="CREATE"))
        self.assertFalse(admits(None, operation="DELETE"))

    def test_is_of_nobody_else(self):
        self.assertTrue(admits(changed(annotations={}), user="system:node:node-a", node=None))

    def test_is_bound(self):
        found = documents(DEPLOY / "components/node-labels/admission-policy.yaml")
        name = find(found, "ValidatingAdmissionPolicy")["metadata"]["name"]
        self.assertEqual(find(found, "ValidatingAdmissionPolicyBinding")["spec"],
                         {"policyName": name, "validationActions": ["Deny", "Audit"]})
        self.assertEqual(find(found, "ValidatingAdmissionPolicy")["spec"]["failurePolicy"], "Fail")


if __name__ == "__main__":
    unittest.main()
