"""Credentials that end, of nodes and of tenants: what AWS and Google give for a while serves, and is nowhere written down, even
where a service repeats in its refusal all that it was sent."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.buckets import GcsServer, S3Server
from harness.canary import MARK, canary
from harness.clouds import AWS_GIVERS, NOTHING, AwsGiver, GoogleGiver, MetadataServer, TokenEndpoint
from harness.daemon import CacheDaemon
from harness.models import MIB, digests, make_model
from harness.service import TOLD, Reply, Request, Service, ok, passed_on, telling_all
from harness.temporary_keys import owners

Code = grpc.StatusCode
NewDaemon = Callable[..., CacheDaemon]
SESSION = canary("tenants/session+token==")


@pytest.fixture(scope="module")
def model(_namespace: None) -> Path:
    return make_model(workspace.directory() / "pushed-nodes", "acme/model", (2 * MIB,), seed=81)


class Front:
    """Stands before a bucket's server: sees what is asked, and answers itself where a test says so."""

    def __init__(self, uri: str, behind: Callable[[Request], Reply]) -> None:
        self.uri = uri
        self.token = ""
        """The session token of S3's keys."""
        self.refuse: Callable[[Request], Reply | None] = lambda request: None
        self.service = Service(lambda request: self.refuse(request) or behind(request))

    def begin(self) -> None:
        self.refuse = lambda request: None
        self.service.requests.clear()


@pytest.fixture(scope="module")
def _s3(model: Path) -> Iterator[Front]:
    server = S3Server(workspace.directory() / "s3")

    def behind(request: Request) -> Reply:
        checked = owners(request, S3Server.KEYS, front.token)
        return passed_on(checked, server.port) if isinstance(checked, Request) else checked

    front = Front(server.push(model, "nodes"), behind)
    with front.service:
        yield front
    server.stop()


@pytest.fixture
def s3(_s3: Front) -> Front:
    _s3.begin()
    return _s3


@pytest.fixture(scope="module")
def _gcs(model: Path) -> Iterator[Front]:
    server = GcsServer(workspace.directory() / "gcs")
    host = f"127.0.0.1:{server.port}"
    front = Front(server.push(model, "nodes"), lambda request: passed_on(request, server.port, host))
    with front.service:
        yield front
    server.stop()


@pytest.fixture
def gcs(_gcs: Front) -> Front:
    _gcs.begin()
    return _gcs


def started(new_daemon: NewDaemon, environment: dict[str, str], choice: str = "auto", **endpoints: Front) -> CacheDaemon:
    """A daemon that knows the buckets, and the node's credentials by `environment` only."""
    daemon = new_daemon()
    daemon.change("sources", **{kind: {"endpoint": front.service.url, "nodeCredentials": choice}
                                for kind, front in endpoints.items()})
    daemon.start(NOTHING | environment)
    return daemon


def refusal(daemon: CacheDaemon, uri: str, **credentials: str) -> Any:
    """What a pod is told that isn't served: without a secret in it, nor in the log."""
    with daemon.client() as cache, pytest.raises(grpc.RpcError) as refused:
        cache.acquire(uri, credentials=credentials)
    workspace.note("refused", refused.value)
    assert MARK not in refused.value.details()
    assert MARK not in daemon.log.read_text()
    return refused.value


def assert_repeated(error: Any, requests: list[Request], told: str) -> None:
    """What one of these was told did reach the caller, but for what is secret in it."""
    repeats = any(MARK in TOLD[told](request)[:300] for request in requests)
    assert not repeats or "[secret]" in error.details(), error


def fetched(daemon: CacheDaemon, front: Front, model: Path, **credentials: str) -> Any:
    """The record of the model, which was served with all its bytes."""
    with daemon.client() as cache:
        ready = cache.acquire(front.uri, credentials=credentials)
    assert digests(daemon.root / ready.tree) == digests(model)
    assert ready.bytes_fetched == ready.bytes
    return json.loads((daemon.root / "snapshots" / f"{ready.snapshot_id}.json").read_text())


