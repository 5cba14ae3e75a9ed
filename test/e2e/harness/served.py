"""What a daemon serves when it is asked over its socket, and what lies on its disk then."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from .daemon import CacheDaemon
from .models import digests


def acquire(daemon: CacheDaemon, uri: str, credentials: dict[str, str] | None = None, timeout: float = 60) -> Any:
    """Makes a model present and returns its `Ready`; raises grpc.RpcError."""
    with daemon.client() as cache:
        return cache.acquire(uri, credentials=credentials, timeout=timeout)


def refusal(daemon: CacheDaemon, uri: str, credentials: dict[str, str] | None = None) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        acquire(daemon, uri, credentials)
    return refused.value.code(), refused.value.details()


def shown(daemon: CacheDaemon, ready: Any) -> dict[str, str]:
    """The digests of the files that a pod sees."""
    return digests(daemon.root / ready.tree)


def blobs(daemon: CacheDaemon) -> dict[str, int]:
    """Every blob's name and its links."""
    return {path.name: path.stat().st_nlink for path in (daemon.root / "blobs").rglob("*") if path.is_file()}
