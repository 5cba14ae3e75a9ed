#!/usr/bin/python3
"""The init container and the cache container do their work with the rights that the manifest gives them.

They run in runc with the manifest's user, capabilities and seccomp profile. Needs root. WEIGHHOUSE_BIN: the programs.
"""

import json
import os
import pathlib
import tempfile
import threading
import unittest

import bundle
from manifests import DAEMONSET, command_line, configuration, containers, load

BIN = os.environ["WEIGHHOUSE_BIN"]
SECONDS = 60
UID = 64100


def profile(without=()):
    """The shipped seccomp profile, some calls taken out."""
    settings = json.loads((DAEMONSET / "seccomp/weighhouse-cached.json").read_text(encoding="utf-8"))
    for rule in settings["syscalls"]:
        rule["names"] = [name for name in rule["names"] if not name.startswith(tuple(without) or "\0")]
    settings["syscalls"] = [rule for rule in settings["syscalls"] if rule["names"]]
    return settings


class Node(unittest.TestCase):
    """The directories of a node, and its image."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="weighhouse-deploy.")
        self.addCleanup(temporary.cleanup)
        self.directory = pathlib.Path(temporary.name)
        os.chmod(self.directory, 0o755)
        self.containers = containers(load("daemonset.yaml"))
        self.volumes = {name: self.directory / name for name in ("cache", "run", "seccomp", "config")}
        for path in self.volumes.values():
            path.mkdir()
        self.bundles = 0

    def run_container(self, name, arguments, volumes, seccomp):
        self.bundles += 1
        directory = self.directory / f"bundle-{self.bundles}"
        directory.mkdir()
        base = bundle.image(directory, BIN)
        chosen = {volume: self.volumes[volume] for volume in volumes}
        settings = bundle.configuration(self.containers[name], arguments, base, chosen, seccomp)
        process = bundle.start(directory, settings)
        self.addCleanup(process.stdout.close)
        watchdog = threading.Timer(SECONDS, process.terminate)
        watchdog.daemon = True
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        return process

    def prepare(self):
        arguments = command_line(self.containers["prepare"])
        process = self.run_container("prepare", arguments, ("cache", "run", "seccomp"), None)
        output = process.communicate(timeout=SECONDS)[0]
        self.assertEqual(process.returncode, 0, output)

    def probe(self, seccomp):
        """What the liveness probe says of a daemon that serves: it runs with the rights of the cache container."""
        program, *flags = self.containers["cache"]["livenessProbe"]["exec"]["command"]
        arguments = ["/programs/" + os.path.basename(program), *flags]
        process = self.run_container("cache", arguments, ("run",), seccomp)
        output = process.communicate(timeout=SECONDS)[0]
        return output, process.returncode

    def serve(self, text, seccomp, while_serving=lambda: None):
        """Starts the daemon with the configuration `text`; returns its output until it serves, and its exit code."""
        (self.volumes["config"] / "config.yaml").write_text(text, encoding="utf-8")
        program, *flags = command_line(self.containers["cache"])
        arguments = ["/programs/" + os.path.basename(program), *flags]
        process = self.run_container("cache", arguments, ("cache", "run", "config"), seccomp)
        output = ""
        for line in process.stdout:
            output += line
            if " serves " in line:
                while_serving()
                break
        process.terminate()
        process.stdout.read()
        return output, process.wait(SECONDS)


class InitContainer(Node):
    def test_prepares_a_new_node_and_one_that_is_prepared(self):
        for _ in range(2):
            self.prepare()
            for name in ("cache", "run"):
                status = self.volumes[name].stat()
                self.assertEqual((status.st_uid, status.st_gid), (UID, UID))
            installed = self.volumes["seccomp"] / "profiles/weighhouse-cached.json"
            self.assertEqual(json.loads(installed.read_text(encoding="utf-8")), profile())


class CacheContainer(Node):
    def test_serves_with_io_uring_under_its_profile(self):
        self.prepare()
        output, code = self.serve(configuration(), profile())
        self.assertIn("write engine io_uring", output)
        self.assertEqual(code, 0, output)
        owners = {path.stat().st_uid for path in self.volumes["cache"].rglob("*")}
        self.assertEqual(owners, {UID})

    def test_is_alive_by_its_probe_while_it_serves_and_not_without(self):
        self.prepare()
        said = []
        self.serve(configuration(), profile(), lambda: said.append(self.probe(profile())))
        self.assertEqual([code for _, code in said], [0], said)
        self.assertNotEqual(self.probe(profile())[1], 0)

    def test_serves_without_io_uring_and_says_why(self):
        self.prepare()
        output, code = self.serve(configuration(), profile(without=["io_uring_"]))
        self.assertIn("write engine pwrite (not io_uring: ", output)
        self.assertEqual(code, 0, output)

    def test_takes_every_setting_that_the_manifest_shows(self):
        self.prepare()
        output, code = self.serve(configuration(uncommented=True), profile())
        self.assertIn(" serves ", output)
        self.assertEqual(code, 0, output)


if __name__ == "__main__":
    unittest.main()
