"""Who may read what, and how the Hub says no (facts 1.4, 1.5)."""

from __future__ import annotations

import threading
import time

from messages import Request, Response
from repository import Repository

INVALID_CREDENTIALS = "Invalid credentials in Authorization header"


def error(status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> Response:
    """An error as the Hub sends it: headers for programs, JSON for people."""
    found = {"X-Error-Message": message, **(headers or {})}
    if code:
        found["X-Error-Code"] = code
    return Response.json({"error": message}, status, found)


class Tokens:
    """The tokens that are valid."""

    def __init__(self, valid: list[str]) -> None:
        self._valid = valid

    def replace(self, valid: list[str]) -> None:
        """From now on these and no others are valid: the rest is revoked."""
        self._valid = [str(token) for token in valid]

    def judge(self, request: Request) -> str:
        """none, ok or bad."""
        header = request.header("Authorization")
        if not header:
            return "none"
        return "ok" if self._token(request) in self._valid else "bad"

    def check(self, request: Request, repository: Repository | None, bytes_wanted: bool) -> Response | None:
        """The refusal, or None if the repository may be read. A repository that does not exist and one that may
        not be seen are told apart by nobody. A gated one shows its listing to all and its bytes to the granted."""
        state = self.judge(request)
        if state == "bad":
            return error(401, INVALID_CREDENTIALS)
        granted = repository is not None and state == "ok" and self._granted(request, repository)
        if repository is None or (repository.settings.private and not granted):
            if state == "none":
                return error(401, "Invalid username or password.")
            return error(404, "Repository not found", "RepoNotFound")
        if repository.settings.disabled:
            return error(403, "Access to this resource is disabled.")
        if repository.settings.gated and bytes_wanted and not granted:
            return _gated(repository.name, state == "none")
        return None

    def _granted(self, request: Request, repository: Repository) -> bool:
        granted = repository.settings.granted
        return granted is None or self._token(request) in granted

    @staticmethod
    def _token(request: Request) -> str:
        scheme, _, token = request.header("Authorization").partition(" ")
        return token if scheme.lower() == "bearer" else ""


def _gated(name: str, anonymous: bool) -> Response:
    if anonymous:
        message = f"Access to model {name} is restricted: log in and accept its conditions on its page."
        return error(401, message, "GatedRepo")
    message = f"Access to model {name} is restricted and this account is not on its list: ask on its page."
    return error(403, message, "GatedRepo")


class Quota:
    """One rate class: a fixed window of so many seconds with so many requests (facts 1.1). Thread-safe."""

    def __init__(self, name: str, quota: int, window: int) -> None:
        self._name = name
        self._quota = quota
        self._window = window
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._used = 0

    def take(self) -> tuple[bool, dict[str, str]]:
        """Whether one more request fits, and the headers that say what is left."""
        with self._lock:
            now = time.monotonic()
            if now - self._started >= self._window:
                self._started, self._used = now, 0
            fits = self._used < self._quota
            self._used += fits
            left, seconds = self._quota - self._used, int(self._started + self._window - now) + 1
        return fits, {
            "RateLimit": f'"{self._name}";r={left};t={seconds}',
            "RateLimit-Policy": f'"fixed window";"{self._name}";q={self._quota};w={self._window}',
        }
