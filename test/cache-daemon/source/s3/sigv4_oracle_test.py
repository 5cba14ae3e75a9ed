"""Our signer against botocore's: the same URL and the same Authorization for random requests, keys of every kind in them.

botocore makes each request by its own client, from the key to the signed headers, and is stopped before it sends it.
"""

from __future__ import annotations

import calendar
import json
import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import botocore.awsrequest
import botocore.client
import botocore.config
import botocore.session

SIGNER = Path(os.environ["WEIGHHOUSE_BIN"]) / "sigv4-lines"
REQUESTS = 1500
SEED = int(os.environ.get("WEIGHHOUSE_SIGV4_SEED", "20261130"))
PIECES = ["model", "a b", "+", "=", "&", "//", "/", "~", "%", "%2F", "%20", "ü", "日本", "🦙", "(1)", "'", "*", "!", "@", "$",
          ",", ";", ":", "[", "]", "{}", "|", "^", "`", "\"", "<>", "\\", "?", "#", "..", ".", "-", "_", " ", "e\u0301"]
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-3", "me-central-1"]
UNSIGNED = {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "host"}


def random_key(dice: random.Random) -> str:
    key = "".join(dice.choice(PIECES) for _ in range(dice.randint(1, 9)))
    # A client takes a `.` or `..` that is a whole component of a path for itself, and a leading slash for the bucket's.
    parts = [part for part in key.split("/")]
    return "k" + "/".join("d" + part if part in (".", "..") else part for part in parts)


def client_for(dice: random.Random, token: str) -> tuple[Any, dict[str, Any]]:
    """A client with its own endpoint, style and keys, and what ours must be told to sign as it does."""
    region = dice.choice(REGIONS)
    style = dice.choice(["path", "virtual"])
    endpoint = dice.choice([None, "http://127.0.0.1:9000", "https://objects.example.org", "https://objects.example.org:8443",
                            "https://objects.example.org/store/v1"])
    keys = {"id": f"AKIA{dice.randrange(10**12):012}", "secret": "".join(dice.choices("abcXYZ019+/", k=40)), "token": token}
    session = botocore.session.get_session()
    session.set_credentials(keys["id"], keys["secret"], token or None)
    client = session.create_client(
        "s3", region_name=region, endpoint_url=endpoint,
        config=botocore.config.Config(signature_version="s3v4", s3={
            "addressing_style": style, "us_east_1_regional_endpoint": "regional"}, retries={"max_attempts": 0}))
    by_path = style == "path" or endpoint == "http://127.0.0.1:9000"  # an address has no names below it
    return client, keys | {"region": region, "endpoint": endpoint, "path_style": by_path}


class Sent:
    """What botocore was about to send."""

    request: Any = None

    def keep(self, request: Any, **_: Any) -> botocore.awsrequest.AWSResponse:
        self.request = request
        return botocore.awsrequest.AWSResponse(request.url, 200, {}, _Nothing())


class _Nothing:
    def stream(self, **_: Any) -> list[bytes]:
        return []

    def read(self, *_: Any, **__: Any) -> bytes:
        return b""


def ask(client: Any, dice: random.Random, bucket: str) -> dict[str, Any]:
    """One call of a kind that we make too; what ours is told of it."""
    kind = dice.choice(["get", "get", "head", "list"])
    key = random_key(dice)
    if kind == "get":
        extra = dice.choice([{}, {"Range": "bytes=0-9"}, {"IfMatch": '"abc-2"'}, {"Range": "bytes=5-", "IfMatch": '"x  y"'}])
        client.get_object(Bucket=bucket, Key=key, **extra)
        return {"method": "GET", "key": key, "query": ""}
    if kind == "head":
        client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        return {"method": "HEAD", "key": key, "query": ""}
    token = dice.choice([None, "1/abc+def==", "token with space/ü"])
    client.list_objects_v2(Bucket=bucket, Prefix=key, EncodingType="url", MaxKeys=1000,
                           **({"ContinuationToken": token} if token else {}))
    return {"method": "GET", "key": "", "query": None}


def header(request: Any, name: str) -> str:
    value = request.headers[name]
    return value.decode() if isinstance(value, bytes) else value


def signed_of(request: Any) -> dict[str, str]:
    """The headers that botocore signed beside its own."""
    authorization = header(request, "Authorization")
    names = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    return {name: header(request, name) for name in names if name not in UNSIGNED}


def test_the_signer_equals_botocore() -> None:
    dice = random.Random(SEED)
    asked, wanted = [], []
    for number in range(REQUESTS):
        if number % 75 == 0:
            client, about = client_for(dice, dice.choice(["", "session/+token=="]))
            sent = Sent()
            client.meta.events.register("before-send.s3", sent.keep)
        bucket = dice.choice(["models", "my-bucket-2"])
        question = ask(client, dice, bucket)
        request = sent.request
        if question["query"] is None:
            question["query"] = request.url.partition("?")[2]
        date = header(request, "X-Amz-Date")
        asked.append(about | question | {
            "bucket": bucket, "headers": signed_of(request), "payload": header(request, "X-Amz-Content-SHA256"),
            "time": calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))})
        wanted.append((request.url, header(request, "Authorization")))
    answers = subprocess.run([SIGNER], input="\n".join(map(json.dumps, asked)) + "\n", text=True, capture_output=True,
                             check=True, timeout=120).stdout.splitlines()
    assert len(answers) == REQUESTS
    for question, (url, authorization), line in zip(asked, wanted, answers):
        ours = json.loads(line)
        assert ours["url"] == url, question
        assert f"Authorization: {authorization}" in ours["headers"], question
    kinds = [text for text in (" ", "+", "=", "//", "ü", "日本") if not any(text in q["key"] for q in asked)]
    assert not kinds, f"no key had {kinds}"
    assert any("/store/v1" in url for url, _ in wanted), "no endpoint had a path"
    print(f"{REQUESTS} requests signed as botocore {botocore.__version__} signs them (seed {SEED})")
