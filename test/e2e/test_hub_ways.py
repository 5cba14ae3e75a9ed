"""The Hub that is away, that allows few requests, and that may not be asked: mirrors, the shared budget, offline mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.canary import canary
from harness.daemon import CacheDaemon
from harness.hub import TOKEN, Hub, fault
from harness.models import MIB, digests, make_model


def acquire(daemon: CacheDaemon, uri: str, timeout: float = 120, **credentials: str) -> Any:
    with daemon.client() as cache:
        return cache.acquire(uri, credentials=credentials, timeout=timeout)


def refusal(daemon: CacheDaemon, uri: str, **credentials: str) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        acquire(daemon, uri, **credentials)
    return raised.value


def configure_hub(daemon: CacheDaemon, **values: object) -> None:
    """Changes what the configuration says of the Hub."""
    daemon.change("sources", huggingface=daemon.settings["sources"].get("huggingface", {}) | values)


def await_offline(daemon: CacheDaemon, offline: bool) -> None:
    """Until the daemon has read its configuration again."""
    text = "the Hub is not asked from now on" if offline else "the Hub is asked again"
    daemon.process.wait_ready(lambda: text in daemon.log.read_text())


@pytest.fixture
def mirror(models: Path) -> Iterator[Hub]:
    """A second Hub with the same models."""
    made = Hub(models, workspace.directory() / "mirror.log", "--token", TOKEN)
    yield made
    made.stop()


def test_mirror_serves_while_the_endpoint_is_away(new_daemon: Callable[..., CacheDaemon], hub: Hub, mirror: Hub) -> None:
    daemon = new_daemon()
    configure_hub(daemon, mirrors=[mirror.url])
    daemon.start()
    first = acquire(daemon, "hf://acme/tiny")
    assert mirror.requests() == 0, "the endpoint answered"
    hub.faults(fault("hub", "", {"kind": "status", "status": 503}))
    private = acquire(daemon, "hf://acme/private", HF_TOKEN=TOKEN)
    assert digests(daemon.root / private.tree) == digests(hub.models / "acme/private")
    assert any(entry["authorization"] == "ok" for entry in mirror.log() if entry["side"] == "hub")
    assert {entry["authorization"] for entry in mirror.log() if entry["side"] == "cdn"} == {"none"}
    again = acquire(daemon, "hf://acme/tiny")
    assert (again.snapshot_id, again.bytes_fetched) == (first.snapshot_id, 0), "a mirror is another way to the same origin"
    refused = refusal(daemon, "hf://acme/private")
    assert refused.code() == grpc.StatusCode.UNAVAILABLE, "a mirror's no is none"


def test_fill_goes_on_from_a_mirror_when_the_endpoint_goes_away(new_daemon: Callable[..., CacheDaemon], hub: Hub,
                                                                mirror: Hub) -> None:
    daemon = new_daemon()
    configure_hub(daemon, mirrors=[mirror.url])
    daemon.start()
    # The listing comes from the endpoint, no file does.
    hub.faults(fault("hub", "/resolve/", {"kind": "status", "status": 503}))
    ready = acquire(daemon, "hf://acme/sharded")
    assert digests(daemon.root / ready.tree) == digests(hub.models / "acme/sharded")
    assert "acme/sharded/model-00001-of-00003.safetensors" in mirror.fetched()


def test_fills_share_a_small_budget_and_are_never_refused(models: Path, new_daemon: Callable[..., CacheDaemon]) -> None:
    for number in (1, 2):
        make_model(models, f"acme/many{number}", (MIB // 16,) * 10, seed=60 + number)
    few = Hub(models, workspace.directory() / "few.log", "--resolve-quota", "12", "--quota-window", "4")
    try:
        daemon = new_daemon()
        configure_hub(daemon, endpoint=few.url)
        daemon.start()
        with daemon.client() as cache:
            calls = [cache._stub.Acquire(cache.messages.AcquireRequest(  # pylint: disable=protected-access
                model=cache.model(f"hf://acme/many{number}"), layout=cache.messages.LAYOUT_FILES), timeout=120)
                for number in (1, 2)]
            ready = [list(call)[-1].ready for call in calls]
        for number, done in zip((1, 2), ready):
            assert digests(daemon.root / done.tree) == digests(models / f"acme/many{number}")
        statuses = [entry["status"] for entry in few.log()]
        assert statuses.count(429) == 0 and sum("/resolve/" in entry["path"] for entry in few.log()) > 24
    finally:
        few.stop()


def test_offline_serves_what_is_cached_and_public_or_granted_and_says_so(new_daemon: Callable[..., CacheDaemon], hub: Hub) -> None:
    daemon = new_daemon()
    daemon.start()
    tiny = acquire(daemon, "hf://acme/tiny@main")
    private = acquire(daemon, "hf://acme/private", HF_TOKEN=TOKEN)
    assert private.served_from == "source"
    configure_hub(daemon, offline=True)
    await_offline(daemon, True)
    hub.reset()
    ready = acquire(daemon, "hf://acme/tiny@main")
    assert (ready.served_from, ready.revision, ready.tree) == ("cache", tiny.revision, tiny.tree)
    assert f"serving revision {tiny.revision}, which is cached and public" in daemon.log.read_text()
    assert acquire(daemon, "hf://acme/private", HF_TOKEN=TOKEN).served_from == "cache", "it was granted to them before"
    for model, credentials in (("hf://acme/other", {}), ("hf://acme/private", {"HF_TOKEN": canary("another_token")}),
                               ("hf://acme/private", {})):
        refused = refusal(daemon, model, **credentials)
        assert refused.code() == grpc.StatusCode.UNAVAILABLE
        assert "sources.huggingface.offline is true" in refused.details()
    assert hub.requests() == 0
    configure_hub(daemon, offline=False)
    await_offline(daemon, False)
    assert acquire(daemon, "hf://acme/other").served_from == "source"
