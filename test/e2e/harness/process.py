"""A child process with its log in a file."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Callable, Sequence


class ProcessDied(RuntimeError):
    """A program ended that should run; the message holds the end of its log."""


class Process:
    """Starts at once; `log` gets stdout and stderr, appended over restarts."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: dict[str, str] | None = None,
                 stdin: int = subprocess.DEVNULL, stdout: int | None = None) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(  # pylint: disable=consider-using-with
                list(command), stdin=stdin, stdout=stdout if stdout is not None else output, stderr=output,
                env=os.environ | (environment or {}))

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def stdout(self) -> IO[bytes]:
        assert self._child.stdout is not None
        return self._child.stdout

    def running(self) -> bool:
        return self._child.poll() is None

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_ready(self, ready: Callable[[], bool], timeout: float = 20) -> None:
        """Polls `ready` until it is true; ProcessDied if the program ends first."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running():
                raise ProcessDied(f"{self.name} ended with {self._child.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} is not ready after {timeout} s:\n{self.log_tail()}")
            time.sleep(0.01)

    def wait(self, timeout: float = 30) -> int:
        """The exit status; negative for a signal."""
        return self._child.wait(timeout)

    def kill(self) -> None:
        """SIGKILL, and gone when it returns."""
        self._child.kill()
        self._child.wait(30)

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM and the exit status; closes its stdin too."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        if self.running():
            self._child.send_signal(signal.SIGTERM)
        return self._child.wait(timeout)


_TRIES = 5


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def start_on_free_port(name: str, log: Path, command: Callable[[int], Sequence[str]],
                       ready: Callable[[int], bool]) -> tuple[Process, int]:
    """Starts `command(port)`, of a server that doesn't take port 0: another may take the one that was free."""
    for attempt in range(_TRIES):
        port = _free_port()
        process = Process(name, command(port), log)
        try:
            process.wait_ready(lambda: ready(port), 30)
            return process, port
        except ProcessDied:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def answers(url: str) -> bool:
    """Whether anything answers there, with whatever status and certificate."""
    anybody = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())  # pylint: disable=protected-access
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({}), anybody).open(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
