"""What every kind of source must do (harness/sources.py): against real servers, but for the Hub and ModelScope, which nobody else
can run and which doubles stand for."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest

from harness import workspace
from harness.daemon import CacheDaemon
from harness.models import MIB, digests, file_digest, make_model
from harness.sources import SOURCES, Origin

Code = grpc.StatusCode
NewDaemon = Callable[..., CacheDaemon]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def model(_namespace: None) -> Path:
    """What all sources hold: shards of several ranges, small files, a directory, an empty file."""
    made = make_model(workspace.directory() / "pushed", "acme/model", (9 * MIB, 3 * MIB), seed=77)
    (made / "empty.txt").touch()
    return made


@pytest.fixture(scope="module")
def origins(_namespace: None) -> Iterator[Callable[[str], Origin]]:
    """Starts a source's server at its first use."""
    running: dict[str, Origin] = {}

    def get(name: str) -> Origin:
        if name not in running:
            running[name] = SOURCES[name](workspace.directory() / f"origin{next(_numbers)}")
        return running[name]

    yield get
    for origin in running.values():
        origin.stop()


@pytest.fixture(params=list(SOURCES))
def origin(request: pytest.FixtureRequest, origins: Callable[[str], Origin]) -> Origin:
    return origins(request.param)


def daemon_for(new_daemon: NewDaemon, *all_of: Origin) -> CacheDaemon:
    """A daemon that runs, configured for these sources."""
    daemon = new_daemon()
    roots = [root for each in all_of for root in each.settings.get("local", {}).get("roots", [])]
    for each in all_of:
        daemon.change("sources", **(each.settings | ({"local": {"roots": roots}} if roots else {})))
    daemon.start()
    return daemon


def acquire(daemon: CacheDaemon, uri: str, secret: dict[str, str]) -> Any:
    with daemon.client() as cache:
        return cache.acquire(uri, credentials=secret)


def refusal(daemon: CacheDaemon, uri: str, secret: dict[str, str]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        acquire(daemon, uri, secret)
    for value in secret.values():
        if not value.startswith("http"):
            assert value not in refused.value.details() and value not in daemon.log.read_text()
    return refused.value


def unique(name: str) -> str:
    return f"{name}{next(_numbers)}"


def test_fills_what_was_pushed_and_fetches_it_once(new_daemon: NewDaemon, origin: Origin, model: Path) -> None:
    daemon = daemon_for(new_daemon, origin)
    uri = origin.push(model, unique("model"))
    ready = acquire(daemon, uri, origin.secret)
    assert digests(daemon.root / ready.tree) == digests(model)
    assert ready.bytes == sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    # What is packed has another size, of which no more can be said here.
    assert ready.bytes_fetched > MIB if getattr(origin, "packed", False) else ready.bytes_fetched == ready.bytes
    again = acquire(daemon, uri, origin.secret)
    assert (again.snapshot_id, again.tree, again.bytes_fetched) == (ready.snapshot_id, ready.tree, 0)


def test_goes_on_after_a_restart(new_daemon: NewDaemon, origin: Origin, model: Path) -> None:
    daemon = daemon_for(new_daemon, origin)
    uri = origin.push(model, unique("model"))
    ready = acquire(daemon, uri, origin.secret)
    daemon.stop()
    daemon.start()
    again = acquire(daemon, uri, origin.secret)
    assert (again.snapshot_id, again.bytes_fetched) == (ready.snapshot_id, 0)


def test_notices_a_change(new_daemon: NewDaemon, origin: Origin, model: Path) -> None:
    daemon = daemon_for(new_daemon, origin)
    name = unique("model")
    uri = origin.push(model, name)
    before = acquire(daemon, uri, origin.secret)
    origin.replace(name, "config.json", b'{"changed": true}')
    after = acquire(daemon, uri, origin.secret)
    assert after.snapshot_id != before.snapshot_id
    assert (daemon.root / after.tree / "config.json").read_bytes() == b'{"changed": true}'
    assert digests(daemon.root / before.tree) == digests(model), "the old one stays as it was"
    assert 0 < after.bytes_fetched < MIB, "what is the same is not fetched again"


def test_says_that_nothing_is_there(new_daemon: NewDaemon, origin: Origin) -> None:
    daemon = daemon_for(new_daemon, origin)
    assert refusal(daemon, origin.missing(), origin.secret).code() == Code.NOT_FOUND


def test_serves_nobody_without_rights(new_daemon: NewDaemon, origin: Origin, model: Path) -> None:
    if not origin.secret:
        pytest.skip("this server takes everybody")
    daemon = daemon_for(new_daemon, origin)
    uri = origin.push(model, unique("model"))
    endpoint = {key: value for key, value in origin.secret.items() if value.startswith("http")}
    denied = (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.NOT_FOUND)
    for when in ("cold", "cached"):
        assert refusal(daemon, uri, origin.wrong).code() in denied, when
        assert refusal(daemon, uri, endpoint).code() in denied, when
        if when == "cold":
            acquire(daemon, uri, origin.secret)


def test_one_model_of_all_sources_is_one_set_of_blobs(new_daemon: NewDaemon, origins: Callable[[str], Origin],
                                                      model: Path) -> None:
    every = [origins(name) for name in SOURCES]
    daemon = daemon_for(new_daemon, *every)
    trees = {}
    for name, each in zip(SOURCES, every):
        ready = acquire(daemon, each.push(model, unique("shared")), each.secret)
        trees[name] = daemon.root / ready.tree
    expected = digests(model)
    for name, tree in trees.items():
        assert digests(tree) == expected, name
    blobs = {path.name: path for path in (daemon.root / "blobs/sha256").rglob("*") if path.is_file()}
    assert set(blobs) == set(expected.values()), "a blob for each content, and no other"
    print(f"\nhard links of each blob ({len(trees)} sources: {', '.join(trees)}):")
    for path, digest in sorted(expected.items()):
        status = blobs[digest].stat()
        print(f"  {digest[:12]}  {status.st_size:>9} bytes  {status.st_nlink} links  {path}")
        # The blob's own name, and one in each source's tree for each file that has this content.
        assert status.st_nlink == 1 + len(trees) * list(expected.values()).count(digest)
        for tree in trees.values():
            assert (tree / path).stat().st_ino == status.st_ino
    assert all(file_digest(path) == name for name, path in blobs.items())
