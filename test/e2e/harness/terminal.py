"""A program on a terminal of its own: what it draws, as a person would see it."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import Callable, Sequence

_SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    """What a terminal shows. Of ECMA-48 it knows what Weighhouse uses, and refuses the rest."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.alternate = False
        self.cursor_shown = True
        self.painted = False
        """Something was coloured."""
        self.scrolled: list[str] = []
        """The lines that left the main screen at its top."""
        self._clear()
        self._main = (self._lines, 0, 0)
        self._rest = ""

    def _clear(self) -> None:
        self._lines = [[" "] * self.columns for _ in range(self.rows)]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        return ["".join(line).rstrip() for line in self._lines]

    @property
    def text(self) -> str:
        """All that was ever left standing, and what stands now."""
        return "\n".join([*self.scrolled, *self.lines]).rstrip()

    def feed(self, text: str) -> None:
        text = self._rest + text
        self._rest = ""
        position = 0
        while position < len(text):
            if text[position] != "\x1b":
                self._put(text[position])
                position += 1
                continue
            found = _SEQUENCE.match(text, position)
            if found is None:
                assert len(text) - position < 16, f"an unknown sequence: {text[position:position + 16]!r}"
                self._rest = text[position:]  # the end of it comes later
                return
            self._do(found[1], [int(part or 0) for part in found[2].split(";")], found[3])
            position = found.end()

    def _down(self) -> None:
        if self._row + 1 < self.rows:
            self._row += 1
            return
        if not self.alternate:
            self.scrolled.append("".join(self._lines[0]).rstrip())
        self._lines = [*self._lines[1:], [" "] * self.columns]

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self._column = 0
        elif sign == "\n":
            self._down()
        else:
            assert sign.isprintable(), f"a control character was shown: {sign!r}"
            if self._column == self.columns:
                self._column = 0
                self._down()
            self._lines[self._row][self._column] = sign
            self._column += 1

    def _do(self, private: str, numbers: list[int], final: str) -> None:
        if private:
            self._mode(numbers[0], final == "h")
        elif final == "m":
            self.painted = self.painted or any(numbers)
        elif final == "H":
            self._row, self._column = ((numbers + [1, 1])[0] or 1) - 1, ((numbers + [1])[1] if len(numbers) > 1 else 1) - 1
            assert self._row < self.rows, "drawn below the screen"
        elif final == "A":
            assert numbers[0] <= self._row, "drawn above what is left of the screen"
            self._row -= numbers[0] or 1
        elif final == "K":
            assert self._column < self.columns, "erased where a sign waits for the next line"
            self._lines[self._row][self._column:] = [" "] * (self.columns - self._column)
        elif final == "J":
            self._lines[self._row][self._column:] = [" "] * (self.columns - self._column)
            self._lines[self._row + 1:] = [[" "] * self.columns for _ in range(self.rows - self._row - 1)]
        else:
            raise AssertionError(f"an unknown sequence ends with {final}")

    def _mode(self, number: int, on: bool) -> None:
        if number == 25:
            self.cursor_shown = on
        elif number == 1049:
            if on:
                self._main = (self._lines, self._row, self._column)
                self._clear()
            else:
                self._lines, self._row, self._column = self._main
            self.alternate = on
        else:
            raise AssertionError(f"an unknown mode: {number}")


class Terminal:
    """Runs a command on a terminal; ended with the `with`."""

    def __init__(self, command: Sequence[str], columns: int = 80, rows: int = 24,
                 environment: dict[str, str] | None = None) -> None:
        self.screen = Screen(columns, rows)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ours, theirs = os.openpty()
        self._size(columns, rows)
        self.before = termios.tcgetattr(theirs)
        variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        # setsid, and no function between fork and exec: gRPC's threads would leave their locks to it.
        self._program = subprocess.Popen(  # pylint: disable=consider-using-with
            ["setsid", "--ctty", *command], stdin=theirs, stdout=theirs, stderr=theirs,
            env=variables | {"TERM": "xterm-256color"} | (environment or {}))
        self._theirs = theirs  # open, so that what it left of the terminal can be asked

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *unused: object) -> None:
        if self._program.poll() is None:
            self._program.kill()
            self._program.wait(10)
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def pid(self) -> int:
        return self._program.pid

    @property
    def attributes(self) -> list[object]:
        """What stty would show."""
        return termios.tcgetattr(self._theirs)

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """As a person who drags the window: the program is told, and draws all anew."""
        self._read(0)
        self.screen.columns, self.screen.rows = columns, rows
        self.screen._clear()  # pylint: disable=protected-access
        self._size(columns, rows)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def _read(self, timeout: float) -> bool:
        if not select.select([self._ours], [], [], timeout)[0]:
            return False
        self.screen.feed(self._decoder.decode(os.read(self._ours, 65536)))
        return True

    def wait(self, seen: Callable[[Screen], bool], timeout: float = 20) -> None:
        """Reads until the screen shows it."""
        deadline = time.monotonic() + timeout
        while not seen(self.screen):
            left = deadline - time.monotonic()
            if left <= 0 or (not self._read(min(left, 0.1)) and self._program.poll() is not None and not self._read(0)):
                raise AssertionError(f"never seen; the screen is at last:\n{self.screen.text}")

    def end(self, timeout: float = 20) -> int:
        """Reads to the end; the exit status, negative for a signal."""
        deadline = time.monotonic() + timeout
        while self._program.poll() is None:
            assert time.monotonic() < deadline, f"it doesn't end:\n{self.screen.text}"
            self._read(0.05)
        while self._read(0):
            pass
        return self._program.wait()

    def signal(self, number: signal.Signals) -> None:
        self._program.send_signal(number)
