#!/usr/bin/python3
"""The dashboard is one that Grafana takes, shows only metrics that there are, and the ConfigMap carries it."""

import copy
import json
import re
import unittest

from manifests import DEPLOY, find, kustomize
from metrics_page import listed, parse_problems, problems

DASHBOARD = DEPLOY / "components/monitoring/dashboard.json"
WIDTH = 24
# Of Grafana's units those that our metrics need, in base units: what it would scale wrongly isn't among them.
UNITS = {"none", "short", "bytes", "Bps", "s", "ops", "percentunit"}
# What Grafana fills in, as something that PromQL can parse.
FILLED_IN = {"$__rate_interval": "5m", "$__range": "1h", "$node": ".*"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def targets(dashboard):
    """(panel's title, expression, legend) of everything that it asks Prometheus for."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"], target.get("legendFormat", "")


def filled_in(expression):
    for name, value in FILLED_IN.items():
        expression = expression.replace(name, value)
    return expression


def layout_problems(dashboard):
    """Panels that share an id or a title, overlap, or leave the grid."""
    found, cells = [], {}
    for panel in dashboard["panels"]:
        name, place = panel["title"], panel["gridPos"]
        if not (0 <= place["x"] and place["x"] + place["w"] <= WIDTH and place["w"] > 0 and place["h"] > 0):
            found.append(f"{name} leaves the grid")
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])):
            if cells.setdefault(cell, name) != name:
                found.append(f"{name} and {cells[cell]} overlap")
                break
    for key in ("id", "title"):
        values = [panel[key] for panel in dashboard["panels"]]
        found += [f"{key} {value} is there twice" for value in sorted({v for v in values if values.count(v) > 1}, key=str)]
    return found


def panel_problems(panel):
    """What a panel lacks: a word on what it shows, a known unit, and targets of the chosen data source."""
    defaults = panel["fieldConfig"]["defaults"]
    units = [defaults.get("unit"), *(prop["value"] for override in panel["fieldConfig"]["overrides"]
                                     for prop in override["properties"] if prop["id"] == "unit")]
    found = [f"unit {unit}" for unit in units if unit not in UNITS]
    if not panel.get("description", "").endswith("."):
        found.append("no description")
    if not panel.get("targets"):
        found.append("no targets")
    if any(part.get("datasource") != DATASOURCE for part in (panel, *panel.get("targets", []))):
        found.append("another data source")
    references = [target["refId"] for target in panel.get("targets", [])]
    if len(references) != len(set(references)):
        found.append("a refId twice")
    if panel["type"] == "timeseries" and not all(target.get("legendFormat") for target in panel["targets"]):
        found.append("a series without a legend")
    return [f"{panel['title']}: {problem}" for problem in found]


def name_problems(dashboard):
    """Names of metrics and labels that there are not, and expressions that don't keep to the chosen nodes."""
    found = []
    for title, expression, legend in targets(dashboard):
        found += [f"{title}: {problem}" for problem in problems(filled_in(expression), legend)]
        if len(re.findall(r"\bweighhouse_\w+", expression)) != expression.count('{node=~"$node"'):
            found.append(f"{title}: a metric of other nodes than the chosen ones")
    return found


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))

    def test_has_a_place_for_each_panel(self):
        self.assertEqual(layout_problems(self.dashboard), [])
        moved = copy.deepcopy(self.dashboard)
        moved["panels"][2]["gridPos"]["x"] -= 1
        moved["panels"][-1]["gridPos"]["w"] = WIDTH
        moved["panels"][4]["id"] = moved["panels"][5]["id"]
        for problem in ("overlap", "leaves the grid", "is there twice"):
            self.assertIn(problem, " ".join(layout_problems(moved)))

    def test_has_panels_that_say_what_they_show(self):
        panels = [panel for panel in self.dashboard["panels"] if panel["type"] != "row"]
        self.assertGreater(len(panels), 30)
        self.assertEqual([problem for panel in panels for problem in panel_problems(panel)], [])
        bad = copy.deepcopy(panels[0])
        bad["fieldConfig"]["defaults"]["unit"] = "kilobytes"
        bad["targets"][0]["datasource"]["uid"] = "PBFA97CFB590B2093"
        self.assertEqual(len(panel_problems(bad)), 2)

    def test_lets_one_choose_the_data_source_and_the_nodes(self):
        variables = {variable["name"]: variable for variable in self.dashboard["templating"]["list"]}
        self.assertEqual(list(variables), ["datasource", "node"])
        self.assertEqual((variables["datasource"]["type"], variables["datasource"]["query"]), ("datasource", "prometheus"))
        node = variables["node"]
        self.assertEqual((node["type"], node["datasource"]), ("query", DATASOURCE))
        # `.*` takes series without the label too: of a Prometheus that doesn't make it.
        self.assertEqual((node["includeAll"], node["multi"], node["allValue"]), (True, True, ".*"))
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", node["query"]["query"]).groups()
        self.assertIn(metric, listed())
        self.assertEqual(label, "node")
        self.assertEqual(self.dashboard["uid"], "weighhouse")

    def test_asks_what_prometheus_can_parse(self):
        expressions = [filled_in(expression) for _, expression, _ in targets(self.dashboard)]
        self.assertNotIn("$", " ".join(expressions))
        self.assertEqual(parse_problems(expressions), "")
        self.assertIn("parse error", parse_problems([*expressions, "sum(rate(weighhouse_blobs[5m])"]))

    def test_names_metrics_and_labels_that_there_are(self):
        self.assertEqual(name_problems(self.dashboard), [])
        for right, wrong in (("weighhouse_leases{", "weighhouse_lease{"), ("by (code)", "by (codes)"),
                             ('state="complete"', 'state="whole"'), ('{node=~"$node"}', ""), ("{{result}}", "{{results}}")):
            planted = DASHBOARD.read_text(encoding="utf-8")
            escaped = right.replace('"', '\\"')
            self.assertIn(escaped, planted)
            self.assertTrue(name_problems(json.loads(planted.replace(escaped, wrong.replace('"', '\\"')))), wrong)

    def test_shows_every_metric_that_there_is(self):
        shown = {name for _, expression, _ in targets(self.dashboard) for name in re.findall(r"\bweighhouse_\w+", expression)}
        # Of a histogram the buckets say it; the rest are parts of what is shown, or dates that only `status` needs.
        left_out = {name for name in listed() if name.endswith(("_seconds_sum", "_seconds_count"))} | {
            "weighhouse_configuration_applied_timestamp_seconds", "weighhouse_filesystem_size_bytes",
            "weighhouse_ingests_given_up_bytes_total", "weighhouse_quarantined_blobs", "weighhouse_scrub_daily_bytes",
            "weighhouse_verified_blobs_total"}
        self.assertEqual(set(listed()) - shown, left_out)

    def test_is_in_a_config_map_that_grafana_finds(self):
        built = kustomize(DEPLOY / "overlays/example")
        found = find(built, "ConfigMap", "weighhouse-dashboard")
        self.assertEqual(found["metadata"]["labels"]["grafana_dashboard"], "1")
        self.assertEqual(found["metadata"]["namespace"], "weighhouse-system")
        self.assertEqual(found["data"], {"weighhouse.json": DASHBOARD.read_text(encoding="utf-8")})
        # `kubectl apply` writes all of it into an annotation, and those have 256 KiB together.
        self.assertLess(len(json.dumps(found)), 200_000)


if __name__ == "__main__":
    unittest.main()
