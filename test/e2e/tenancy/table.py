"""The tenancy table: every tenant in every state of the cache, and what must come of its publish.

All ask for one commit of a private model, each cell for a model of its own. A cell says who serves:

    source      everything is fetched, with the tenant's own credentials
    check       it is here; the source is asked, by one request, whether the tenant may have it
    cache       it is here, and nobody is asked
    refused     by the source, with that code
    away        UNAVAILABLE: the source can't be asked, and what it said before is no leave
    no use      DATA_LOSS: what came from the tenant's own origin isn't what it claims to be

A tenant's own origin is there when the model's source is away: the tenant sees to that.
"""

from __future__ import annotations

COLUMNS = {
    "cold": "nobody had it here",
    "cached": "its owner had it here",
    "source away": "cached, and the source answers nobody",
    "after restart": "cached, and the daemon was started again",
    "restart, away": "cached, the daemon was started again, and the source answers nobody",
    "after eviction": "cached, and evicted",
}

SOURCE, CHECK, CACHE, AWAY, NO_USE = "source", "check", "cache", "UNAVAILABLE", "DATA_LOSS"
UNKNOWN, HIDDEN = "UNAUTHENTICATED", "NOT_FOUND"

# In the order of COLUMNS.
EXPECTED = {
    "right token, brought it": (SOURCE, CACHE, CACHE, CACHE, CACHE, SOURCE),
    "right token, new here": (SOURCE, CHECK, AWAY, CHECK, AWAY, SOURCE),
    "right token, other namespace": (SOURCE, CACHE, CACHE, CACHE, CACHE, SOURCE),
    "wrong token": (UNKNOWN, UNKNOWN, AWAY, UNKNOWN, AWAY, UNKNOWN),
    "token of another model": (HIDDEN, HIDDEN, AWAY, HIDDEN, AWAY, HIDDEN),
    "revoked token, noticed": (UNKNOWN, UNKNOWN, AWAY, UNKNOWN, AWAY, UNKNOWN),
    "revoked token, not yet noticed": (UNKNOWN, CACHE, CACHE, CACHE, CACHE, UNKNOWN),
    "no token": (UNKNOWN, UNKNOWN, AWAY, UNKNOWN, AWAY, UNKNOWN),
    "public model, no token": (SOURCE, CACHE, CACHE, CACHE, CACHE, SOURCE),
    "own origin lists its sha256": (NO_USE, NO_USE, NO_USE, NO_USE, NO_USE, NO_USE),
    "own origin lists its git-sha1": (NO_USE, NO_USE, NO_USE, NO_USE, NO_USE, NO_USE),
    "own manifest lists its sha256": (NO_USE, NO_USE, NO_USE, NO_USE, NO_USE, NO_USE),
    "own origin has the same bytes": (SOURCE, SOURCE, SOURCE, SOURCE, SOURCE, SOURCE),
}


def expected(row: str, column: str) -> str:
    """What must come of it."""
    return EXPECTED[row][list(COLUMNS).index(column)]


def render(found: dict[tuple[str, str], str]) -> str:
    """The table with what was found in its cells, as text in columns."""
    lines = [["", *COLUMNS]]
    lines += [[row, *(found.get((row, column), "-") for column in COLUMNS)] for row in EXPECTED]
    widths = [max(len(line[number]) for line in lines) for number in range(len(COLUMNS) + 1)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:]])
