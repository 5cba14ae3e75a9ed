"""The Helm chart as Python values: what Helm itself (its SDK, in the package helm-python-sdk) makes of it, without a cluster."""

import copy

import helm_python
import yaml
from manifests import DEPLOY

CHART = DEPLOY / "helm/weighhouse"
# What the chart adds to every object.
HELM_LABELS = {"helm.sh/chart", "app.kubernetes.io/managed-by"}
# Values that stand for one thing each, whatever is in them.
WHOLE = ("resources", "config")


def chart_values():
    return yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def render(values=None, namespace="default"):
    """The objects that `helm install` would make. Values that can't be are a helm_python.HelmValuesError."""
    with helm_python.Chart.load(CHART) as chart:
        made = chart.render(values or {}, name="weighhouse", namespace=namespace)
    texts = [text for name, text in sorted(made.items()) if not name.endswith(".txt")]
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def notes(values=None, namespace="default"):
    """What Helm says to whom it has installed it for."""
    with helm_python.Chart.load(CHART) as chart:
        return chart.render(values or {}, name="weighhouse", namespace=namespace)["weighhouse/templates/NOTES.txt"]


def lint(values=None):
    """What `helm lint` finds: sentences. That there is no icon is none."""
    report = helm_python.lint(CHART, values, strict=True, kube_version="v1.30.0")
    return report["errors"] + [message["error"] for message in report["messages"] if message["severity"] > 1]


def settings(configuration):
    """What a configuration sets: without sections of which every key is commented out."""
    if not isinstance(configuration, dict):
        return configuration
    found = {key: settings(value) for key, value in configuration.items()}
    return {key: value for key, value in found.items() if value not in (None, {})}


def comparable(objects):
    """(kind, namespace, name) → the object, without Helm's labels, and with what the daemon's configuration sets: the texts
    differ in comments."""
    found = {}
    for item in copy.deepcopy(objects):
        metadata = item["metadata"]
        labels = {key: value for key, value in metadata.pop("labels", {}).items() if key not in HELM_LABELS}
        if labels:
            metadata["labels"] = labels
        if "config.yaml" in item.get("data", {}):
            item["data"]["config.yaml"] = settings(yaml.safe_load(item["data"]["config.yaml"]))
        key = (item["kind"], metadata.get("namespace", ""), metadata["name"])
        if key in found:
            raise AssertionError(f"{key} is there twice")
        found[key] = item
    return found


def leaves(values, prefix=""):
    """Dotted name → default, of each value that one gives as a whole."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in WHOLE:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
