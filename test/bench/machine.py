"""The machine: programs run and measured, its ceilings, its memory, where things lie."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from arithmetic import Ceiling, Run

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = PROJECT / "build/release/bin"
RUN_LIMIT_SECONDS = 300


class RunFailed(RuntimeError):
    """A program failed or took too long; the message ends with what it said."""


@dataclass(frozen=True)
class Command:
    """What to run, and where its output goes if it matters."""

    arguments: Sequence[str]
    environment: dict[str, str] | None = None
    namespace: str = ""
    """A network namespace; empty: the one we are in."""

    def words(self) -> list[str]:
        inside = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        return [*inside, *self.arguments]


def run_measured(command: Command, bytes_expected: int, scratch: Path) -> tuple[Run, str]:
    """Runs it under bench-run; what it took, and its stdout. RunFailed if it fails or takes too long."""
    result = scratch / "run.json"
    output, errors = scratch / "stdout", scratch / "stderr"
    words = command.words()
    # bench-run stands inside the namespace, so that it is not `ip` that is measured.
    inside = len(words) - len(command.arguments)
    words = [*words[:inside], str(PROGRAMS / "bench-run"), str(result), *words[inside:]]
    with output.open("wb") as out, errors.open("wb") as err:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                                 env=os.environ | (command.environment or {}))
        try:
            status = child.wait(RUN_LIMIT_SECONDS)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise RunFailed(f"{command.arguments[0]} took more than {RUN_LIMIT_SECONDS} s") from error
    if status != 0:
        said = (errors.read_text(errors="replace") + output.read_text(errors="replace"))[-2000:]
        raise RunFailed(f"{' '.join(words)[:500]}: status {status}: {said}")
    took = json.loads(result.read_text())
    run = Run(bytes_expected, took["wall_s"], took["user_s"], took["system_s"], took["max_rss_kib"], 0)
    return run, output.read_text(errors="replace")


def measure_ceiling(*arguments: str | int | Path) -> Ceiling:
    """Runs bench-ceilings."""
    words = [str(PROGRAMS / "bench-ceilings"), *map(str, arguments)]
    found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, timeout=RUN_LIMIT_SECONDS).stdout)
    return Ceiling(found["bytes"], found["seconds"], found["cpu_seconds"])


def level_memory(size: int) -> None:
    """Touches and frees so much memory, whatever the tool: its first touch would punish who writes by the cache."""
    measure_ceiling("touch", size)


def clear(directory: Path) -> None:
    """Removes what a run left, and waits until the disk has nothing of it to do any more."""
    shutil.rmtree(directory, ignore_errors=True)
    os.sync()


def cpu_seconds(pids: Sequence[int]) -> float:
    """What these processes, which have one thread each, have computed so far."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def peak_rss_kib(pid: int) -> int:
    """The largest resident set that a running process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def core_count() -> int:
    return len(os.sched_getaffinity(0))


def description() -> str:
    """The machine in a line, for the table's head."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown CPU")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return f"{core_count()} cores of {model}, {memory:.0f} GiB, Linux {os.uname().release.partition('-')[0]}"


def wait_until(what: str, ready: object, seconds: float = 20) -> None:
    """Polls a callable until it is true."""
    assert callable(ready)
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RunFailed(f"{what} is not ready after {seconds} s")
        time.sleep(0.02)
