"""The demo's table: one line a step, as it happens."""

from __future__ import annotations

import sys

_GREEN, _RED, _DIM, _BOLD, _PLAIN = ("\033[32m", "\033[31m", "\033[2m", "\033[1m", "\033[0m")


def bytes_text(count: float) -> str:
    """"90.9 MB": decimal, as model pages count."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def seconds_text(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


class Report:
    """Prints; colours only on a terminal."""

    def __init__(self, title: str) -> None:
        self._colours = sys.stdout.isatty()
        self._last_note = ""
        print(f"\n{self._in(_BOLD, 'Weighhouse')}  {title}\n", flush=True)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._colours else text

    def row(self, what: str, figure: str, detail: str) -> None:
        """One step that is done."""
        print(f"  {self._in(_GREEN, '✓')} {what:<25} {figure:>12}   {self._in(_DIM, detail)}", flush=True)

    def note(self, text: str) -> None:
        """Something on the way; once, however often it is said."""
        if text == self._last_note:
            return
        self._last_note = text
        print(f"    {self._in(_DIM, text)}", flush=True)

    def claim(self, true: bool, what: str, figure: str, detail: str) -> None:
        """A step that must be true; ends the demo if it is not."""
        if true:
            self.row(what, figure, detail)
            return
        print(f"  {self._in(_RED, '✗')} {what:<25} {figure:>12}   {detail}", flush=True)
        sys.exit(f"\ndemo: {what}: not as promised")

    def end(self) -> None:
        print(f"\n  {self._in(_GREEN, 'every claim held')}\n", flush=True)
