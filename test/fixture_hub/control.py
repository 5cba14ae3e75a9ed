"""The tests' own calls: /_fixture/*."""

from __future__ import annotations

import json

from access import Tokens
from faults import BadRule, FaultRules
from messages import Request, Response
from records import Records
from repository import Catalog


class Control:
    """Reads and steers the fixture."""

    def __init__(self, catalog: Catalog, rules: FaultRules, records: Records, tokens: Tokens) -> None:
        self._catalog = catalog
        self._tokens = tokens
        self._rules = rules
        self._records = records

    def answer(self, request: Request) -> Response:
        """Any request below /_fixture/."""
        call = (request.method, request.path.removeprefix("/_fixture/"))
        if call == ("GET", "stats"):
            return Response.json({**self._records.counters(), "commit": self._catalog.heads()})
        if call == ("GET", "log"):
            return Response.json(self._records.log())
        if call == ("POST", "faults"):
            return self._set_faults(request.body)
        if call == ("DELETE", "faults"):
            self._rules.replace([])
        elif call == ("POST", "tokens"):
            self._tokens.replace(json.loads(request.body))
        elif call == ("POST", "reset"):
            self._records.reset()
        elif call == ("POST", "rescan"):
            self._catalog.scan()
        else:
            return Response.json({"error": f"no control call {call[0]} {request.path}"}, 404)
        return Response.json({})

    def _set_faults(self, body: bytes) -> Response:
        try:
            self._rules.replace(json.loads(body))
        except (BadRule, ValueError, TypeError, KeyError) as problem:
            return Response.json({"error": f"faults: {problem}"}, 400)
        return Response.json({})
