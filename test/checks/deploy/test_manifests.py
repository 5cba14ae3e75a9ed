#!/usr/bin/python3
"""The manifests agree with the programs and with themselves. WEIGHHOUSE_BIN: the directory of the programs."""

import json
import os
import re
import subprocess
import unittest

import sidecars
from manifests import (
    CLASS_PARAMETERS,
    DAEMONSET,
    DEPLOY,
    ROOT,
    STORAGE_CLASS,
    VOLUME_PARAMETERS,
    command_line,
    configuration,
    containers,
    documents,
    environment,
    find,
    kustomize,
    kustomize_with,
    load,
    mounts,
    with_paths,
)

BIN = os.environ["WEIGHHOUSE_BIN"]
ELSEWHERE = {"kubeletRoot": "/opt/kubelet", "cacheRoot": "/mnt/nvme/models"}


def help_of(program):
    return subprocess.run([f"{BIN}/{program}", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


def default_of(program, flag):
    """What --help says is the default of `flag`: `--flag TYPE [default]`, or `--flag TYPE=default`."""
    found = re.search(rf"{flag} [A-Z]+(?:=| *\[)([^\]\s]+)", help_of(program))
    if not found:
        raise AssertionError(f"{program} --help shows no default of {flag}")
    return found.group(1)


class Paths(unittest.TestCase):
    def test_are_set_in_one_place(self):
        defaults = load("paths.yaml")["data"]
        built = with_paths(defaults)
        for container in containers(built).values():
            container["image"] = re.sub(r"^weighhouse:.*", "weighhouse", container["image"])
        self.assertEqual(built, load("daemonset.yaml"))
        moved = with_paths(ELSEWHERE)
        self.assertNotIn(defaults["kubeletRoot"], json.dumps(moved))
        on_node = {item["name"]: item["hostPath"]["path"] for item in moved["spec"]["template"]["spec"]["volumes"]
                   if "hostPath" in item}
        self.assertEqual(on_node["cache"], ELSEWHERE["cacheRoot"])
        self.assertEqual(on_node["pods"], "/opt/kubelet/pods")
        self.assertEqual(on_node["seccomp"], "/opt/kubelet/seccomp")
        plugin = mounts(containers(moved)["csi"])
        self.assertEqual((plugin["pods"], plugin["plugin"]), (on_node["pods"], on_node["plugin"]))

    def test_of_an_overlay_reach_all_that_the_base_reaches(self):
        files = {f"new/{name}": (DEPLOY / "overlays/k0s" / name).read_text(encoding="utf-8")
                 for name in ("kustomization.yaml", "paths/kustomization.yaml", "paths/paths.yaml")}
        own = {"kubeletRoot": "/var/lib/k0s/kubelet", "cacheRoot": "/mnt/nvme/weighhouse"}
        for key, path in own.items():
            files["new/paths/paths.yaml"] = files["new/paths/paths.yaml"].replace(path, ELSEWHERE[key])
        files["new/kustomization.yaml"] = re.sub(r"../../", "../", files["new/kustomization.yaml"])
        overlaid = find(kustomize_with(files), "DaemonSet")
        for container in containers(overlaid).values():
            container["image"] = container["image"].removeprefix("registry.example.com/")
        self.assertEqual(overlaid, with_paths(ELSEWHERE))

    def test_are_those_of_the_programs(self):
        found = containers(load("daemonset.yaml"))
        cache, plugin = mounts(found["cache"]), mounts(found["csi"])
        self.assertEqual(cache["cache"], configuration_root())
        self.assertEqual(plugin["cache"], cache["cache"])
        self.assertEqual(default_of("weighhouse-csi", "--cache-root"), cache["cache"])
        self.assertEqual(default_of("weighhouse-csi", "--kubelet-root"), load("paths.yaml")["data"]["kubeletRoot"])
        self.assertEqual(default_of("weighhouse-csi", "--daemon-socket"), cache["run"] + "/node.sock")
        self.assertEqual(default_of("weighhouse-cached", "--socket-directory"), cache["run"])

    def test_of_the_sockets_meet(self):
        found = containers(with_paths(ELSEWHERE))
        socket = "/opt/kubelet/plugins/csi.weighhouse.dev/csi.sock"
        self.assertIn(f"--endpoint=unix://{socket}", command_line(found["csi"]))
        self.assertIn(f"--kubelet-registration-path={socket}", command_line(found["node-driver-registrar"]))

    def test_of_the_profile_meet(self):
        found = containers(load("daemonset.yaml"))
        profile = found["cache"]["securityContext"]["seccompProfile"]["localhostProfile"]
        self.assertIn(f"{mounts(found['prepare'])['seccomp']}/{profile}", " ".join(command_line(found["prepare"])))


def configuration_root():
    return re.search(r"root: (\S+)", configuration()).group(1)


class Programs(unittest.TestCase):
    def test_know_the_flags_that_the_manifests_give(self):
        for name in ("cache", "csi"):
            program, *arguments = command_line(containers(load("daemonset.yaml"))[name])
            text = help_of(os.path.basename(program))
            for argument in arguments:
                self.assertRegex(text, rf"{argument.split('=')[0]}\b")

    def test_are_in_the_image(self):
        dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
        found = containers(load("daemonset.yaml"))
        probe = found["cache"]["livenessProbe"]["exec"]["command"][0]
        for program in (command_line(found["cache"])[0], command_line(found["csi"])[0], probe):
            self.assertTrue(program.startswith("/usr/bin/"))
            self.assertIn("/src/build/release/bin/" + os.path.basename(program), dockerfile)

    def test_have_one_driver_name(self):
        name = load("csidriver.yaml")["metadata"]["name"]
        self.assertEqual(default_of("weighhouse-csi", "--driver-name"), name)
        self.assertIn(f"--driver-name={name}", command_line(containers(load("daemonset.yaml"))["csi"]))


class Configuration(unittest.TestCase):
    def test_shows_every_key_there_is(self):
        output = subprocess.run([f"{BIN}/weighhouse", "config", "keys", "--output", "json"], stdout=subprocess.PIPE,
                                check=True).stdout
        known = [key["name"] for key in json.loads(output)["keys"]]
        self.assertGreater(len(known), 5)
        shown, group = [], []
        for line in configuration(uncommented=True).splitlines():
            match = re.match(r"( *)(\w+):(.*)", line)
            if match:
                group = [*group[: len(match.group(1)) // 2], match.group(2)]
                shown += [".".join(group)] if match.group(3) else []
        self.assertEqual(sorted(shown), sorted(known))

    def test_shows_values_that_are_allowed(self):
        for text in (configuration(), configuration(uncommented=True)):
            checked = subprocess.run([f"{BIN}/weighhouse", "config", "check", "/dev/stdin"], input=text, text=True,
                                     capture_output=True, check=False)
            self.assertEqual(checked.returncode, 0, checked.stderr)


class Metrics(unittest.TestCase):
    def test_are_scraped_where_they_are_served(self):
        listen = re.search(r'listen: ":(\d+)"', configuration()).group(1)
        template = load("daemonset.yaml")["spec"]["template"]
        self.assertEqual(template["metadata"]["annotations"]["prometheus.io/port"], listen)
        found = {port["name"]: port["containerPort"] for item in containers(load("daemonset.yaml")).values()
                 for port in item.get("ports", [])}
        self.assertEqual(found["admin"], int(listen))
        self.assertEqual(len(set(found.values())), len(found), "two containers of a pod share its ports")


class Sidecars(unittest.TestCase):
    def setUp(self):
        self.found = {item["image"]: item for item in containers(load("daemonset.yaml")).values()
                      if item["image"] != "weighhouse"}

    def test_know_their_flags(self):
        self.assertEqual(set(self.found), set(sidecars.FLAGS))
        for image, container in self.found.items():
            for argument in command_line(container):
                self.assertIn(argument.split("=")[0], sidecars.FLAGS[image], image)

    def test_find_the_plugin_by_its_socket(self):
        for container in self.found.values():
            self.assertIn("--csi-address=/csi/csi.sock", command_line(container))
            self.assertEqual(mounts(container)["plugin"], "/csi")

    def test_the_provisioner_is_told_its_node_its_pod_and_where_its_objects_go(self):
        provisioner = containers(load("daemonset.yaml"))["csi-provisioner"]
        fields = {item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"] for item in provisioner["env"]}
        self.assertEqual(fields, {"NODE_NAME": "spec.nodeName", "NAMESPACE": "metadata.namespace",
                                  "POD_NAME": "metadata.name"})
        self.assertEqual(set(environment(provisioner)), set(fields))

    def test_capacity_is_published_and_asked_for(self):
        arguments = command_line(containers(load("daemonset.yaml"))["csi-provisioner"])
        self.assertIn("--enable-capacity", arguments)
        self.assertTrue(load("csidriver.yaml")["spec"]["storageCapacity"])

    def test_the_probe_is_served_where_kubelet_asks(self):
        found = containers(load("daemonset.yaml"))
        ports = {item["name"]: item["containerPort"] for item in found["csi"]["ports"]}
        self.assertIn(f"--http-endpoint=:{ports['healthz']}", command_line(found["livenessprobe"]))


def classes_and_volumes():
    """(file, kind, parameters) of each class and each volume of ours in the examples."""
    paths = [*STORAGE_CLASS.glob("*.yaml"), *DAEMONSET.glob("example-*.yaml")]
    for path in sorted(paths):
        for item in documents(path):
            if item["kind"] == "StorageClass":
                yield path.name, "StorageClass", item
            for volume in item.get("spec", {}).get("volumes", []):
                if "csi" in volume:
                    yield path.name, "inline", volume["csi"]
            if item["kind"] == "PersistentVolume":
                yield path.name, "PersistentVolume", item["spec"]["csi"]


class Examples(unittest.TestCase):
    def test_of_volumes_have_parameters_that_there_are(self):
        seen = set()
        for name, kind, item in classes_and_volumes():
            of_class = kind == "StorageClass"
            parameters = {key: value for key, value in item["parameters" if of_class else "volumeAttributes"].items()
                          if not key.startswith("csi.storage.k8s.io/")}
            self.assertLessEqual(set(parameters), CLASS_PARAMETERS if of_class else VOLUME_PARAMETERS, name)
            self.assertIn("model", parameters, name)
            self.assertIn(parameters.get("layout", "files"), ("files", "hub"))
            self.assertIn(parameters.get("access", "readOnly"), ("readOnly", "scratch"))
            self.assertIn(parameters.get("placement", "node"), ("node", "any"))
            self.assertIn(parameters.get("cachedOnly", "true"), ("true", "false"))
            seen |= {kind}
        self.assertEqual(seen, {"StorageClass", "inline", "PersistentVolume"})

    def test_of_classes_wait_for_their_first_pod(self):
        for name, kind, item in classes_and_volumes():
            if kind == "StorageClass":
                self.assertEqual(item["provisioner"], load("csidriver.yaml")["metadata"]["name"], name)
                self.assertEqual(item["volumeBindingMode"], "WaitForFirstConsumer", name)
                self.assertFalse(item["allowVolumeExpansion"], name)

    def test_of_claims_name_a_class_that_an_example_has(self):
        found = [item for path in STORAGE_CLASS.glob("*.yaml") for item in documents(path)]
        classes = {item["metadata"]["name"] for item in found if item["kind"] == "StorageClass"}
        wanted = set(re.findall(r'"storageClassName": "([^"]+)"', json.dumps(found)))
        self.assertEqual(wanted - classes, set())
        self.assertGreater(len(wanted), 4)

    def test_of_new_nodes_capacity_is_none_that_a_provisioner_deletes_and_none_of_a_cached_class(self):
        found = [item for path in STORAGE_CLASS.glob("*.yaml") for item in documents(path)]
        capacity = find(found, "CSIStorageCapacity")
        self.assertNotIn("csi.storage.k8s.io/managed-by", capacity["metadata"].get("labels", {}))
        self.assertEqual(capacity["nodeTopology"]["matchLabels"],
                         {"cluster-autoscaler.kubernetes.io/template-node": "true"})
        parameters = find(found, "StorageClass", capacity["storageClassName"])["parameters"]
        self.assertNotIn("cachedOnly", parameters)

    def test_of_secrets_are_those_of_the_claims_own_namespace(self):
        found = {name: item["parameters"].get("csi.storage.k8s.io/node-publish-secret-namespace")
                 for name, kind, item in classes_and_volumes()
                 if kind == "StorageClass" and "csi.storage.k8s.io/node-publish-secret-name" in item["parameters"]}
        self.assertIn("private.yaml", found)
        self.assertEqual(set(found.values()), {"${pvc.namespace}"}, found)


class Overlays(unittest.TestCase):
    def test_of_the_example_have_every_component(self):
        components = {path.name for path in (DEPLOY / "components").iterdir()}
        used = {path.rsplit("/", 1)[1] for path in load("../overlays/example/kustomization.yaml")["components"]}
        for name in list(used):
            inner = load(f"../components/{name}/kustomization.yaml").get("components", [])
            used |= {path.rsplit("/", 1)[1] for path in inner}
        self.assertEqual(used, components)

    def test_of_the_example_keep_a_configuration_that_the_daemon_takes(self):
        built = kustomize(DEPLOY / "overlays/example")
        text = find(built, "ConfigMap", "weighhouse-config")["data"]["config.yaml"]
        checked = subprocess.run([f"{BIN}/weighhouse", "config", "check", "/dev/stdin"], input=text, text=True,
                                 capture_output=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        daemonset = find(built, "DaemonSet")
        self.assertIn("nvidia.com/gpu.present", daemonset["spec"]["template"]["spec"]["nodeSelector"])
        self.assertEqual(containers(daemonset)["csi"]["image"], "registry.example.com/weighhouse:0.1.0")

    def test_of_the_network_select_the_pods_and_let_metrics_through(self):
        policy = find(kustomize(DEPLOY / "overlays/example"), "NetworkPolicy")
        template = load("daemonset.yaml")["spec"]["template"]
        self.assertLessEqual(policy["spec"]["podSelector"]["matchLabels"].items(),
                             template["metadata"]["labels"].items())
        ports = {port["name"] for item in template["spec"]["containers"] for port in item.get("ports", [])}
        self.assertIn(policy["spec"]["ingress"][0]["ports"][0]["port"], ports)


class Rights(unittest.TestCase):
    def setUp(self):
        self.daemonset = load("daemonset.yaml")
        self.containers = containers(self.daemonset)

    def test_only_pods_get_what_the_plugin_mounts(self):
        shared = {(name, mount["name"]) for name, item in self.containers.items()
                  for mount in item.get("volumeMounts", []) if mount.get("mountPropagation") == "Bidirectional"}
        self.assertEqual(shared, {("csi", "pods")})

    def test_only_the_plugin_is_privileged(self):
        privileged = [name for name, item in self.containers.items() if item["securityContext"].get("privileged")]
        self.assertEqual(privileged, ["csi"])

    def test_only_the_provisioner_gets_a_token(self):
        spec = self.daemonset["spec"]["template"]["spec"]
        self.assertFalse(spec["automountServiceAccountToken"])
        account = find(documents(DAEMONSET / "rbac.yaml"), "ServiceAccount")
        self.assertFalse(account["automountServiceAccountToken"])
        self.assertEqual(account["metadata"]["name"], spec["serviceAccountName"])
        tokens = [item["name"] for item in spec["volumes"] if "serviceAccountToken" in json.dumps(item)]
        mounted = {name for name, item in self.containers.items() if set(mounts(item)) & set(tokens)}
        self.assertEqual(mounted, {"csi-provisioner"})
        self.assertEqual(mounts(self.containers["csi-provisioner"])[tokens[0]],
                         "/var/run/secrets/kubernetes.io/serviceaccount")

    def verbs(self, kind):
        rules = [rule for item in documents(DAEMONSET / "rbac.yaml") if item["kind"] == kind for rule in item["rules"]]
        found = {}
        for rule in rules:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found.setdefault((group, resource), set()).update(rule["verbs"])
        return found

    def test_are_those_that_the_provisioner_uses(self):
        self.assertEqual(self.verbs("ClusterRole"), sidecars.PROVISIONER_VERBS)
        self.assertEqual(self.verbs("Role"), sidecars.PROVISIONER_NAMESPACED_VERBS)
        for item in documents(DAEMONSET / "rbac.yaml"):
            if item["kind"].endswith("Binding"):
                self.assertEqual(item["subjects"], [{"kind": "ServiceAccount", "name": "weighhouse-node",
                                                     "namespace": "weighhouse-system"}])

    def test_on_secrets_are_in_one_namespace_and_only_by_the_component(self):
        self.assertNotIn("secrets", json.dumps([documents(path) for path in DAEMONSET.glob("*.yaml")]).replace(
            "/run/secrets/", ""))
        added = documents(DEPLOY / "components/provisioner-secrets/provisioner-secrets.yaml")
        self.assertEqual({item["kind"] for item in added}, {"Namespace", "Role", "RoleBinding"})
        role = find(added, "Role")
        self.assertEqual(role["rules"], [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}])
        self.assertEqual(role["metadata"]["namespace"], "weighhouse-secrets")

    def policy(self, resource):
        """The spec of the policy about the provisioner's requests for `resource`."""
        found = documents(DEPLOY / "components/admission-policy/admission-policy.yaml")
        specs = {item["metadata"]["name"]: item["spec"] for item in found if item["kind"].endswith("Policy")}
        chosen = [(name, spec) for name, spec in specs.items()
                  if spec["matchConstraints"]["resourceRules"][0]["resources"] == [resource]]
        self.assertEqual(len(chosen), 1)
        name, spec = chosen[0]
        bindings = [item["spec"] for item in found if item["kind"].endswith("Binding")]
        self.assertIn({"policyName": name, "validationActions": ["Deny", "Audit"]}, bindings)
        self.assertEqual(spec["failurePolicy"], "Fail")
        account = find(documents(DAEMONSET / "rbac.yaml"), "ServiceAccount")["metadata"]
        user = f"system:serviceaccount:{account['namespace']}:{account['name']}"
        self.assertEqual([item["expression"] for item in spec["matchConditions"]],
                         [f'request.userInfo.username == "{user}"'])
        # Every verb that writes is looked at.
        verbs = self.verbs("ClusterRole")["", resource] - {"list", "watch"}
        operations = {{"patch": "UPDATE"}.get(verb, verb.upper()) for verb in verbs}
        self.assertLessEqual(operations, set(spec["matchConstraints"]["resourceRules"][0]["operations"]))
        return spec

    def test_on_volumes_and_claims_are_by_policies_that_look_at_every_change(self):
        for resource in ("persistentvolumes", "persistentvolumeclaims"):
            self.assertTrue(self.policy(resource)["validations"])

    def test_the_cache_container_has_none(self):
        context = self.containers["cache"]["securityContext"]
        user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
        self.assertEqual((context["runAsUser"], context["runAsGroup"]), tuple(map(int, user.groups())))
        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertTrue(context["runAsNonRoot"] and context["readOnlyRootFilesystem"])
        self.assertFalse(context["allowPrivilegeEscalation"])

    def test_the_profile_allows_nothing_by_default(self):
        profile = json.loads((DAEMONSET / "seccomp/weighhouse-cached.json").read_text(encoding="utf-8"))
        self.assertEqual(profile["defaultAction"], "SCMP_ACT_ERRNO")
        allowed = {name for rule in profile["syscalls"] for name in rule["names"]}
        self.assertLess({"io_uring_setup", "io_uring_enter", "io_uring_register"}, allowed)
        refused = {"mount", "umount2", "open_tree", "move_mount", "unshare", "setns", "ptrace", "bpf", "keyctl",
                   "pivot_root", "init_module", "process_vm_writev", "userfaultfd", "perf_event_open", "reboot"}
        self.assertEqual(allowed & refused, set())


if __name__ == "__main__":
    unittest.main()
