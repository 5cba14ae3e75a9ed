"""What `weighhouse` shows people on a terminal: status, top and pull, wide and narrow, with and without colours."""

from __future__ import annotations

import signal
from typing import Callable, Iterator

import pytest

from harness.daemon import CacheDaemon
from harness.hub import Hub
from harness.terminal import Screen, Terminal
from harness.workspace import binaries

WIDTHS = [40, 80]
COLOURS = [{}, {"NO_COLOR": "1"}, {"NO_COLOR": ""}]
"""Each, and whether there are colours then: an empty NO_COLOR counts as none (no-color.org)."""


@pytest.fixture(name="daemon")
def _daemon(new_daemon: Callable[..., CacheDaemon]) -> CacheDaemon:
    daemon = new_daemon()
    daemon.start()
    return daemon


@pytest.fixture(name="filling")
def _filling(daemon: CacheDaemon, hub: Hub) -> Iterator[CacheDaemon]:
    """With a model that a pod has, and another that comes slowly."""
    with daemon.client() as cache:
        cache.acquire("hf://acme/tiny", lease_id="1" * 64)
        hub.slow(200_000)
        cache.call("Prefetch", model=cache.model("hf://acme/slow"))
        daemon.process.wait_ready(lambda: any(each.bytes_per_second for each in cache.call("List").snapshots))
        yield daemon


def command(daemon: CacheDaemon, *arguments: str) -> list[str]:
    return [str(binaries() / "weighhouse"), "--socket", str(daemon.admin_socket), *arguments]


def assert_fits(screen: Screen, names: list[str]) -> None:
    """The lines that begin so are there, and none of them had to go on in the next."""
    lines = screen.text.split("\n")
    for name in names:
        assert any(line.startswith(name) for line in lines), f"{name!r} is missing in:\n{screen.text}"


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("environment", COLOURS, ids=["colours", "no colours", "empty NO_COLOR"])
def test_status_shows_the_same_in_every_width(filling: CacheDaemon, columns: int, environment: dict[str, str]) -> None:
    with Terminal(command(filling, "status"), columns, 60, environment) as terminal:
        assert terminal.end() == 0
        screen = terminal.screen
    assert_fits(screen, ["version", "space        [", "fills        1", "models       2, 1 complete", "  MODEL",
                         "  hf://acme/slow", "  hf://acme/tiny", "leases       1"])
    assert screen.painted == (not environment.get("NO_COLOR"))
    bar = next(line for line in screen.lines if line.startswith("space"))
    assert len(bar) <= columns and bar.endswith(" %")
    assert ("LAST USED" in screen.text) == (columns == 80), "what isn't needed is left out where there is no room"
    assert not screen.alternate


@pytest.mark.parametrize("columns", WIDTHS)
def test_top_draws_in_place_and_gives_the_terminal_back(filling: CacheDaemon, columns: int) -> None:
    with Terminal(command(filling, "top", "--interval", "0.1"), columns, 40) as terminal:
        terminal.wait(lambda screen: screen.lines[-1] == "every 100 ms; q ends")
        screen = terminal.screen
        assert screen.alternate and not screen.cursor_shown and screen.painted
        assert terminal.attributes != terminal.before, "keys come unseen"
        assert_fits(screen, ["version", "space        [", "fills        1", "  hf://acme/slow"])
        assert screen.scrolled == [], "nothing scrolls away"

        terminal.resize(60, 12)
        terminal.wait(lambda screen: screen.lines[11] == "every 100 ms; q ends")
        assert screen.lines[0].startswith("version")
        terminal.type("q")
        assert terminal.end() == 0
        assert not screen.alternate and screen.cursor_shown
        assert terminal.attributes == terminal.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_top_gives_the_terminal_back_after_a_signal(daemon: CacheDaemon, number: signal.Signals) -> None:
    with Terminal(command(daemon, "top")) as terminal:
        terminal.wait(lambda screen: screen.lines[-1] == "every 2.0 s; q ends")
        if number == signal.SIGINT:
            terminal.type("\x03")  # the terminal makes the signal of it
        else:
            terminal.signal(number)
        assert terminal.end() == 128 + number
        assert not terminal.screen.alternate and terminal.screen.cursor_shown
        assert terminal.attributes == terminal.before


def test_top_goes_on_when_the_daemon_comes_back(daemon: CacheDaemon) -> None:
    with Terminal(command(daemon, "top", "--interval", "0.1")) as terminal:
        terminal.wait(lambda screen: screen.lines[-1] == "every 100 ms; q ends")
        daemon.kill()
        terminal.wait(lambda screen: screen.lines[-1].startswith("weighhouse: "))
        assert terminal.screen.lines[0].startswith("version"), "what was seen last stays"
        daemon.start()
        terminal.wait(lambda screen: screen.lines[-1] == "every 100 ms; q ends")
        terminal.type("Q")
        assert terminal.end() == 0


@pytest.mark.parametrize("columns", WIDTHS)
def test_pull_of_two_shows_a_bar_for_each_and_leaves_the_results(daemon: CacheDaemon, hub: Hub, columns: int) -> None:
    hub.slow(1_000_000)
    models = ["hf://acme/sharded", "hf://acme/slow"]
    with Terminal(command(daemon, "pull", *models), columns, 8) as terminal:
        terminal.wait(lambda screen: sum(" %" in line for line in screen.lines) == 2)
        first, second = terminal.screen.lines[:2]
        assert "acme/sharded" in first and "acme/slow" in second, "in the order of the arguments"
        assert not any(terminal.screen.lines[2:]) and max(len(first), len(second)) < columns, "they are redrawn in place"
        assert terminal.end(60) == 0
        shown = "".join(line.ljust(columns) for line in [*terminal.screen.scrolled, *terminal.screen.lines]).rstrip()
        assert shown.startswith("ready: hf://acme/sharded (") and "ready: hf://acme/slow (" in shown
        assert " %" not in shown, "the bars are gone"


@pytest.mark.parametrize("columns", WIDTHS)
def test_pull_shows_a_bar_and_leaves_the_result(daemon: CacheDaemon, hub: Hub, columns: int) -> None:
    hub.slow(1_000_000)
    with Terminal(command(daemon, "pull", "hf://acme/sharded"), columns) as terminal:
        terminal.wait(lambda screen: " %" in screen.text and "/11." in screen.text)
        assert len(terminal.screen.text.split("\n")) == 1, "it is redrawn in place"
        assert len(terminal.screen.lines[0]) < columns
        if columns == 80:
            terminal.wait(lambda screen: "[=" in screen.text and "MiB/s" in screen.text)
        assert terminal.end(60) == 0
        shown = "".join(line.ljust(columns) for line in terminal.screen.lines).rstrip()
        assert shown.startswith("ready: hf://acme/sharded (") and str(daemon.root) in shown
        assert " %" not in shown, "the bar is gone"
