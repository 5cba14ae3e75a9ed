"""The manifests of deploy/ as Python values, as they stand and as kustomize makes them."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
DAEMONSET = DEPLOY / "daemonset"
STORAGE_CLASS = DEPLOY / "storageclass"
KUBECTL = ROOT / "build/venv/bin/kubectl"

# The parameters of a volume, in a pod's `volumeAttributes` as in a StorageClass, and those that only a class has.
VOLUME_PARAMETERS = {"model", "revision", "allowPatterns", "ignorePatterns", "layout", "access", "scratchSize"}
CLASS_PARAMETERS = VOLUME_PARAMETERS | {"cachedOnly", "placement"}


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def load(name):
    return yaml.safe_load((DAEMONSET / name).read_text(encoding="utf-8"))


def kustomize(directory):
    """What `kubectl apply -k` would send, without a cluster. A failed build is an AssertionError with kubectl's words."""
    command = [KUBECTL, "kustomize", str(directory)]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise AssertionError(f"kubectl kustomize {directory}: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def kustomize_with(files):
    """The same of a copy of deploy/ in which `files` (path below it → text) were written: of deploy/new."""
    with tempfile.TemporaryDirectory(prefix="weighhouse-deploy.") as temporary:
        copied = pathlib.Path(temporary) / "deploy"
        shutil.copytree(DEPLOY, copied)
        for name, text in files.items():
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            (copied / name).write_text(text, encoding="utf-8")
        return kustomize(copied / "new")


def find(found, kind, name=None):
    """The one object of this kind, and name, in a list."""
    chosen = [item for item in found if item["kind"] == kind and name in (None, item["metadata"]["name"])]
    if len(chosen) != 1:
        raise AssertionError(f"{len(chosen)} objects {kind} {name or ''}")
    return chosen[0]


def with_paths(paths):
    """The DaemonSet where paths.yaml holds `paths` (kubeletRoot, cacheRoot)."""
    changed = load("paths.yaml")
    changed["data"].update(paths)
    new = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../daemonset]\n"
    return find(kustomize_with({"daemonset/paths.yaml": yaml.safe_dump(changed), "new/kustomization.yaml": new}),
                "DaemonSet")


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


def configuration(uncommented=False):
    """The daemon's configuration file; `uncommented` with every default written out."""
    text = load("configmap.yaml")["data"]["config.yaml"]
    return re.sub(r"^(\s*)#(\w+:)", r"\1\2", text, flags=re.MULTILINE) if uncommented else text
