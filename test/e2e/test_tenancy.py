"""The tenancy table: presence is not permission. One test a cell; `make tenancy` prints what was found."""

from __future__ import annotations

import itertools
from typing import Iterator

import pytest

from tenancy.table import AWAY, CACHE, CHECK, COLUMNS, EXPECTED, expected, render
from tenancy.world import OTHERS, OWNER, REVOKED, SECOND, WRONG, Outcome, World, slug

TOKENS = {
    "right token, brought it": OWNER,
    "right token, new here": SECOND,
    "right token, other namespace": OWNER,
    "wrong token": WRONG,
    "token of another model": OTHERS,
    "revoked token, noticed": REVOKED,
    "revoked token, not yet noticed": REVOKED,
}

FOUND: dict[tuple[str, str], str] = {}


@pytest.fixture(scope="module", name="world")
def _world() -> Iterator[World]:
    world = World()
    yield world
    world.close()
    print(f"\n\nWho is served, or the code; in brackets the requests to the source, and the bytes that it sent\n\n"
          f"{render(FOUND)}\n")


def attack(world: World, row: str, column: str, model: str) -> Outcome:
    """A tenant's own repository or manifest that looks like the private model, or is a copy of it. The model's owner may be
    away, the attacker is not."""
    name = slug(row, column)
    if row.startswith("own origin lists"):
        world.lie(f"lookalike/{name}", model, row.rpartition(" ")[2])
    world.end_arranging(column, model)
    if "away" in column:
        assert world.publish(model, SECOND).call.code.name == AWAY, "the owner's repository is there"
    if row.endswith("same bytes"):
        return world.publish(f"copy/{name}", OTHERS)
    weights = (world.models / model / "model.safetensors").read_bytes()
    assert world.has_blob(weights) == (column not in ("cold", "after eviction")), "nothing is at stake here"
    if row.startswith("own manifest"):
        return world.publish_manifest(name)
    return world.publish(f"lookalike/{name}", OTHERS)


def act(world: World, row: str, column: str) -> Outcome:
    """Brings the cell about; what its tenant's publish came to."""
    model = f"owner/{slug(row, column)}"
    public = row.startswith("public")
    world.begin()
    world.arrange(column, model, "" if public else REVOKED if row.startswith("revoked") else OWNER)
    if row.startswith("own "):
        return attack(world, row, column, model)
    if row.startswith("revoked"):
        world.hub.tokens(OWNER, SECOND, OTHERS)
    if row == "revoked token, noticed":
        # A branch is for the source to say each time.
        assert world.publish(model, REVOKED, revision="main").call.code.name == "UNAUTHENTICATED"
    world.end_arranging(column)
    return world.publish(model, TOKENS.get(row, ""), "team-b" if row.endswith("other namespace") else "team-a")


@pytest.mark.parametrize(("row", "column"), list(itertools.product(EXPECTED, COLUMNS)))
def test_cell(world: World, row: str, column: str) -> None:
    outcome = act(world, row, column)
    FOUND[row, column] = outcome.text()
    wanted = expected(row, column)
    assert outcome.verdict() == wanted, outcome
    if wanted == CACHE:
        assert (outcome.requests, outcome.fetched) == (0, 0)
    if wanted == CHECK:
        assert (outcome.requests, outcome.fetched) == (1, 0)
    assert outcome.mounted == outcome.call.ok


def test_every_cell_is_expected() -> None:
    assert all(len(cells) == len(COLUMNS) for cells in EXPECTED.values())
