"""The commands of a shell block, word by word: enough of a shell for what documentation shows."""

from __future__ import annotations

import re
import shlex
from typing import Iterator

LANGUAGES = ("sh",)
_BETWEEN = {"|", "||", "&&", ";", "&", "|&", "(", ")"}
_ASSIGNMENT = re.compile(r"\w+=")


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def _without_comment(line: str) -> str:
    quote = ""
    for position, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and (position == 0 or line[position - 1].isspace()):
            return line[:position]
    return line


def commands(text: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """(line, words) of each command, of the pipes' parts too; a continued or quoted line break is none."""
    pending, begin = "", first_line
    for number, line in enumerate(text.split("\n"), first_line):
        begin = begin if pending else number
        pending += line if pending.count("'") % 2 else _without_comment(line)
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        try:
            words = _words(pending)
        except ValueError:  # a quotation that goes on
            pending += "\n"
            continue
        pending = ""
        yield from ((begin, command) for command in _split(words))


def _split(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    skip = False
    for word in words:
        if word in _BETWEEN:
            yield from _stripped(command)
            command = []
        elif skip or word in ("<", ">", ">>", "<<", ">&"):
            skip = not skip
        else:
            command.append(word)
    yield from _stripped(command)


def _stripped(command: list[str]) -> Iterator[list[str]]:
    """Without what stands before a program's name: variables and sudo. `kubectl exec … -- PROGRAM` is two commands."""
    if "exec" in command and "--" in command:
        yield command[:command.index("--")]
        command = command[command.index("--") + 1:]
    while command and (_ASSIGNMENT.match(command[0]) or command[0] in ("sudo", "exec", "$")):
        command = command[1:]
    if command:
        yield command
