"""What `weighhouse completion` and `weighhouse man` print, read by those whom it is for: a bash, and groff."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.workspace import binaries

COMPLETE = """
set -eu
source "$1"
shift
[ "$(complete -p weighhouse)" = "complete -F _weighhouse weighhouse" ]
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_weighhouse
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""What bash does at a Tab: the words so far, the last of them begun."""


def printed(*arguments: str) -> str:
    return subprocess.run([binaries() / "weighhouse", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(name="script", scope="module")
def _script(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("completion") / "weighhouse.bash"
    file.write_text(printed("completion", "bash"))
    return str(file)


def complete(script: str, *words: str, cwd: Path = Path("/")) -> set[str]:
    ran = subprocess.run(["bash", "--norc", "-c", COMPLETE, "bash", script, "weighhouse", *words], check=False,
                         capture_output=True, text=True, timeout=60, cwd=cwd)
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize("words, offered", [
    (["pu"], {"pull"}),
    (["con"], {"config"}),
    (["config", ""], {"check", "keys"}),
    (["--output", "json", "config", "ch"], {"check"}),
    (["pull", "--lay"], {"--layout"}),
    (["pull", "--layout", ""], {"files", "hub"}),
    (["pull", "hf", ":", "//a/b", "--layout", "=", ""], {"files", "hub"}),
    (["pull", "--layout", "="], {"files", "hub"}),
    (["ls", "--sort", "=", "s"], {"size", "state"}),
    (["--output", ""], {"text", "json"}),
    (["status", "--output", "j"], {"json"}),
    (["--root", "=", "pull", "comp"], {"completion"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
    (["pull", "m"], set()),
    (["pull", "--revision", "ke"], set()),
    (["pull", "--kee"], {"--keep"}),
    (["ls", "--kee"], set()),
    (["config", "check", "--soc"], {"--socket"}),
])
def test_bash_completes(script: str, words: list[str], offered: set[str]) -> None:
    assert complete(script, *words) == offered


def test_bash_offers_all_that_help_lists(script: str) -> None:
    """(program_spec_test compares every flag with the parser's; this is the shell's end of it.)"""
    commands = complete(script, "")
    listed = printed("--help").split("Subcommands:")[1].split("Exit codes:")[0]
    assert commands == {line.split()[0] for line in listed.split("\n") if line.startswith("  ") and line[2] != " "}
    flags = complete(script, "pull", "-")
    assert {"-q", "--quiet", "--token-file", "--socket", "--help"} <= flags and "--sort" not in flags


def test_bash_completes_files_where_a_file_is_meant(script: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "some.yaml").touch()
    assert complete(script, "config", "check", "s", cwd=tmp_path) == {"some.yaml", "sub"}
    assert complete(script, "pull", "a", "--token-file", "s", cwd=tmp_path) == {"some.yaml", "sub"}
    assert complete(script, "ls", "--root", "s", cwd=tmp_path) == {"sub"}


def test_groff_takes_the_manual_page_without_a_warning() -> None:
    page = printed("man")
    ran = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-P-cbou"], input=page, check=True, capture_output=True, text=True,
                         timeout=60)
    assert ran.stderr == ""
    shown = ran.stdout
    assert "weighhouse - the models in this node's cache" in shown
    assert "weighhouse config check FILE" in shown and "--layout files|hub" in shown and "EXIT STATUS" in shown
