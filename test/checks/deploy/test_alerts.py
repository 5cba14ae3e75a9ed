#!/usr/bin/python3
"""The alerts are valid, fire when they should, are the same for Prometheus and its operator, and know the metrics."""

import pathlib
import unittest

from manifests import DEPLOY, documents
from metrics_page import problems, promtool

MONITORING = DEPLOY / "components/monitoring"
RULES = MONITORING / "weighhouse.rules.yaml"


class Alerts(unittest.TestCase):
    def setUp(self):
        self.rules = documents(RULES)[0]["groups"][0]["rules"]

    def test_are_rules_of_prometheus(self):
        checked = promtool("check", "rules", RULES)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.assertIn(f"{len(self.rules)} rules found", checked.stdout)

    def test_fire_when_they_should_and_only_then(self):
        files = sorted(pathlib.Path(__file__).parent.glob("*.rules.test.yaml"))
        checked = promtool("test", "rules", *files)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        cases = [case for file in files for test in documents(file)[0]["tests"] for case in test["alert_rule_test"]]
        fires, silent = ({case["alertname"] for case in cases if bool(case.get("exp_alerts")) is expected}
                         for expected in (True, False))
        alerts = {rule["alert"] for rule in self.rules}
        self.assertEqual(fires, alerts)
        self.assertEqual(silent, alerts)

    def test_are_the_same_for_the_operator(self):
        self.assertEqual(documents(MONITORING / "prometheusrule.yaml")[0]["spec"], documents(RULES)[0])

    def test_name_metrics_and_labels_that_there_are(self):
        for rule in self.rules:
            self.assertEqual(problems(rule["expr"], " ".join(rule["annotations"].values())), [], rule["alert"])

    def test_with_wrong_names_would_be_found(self):
        metric = "weighhouse_evictions_total"
        self.assertEqual(problems(f'sum by (node, reason) ({metric}{{reason!="request"}})', "{{ $labels.node }}"), [])
        for wrong, word in ((f"{metric}s", "isn't listed"), (f'{metric}{{cause="space"}}', "no label cause"),
                            (f"sum by (source) ({metric})", "no label source"),
                            (f'{metric}{{reason="spaces"}}', "never spaces"), ("up == 0", "no metric")):
            self.assertIn(word, " ".join(problems(wrong)), wrong)
        self.assertIn("no label le", " ".join(problems(metric, "{{ $labels.le }}")))


if __name__ == "__main__":
    unittest.main()
