"""Proxies, and certificates of an authority of one's own: from the configuration and from the environment."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness import workspace
from harness.canary import MARK, canary
from harness.daemon import CacheDaemon
from harness.hostile import found
from harness.hub import TOKEN, Hub
from harness.models import MIB, make_model
from harness.proxy import PASSWORD, Proxy
from harness.scripted import ScriptedServer

NewDaemon = Callable[..., CacheDaemon]
HOST = "hub.example"
MODEL = f"https://{HOST}/acme/tls/resolve/main/config.json"


@pytest.fixture(scope="module")
def certificate(_namespace: None) -> Path:
    """Of HOST and of the loopback; its own authority."""
    directory = workspace.directory() / "authority"
    directory.mkdir(mode=0o755)
    file = directory / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},DNS:localhost,IP:127.0.0.1",
                    "-out", str(file), "-keyout", str(directory / "key.pem")], check=True, capture_output=True)
    file.chmod(0o644)
    return file


@pytest.fixture(scope="module")
def tls_hub(certificate: Path) -> Iterator[Hub]:
    models = workspace.directory() / "tls-models"
    make_model(models, "acme/tls", (3 * MIB,), seed=70)
    hub = Hub(models, workspace.directory() / "tls-hub.log", "--token", TOKEN, "--tls-cert", str(certificate), "--tls-key",
              str(certificate.parent / "key.pem"))
    yield hub
    hub.stop()


@pytest.fixture
def proxy(tls_hub: Hub) -> Iterator[Proxy]:
    port = int(tls_hub.url.rpartition(":")[2])
    with Proxy({f"{HOST}:443": port}) as proxy:
        yield proxy


def make(new_daemon: NewDaemon, certificate: Path, **proxy: object) -> CacheDaemon:
    """A daemon that trusts the certificate and no other."""
    daemon = new_daemon()
    daemon.settings["sources"].update(caFile=str(certificate), **({"proxy": proxy} if proxy else {}))
    daemon.settings["sources"].pop("huggingface", None)
    daemon.change("log", level="debug")
    return daemon


def written(daemon: CacheDaemon) -> str:
    """All that the daemon said, to its log and to who asks."""
    info = [daemon.cli(*words, check=False) for words in (("status",), ("ls",), ("--output", "json", "status"))]
    return daemon.log.read_text() + "".join(each.stdout + each.stderr for each in info)


def test_listing_and_bytes_come_through_the_configured_proxy(new_daemon: NewDaemon, certificate: Path, proxy: Proxy) -> None:
    daemon = make(new_daemon, certificate, https=proxy.url())
    daemon.start()
    done = daemon.cli("pull", "--quiet", MODEL, check=False)
    assert done.returncode == 0, done.stderr
    assert set(proxy.asked) == {f"CONNECT {HOST}:443"} and len(proxy.asked) >= 2, "one for the listing, one for the bytes"
    assert PASSWORD not in written(daemon)


def test_listing_and_bytes_come_through_the_environments_proxy(new_daemon: NewDaemon, certificate: Path,
                                                               proxy: Proxy) -> None:
    daemon = make(new_daemon, certificate)
    daemon.start({"HTTPS_PROXY": proxy.url(), "NO_PROXY": ".svc,10.0.0.0/8"})
    done = daemon.cli("pull", "--quiet", MODEL, check=False)
    assert done.returncode == 0, done.stderr
    assert f"CONNECT {HOST}:443" in proxy.asked
    assert PASSWORD not in written(daemon)


@pytest.mark.parametrize("entry", [HOST, ".example", "example", "*"])
def test_excepted_host_is_asked_directly(new_daemon: NewDaemon, certificate: Path, proxy: Proxy, entry: str) -> None:
    daemon = make(new_daemon, certificate)
    daemon.start({"HTTPS_PROXY": proxy.url(), "NO_PROXY": entry})
    done = daemon.cli("pull", "--quiet", MODEL, check=False)
    assert "resolved" in done.stderr, done.stderr  # no such host outside of the proxy
    assert proxy.asked == []


def test_proxy_changes_while_the_daemon_runs(new_daemon: NewDaemon, certificate: Path, proxy: Proxy) -> None:
    daemon = make(new_daemon, certificate, https="http://127.0.0.1:1")
    daemon.start()
    assert "can't connect" in daemon.cli("pull", "--quiet", MODEL, check=False).stderr
    daemon.change("sources", proxy={"https": proxy.url()})
    daemon.process.wait_ready(lambda: "takes effect now: sources.proxy.https" in daemon.log.read_text())
    done = daemon.cli("pull", "--quiet", MODEL, check=False)
    assert done.returncode == 0, done.stderr


def test_proxy_that_wants_other_credentials_is_named_without_them(new_daemon: NewDaemon, certificate: Path,
                                                                  proxy: Proxy) -> None:
    daemon = make(new_daemon, certificate, https=proxy.url(password=canary("wrong-proxy")))
    daemon.start()
    done = daemon.cli("pull", "--quiet", MODEL, check=False)
    assert done.returncode != 0 and "407" in done.stderr, done.stderr
    assert MARK not in done.stderr + written(daemon)


def test_proxy_that_is_none_is_refused_without_its_credentials(new_daemon: NewDaemon, certificate: Path,
                                                               proxy: Proxy) -> None:
    daemon = make(new_daemon, certificate, https=proxy.url() + "/path")
    assert daemon.spawn().wait() != 0
    log = daemon.log.read_text()
    assert "sources.proxy.https is 'http://[secret]@" in log and PASSWORD not in log, log
    daemon = make(new_daemon, certificate)
    assert daemon.spawn({"HTTPS_PROXY": proxy.url().replace("http://", "socks5://")}).wait() != 0
    log = daemon.log.read_text()
    assert "is no proxy" in log and PASSWORD not in log, log


def test_plain_http_goes_through_its_proxy(new_daemon: NewDaemon, certificate: Path) -> None:
    with ScriptedServer(lambda to, asked: to.sendall(found(asked))) as server:
        with Proxy({"models.example": server.port}) as proxy:
            daemon = make(new_daemon, certificate, http=proxy.url())
            daemon.change("sources", http={"allowPlain": True})
            daemon.start()
            assert daemon.cli("inspect", "http://models.example/model.gguf").returncode == 0
            assert proxy.asked == ["HEAD http://models.example/model.gguf"]
            assert "Proxy-Authorization" not in server.requests[0].head, "that is between us and the proxy"


def test_proxy_is_not_asked_for_addresses_that_no_source_may_have(new_daemon: NewDaemon, certificate: Path,
                                                                  proxy: Proxy) -> None:
    daemon = make(new_daemon, certificate, https=proxy.url(), http=proxy.url())
    daemon.start()
    for url in ("https://169.254.169.254/latest/x", "https://[fd00:ec2::254]/x", "https://0.0.0.0/x"):
        done = daemon.cli("pull", "--quiet", url, check=False)
        assert "sources.allowAddresses" in done.stderr, done.stderr
    assert proxy.asked == []


def test_certificate_of_an_unknown_authority_is_refused(new_daemon: NewDaemon, tls_hub: Hub, proxy: Proxy) -> None:
    daemon = new_daemon()
    daemon.change("sources", proxy={"https": proxy.url()})
    daemon.start()
    tls_hub.reset()
    done = daemon.cli("pull", "--quiet", MODEL, check=False)
    assert "not trusted" in done.stderr, done.stderr
    assert proxy.asked and tls_hub.requests() == 0
