"""`weighhouse doctor` as a person runs it, and a node on which it finds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from email.utils import formatdate
from pathlib import Path
from typing import Sequence

import jsonschema

from harness.scripted import Answer, ScriptedServer, answer
from harness.workspace import PROJECT, binaries, note

SCHEMA = json.loads((PROJECT / "docs/schemas/doctor.json").read_text())
AT_MOST = 45.0  # seconds, whatever hangs: each probe has its own limit
Checks = dict[str, dict[str, str]]
NO_PROXY = {name: "" for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                                  "ALL_PROXY", "NO_PROXY")}


def says(status: str = "200 OK", *headers: str, off_by: float = 0) -> Answer:
    """Answers every request so, with a Date that is off by so many seconds."""
    return lambda connection, _: connection.sendall(
        answer(status, f"Date: {formatdate(time.time() + off_by, usegmt=True)}", *headers))


def source(status: str = "200 OK", *headers: str, off_by: float = 0) -> ScriptedServer:
    return ScriptedServer(says(status, *headers, off_by=off_by))


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """One of its own for 127.0.0.1, and its key."""
    made, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


def run(arguments: Sequence[str], launcher: Sequence[str] = (),
        environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The program in the circumstances that `launcher` makes."""
    ran = subprocess.run([*launcher, str(binaries() / "weighhouse"), "doctor", *arguments], check=False, text=True,
                         capture_output=True, timeout=AT_MOST, env=os.environ | NO_PROXY | (environment or {}))
    note("doctor", ran.stdout + ran.stderr)
    return ran


class Doctor:
    """Runs it with flags that every call has, unless it gives them itself; `wrong` and `expect` judge what it says."""

    def __init__(self, *arguments: object, environment: dict[str, str] | None = None) -> None:
        self._flags = {str(flag): str(value) for flag, value in zip(arguments[::2], arguments[1::2])}
        self._environment = environment or {}

    def checks(self, *more: object, launcher: Sequence[str] = (), environment: dict[str, str] | None = None) -> Checks:
        """What each check says, by name; the output fits its schema and the exit code."""
        own = [str(each) for each in more]
        replaced = [*own, "--source"] if "--offline" in own else own
        common = [text for flag, value in self._flags.items() if flag not in replaced for text in (flag, value)]
        arguments = [*common, *own, "--output", "json"]
        ran = run(arguments, launcher, self._environment | (environment or {}))
        assert ran.stderr == "", ran.stderr
        said = json.loads(ran.stdout)
        jsonschema.Draft202012Validator(SCHEMA).validate(said)
        states = [check["state"] for check in said["checks"]]
        assert said["failures"] == states.count("fail") and said["warnings"] == states.count("warn")
        assert ran.returncode == (1 if said["failures"] else 0)
        named: Checks = {check["name"]: check for check in said["checks"]}
        assert len(named) == len(states), "a check is there twice"
        return named

    def wrong(self, *more: object, **circumstances: object) -> Checks:
        """Those that warn or fail."""
        found = self.checks(*more, **circumstances)  # type: ignore[arg-type]
        return {name: check for name, check in found.items() if check["state"] in ("warn", "fail")}

    def expect(self, name: str, state: str, value: str, remedy: str, *more: object, beside: Sequence[str] = (),
               **circumstances: object) -> None:
        """That check says so, and nothing else is wrong but for what follows from it (`beside`)."""
        found = self.wrong(*more, **circumstances)
        assert name in found, f"{name} is not among {found}"
        check = found[name]
        assert check["state"] == state and value in check["value"] and remedy in check["remedy"], check
        assert set(found) - {name} <= set(beside), found


