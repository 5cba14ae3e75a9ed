"""The status page in a real browser, against the real daemon: what it shows, and what it doesn't."""

from __future__ import annotations

import copy
import json
import urllib.request
from typing import Any, Callable, Iterator

import jsonschema
import pytest

from harness import workspace
from harness.browser import Browser, artifacts
from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.metrics import get, scrape
from harness.models import make_model
from harness.workspace import PROJECT

NewDaemon = Callable[..., CacheDaemon]
SCHEMA = jsonschema.Draft202012Validator(json.loads((PROJECT / "docs/schemas/http/status.json").read_text()))
HOSTILE = "<img src=x onerror=document.title=1>"


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    browser = Browser(workspace.directory() / "browser")
    yield browser
    browser.close()


def status_of(daemon: CacheDaemon) -> dict[str, Any]:
    """The document, which is as its schema says."""
    page = get(daemon, "/api/v1/status")
    assert (page.status, page.content_type) == (200, "application/json")
    status = json.loads(page.text)
    wrong = [f"{error.json_path}: {error.message} {[inner.message for inner in error.context or []]}"
             for error in SCHEMA.iter_errors(status)]
    assert not wrong, wrong
    return status


def shown(size: float) -> str:
    """As the page writes a size."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1023.95:
            break
        size /= 1024
    return f"{int(size)} B" if unit == "B" else f"{size:.1f} {unit}"


def started(new_daemon: NewDaemon, **admin: Any) -> CacheDaemon:
    """A daemon that may fetch local models too."""
    root = workspace.directory() / "local"
    if not root.exists():
        make_model(root, HOSTILE, seed=9)
    daemon = new_daemon(local_roots=(root,))
    daemon.change("admin", **admin)
    daemon.start()
    return daemon


def use(daemon: CacheDaemon, uri: str) -> None:
    """Has a pod with a hostile name mount a model."""
    with daemon.client() as cache:
        holder = cache.messages.Holder(volume_id="volume-1", target_path="/target", pod_namespace="acme-team",
                                       pod_name=HOSTILE, pod_uid="uid-1")
        list(cache.call("Acquire", 60, lease_id="a" * 64, holder=holder, model=cache.model(uri), layout=1))


def open_page(browser: Browser, daemon: CacheDaemon, wanted: str) -> None:
    # The page of the test before may have asked its daemon once more when that was gone.
    browser.open("about:blank")
    browser.complaints()
    browser.open(f"http://{daemon.admin_address()}/")
    browser.until(lambda: wanted in browser.text())


def pictures(browser: Browser, name: str) -> None:
    """Keeps how the page looks; on a phone nothing lies beside the screen."""
    for device, (width, height, scheme) in {"light": (1200, 900, "light"), "dark": (1200, 900, "dark"),
                                            "phone": (360, 740, "light"), "phone-dark": (360, 740, "dark")}.items():
        browser.look(width, height, scheme)
        paper = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(246, 247, 249)", "dark": "rgb(17, 21, 26)"}[scheme]
        assert browser.run("return document.documentElement.scrollWidth") <= width
        browser.screenshot(artifacts() / f"status-page-{name}-{device}.png")
    browser.look(1200, 900, "light")


def test_a_fill_is_seen_to_move_until_the_model_is_complete(browser: Browser, new_daemon: NewDaemon, hub: Hub) -> None:
    daemon = started(new_daemon, details=True)
    use(daemon, f"file://{workspace.directory()}/local/{HOSTILE}")
    hub.slow(1024 * 1024)
    with daemon.client() as cache:
        cache.call("Prefetch", model=cache.model("hf://acme/slow"))
    open_page(browser, daemon, "Being fetched")
    browser.until(lambda: "hf://acme/slow" in browser.text("#fills"))
    status = status_of(daemon)
    assert [fill["state"] for fill in status["fills"]] == ["filling"]
    assert status["fills"][0]["references"] == ["hf://acme/slow"]

    def percent() -> int:
        return int(browser.text(".percent").removesuffix(" %"))

    first = browser.until(lambda: 0 < percent() < 90 and percent())
    assert browser.run("return document.querySelector('#fills progress').position") == pytest.approx(percent() / 100, abs=0.3)
    pictures(browser, "filling")
    browser.until(lambda: first < percent() < 100, 30)
    browser.until(lambda: browser.text("#fills") == "Nothing.", 60)
    assert "complete" in browser.text("#models tbody tr")
    assert browser.complaints() == []


def test_details_are_shown_as_text_and_the_sums_are_the_daemons(browser: Browser, new_daemon: NewDaemon) -> None:
    daemon = started(new_daemon, details=True)
    local = f"file://{workspace.directory()}/local/{HOSTILE}"
    use(daemon, local)
    daemon.cli("pull", "hf://acme/tiny")
    daemon.cli("pull", "hf://acme/other")
    daemon.cli("evict", "hf://acme/other")
    open_page(browser, daemon, "hf://acme/tiny")
    status = status_of(daemon)
    space = json.loads(daemon.cli("status", "--output", "json").stdout)["capacity"]
    unsteady = {"filesystem_free", "available"}  # others write to this disk too
    assert status["capacity"].keys() == space.keys()
    assert {name: size for name, size in status["capacity"].items() if name not in unsteady} == \
        {name: size for name, size in space.items() if name not in unsteady}
    assert browser.text("#space-sum").startswith(f"{shown(space['used'])} of {shown(space['limit'])} used")
    widths = browser.run("return [...document.querySelectorAll('#space-bar rect')].map((one) => one.width.baseVal.value)")
    assert sum(widths) == pytest.approx(1000)
    assert widths[0] == pytest.approx(space["held"] * 1000 / space["limit"], abs=0.01)
    assert sum(status["evicted"]["bytes"]) == scrape(daemon).number("evicted_bytes_total", reason="request") > 0
    assert browser.text("#evicted-sum").startswith(f"1 model, {shown(sum(status['evicted']['bytes']))}")
    assert browser.run("return document.querySelectorAll('#evicted rect:not(.unknown)').length") == 1
    assert local in browser.text("#models") and HOSTILE in browser.text("#leases")
    assert "1 pod has a model mounted" in browser.text("#leases-sum")
    assert browser.run("return [document.title, document.images.length]") == ["Weighhouse", 0]
    pictures(browser, "idle")
    assert browser.complaints() == []


def test_without_details_nothing_is_named(browser: Browser, new_daemon: NewDaemon) -> None:
    daemon = started(new_daemon)
    use(daemon, f"file://{workspace.directory()}/local/{HOSTILE}")
    daemon.cli("pull", "hf://acme/tiny")
    open_page(browser, daemon, "Names of models and pods are not shown")
    listed = json.loads(daemon.cli("ls", "--output", "json").stdout)["snapshots"]
    table = browser.text("#models")
    for snapshot in listed:
        assert snapshot["id"][:12] in table and shown(snapshot["bytes"]) in table
    status_of(daemon)
    for text in (browser.run("return document.documentElement.outerHTML"), get(daemon, "/api/v1/status").text):
        for name in ("acme", "tiny", "local/", "onerror=", "uid-1", "volume-1", *(one["id"] for one in listed)):
            assert name not in text
    assert "1 pod has a model mounted" in browser.text("#leases-sum")
    pictures(browser, "hidden")
    assert browser.complaints() == []


def test_a_daemon_that_starts_stops_or_is_away_is_said_to(browser: Browser, new_daemon: NewDaemon) -> None:
    daemon = started(new_daemon)
    open_page(browser, daemon, "serving")
    head = {name: status_of(daemon)[name] for name in ("format", "version", "now_unix", "details")}
    for phase in ("starting", "stopping"):
        answer = {**head, "phase": phase}
        SCHEMA.validate(answer)
        said = browser.run("onAnswer(arguments[0]); return [document.querySelector('#banner').innerText, "
                           "document.querySelector('#content').hidden]", answer)
        assert said[0].startswith(f"The daemon is {phase}") and said[1]
    browser.until(lambda: browser.text("#phase") == "serving")
    assert browser.text("#banner") == ""
    daemon.kill()
    browser.until(lambda: "The daemon does not answer" in browser.text("#banner"))
    assert browser.text("#phase") == "away" and "Space" in browser.text()
    browser.screenshot(artifacts() / "status-page-away.png")


def test_the_policy_keeps_markup_and_other_origins_out(browser: Browser, new_daemon: NewDaemon) -> None:
    daemon = started(new_daemon)
    open_page(browser, daemon, "serving")
    assert browser.run("try { document.body.innerHTML = '<b>x</b>'; return '' } catch (error) { return error.name }") == "TypeError"
    other = started(new_daemon)
    refused = "return fetch(arguments[0]).then(() => 'read', (error) => error.name)"
    assert browser.run(refused, f"http://{other.admin_address()}/api/v1/status") == "TypeError"
    assert any("Content Security Policy" in said for said in browser.complaints())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(
            f"http://{daemon.admin_address()}/", method="HEAD"), timeout=30) as reply:
        assert reply.read() == b"" and "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]


def test_the_schema_would_find_what_should_not_be_there(new_daemon: NewDaemon) -> None:
    daemon = started(new_daemon)
    daemon.cli("pull", "hf://acme/tiny")
    status = status_of(daemon)
    for path, name in ((("snapshots", 0), "origin"), (("snapshots", 0), "token"), (("integrity",), "damaged"),
                       ((), "root"), (("configuration",), "error")):
        changed = copy.deepcopy(status)
        place: Any = changed
        for step in path:
            place = place[step]
        place[name] = "x"
        assert not SCHEMA.is_valid(changed), (path, name)
    del status["capacity"]["held"]
    assert not SCHEMA.is_valid(status)
