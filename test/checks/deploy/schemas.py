"""Checks an object against the schema of its kind, strictly: an unknown field is an error.

Kubernetes' own kinds: the schemas of kubernetes-validate, which are those of the release's OpenAPI description. Those of
others: crds.yaml, and for an LLMInference the XRD in deploy/storageclass/llminference.
"""

import copy
import pathlib

import jsonschema
import kubernetes_validate
import yaml
from manifests import STORAGE_CLASS

HERE = pathlib.Path(__file__).parent
OLDEST = "1.30"
VERSIONS = (OLDEST, kubernetes_validate.latest_version())


def strict(schema):
    """The structural schema with every object closed that names its properties, as a server that prunes would have it."""
    closed = copy.deepcopy(schema)
    pending = [closed]
    while pending:
        node = pending.pop()
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            node["additionalProperties"] = False
        pending += node.get("properties", {}).values()
        pending += [node[key] for key in ("items", "additionalProperties") if isinstance(node.get(key), dict)]
    return closed


def custom():
    """(apiVersion, kind) → closed schema."""
    entries = yaml.safe_load((HERE / "crds.yaml").read_text(encoding="utf-8"))
    definition = yaml.safe_load((STORAGE_CLASS / "llminference/definition.yaml").read_text(encoding="utf-8"))
    spec = definition["spec"]
    for version in spec["versions"]:
        entries.append({"apiVersion": f"{spec['group']}/{version['name']}", "kind": spec["names"]["kind"],
                        "schema": version["schema"]["openAPIV3Schema"]})
    found = {}
    for entry in entries:
        schema = copy.deepcopy(entry["schema"])
        schema["properties"].update({"apiVersion": {"type": "string"}, "kind": {"type": "string"},
                                     "metadata": {"type": "object"}})
        schema["required"] = [*schema.get("required", []), "metadata"]
        found[entry["apiVersion"], entry["kind"]] = strict(schema)
    return found


CUSTOM = custom()


def check(item, version):
    """Raises ValueError, with what is wrong and where, if `item` isn't what Kubernetes `version` takes."""
    where = f"{item.get('kind')} {item.get('metadata', {}).get('name')} (Kubernetes {version})"
    try:
        schema = CUSTOM.get((item["apiVersion"], item["kind"]))
        if schema is None:
            kubernetes_validate.validate(item, version, strict=True)
        else:
            jsonschema.Draft202012Validator(schema).validate(item)
    except kubernetes_validate.SchemaNotFoundError as error:
        raise ValueError(f"{where}: {error.message}") from error
    except jsonschema.ValidationError as error:
        path = ".".join(str(part) for part in error.absolute_path)
        raise ValueError(f"{where}: {path}: {error.message}") from error
    if item["kind"] == "Object":
        check(item["spec"]["forProvider"]["manifest"], version)
