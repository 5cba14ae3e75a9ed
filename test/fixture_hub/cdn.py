"""The CDN side: objects behind signed URLs that expire (facts 1.2, 1.3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

from faults import Plan
from messages import Request, Response, serve_content
from records import Records
from repository import Catalog, RepoFile, Repository

PREFIX = "xet-bridge-us"
_KEY = b"fixture-key"
_KEY_PAIR = "KFIXTUREFIXTURE"


def _encode(data: bytes) -> str:
    """CloudFront's base64 for URLs: + = / become - _ ~."""
    return base64.b64encode(data).decode().translate(str.maketrans("+=/", "-_~"))


def _signature(policy: str) -> str:
    return _encode(hmac.new(_KEY, policy.encode(), hashlib.sha256).digest())


def _policy(base: str, path: str, expires: int) -> str:
    """Any range of the one object, until one moment (facts 1.3)."""
    condition = {"DateLessThan": {"AWS:EpochTime": expires}}
    return _encode(json.dumps({"Statement": [{"Resource": f"{base}{path}*", "Condition": condition}]}).encode())


class Signer:
    """Makes and checks the URLs that the Hub hands out."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime
        self.base = ""
        """The CDN's scheme, host and port; set once it listens."""
        self.elsewhere = ""
        """Set: objects come from this server instead, as /org/name/path below it; it checks no signature."""

    def sign(self, repository: Repository, file: RepoFile, expired: bool = False) -> str:
        """A URL for the file's object that lives as long as the fixture was told; `expired`: one that is dead."""
        now = int(time.time()) - (self.lifetime + 60 if expired else 0)
        path = f"/{PREFIX}/{repository.id}/{file.xet_hash}"
        if self.elsewhere:
            path = f"/{repository.name}/{quote(file.path)}"
        name = quote(Path(file.path).name)
        policy = _policy(self.base, path, now + self.lifetime)
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
            "X-Amz-Credential": "cas/" + time.strftime("%Y%m%d", time.gmtime(now)) + "/us-east-1/s3/aws4_request",
            "X-Amz-Date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)),
            "X-Amz-Expires": self.lifetime,
            "X-Amz-Signature": hashlib.sha256((path + policy).encode()).hexdigest(),
            "X-Amz-SignedHeaders": "host",
            "response-content-disposition": f"inline; filename*=UTF-8''{name}; filename=\"{name}\";",
            "x-id": "GetObject",
            "Expires": now + self.lifetime,
            "Policy": policy,
            "Signature": _signature(policy),
            "Key-Pair-Id": _KEY_PAIR,
        }
        return f"{self.elsewhere or self.base}{path}?{urlencode(query)}"

    def refusal(self, request: Request) -> str | None:
        """Why the URL isn't accepted; None if it is. Expiry counts when the request begins (facts 1.3)."""
        expires = request.query.get("Expires", "")
        if not expires.isdigit() or "Signature" not in request.query:
            return "MissingKey"
        policy = _policy(self.base, request.path, int(expires))
        if not hmac.compare_digest(_signature(policy), request.query["Signature"]):
            return "SignatureError"
        return "AccessDenied" if time.time() >= int(expires) else None


def _denied(code: str) -> Response:
    messages = {
        "AccessDenied": "Access denied",
        "MissingKey": "Missing Key-Pair-Id query parameter or cookie value",
        "SignatureError": "The request signature does not match",
    }
    error = f"<Error><Code>{code}</Code><Message>{messages[code]}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>{error}'
    return Response.of(403, body.encode(), "text/xml", {"X-Cache": "Error from cloudfront"})


class Cdn:
    """Serves objects by signed URL on a host name of its own."""

    side = "cdn"

    def __init__(self, catalog: Catalog, signer: Signer, records: Records) -> None:
        self._catalog = catalog
        self._signer = signer
        self._records = records

    def is_control(self, request: Request) -> bool:
        """The control calls are on the Hub's side."""
        return False

    def authorization(self, request: Request) -> str:
        """Here any Authorization is wrong."""
        return "bad" if request.header("Authorization") else "none"

    def label(self, request: Request) -> str:
        """The file behind the URL, as org/name/path."""
        found = self._find(request)
        return f"{found[0].name}/{found[1].path}" if found else ""

    def answer(self, request: Request, plan: Plan) -> Response:
        """The object, or what CloudFront and S3 say instead."""
        self._records.count("cdn_requests")
        if request.method not in ("GET", "HEAD"):
            return Response.of(405, b"", "text/plain", {"Allow": "GET, HEAD"})
        if request.header("Authorization"):
            body = "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>"
            return Response.of(400, body.encode(), "application/xml")
        refusal = "AccessDenied" if "expire" in plan else self._signer.refusal(request)
        if refusal:
            return _denied(refusal)
        found = self._find(request)
        if not found:
            body = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
            return Response.of(404, body.encode(), "application/xml")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": request.query.get("response-content-disposition", "inline"),
            "ETag": '"' + hashlib.md5(str(found[1].xet_hash).encode()).hexdigest() + '"',
            "Cache-Control": "public, max-age=31536000",
            "X-Cache": "Miss from cloudfront",
        }
        return serve_content(request, found[1].content, headers, "ignore_range" in plan)

    def _find(self, request: Request) -> tuple[Repository, RepoFile] | None:
        parts = request.path.split("/")
        if len(parts) != 4 or parts[1] != PREFIX:
            return None
        repository = self._catalog.by_id(parts[2])
        disposition = request.query.get("response-content-disposition", "")
        name = unquote(disposition.partition('filename="')[2].partition('"')[0])
        file = repository.file_of_object(parts[3], name) if repository else None
        return (repository, file) if repository and file else None
