"""The Hub side: the model API, the tree API and resolve (facts 1.1, 1.2)."""

from __future__ import annotations

import base64
import gzip
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from access import Quota, Tokens, error
from cdn import Signer
from content import MemoryContent
from control import Control
from faults import Plan
from messages import Request, Response, serve_content
from records import Records
from repository import Catalog, Commit, RepoFile, Repository

_REPO = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES = [
    ("resolve_cache", re.compile(rf"/api/resolve-cache/models/{_REPO}/(?P<rev>[0-9a-f]{{40}})/(?P<path>.+)")),
    ("tree", re.compile(rf"/api/models/{_REPO}/tree/(?P<rev>[^/]+)(/(?P<path>.+))?")),
    ("model", re.compile(rf"/api/models/{_REPO}(/revision/(?P<rev>[^/]+))?")),
    ("refs", re.compile(rf"/api/models/{_REPO}/refs")),
    ("resolve", re.compile(rf"/{_REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)")),
]
_TEXT = {".json": "text/plain", ".txt": "text/plain", ".md": "text/plain", ".py": "text/plain", ".jinja": "text/plain"}
_EXPANDED_PAGE = 50
_DATE = "2026-01-02T03:04:05.000Z"


@dataclass
class Options:
    """What the command line says about the Hub."""

    page_size: int = 1000
    api_quota: int = 1_000_000
    resolve_quota: int = 1_000_000
    quota_window: int = 300


@dataclass(frozen=True)
class Call:
    """One request to one repository, its names decoded."""

    request: Request
    plan: Plan
    repository: Repository
    revision: str
    path: str


