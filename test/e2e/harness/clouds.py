"""Doubles of what gives a node its credentials at AWS and at Google. Each takes what its own kind takes and nothing else, and
every secret that it takes or gives is a canary."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Mapping, Self

from harness import workspace
from harness.canary import MOUNTED, canary, watch
from harness.service import Reply, Request, Service, ok, telling_all

_ENDS = "2999-01-01T00:00:00Z"
ROLE_ARN = "arn:aws:iam::123456789012:role/reader"
KEY_ID = canary("google-key-id")


def mounted(name: str, text: str) -> Path:
    """A file that the daemon reads a credential from."""
    directory = workspace.directory() / MOUNTED
    directory.mkdir(mode=0o755, exist_ok=True)
    path = directory / name
    path.write_text(text)
    path.chmod(0o644)
    return path


NOTHING = dict.fromkeys((
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_EC2_METADATA_DISABLED",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "GOOGLE_APPLICATION_CREDENTIALS"), "")
"""An environment without what whoever runs the tests may have."""


class Giver:
    """A service that gives credentials, within its `with` block."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        """By which the daemon finds it."""
        self.told = ""
        """One of harness.service.TOLD: from now on it refuses, and repeats that."""
        self.answered = 0
        """How often it didn't refuse."""
        self.service = Service(self._answer)

    def __enter__(self) -> Self:
        self.service.__enter__()
        return self

    def __exit__(self, *what: Any) -> None:
        self.service.__exit__(*what)

    def _answer(self, request: Request) -> Reply:
        if self.told:
            return telling_all(request, self.told)
        reply = self.give(request)
        self.answered += reply.status == 200
        return reply

    def give(self, request: Request) -> Reply:
        """What it answers whom it doesn't refuse."""
        raise NotImplementedError


class AwsGiver(Giver):
    """Gives out the keys of a bucket, for a while: with a session token."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__()
        self.session_token = canary(f"{type(self).__name__}/session+token==")
        self._keys = {"AccessKeyId": keys["AWS_ACCESS_KEY_ID"], "SecretAccessKey": keys["AWS_SECRET_ACCESS_KEY"]}

    def _as_json(self) -> Reply:
        return ok(self._keys | {"Code": "Success", "Token": self.session_token, "Expiration": _ENDS})


class Instance(AwsGiver):
    """IMDSv2: a session first, then the role's name, then its keys. Who wants a session is never refused."""

    SESSION = canary("imds+session/0123==")
    ROLES = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__(keys)
        self.environment = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.service.url}

    def _answer(self, request: Request) -> Reply:
        if (request.method, request.target) == ("PUT", "/latest/api/token"):
            return ok(self.SESSION) if request.header("X-aws-ec2-metadata-token-ttl-seconds") else Reply(400)
        return super()._answer(request)

    def give(self, request: Request) -> Reply:
        if request.header("X-aws-ec2-metadata-token") != self.SESSION:
            return Reply(401)
        if request.target == self.ROLES:
            return ok("reader\n")
        return self._as_json() if request.target == self.ROLES + "reader" else Reply(404)


class PodIdentity(AwsGiver):
    """EKS' agent on the node: it wants the token that Kubernetes made for the pod."""

    TOKEN = canary("pod.identity+token/0123")

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__(keys)
        self.environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.service.url}/v1/credentials",
                            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(mounted("pod-identity", self.TOKEN + "\n"))}

    def give(self, request: Request) -> Reply:
        return self._as_json() if request.header("Authorization") == self.TOKEN else Reply(401)


class WebIdentity(AwsGiver):
    """STS, which takes the token of the service account for keys (IRSA)."""

    TOKEN = canary("web.identity+token/0123==")

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__(keys)
        self.environment = {"AWS_ENDPOINT_URL_STS": self.service.url, "AWS_ROLE_ARN": ROLE_ARN,
                            "AWS_WEB_IDENTITY_TOKEN_FILE": str(mounted("web-identity", self.TOKEN + "\n"))}

    def give(self, request: Request) -> Reply:
        form = urllib.parse.parse_qs(request.body.decode())
        if form.get("WebIdentityToken") != [self.TOKEN] or form.get("RoleArn") != [ROLE_ARN]:
            return Reply(400)
        given = self._keys | {"SessionToken": self.session_token, "Expiration": _ENDS}
        credentials = "".join(f"<{name}>{value}</{name}>" for name, value in given.items())
        return ok("<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                  f"<AssumeRoleWithWebIdentityResult><Credentials>{credentials}</Credentials>"
                  "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")


class GoogleGiver(Giver):
    """Gives out access tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.access_token = canary(f"{type(self).__name__}.access+token/0123==")

    def _token(self) -> Reply:
        return ok({"access_token": self.access_token, "expires_in": 3600, "token_type": "Bearer"})


class MetadataServer(GoogleGiver):
    """Of a node of Google's."""

    def __init__(self) -> None:
        super().__init__()
        self.environment = {"GCE_METADATA_HOST": f"127.0.0.1:{self.service.port}"}

    def give(self, request: Request) -> Reply:
        right = request.target == "/computeMetadata/v1/instance/service-accounts/default/token"
        return self._token() if right and request.header("Metadata-Flavor") == "Google" else Reply(404)


class TokenEndpoint(GoogleGiver):
    """Takes for an access token what a service account signed. Its key has a canary before the first line of its PEM, which
    no reader of PEM minds, and the lines are looked for themselves."""

    def __init__(self) -> None:
        super().__init__()
        pem = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True,
                             capture_output=True, text=True).stdout
        self.public = mounted(f"{self.service.port}.pub", subprocess.run(
            ["openssl", "pkey", "-pubout"], input=pem, check=True, capture_output=True, text=True).stdout)
        for line in pem.splitlines()[1:-2]:
            watch(line)
        self.account = json.dumps({
            "type": "service_account", "client_email": "reader@project.example", "private_key_id": KEY_ID,
            "private_key": canary("google-private-key") + "\n" + pem, "token_uri": f"{self.service.url}/token"})

    def for_the_node(self) -> None:
        """The daemon reads the account from a file of its own."""
        self.environment = {"GOOGLE_APPLICATION_CREDENTIALS": str(mounted(f"{self.service.port}.json", self.account))}

    def give(self, request: Request) -> Reply:
        form = urllib.parse.parse_qs(request.body.decode())
        grant, assertion = form.get("grant_type"), form.get("assertion", [""])[0]
        if grant != ["urn:ietf:params:oauth:grant-type:jwt-bearer"] or not self._is_signed(assertion):
            return Reply(400)
        return self._token()

    def _is_signed(self, assertion: str) -> bool:
        text, _, signature = assertion.rpartition(".")
        file = mounted(f"{self.service.port}.sig", "")
        file.write_bytes(decoded(signature))
        checked = subprocess.run(["openssl", "dgst", "-sha256", "-verify", str(self.public), "-signature", str(file)],
                                 input=text.encode(), check=False, capture_output=True)
        return checked.returncode == 0 and json.loads(decoded(text.partition(".")[0]))["kid"] == KEY_ID


def decoded(part: str) -> bytes:
    """A part of a JWT."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


AWS_GIVERS: dict[str, Callable[[Mapping[str, str]], AwsGiver]] = {
    "the instance's role": Instance, "EKS Pod Identity": PodIdentity, "a web identity": WebIdentity}
