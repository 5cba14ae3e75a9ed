"""The manifests of deploy/daemonset as Python values, with what kustomization.yaml does to them."""

import copy
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
DAEMONSET = ROOT / "deploy/daemonset"


def load(name):
    return yaml.safe_load((DAEMONSET / name).read_text(encoding="utf-8"))


def containers(daemonset):
    """Name → container, the init container among them."""
    spec = daemonset["spec"]["template"]["spec"]
    return {item["name"]: item for item in [*spec["initContainers"], *spec["containers"]]}


def mounts(container):
    """Volume name → path in the container."""
    return {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}


def environment(container):
    return {entry["name"]: entry.get("value", f"<{entry['name']}>") for entry in container.get("env", [])}


def command_line(container):
    """What the container runs, its variables filled in as kubelet does."""
    values = environment(container)
    words = [*container.get("command", []), *container.get("args", [])]
    return [re.sub(r"\$\(([A-Z_]+)\)", lambda match: values[match.group(1)], word) for word in words]


def _step(value, part):
    match = re.fullmatch(r"\[(\w+)=(.+)\]", part)
    if not match:
        return value[part]
    return next(item for item in value if item[match.group(1)] == match.group(2))


def _replace(resource, field, text, options):
    *path, last = re.findall(r"\[[^\]]+\]|[^.]+", field)
    target = resource
    for part in path:
        target = _step(target, part)
    if "delimiter" in options:
        pieces = target[last].split(options["delimiter"])
        pieces[options["index"]] = text
        text = options["delimiter"].join(pieces)
    target[last] = text


def with_paths(paths):
    """The DaemonSet as kustomize makes it when paths.yaml holds `paths` (kubeletRoot, cacheRoot)."""
    daemonset = copy.deepcopy(load("daemonset.yaml"))
    for replacement in load("kustomization.yaml")["replacements"]:
        key = replacement["source"]["fieldPath"].removeprefix("data.")
        for target in replacement["targets"]:
            for field in target["fieldPaths"]:
                _replace(daemonset, field, paths[key], target.get("options", {}))
    return daemonset


def configuration(uncommented=False):
    """The daemon's configuration file; `uncommented` with every default written out."""
    text = load("configmap.yaml")["data"]["config.yaml"]
    return re.sub(r"^(\s*)#(\w+:)", r"\1\2", text, flags=re.MULTILINE) if uncommented else text
