#!/usr/bin/python3
"""The alerts are valid, fire when they should, are the same for Prometheus and its operator, and know the metrics."""

import pathlib
import re
import subprocess
import unittest

from manifests import DEPLOY, ROOT, documents

MONITORING = DEPLOY / "components/monitoring"
RULES = MONITORING / "weighhouse.rules.yaml"


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


class Alerts(unittest.TestCase):
    def setUp(self):
        self.rules = documents(RULES)[0]["groups"][0]["rules"]

    def test_are_rules_of_prometheus(self):
        checked = promtool("check", "rules", RULES)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.assertIn(f"{len(self.rules)} rules found", checked.stdout)

    def test_fire_when_they_should_and_only_then(self):
        tests = pathlib.Path(__file__).with_name("weighhouse.rules.test.yaml")
        checked = promtool("test", "rules", tests)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        tried = re.findall(r"alertname: (\w+)", tests.read_text(encoding="utf-8"))
        self.assertEqual(set(tried), {rule["alert"] for rule in self.rules})

    def test_are_the_same_for_the_operator(self):
        self.assertEqual(documents(MONITORING / "prometheusrule.yaml")[0]["spec"], documents(RULES)[0])

    def test_name_metrics_that_there_are(self):
        page = (ROOT / "cache-daemon/metrics/README.md").read_text(encoding="utf-8")
        for rule in self.rules:
            names = re.findall(r"weighhouse_\w+", rule["expr"])
            self.assertTrue(names, rule["alert"])
            for name in names:
                self.assertIn(f"`{name}`", page)


if __name__ == "__main__":
    unittest.main()
