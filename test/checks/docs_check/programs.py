"""The built programs' commands and flags, by their `--help`, and whether a command line is one that they take."""

from __future__ import annotations

import pathlib
import re
import subprocess
from dataclasses import dataclass, field

NAMES = ("weighhouse", "weighhouse-cached", "weighhouse-csi")

_OPTION = re.compile(r"  (-[\w-]+(?:,-[\w-]+)*)(?: ([A-Z][A-Z_|]+)\b)?")
_POSITIONAL = re.compile(r"  ([A-Z][A-Z|]*)\b")
_SUBCOMMAND = re.compile(r"  ([a-z][\w-]*)\b")


@dataclass
class Command:
    """A program, or a command of one. `flags`: each name → whether a value follows; `required`: how many of the
    arguments may not be missing; `repeated`: whether the last may be given again and again."""

    flags: dict[str, bool] = field(default_factory=dict)
    positionals: list[str] = field(default_factory=list)
    required: int = 0
    repeated: bool = False
    commands: dict[str, "Command"] = field(default_factory=dict)

    def long_flags(self) -> set[str]:
        return {flag for flag in self.flags if flag.startswith("--")}


def parse_help(text: str) -> tuple[Command, list[str]]:
    """What a `--help` says: the flags and arguments, and the names of the commands below."""
    command, below, section = Command(), [], ""
    for line in text.split("\n"):
        if re.match(r"[A-Z]\w*:", line):
            section = line.split(":")[0]
        elif section == "Options" and (option := _OPTION.match(line)):
            command.flags |= {name: option[2] is not None for name in option[1].split(",")}
        elif section == "Positionals" and (positional := _POSITIONAL.match(line)):
            command.positionals.append(positional[1])
            command.required += " REQUIRED" in line
            command.repeated = line[positional.end():].startswith(" TEXT ...")
        elif section == "Subcommands" and (name := _SUBCOMMAND.match(line)):
            below.append(name[1])
    return command, below


def load(directory: pathlib.Path) -> dict[str, Command]:
    """Asks each program below `directory`. FileNotFoundError, with the way out, if one isn't built."""
    found = {}
    for name in NAMES:
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory / name} isn't built: run make build (or name another directory in "
                                    "WEIGHHOUSE_BIN)")
        found[name] = _ask(directory / name, [])
    return found


def _ask(program: pathlib.Path, words: list[str]) -> Command:
    done = subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True, timeout=60)
    command, below = parse_help(done.stdout)
    command.commands = {name: _ask(program, [*words, name]) for name in below}
    return command


def is_command_line(words: list[str]) -> bool:
    """True if the first word is a program of ours."""
    return bool(words) and words[0].rsplit("/", 1)[-1] in NAMES


class _Reading:
    """Reads the words of one command line, from the left."""

    def __init__(self, program: Command) -> None:
        self._path = [program]
        self._given = 0
        self.wrong: str | None = None

    @property
    def command(self) -> Command:
        return self._path[-1]

    def missing(self) -> str | None:
        if self.command.commands and len(self._path) > 1:
            return "lacks a command: one of " + ", ".join(self.command.commands)
        if self._given < self.command.required:
            return f"lacks its {self.command.positionals[self._given]}"
        return None

    def flag(self, word: str) -> bool:
        """Takes a flag; true if its value is the next word."""
        name, equals, _ = word.partition("=")
        for command in reversed(self._path):
            if name in command.flags:
                if equals and not command.flags[name]:
                    self.wrong = f"gives a value to {name}, which takes none"
                return command.flags[name] and not equals
        self.wrong = f"has {name}, which its --help doesn't"
        return False

    def word(self, word: str) -> None:
        if word in self.command.commands:
            self._path.append(self.command.commands[word])
        elif self.command.commands:
            self.wrong = f"has the command {word}, which is none of " + ", ".join(self.command.commands)
        elif self._given == len(self.command.positionals) and not (self._given and self.command.repeated):
            self.wrong = f"has {word}, and its --help no place for it"
        else:
            self._given = min(self._given + 1, len(self.command.positionals))


def fault(programs: dict[str, Command], words: list[str], whole: bool) -> str | None:
    """What is wrong with a command line, or None. `whole`: it is to be run as it stands, so nothing may be missing."""
    reading = _Reading(programs[words[0].rsplit("/", 1)[-1]])
    value_of = ""
    for word in words[1:]:
        if value_of:
            value_of = ""
        elif word.startswith("-") and word != "-":
            value_of = word if reading.flag(word) else ""
        else:
            reading.word(word)
        if reading.wrong:
            return reading.wrong
    if not whole or {"--help", "-h", "--version"}.intersection(words):
        return None
    return f"gives {value_of} no value" if value_of else reading.missing()