class Hub:
    """Answers as huggingface.co does."""

    side = "hub"

    def __init__(self, catalog: Catalog, signer: Signer, tokens: Tokens, records: Records, control: Control,
                 options: Options) -> None:
        self._catalog = catalog
        self._signer = signer
        self._tokens = tokens
        self._records = records
        self._control = control
        self._options = options
        self._quotas = {
            "api": Quota("api", options.api_quota, options.quota_window),
            "resolvers": Quota("resolvers", options.resolve_quota, options.quota_window),
        }
        self.base = ""
        """Scheme, host and port; set once it listens."""

    def is_control(self, request: Request) -> bool:
        """The tests' own calls."""
        return request.path.startswith("/_fixture/")

    def authorization(self, request: Request) -> str:
        """For the log."""
        return self._tokens.judge(request)

    def label(self, request: Request) -> str:
        """The decoded path."""
        return unquote(request.path)

    def answer(self, request: Request, plan: Plan) -> Response:
        """Any request."""
        if self.is_control(request):
            return self._control.answer(request)
        name, match = next(((name, m) for name, route in _ROUTES if (m := route.fullmatch(request.path))), ("", None))
        limits = self._take_quota(name)
        if limits.get("exceeded"):
            return error(429, "Too many requests: the rate limit of this window is used up.", "", limits["headers"])
        response = self._routed(name, match, request, plan) if match else error(404, "Not found")
        response.headers.update(limits["headers"])
        response.headers["X-Request-Id"] = f"Root=1-{uuid.uuid4()}"
        return response

    def _take_quota(self, name: str) -> dict[str, Any]:
        """Counts the request in its class; the second step of a small file is in none."""
        if name == "resolve_cache":
            self._records.count("resolve_cache_calls")
            return {"headers": {}}
        resolving = name == "resolve"
        self._records.count("resolve_calls" if resolving else "api_calls")
        fits, headers = self._quotas["resolvers" if resolving else "api"].take()
        return {"exceeded": not fits, "headers": headers}

    def _routed(self, name: str, match: re.Match[str], request: Request, plan: Plan) -> Response:
        groups = match.groupdict()
        if request.method not in ("GET", "HEAD"):
            return error(405, "Method not allowed")
        repository = self._catalog.get(unquote(groups["repo"]))
        refusal = self._tokens.check(request, repository, name.startswith("resolve"))
        if refusal or repository is None:
            return refusal or error(404, "Repository not found", "RepoNotFound")
        if repository.settings.renamed_to:
            renamed = request.target.replace(groups["repo"], repository.settings.renamed_to, 1)
            return Response.redirect(307, renamed)  # relative: the client keeps its token (facts 1.2)
        revision = unquote(groups.get("rev") or "main")
        call = Call(request, plan, repository, revision, unquote(groups.get("path") or ""))
        if name == "refs":
            return self._refs(call)
        commit = repository.commit(revision)
        if commit is None:
            return error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        answers = {"model": self._model, "tree": self._tree, "resolve": self._resolve,
                   "resolve_cache": self._resolve_cache}
        return answers[name](call, commit)

    def _refs(self, call: Call) -> Response:
        heads = [
            {"name": "main", "ref": "refs/heads/main", "targetCommit": commit.sha}
            for commit in filter(None, [call.repository.head])
        ]
        others = [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": commit.sha}
            for name in call.repository.settings.refs
            if (commit := call.repository.commit(name))
        ]
        return Response.json({"branches": heads, "tags": others, "converts": []})

    def _model(self, call: Call, commit: Commit) -> Response:
        settings, with_blobs = call.repository.settings, call.request.query.get("blobs", "").lower() in ("true", "1")
        return Response.json({
            "_id": call.repository.id,
            "id": call.repository.name,
            "modelId": call.repository.name,
            "author": call.repository.name.partition("/")[0],
            "sha": commit.sha,
            "private": settings.private,
            "gated": "manual" if settings.gated is True else settings.gated,
            "disabled": settings.disabled,
            "createdAt": _DATE,
            "lastModified": _DATE,
            "downloads": 0,
            "likes": 0,
            "tags": ["region:us"],
            "siblings": [file.sibling(with_blobs) for file in commit.files.values()],
            "usedStorage": sum(file.size for file in commit.files.values()),
        })

    def _tree(self, call: Call, commit: Commit) -> Response:
        entries = commit.entries
        for action in call.plan.all("listing"):
            replaced = {entry.get("path") for entry in action["entries"]}
            entries = [entry for entry in entries if entry["path"] not in replaced] + action["entries"]
        prefix = f"{call.path.rstrip('/')}/" if call.path else ""
        entries = [entry for entry in entries if str(entry.get("path", "")).startswith(prefix)]
        if prefix and not entries:
            return _no_entry(commit, call.path)
        if call.request.query.get("recursive", "").lower() not in ("true", "1"):
            entries = [entry for entry in entries if "/" not in entry["path"][len(prefix) :]]
        expand = call.request.query.get("expand", "").lower() in ("true", "1")
        return self._page(call.request, entries, expand)

    def _page(self, request: Request, entries: list[dict[str, Any]], expand: bool) -> Response:
        """One page; `Link` names the next by an absolute URL with every parameter (facts 1.1)."""
        size = min(self._options.page_size, int(request.query.get("limit") or self._options.page_size))
        size = min(size, _EXPANDED_PAGE) if expand else size
        try:
            begin = int(base64.urlsafe_b64decode(request.query.get("cursor", "")) or 0)
        except ValueError:
            return error(400, "Invalid cursor")
        page, headers = entries[begin : begin + size], {}
        if expand:
            commit = {"id": "0" * 40, "title": "fixture", "date": _DATE}
            page = [{**entry, "lastCommit": commit} for entry in page]
        if begin + size < len(entries):
            cursor = base64.urlsafe_b64encode(str(begin + size).encode()).decode()
            query = urlencode({**request.query, "limit": size, "cursor": cursor})
            headers["Link"] = f'<{self.base}{request.path}?{query}>; rel="next"'
        return Response.json(page, 200, headers)

    def _resolve(self, call: Call, commit: Commit) -> Response:
        file = commit.files.get(call.path)
        if file is None:
            return _no_entry(commit, call.path)
        if file.sha256:
            return self._resolve_lfs(call, commit, file)
        if call.repository.settings.direct:
            return self._small_file(call, commit, file)
        path = f"/api/resolve-cache/models/{call.repository.name}/{commit.sha}/{quote(file.path)}"
        target = quote(f"/{call.repository.name}/resolve/{call.revision}/{file.path}", safe="")
        headers = {**_file_headers(commit, file), "ETag": f'"{file.oid}"'}
        return Response.redirect(307, f"{path}?{target}=&etag=%22{file.oid}%22", headers)

    def _resolve_lfs(self, call: Call, commit: Commit, file: RepoFile) -> Response:
        """To the CDN. Clients must read these headers before they follow (facts 1.2)."""
        token_route = f"{self.base}/api/models/{call.repository.name}/xet-read-token/{commit.sha}"
        headers = {
            **_file_headers(commit, file),
            "X-Linked-Etag": f'"{file.sha256}"',
            "X-Linked-Size": str(file.size),
            "X-Xet-Hash": str(file.xet_hash),
            "Link": f'<{token_route}>; rel="xet-auth"',
        }
        return Response.redirect(302, self._signer.sign(call.repository, file, "expire" in call.plan), headers)

    def _resolve_cache(self, call: Call, commit: Commit) -> Response:
        file = commit.files.get(call.path)
        if file is None or file.sha256:
            return _no_entry(commit, call.path)
        return self._small_file(call, commit, file)

    def _small_file(self, call: Call, commit: Commit, file: RepoFile) -> Response:
        """Text is compressed and chunked unless the client wants it plain; then ranges are ignored (facts 1.2, 1.3)."""
        text_type = _TEXT.get(Path(file.path).suffix)
        name = quote(Path(file.path).name)
        headers = {
            **_file_headers(commit, file),
            "ETag": f'"{file.oid}"',
            "Content-Type": f"{text_type}; charset=utf-8" if text_type else "application/octet-stream",
            "Content-Disposition": f"inline; filename*=UTF-8''{name}; filename=\"{name}\";",
        }
        if not text_type or not call.request.accepts_gzip():
            return serve_content(call.request, file.content, headers, "ignore_range" in call.plan)
        packed = gzip.compress(file.content.read(0, file.size), mtime=0)
        headers.update({"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "ETag": f'W/"{file.oid}"'})
        return Response(200, headers, MemoryContent(packed), 0, len(packed), chunked=True)


def _file_headers(commit: Commit, file: RepoFile) -> dict[str, str]:
    return {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes", "X-Linked-Size": str(file.size)}


def _no_entry(commit: Commit, path: str) -> Response:
    return error(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.sha})
