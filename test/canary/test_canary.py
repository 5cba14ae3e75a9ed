"""The search for secrets finds what it should: each test plants one."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Callable
from urllib.parse import quote_from_bytes

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from harness.canary import Report, Reports, canary, search, watch  # noqa: E402

SECRET = canary("planted").encode()


def search_in(directory: Path) -> Report:
    report = Report()
    search(directory, report)
    return report


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda secret: secret,
    "in a line": lambda secret: b"Authorization: Bearer " + secret + b"\n",
    "in base64": lambda secret: base64.b64encode(b"user:" + secret),
    "in base64, one byte on": lambda secret: base64.b64encode(b"user1:" + secret),
    "in base64, two bytes on": lambda secret: base64.b64encode(b"user12:" + secret),
    "in hex": lambda secret: secret.hex().encode(),
    "percent-encoded": lambda secret: "".join(f"%{byte:02X}" for byte in secret).encode(),
    "quoted": lambda secret: quote_from_bytes(secret).encode(),
    "over the border of two reads": lambda secret: b"." * ((1 << 20) - 10) + secret,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_planted_secret_is_found(tmp_path: Path, form: str) -> None:
    place = tmp_path / "node1/cache/snapshots/record.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"before " + FORMS[form](SECRET) + b" behind")
    assert search_in(tmp_path).found == [str(place)]


def test_a_secret_in_a_name_is_found(tmp_path: Path) -> None:
    (tmp_path / f"token {SECRET.decode()}").mkdir()
    assert len(search_in(tmp_path).found) == 1


def test_a_secret_in_a_large_file_is_found(tmp_path: Path) -> None:
    """Such as the image of a disk, whose holes cost nothing."""
    with (tmp_path / "disk.img").open("wb") as image:
        image.seek(100 << 30)
        image.write(SECRET)
    assert len(search_in(tmp_path).found) == 1


def test_only_where_an_admin_would_write_it_a_configuration_may_have_a_secret(tmp_path: Path) -> None:
    for place in ("daemon1/config/..version1/config.yaml", "daemon1/cache/config.yaml", "daemon1/config.yaml"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(SECRET)
    found = [str(tmp_path / place) for place in ("daemon1/cache/config.yaml", "daemon1/config.yaml")]
    assert sorted(search_in(tmp_path).found) == found


def test_what_is_watched_is_found(tmp_path: Path) -> None:
    (tmp_path / "cached.log").write_text("the key: " + watch("MIIEvQIBADANBgkqhkiG9w0B"))
    assert len(search_in(tmp_path).found) == 1


def test_what_is_clean_is_counted(tmp_path: Path) -> None:
    (tmp_path / "csi.log").write_text("nothing")
    (tmp_path / ".fixture.json").write_bytes(SECRET)
    assert search_in(tmp_path) == Report(files=1, bytes=7)


def suite(step: str, directory: Path) -> subprocess.CompletedProcess[str]:
    program = Path(__file__).parents[1] / "e2e/canary_suite.py"
    return subprocess.run([sys.executable, "-B", str(program), step, str(directory)], check=False, capture_output=True,
                          text=True, timeout=30)


def test_a_suite_is_clean_only_if_each_run_said_so(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "reports")
    assert suite("begin", tmp_path / "reports").returncode == 0
    assert suite("check", tmp_path / "reports").returncode == 1, "nothing ran"
    reports.begin("one")
    reports.end("one", Report(files=3, bytes=70))
    assert suite("check", tmp_path / "reports").returncode == 0
    reports.begin("two")
    died = suite("check", tmp_path / "reports")
    assert died.returncode == 1 and "two" in died.stderr
    reports.end("two", Report(files=1, bytes=1, found=["csi.log"]))
    found = suite("check", tmp_path / "reports")
    assert found.returncode == 1 and "csi.log" in found.stderr
    assert suite("begin", tmp_path / "reports").returncode == 0
    assert list((tmp_path / "reports").iterdir()) == []
