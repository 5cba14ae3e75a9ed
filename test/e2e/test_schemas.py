"""Every command's --output json, from a real daemon, is what docs/schemas says: no field more, none less."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.workspace import PROJECT

OTHERS = {"doctor"}
"""What has a test of its own."""
SEVERAL = {"keep", "pulls"}
"""What test_pulls_of_several_and_what_keeps_them sees."""
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted((PROJECT / "docs/schemas").glob("*.json"))
           if path.stem not in OTHERS}
REGISTRY: Registry[Any] = Registry().with_resources(
    [(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()])


def check(name: str, text: str) -> Any:
    """The one object in `text`, which must be what the schema of that name says."""
    assert text.endswith("\n") and text.count("\n") == 1, text
    value = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMAS[name], registry=REGISTRY).validate(value)
    return value


def objects(schema: Any) -> list[Any]:
    """All parts of a schema that describe an object of ours."""
    found = []
    if isinstance(schema, dict):
        found = [schema] if "properties" in schema else []
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            found += objects(part)
    return found


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_strict(name: str) -> None:
    schema = SCHEMAS[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:weighhouse:schema:{name}" and schema["title"]
    for part in objects(schema):
        assert part["additionalProperties"] is False
        optional = set(part["properties"]) - set(part["required"])
        assert optional <= {"configuration", "keep_patch"}, "all but those are always there"


@pytest.fixture(name="daemon")
def _daemon(new_daemon: Callable[..., CacheDaemon]) -> CacheDaemon:
    daemon = new_daemon()
    daemon.keep("hf://acme/other", "hf://acme/absent")
    daemon.start()
    return daemon


def test_every_command_prints_what_its_schema_says(daemon: CacheDaemon, hub: Hub) -> None:
    def run(*arguments: str) -> str:
        return daemon.cli(*arguments, "--output", "json").stdout

    seen = {"holder", "snapshot"}

    def checked(name: str, *arguments: str) -> Any:
        seen.add(name)
        return check(name, run(*arguments))

    pulled = checked("pull", "pull", "hf://acme/tiny")
    assert Path(pulled["tree"]).is_dir() and pulled["bytes_fetched"] == pulled["bytes"]
    with daemon.client() as cache:
        cache.acquire("hf://acme/tiny", lease_id="1" * 64)
    daemon.process.wait_ready(lambda: "kept" in daemon.cli("ls").stdout and "wrong" in daemon.cli("status").stdout)
    listed = checked("ls", "ls", "--sort", "name")["snapshots"]
    assert [each["references"][0].split("@")[0] for each in listed] == ["hf://acme/other", "hf://acme/tiny"]
    assert listed[1]["leases"][0]["target_path"] == "/test/" + "1" * 64
    usage = checked("du", "du")
    assert usage["bytes_own"] + usage["bytes_shared"] + usage["bytes_other"] == usage["bytes_used"]
    assert all(each["bytes_own"] + each["bytes_shared"] >= each["bytes"] for each in usage["snapshots"])

    assert [each["problem"] == "" for each in checked("keep-list", "keep", "--list")["keep"]] == [True, False]
    hub.slow(200_000)
    with daemon.client() as cache:
        cache.call("Prefetch", model=cache.model("hf://acme/slow"))
        daemon.process.wait_ready(lambda: any(each.bytes_per_second for each in cache.call("List").snapshots))
    status = checked("status", "status")
    assert status["fills"][0]["state"] == "filling" and len(status["snapshots"]) == 3
    assert status["info"]["keep"][1]["problem"] and status["info"]["hosts"] and status["info"]["configuration"]["file"]
    assert any("acme/absent" in error["message"] for error in status["info"]["recent_errors"])
    hub.faults()

    assert checked("inspect", "inspect", "hf://acme/sharded")["files"]
    assert len(checked("storageclass", "storageclass", "hf://acme/sharded")["items"]) == 3
    blob = next(path for path in (daemon.root / "blobs").rglob("*") if path.is_file() and path.stat().st_size > 1000)
    assert checked("verify", "verify", "hf://acme/tiny")["bad"] == 0
    blob.chmod(0o644)
    blob.write_bytes(bytes(blob.stat().st_size))
    verified = daemon.cli("verify", "--all", "--rate", "0", "--output", "json", check=False)
    assert verified.returncode == 1 and check("verify", verified.stdout)["findings"][0]["paths"]
    run("pull", "hf://acme/sharded")
    assert checked("evict", "evict", "hf://acme/sharded")["snapshots"] == 1
    assert checked("config-check", "config", "check", str(daemon.config_file))["keys"]
    assert checked("config-keys", "config", "keys")["keys"]
    assert checked("version", "version")["version"]
    for shell in ("bash", "zsh", "fish"):
        assert checked("completion", "completion", shell)["script"]
    assert checked("man", "man")["page"]
    assert checked("model-id", "model-id", "hf://acme/tiny")["id"]
    for arguments, code in {("inspect", "hf://acme/absent"): "UNAUTHENTICATED", ("pull", "nonsense"): "INVALID_ARGUMENT",
                            ("evict", "hf://acme/tiny"): "FAILED_PRECONDITION"}.items():
        failed = daemon.cli(*arguments, "--output", "json", check=False)
        assert failed.returncode in (1, 2)
        assert check("error", failed.stdout)["error"]["code"] == code
        seen.add("error")
    assert seen | SEVERAL == set(SCHEMAS), "every schema was seen"


def test_pulls_of_several_and_what_keeps_them(daemon: CacheDaemon) -> None:
    daemon.config_map.swap(yaml.safe_dump(daemon.settings))  # in lines, as people write it

    def run(*arguments: str, code: int = 0) -> str:
        ran = daemon.cli(*arguments, "--output", "json", check=False)
        assert ran.returncode == code, ran.stderr
        return ran.stdout

    pulled = check("pulls", run("pull", "hf://acme/tiny", "hf://acme/nowhere", "hf://acme/sharded", code=1))["pulls"]
    assert [each["model"] for each in pulled] == ["hf://acme/tiny", "hf://acme/nowhere", "hf://acme/sharded"]
    assert [set(each) >= {"error"} for each in pulled] == [False, True, False]
    assert daemon.cli("pull", "hf://acme/nowhere", "hf://acme/tiny", check=False).stderr.count("hf://acme/nowhere") >= 1

    both = check("pulls", run("pull", "hf://acme/tiny", "hf://acme/sharded", "--keep"))
    one = check("pull", run("pull", "hf://acme/tiny", "--keep", "-q"))
    kept = yaml.safe_load(both["keep_patch"]["data"]["config.yaml"])
    assert kept == {**daemon.settings, "keep": [*daemon.settings["keep"], "hf://acme/tiny", "hf://acme/sharded"]}
    assert "keep_patch" not in check("pulls", run("pull", "hf://acme/tiny", "hf://acme/sharded"))
    patch = check("keep", run("keep", "hf://acme/tiny"))
    assert patch == one["keep_patch"]

    # What it prints is what the daemon then takes.
    daemon.config_map.swap(patch["data"]["config.yaml"])
    daemon.process.wait_ready(lambda: "hf://acme/tiny" in daemon.cli("keep", "--list").stdout)
    assert check("pull", run("pull", "hf://acme/tiny", "--keep"))["keep_patch"] is None
    removed = yaml.safe_load(check("keep", run("keep", "--remove", "hf://acme/tiny"))["data"]["config.yaml"])
    assert removed == daemon.settings


def test_without_a_daemon_too(daemon: CacheDaemon, hub: Hub) -> None:
    root = daemon.directory / "cache"
    daemon.stop()
    local = ("--root", str(root), "--hf-endpoint", hub.url)
    check("pull", daemon.cli("pull", "hf://acme/tiny", *local, "--output", "json").stdout)
    status = check("status", daemon.cli("status", *local, "--output", "json").stdout)
    assert "configuration" not in status["info"]
    check("du", daemon.cli("du", *local, "--output", "json").stdout)
