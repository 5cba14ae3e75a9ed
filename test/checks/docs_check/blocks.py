"""The examples: YAML that Kubernetes or the daemon would take, JSON that parses, commands that the programs take."""

from __future__ import annotations

import concurrent.futures
import functools
import json
import pathlib
import re
import subprocess
import sys
from typing import Any, Iterator

import yaml

import plugin
import programs
import shell
from names import nearest
from pages import Block, Finding, Page
from sources import Sources

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "deploy"))
import schemas  # noqa: E402
from manifests import KUBECTL, ROOT, kustomize_with  # noqa: E402

DRIVER = "csi.weighhouse.dev"
_FOREIGN = ("csi.storage.k8s.io/", "storage.kubernetes.io/")
# Not an object by itself, but a piece of an overlay's kustomization.yaml: built upon deploy/daemonset.
_OVERLAY = {"patches", "components"}
# What a block may be. `text` is what somebody or some program says, and is checked by nobody.
_KNOWN = {"sh", "yaml", "json", "text", "python"}
_UNKNOWN = re.compile(r"unknown (shorthand )?(flag|command)|flag needs an argument|invalid argument")
_FILLED_IN = {"<hex>": "0" * 64}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in `value`, the outer ones first."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def _given(item: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """(where, keys) of all that an object says to our driver."""
    if item.get("kind") == "StorageClass" and item.get("provisioner") == DRIVER:
        yield "parameters", set(item.get("parameters", {}))
    for node in _nodes(item):
        if node.get("driver") == DRIVER:
            yield "volumeAttributes", set(node.get("volumeAttributes", {}))


def _parameter_faults(item: dict[str, Any], sources: Sources) -> Iterator[str]:
    for where, keys in _given(item):
        known = sources.parameters() | (sources.class_parameters() if where == "parameters" else set())
        for key in sorted(keys - known):
            if not key.startswith(_FOREIGN):
                yield f"{where} has `{key}`, which is no parameter there{nearest(key, known)}"


def _object_faults(item: dict[str, Any]) -> Iterator[str]:
    for version in schemas.VERSIONS:
        try:
            schemas.check(item, version)
        except ValueError as error:
            yield str(error)


def configuration_fault(program: pathlib.Path, text: str) -> str | None:
    """What `weighhouse config check` says of a configuration, or None."""
    for placeholder, value in _FILLED_IN.items():
        text = text.replace(placeholder, value)
    done = subprocess.run([program, "config", "check", "/dev/stdin"], input=text, capture_output=True, text=True,
                          check=False, timeout=60)
    return None if done.returncode == 0 else done.stderr.strip()


@functools.cache
def overlay_fault(text: str) -> str | None:
    """What kustomize says of a piece of an overlay, which stands two directories below deploy/, or Kubernetes of what it
    makes; or None."""
    item = json.loads(text)
    whole = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["../daemonset"], **item}
    whole["components"] = [path.replace("../../", "../", 1) for path in item.get("components", [])]
    try:
        for made in kustomize_with({"new/kustomization.yaml": yaml.safe_dump(whole)}):
            schemas.check(made, schemas.VERSIONS[-1])
    except (AssertionError, ValueError) as error:
        return " ".join(str(error).split())
    return None


def _document_faults(item: Any, block: Block, sources: Sources, program: pathlib.Path) -> Iterator[str]:
    groups = {key.split(".")[0] for key in sources.config_keys()} | {"overrides"}
    if not isinstance(item, dict):
        yield "it is no mapping, so nothing says what it is for: show the whole object, or mark the block `text`"
    elif "apiVersion" in item and "kind" in item:
        yield from _object_faults(item)
        yield from _parameter_faults(item, sources)
    elif set(item) <= groups:
        if fault := configuration_fault(program, block.text):
            yield fault
    elif set(item) <= _OVERLAY:
        if fault := overlay_fault(json.dumps(item)):
            yield fault
    else:
        yield (f"its keys {', '.join(map(str, item))} are neither an object's of Kubernetes nor the configuration's"
               f"{nearest(str(next(iter(item), '')), groups)}")


def yaml_blocks(pages: dict[str, Page], sources: Sources, program: pathlib.Path) -> Iterator[Finding]:
    for page in pages.values():
        for block in page.blocks:
            if block.language != "yaml":
                continue
            try:
                documents = [item for item in yaml.safe_load_all(block.text) if item is not None]
            except yaml.YAMLError as error:
                yield Finding(page.name, block.line, f"the YAML doesn't parse: {' '.join(str(error).split())}")
                continue
            for item in documents:
                for fault in _document_faults(item, block, sources, program):
                    yield Finding(page.name, block.line, f"the YAML: {fault}")


def languages(pages: dict[str, Page]) -> Iterator[Finding]:
    """Blocks of which nobody knows how to check them."""
    for page in pages.values():
        for block in page.blocks:
            if block.language not in _KNOWN:
                yield Finding(page.name, block.line - 1, f"the block is {block.language or 'of no language'}: say behind its "
                              f"fence what it is, one of {', '.join(sorted(_KNOWN))}")


def json_blocks(pages: dict[str, Page]) -> Iterator[Finding]:
    for page in pages.values():
        for block in page.blocks:
            if block.language == "json":
                try:
                    json.loads(block.text)
                except json.JSONDecodeError as error:
                    yield Finding(page.name, block.line + error.lineno - 1, f"the JSON doesn't parse: {error.msg}")


@functools.cache
def kubectl_fault(words: tuple[str, ...]) -> str | None:
    """What kubectl says of a command that it doesn't know, or None. It is asked without a cluster: nothing listens there."""
    nowhere = ["--server=http://127.0.0.1:1", "--kubeconfig=/dev/null", "--request-timeout=1s"]
    done = subprocess.run([KUBECTL, *words[1:], *nowhere], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False, timeout=60, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    said = next((line for line in done.stderr.split("\n") if _UNKNOWN.search(line)), None)
    return said.removeprefix("error: ") if said else None


def kubectl_lines(pages: dict[str, Page]) -> Iterator[Finding]:
    shown = {tuple(words): (page.name, line) for page in pages.values() for line, words, whole in _lines(page)
             if whole and words[0] == "kubectl" and not plugin.is_line(words)}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        faults = pool.map(kubectl_fault, shown)
    for (words, (name, line)), fault in zip(shown.items(), faults):
        if fault:
            yield Finding(name, line, f"`{' '.join(words)}`: {fault}: see kubectl {words[1]} --help")


def _lines(page: Page) -> Iterator[tuple[int, list[str], bool]]:
    """(line, words, whether it stands in a block) of all that a page shows of commands."""
    for block in page.blocks:
        if block.language in shell.LANGUAGES:
            yield from ((line, words, True) for line, words in shell.commands(block.text, block.line))
    for span in page.spans:
        for _, words in shell.commands(span.text, span.line):
            yield span.line, words, False


def command_lines(pages: dict[str, Page], known: dict[str, programs.Command], targets: set[str]) -> Iterator[Finding]:
    """Commands of ours in blocks are whole; those in the text may be parts, but of something that there is."""
    for page in pages.values():
        if page.name == "CHANGELOG.md":  # it names what was
            continue
        for line, words, whole in _lines(page):
            if programs.is_command_line(words):
                if fault := programs.fault(known, words, whole):
                    yield Finding(page.name, line, f"`{' '.join(words)}` {fault}: see {words[0]} --help")
            elif plugin.is_line(words):
                if fault := plugin.fault(known, words, whole):
                    yield Finding(page.name, line, f"`{' '.join(words)}` {fault}: see kubectl weighhouse --help")
            elif words[0] == "make":
                for word in words[1:]:
                    if re.fullmatch(r"[a-z][\w-]*", word) and word not in targets:
                        yield Finding(page.name, line, f"`make {word}`: the Makefile has no such target"
                                      f"{nearest(word, targets)}")