@pytest.fixture(params=AWS_GIVERS)
def aws(request: pytest.FixtureRequest) -> Iterator[AwsGiver]:
    with AWS_GIVERS[request.param](S3Server.KEYS) as giver:
        yield giver


def test_keys_that_a_service_of_aws_gives_open_the_bucket(new_daemon: NewDaemon, s3: Front, aws: AwsGiver,
                                                          model: Path) -> None:
    off = started(new_daemon, aws.environment, choice="off", s3=s3)
    assert refusal(off, s3.uri).code() == Code.UNAUTHENTICATED
    assert not aws.service.requests, "an admin didn't say that the node's are for all"
    s3.begin()
    s3.token = aws.session_token
    daemon = started(new_daemon, aws.environment, s3=s3)
    assert fetched(daemon, s3, model)["anonymous"] is True, "what the node's keys may read is for all tenants"
    assert aws.answered > 0
    assert {request.header("x-amz-security-token") for request in s3.service.requests} == {aws.session_token}
    s3.token = canary("another-session")
    assert refusal(started(new_daemon, aws.environment, s3=s3), s3.uri).code() == Code.UNAUTHENTICATED


@pytest.mark.parametrize("told", TOLD)
def test_a_service_of_aws_that_gives_no_keys_is_named_and_no_secret_that_it_repeats(
        new_daemon: NewDaemon, s3: Front, aws: AwsGiver, told: str) -> None:
    aws.told = told
    daemon = started(new_daemon, aws.environment, s3=s3)
    error = refusal(daemon, s3.uri)
    assert error.code() == Code.FAILED_PRECONDITION, error
    assert "the node's own AWS keys can't be had from" in error.details() and "HTTP 403" in error.details()
    assert any(MARK in request.text() for request in aws.service.requests), "there was nothing to repeat"
    assert_repeated(error, aws.service.requests, told)
    assert not s3.service.requests, "the bucket was asked without"


def is_of_weights(request: Request) -> bool:
    """Bytes of a model's large file are asked for, not whether they may be."""
    return "model.safetensors" in request.target and request.header("Range") not in ("", "bytes=0-0")


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("asked", ["the list", "the weights"])
def test_a_bucket_that_repeats_what_it_was_sent_is_not_passed_on(
        new_daemon: NewDaemon, s3: Front, asked: str, told: str) -> None:
    with AWS_GIVERS["the instance's role"](S3Server.KEYS) as aws:
        daemon = started(new_daemon, aws.environment, s3=s3)
        own = S3Server.KEYS | {"AWS_SESSION_TOKEN": SESSION}
        for credentials in ({}, own):
            s3.begin()
            s3.token = SESSION if credentials else aws.session_token
            s3.refuse = lambda request: (
                telling_all(request, told) if asked == "the list" or is_of_weights(request) else None)
            error = refusal(daemon, s3.uri, **credentials)
            assert error.code() == Code.PERMISSION_DENIED, error
            assert_repeated(error, s3.service.requests, told)
            assert s3.service.requests[-1].header("x-amz-security-token") == s3.token


def test_a_secrets_session_token_is_sent_and_the_command_lines_too(new_daemon: NewDaemon, s3: Front, model: Path) -> None:
    daemon = started(new_daemon, {}, choice="off", s3=s3)
    s3.token = SESSION
    own = S3Server.KEYS | {"AWS_SESSION_TOKEN": SESSION}
    assert fetched(daemon, s3, model, **own)["anonymous"] is False
    assert {request.header("x-amz-security-token") for request in s3.service.requests} == {SESSION}
    s3.begin()
    pulled = json.loads(daemon.cli("pull", s3.uri, "--output", "json", environment=own).stdout)
    assert digests(Path(pulled["tree"])) == digests(model)
    s3.refuse = lambda request: telling_all(request, "all of it")
    refused = daemon.cli("pull", s3.uri, check=False, environment=own)
    assert refused.returncode == 1 and MARK not in refused.stdout + refused.stderr, refused.stderr
    assert {request.header("x-amz-security-token") for request in s3.service.requests} == {SESSION}


