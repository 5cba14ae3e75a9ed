"""S3 for keys that end, which versitygw doesn't know: botocore checks them here, then the owner's stand in their place."""

from __future__ import annotations

import re
from typing import Mapping

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness.service import Reply, Request

REGION = "us-east-1"
_TOKEN = "x-amz-security-token"
_SHOWN = re.compile(r"Credential=([^/]+)/.*SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})$")
_REFUSED = "<Error><Code>{}</Code><Message>no</Message></Error>"


def _signer(keys: Mapping[str, str], token: str | None) -> S3SigV4Auth:
    return S3SigV4Auth(Credentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], token), "s3", REGION)


def _as_botocores(request: Request, headers: Mapping[str, str]) -> AWSRequest:
    return AWSRequest(request.method, f"http://{request.header('Host')}{request.target}", headers, request.body)


def _signature(request: Request, names: list[str], keys: Mapping[str, str], token: str) -> str:
    """What stands for the headers of these names and the rest of the request."""
    signer = _signer(keys, token)
    theirs = _as_botocores(request, {name: request.header(name) for name in names})
    theirs.context["timestamp"] = request.header("x-amz-date")
    signature: str = signer.signature(signer.string_to_sign(theirs, signer.canonical_request(theirs)), theirs)
    return signature


def owners(request: Request, keys: Mapping[str, str], token: str) -> Request | Reply:
    """The request as who holds `keys` for good sends it; a refusal where it isn't signed by them together with `token`."""
    shown = _SHOWN.search(request.header("Authorization"))
    if shown is None:
        return request
    names = shown[2].split(";")
    if request.header(_TOKEN) != token or _TOKEN not in names or shown[1] != keys["AWS_ACCESS_KEY_ID"]:
        return Reply(400, _REFUSED.format("InvalidToken").encode())
    if shown[3] != _signature(request, names, keys, token):
        return Reply(403, _REFUSED.format("SignatureDoesNotMatch").encode())
    left = {name: value for name, value in request.headers if name.lower() not in ("authorization", _TOKEN, "x-amz-date")}
    ours = _as_botocores(request, left)
    _signer(keys, None).add_auth(ours)
    return request._replace(headers=list(ours.headers.items()))
