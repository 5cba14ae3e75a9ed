#!/usr/bin/python3
"""The manifests agree with the programs and with themselves. WEIGHHOUSE_BIN: the directory of the programs."""

import json
import os
import re
import subprocess
import unittest

from manifests import DAEMONSET, ROOT, command_line, configuration, containers, load, mounts, with_paths

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
        self.assertEqual(with_paths(defaults), load("daemonset.yaml"))
        moved = with_paths(ELSEWHERE)
        self.assertNotIn(defaults["kubeletRoot"], json.dumps(moved))
        on_node = {item["name"]: item["hostPath"]["path"] for item in moved["spec"]["template"]["spec"]["volumes"]
                   if "hostPath" in item}
        self.assertEqual(on_node["cache"], ELSEWHERE["cacheRoot"])
        self.assertEqual(on_node["pods"], "/opt/kubelet/pods")
        self.assertEqual(on_node["seccomp"], "/opt/kubelet/seccomp")
        plugin = mounts(containers(moved)["csi"])
        self.assertEqual((plugin["pods"], plugin["plugin"]), (on_node["pods"], on_node["plugin"]))

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

    def test_nobody_gets_a_token(self):
        self.assertFalse(self.daemonset["spec"]["template"]["spec"]["automountServiceAccountToken"])
        self.assertFalse(load("rbac.yaml")["automountServiceAccountToken"])
        self.assertNotIn("serviceAccountToken", json.dumps(self.daemonset))

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