@contextlib.contextmanager
def google(way: str) -> Iterator[tuple[GoogleGiver, dict[str, str]]]:
    """One that gives access tokens, and what a pod's secret has for it."""
    with MetadataServer() if way == "the metadata server" else TokenEndpoint() as giver:
        if isinstance(giver, TokenEndpoint) and way == "the pod's service account":
            yield giver, {"gcloud-application-credentials.json": giver.account}
            return
        if isinstance(giver, TokenEndpoint):
            giver.for_the_node()
        yield giver, {}


WAYS = ["the metadata server", "the node's service account", "the pod's service account"]


def only_by(token: str) -> Callable[[Request], Reply | None]:
    """As GCS refuses whoever doesn't show this token."""
    refused = json.dumps({"error": {"code": 401, "message": "Anonymous caller does not have storage.objects.list access"}})
    return lambda request: None if request.header("Authorization") == f"Bearer {token}" else Reply(401, refused.encode())


@pytest.mark.parametrize("way", WAYS)
def test_an_access_token_of_google_opens_the_bucket(new_daemon: NewDaemon, gcs: Front, model: Path, way: str) -> None:
    with google(way) as (giver, secret):
        gcs.refuse = only_by(giver.access_token)
        daemon = started(new_daemon, giver.environment, choice="auto" if not secret else "off", gcs=gcs)
        if secret:
            assert refusal(daemon, gcs.uri).code() == Code.UNAUTHENTICATED
        assert fetched(daemon, gcs, model, **secret)["anonymous"] is not bool(secret)
        assert giver.answered == 1, "it was kept"
        if secret:
            assert refusal(daemon, gcs.uri).code() == Code.UNAUTHENTICATED, "it is there, and another's"
        else:
            off = started(new_daemon, giver.environment, choice="off", gcs=gcs)
            assert refusal(off, gcs.uri).code() == Code.UNAUTHENTICATED


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("way", WAYS)
def test_what_google_repeats_is_not_passed_on(new_daemon: NewDaemon, gcs: Front, way: str, told: str) -> None:
    with google(way) as (giver, secret):
        daemon = started(new_daemon, giver.environment, gcs=gcs)
        for is_refused in (lambda request: True, is_of_weights):
            gcs.refuse = lambda request, is_refused=is_refused: telling_all(request, told) if is_refused(request) else None
            error = refusal(daemon, gcs.uri, **secret)
            assert error.code() == Code.PERMISSION_DENIED, error
            assert_repeated(error, gcs.service.requests, told)
            assert gcs.service.requests[-1].header("Authorization") == f"Bearer {giver.access_token}"
        giver.told = told
        daemon.stop()
        daemon.start(NOTHING | giver.environment)  # it forgot the token
        error = refusal(daemon, gcs.uri, **secret)
        assert "gives no access token (HTTP 403)" in error.details(), error


@pytest.mark.parametrize("told", TOLD)
def test_what_a_registry_repeats_of_an_identity_token_is_not_passed_on(new_daemon: NewDaemon, told: str) -> None:
    """One that a token server takes for an access token, as `docker login` leaves it behind at some clouds."""
    identity, access = canary("identity+token/0123=="), canary("registry-access-token")
    gives = True

    def answer(request: Request) -> Reply:
        if request.target == "/token":
            form = urllib.parse.parse_qs(request.body.decode())
            assert form["refresh_token"] == [identity]
            return ok({"access_token": access}) if gives else telling_all(request, told)
        if request.header("Authorization") == f"Bearer {access}":
            return telling_all(request, told)
        return Reply(401, headers=(("WWW-Authenticate", f'Bearer realm="{registry.url}/token",service="registry"'),))

    with Service(answer) as registry:
        daemon = new_daemon()
        daemon.start()
        name = f"127.0.0.1:{registry.port}"
        login = json.dumps({"auths": {name: {"identitytoken": identity}}})
        for gives in (True, False):
            daemon.stop()
            daemon.start()
            error = refusal(daemon, f"oci://{name}/acme/model:1", **{".dockerconfigjson": login})
            assert error.code() == Code.PERMISSION_DENIED, error
            assert_repeated(error, registry.requests[-1:], told)
            assert registry.requests[-1].target == "/token" or gives
