"""weighhouse doctor: real faults of a node, one at a time, each found and its remedy named; nothing on a sound one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness import workspace
from harness.daemon import CacheDaemon
from harness.disk import SmallDisk
from harness.doctor import Doctor, certificate, run, says, source
from harness.models import MIB
from harness.private_network import TlsServer, private_network
from harness.workspace import DAEMON_UID, mount, owned_by_daemon, shared_directory

STRANGER = 12345
NO_IO_URING = [sys.executable, str(Path(__file__).parent / "harness/without_io_uring.py")]
WAYS = ("direct-io", "io-uring")
"""What a filesystem that isn't ext4 or xfs may refuse beside, by kernel."""


@pytest.fixture(scope="module", name="place")
def _place() -> Path:
    """A directory for this file's own things."""
    path = workspace.directory() / "doctor"
    path.mkdir()
    return path


@pytest.fixture(scope="module", name="disk")
def _disk(place: Path) -> SmallDisk:
    (place / "disk").mkdir()
    return SmallDisk(place / "disk", 256)


@pytest.fixture(scope="module", name="root")
def _root(disk: SmallDisk) -> Path:
    return owned_by_daemon(disk.root / "cache")


@pytest.fixture(scope="module", name="kubelet")
def _kubelet(place: Path) -> Path:
    shared_directory(place / "kubelet")
    return place / "kubelet"


@pytest.fixture(scope="module", name="authorities")
def _authorities(place: Path) -> tuple[Path, Path]:
    return certificate(place, "trusted")


@pytest.fixture(scope="module", name="url")
def _url() -> Iterator[str]:
    with source() as server:
        yield server.url("")


@pytest.fixture(scope="module", name="elsewhere")
def _elsewhere(kubelet: Path, authorities: tuple[Path, Path]) -> Doctor:
    """Without a root and a source: for those who bring their own."""
    return Doctor("--kubelet-dir", kubelet, environment={"SSL_CERT_FILE": str(authorities[0])})


@pytest.fixture(scope="module", name="doctor")
def _doctor(root: Path, kubelet: Path, url: str, authorities: tuple[Path, Path]) -> Doctor:
    """Of a node that is sound and has no daemon yet."""
    return Doctor("--root", root, "--kubelet-dir", kubelet, "--source", url,
                  environment={"SSL_CERT_FILE": str(authorities[0])})


@pytest.fixture(name="on")
def _on(elsewhere: Doctor, url: str) -> Callable[..., None]:
    """Expects something of another root."""
    def expect(root: Path, name: str, state: str, value: str, remedy: str, *more: object, **how: object) -> None:
        elsewhere.expect(name, state, value, remedy, "--root", root, "--source", url, *more, **how)  # type: ignore
    return expect


def test_finds_nothing_on_a_sound_node_and_leaves_nothing(doctor: Doctor, root: Path) -> None:
    before = root.stat()
    checks = doctor.checks()
    assert {name: check for name, check in checks.items() if check["state"] != "ok"}.keys() == {
        "admin-socket", "node-socket"}, checks
    assert checks["admin-socket"]["state"] == "skip", "with --root none is needed"
    assert os.listdir(root) == [] and root.stat().st_mtime_ns == before.st_mtime_ns


def test_finds_filesystems_that_keep_no_cache(place: Path, on: Callable[..., None]) -> None:
    tmpfs, ramfs, lower = place / "tmpfs", place / "ramfs", place / "overlay"
    for path in (tmpfs, ramfs, lower):
        path.mkdir()
    mount("-t", "tmpfs", "-o", f"size=64m,uid={DAEMON_UID},gid={DAEMON_UID},mode=0755", "tmpfs", str(tmpfs))
    on(tmpfs, "filesystem", "fail", "tmpfs", "ext4 or xfs", beside=WAYS)
    mount("-t", "tmpfs", "tmpfs", str(lower))
    for name in ("lower", "upper", "work", "root"):
        owned_by_daemon(lower / name)
    mount("-t", "overlay", "-o", f"lowerdir={lower}/lower,upperdir={lower}/upper,workdir={lower}/work", "overlay",
          str(lower / "root"))
    on(lower / "root", "filesystem", "fail", "overlay", "ext4 or xfs", beside=WAYS)
    mount("-t", "ramfs", "ramfs", str(ramfs))
    os.chown(ramfs, DAEMON_UID, DAEMON_UID)
    on(ramfs, "direct-io", "warn", "O_DIRECT is refused", "page cache", beside=("filesystem", "space"))
    assert os.listdir(ramfs) == [], "the probe's file is gone, where it had to have a name too"


def test_finds_roots_that_are_none_or_not_the_daemons(disk: SmallDisk, on: Callable[..., None],
                                                      doctor: Doctor) -> None:
    on(disk.root / "missing", "root", "fail", "does not exist", "install -d -o 64100")
    (disk.root / "file").touch()
    on(disk.root / "file", "root", "fail", "not a directory", "cache.root")
    strange = owned_by_daemon(disk.root / "strange")
    os.chown(strange, STRANGER, STRANGER)
    on(strange, "writing", "fail", "Permission denied", f"chown -R {DAEMON_UID}:{DAEMON_UID} {strange}")
    os.chown(strange, 0, 0)
    on(strange, "root", "fail", "belongs to root", f"chown -R {DAEMON_UID}", beside=("writing",))
    used = owned_by_daemon(disk.root / "used")
    (used / "photos").mkdir()
    on(used, "root", "fail", "holds 'photos'", "empty directory")
    os.chown(used, 0, 0)
    wrong = doctor.wrong("--root", used)
    assert wrong["root"]["state"] == "fail" and not any("chown" in each["remedy"] for each in wrong.values()), wrong


def test_finds_limits_of_the_process(doctor: Doctor) -> None:
    doctor.expect("memlock", "warn", "4.0 KiB", "RLIMIT_MEMLOCK", launcher=["prlimit", "--memlock=4096:4096"])
    assert not doctor.wrong(launcher=["prlimit", "--memlock=65536:65536"]), "a healthy node of Linux 5.15 has that"
    doctor.expect("open-files", "fail", "128 of this process", "RLIMIT_NOFILE",
                  launcher=["prlimit", "--nofile=128:128"])


def test_finds_that_io_uring_is_denied(doctor: Doctor, place: Path) -> None:
    doctor.expect("io-uring", "warn", "a seccomp filter denies it", "seccomp profile", launcher=NO_IO_URING)
    wanted = place / "io_uring.yaml"
    wanted.write_text("fill: {engine: io_uring}\n")
    doctor.expect("io-uring", "fail", "seccomp", "fill.engine", "--config", wanted, launcher=NO_IO_URING)


def test_finds_mounts_that_reach_nobody(doctor: Doctor, place: Path) -> None:
    private = place / "private"
    private.mkdir()
    mount("--bind", str(private), str(private))
    mount("--make-private", str(private))
    doctor.expect("kubelet-mounts", "fail", f"{private}, which is not shared", f"mount --make-rshared {private}",
                  "--kubelet-dir", private)
    doctor.expect("kubelet-mounts", "fail", "No such file", "--root-dir", "--kubelet-dir", place / "nowhere")


def test_finds_that_kubelet_shares_the_disk(doctor: Doctor, disk: SmallDisk, place: Path) -> None:
    shared_directory(disk.root / "kubelet")
    doctor.expect("node-filesystem", "warn", "shares the filesystem", "filesystem of its own",
                  "--kubelet-dir", disk.root / "kubelet")
    little = place / "little.yaml"
    little.write_text("cache: {minFree: 2%}\n")
    doctor.expect("node-filesystem", "warn", "cache.minFree keeps", "(20%)",
                  "--kubelet-dir", disk.root / "kubelet", "--config", little)


def test_finds_what_is_wrong_with_the_configuration(doctor: Doctor, place: Path) -> None:
    file = place / "config.yaml"
    file.write_text("cache:\n  limt: 1Gi\n")
    doctor.expect("configuration", "fail", f"{file}:2: ", "config check", "--config", file)
    file.write_text("cache: {limit: 1Ti}\n")
    doctor.expect("limit", "warn", "1.0 TiB of a filesystem of", "cache.limit", "--config", file)
    doctor.expect("configuration", "fail", "nowhere.yaml", "config check", "--config", place / "nowhere.yaml")


def test_finds_disks_without_room(place: Path, on: Callable[..., None]) -> None:
    (place / "full").mkdir()
    full = SmallDisk(place / "full", 64)
    root = owned_by_daemon(full.root / "cache")
    full.hog(leave=2 * MIB)
    on(root, "space", "fail", "2.0 MiB free", "free space")
    full.resize_hog(0)
    for number in range(100_000):
        try:
            (full.root / f"small{number}").touch()
        except OSError:
            break
    on(root, "inodes", "fail", "0 free of", "mkfs.ext4 -N", beside=("writing",))
    mount("-o", "remount,ro", str(full.root))
    on(root, "filesystem", "fail", "mounted read-only", "kernel's log", beside=("writing", "inodes"))


def test_does_not_wait_for_a_disk_that_hangs(place: Path, on: Callable[..., None]) -> None:
    (place / "frozen").mkdir()
    frozen = SmallDisk(place / "frozen", 64)
    root = owned_by_daemon(frozen.root / "cache")
    subprocess.run(["fsfreeze", "--freeze", str(frozen.root)], check=True)
    try:
        on(root, "writing", "fail", "did not come back in time", "kernel's log")
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(frozen.root)], check=True)


def test_finds_another_process_in_the_root(doctor: Doctor, root: Path) -> None:
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        doctor.expect("root-lock", "fail", f"process {os.getpid()} ", f"stop process {os.getpid()}")
    (root / "lock").unlink()
    assert not doctor.wrong()


def test_finds_where_the_way_to_the_source_ends(doctor: Doctor, place: Path, authorities: tuple[Path, Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    doctor.expect("source", "fail", "Connection refused", "firewalls", "--source", f"http://127.0.0.1:{port}")
    with source("503 Service Unavailable") as ill:
        doctor.expect("source", "fail", "HTTP 503", "mirror", "--source", ill.url("/"))
    with private_network("10.9.8.7"):
        doctor.expect("source", "fail", "can't be resolved", "DNS", "--source", "https://hub.invalid")
    with TlsServer(says(), "127.0.0.1", *authorities) as trusted:
        url = f"https://127.0.0.1:{trusted.port}"
        assert "its certificate is trusted" in doctor.checks("--source", url)["source"]["value"]
        assert not doctor.wrong("--source", url)
        missing = {"SSL_CERT_FILE": str(place / "nowhere.pem")}
        doctor.expect("certificate-authorities", "fail", "No such file", "sources.caFile", "--source", url,
                      beside=("source",), environment=missing)
    with TlsServer(says(), "127.0.0.1", *certificate(place, "unknown")) as unknown:
        doctor.expect("source", "fail", "certificate", "sources.caFile", "--source",
                      f"https://127.0.0.1:{unknown.port}")
    assert doctor.checks("--offline")["source"]["state"] == "skip"


def test_asks_through_the_proxy_and_says_so(doctor: Doctor, place: Path) -> None:
    file = place / "proxy.yaml"
    with source() as proxy:
        file.write_text(f'sources: {{proxy: {{http: "http://user:pa55word@127.0.0.1:{proxy.port}"}}}}\n')
        check = doctor.checks("--config", file, "--source", "http://hub.invalid")["source"]
        assert check["state"] == "ok" and f"127.0.0.1:{proxy.port}" in check["value"], check
        assert "pa55word" not in check["value"]
        assert [asked.target for asked in proxy.requests] == ["http://hub.invalid/"]
    with source("407 Proxy Authentication Required") as proxy:
        file.write_text(f'sources: {{proxy: {{https: "http://127.0.0.1:{proxy.port}"}}}}\n')
        doctor.expect("source", "fail", "HTTP 407", "user and password", "--config", file, "--source",
                      "https://hub.invalid")


def test_finds_that_the_clock_is_wrong(doctor: Doctor) -> None:
    for off_by, text in ((-86400, "ahead of the source's"), (86400, "behind the source's")):
        with source(off_by=off_by) as server:
            doctor.expect("clock", "fail", text, "NTP", "--source", server.url("/"))
    with source(off_by=120) as server:
        doctor.expect("clock", "warn", "behind", "NTP", "--source", server.url("/"))
    with source("200 OK", "Age: 3600", off_by=-3600) as keeper:
        assert "as the source's" in doctor.checks("--source", keeper.url("/"))["clock"]["value"], "a cache kept it"


def listening(path: Path, backlog: int = 8) -> socket.socket:
    """Somebody there who never answers, as the daemon's user."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chown(path, DAEMON_UID, DAEMON_UID)
    listener.listen(backlog)
    return listener


def test_finds_sockets_that_nobody_answers(doctor: Doctor, place: Path) -> None:
    def expect(value: str, remedy: str) -> None:
        doctor.expect("admin-socket", "fail", value, remedy, "--socket", path)

    path = place / "s"
    expect("does not exist", "start weighhouse-cached")
    path.touch()
    expect("is no socket", "remove what is there")
    path.unlink()
    with listening(path):
        expect("no answer within 2 s", "ss -xlp")
    expect("nobody listens", "its log says why")
    path.unlink()
    with listening(path, backlog=0), socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))
        expect("temporarily unavailable", "restart weighhouse-cached")


@pytest.fixture(name="served")
def _served(new_daemon: Callable[..., CacheDaemon], url: str) -> CacheDaemon:
    """A daemon on a disk of its own, not started."""
    daemon = new_daemon(limit="64Mi")
    daemon.configure(url, "64Mi")
    SmallDisk(daemon.root, 128)
    return daemon


def of(daemon: CacheDaemon, kubelet: Path, authorities: tuple[Path, Path]) -> Doctor:
    return Doctor("--socket", daemon.admin_socket, "--config", daemon.config_file, "--kubelet-dir", kubelet,
                  environment={"SSL_CERT_FILE": str(authorities[0])})


def test_finds_nothing_beside_a_sound_daemon_and_what_befalls_it(served: CacheDaemon, kubelet: Path,
                                                                 authorities: tuple[Path, Path]) -> None:
    served.start()
    doctor = of(served, kubelet, authorities)
    checks = doctor.checks()
    assert {check["state"] for check in checks.values()} == {"ok"}, checks
    assert f"of process {served.process.pid}" in checks["open-files"]["value"]
    assert "of the daemon that answers" in checks["root-lock"]["value"]
    bare = Doctor("--socket", served.admin_socket, "--kubelet-dir", kubelet)
    assert bare.checks("--offline")["daemon-root"]["state"] == "ok", "without a configuration it is the daemon's"

    os.chown(served.admin_socket, STRANGER, STRANGER)
    served.admin_socket.chmod(0o600)
    doctor.expect("admin-socket", "fail", f"uid {STRANGER}", f"chown {DAEMON_UID}:{DAEMON_UID}")
    os.chown(served.admin_socket, DAEMON_UID, DAEMON_UID)
    served.admin_socket.chmod(0o666)
    doctor.expect("admin-socket", "warn", "every user may connect", "chmod 0660")
    served.admin_socket.chmod(0o660)

    over = owned_by_daemon(served.directory / "over")
    doctor.expect("daemon-root", "fail", "is another directory", "restart the daemon", "--root", over,
                  beside=("node-filesystem", "filesystem", *WAYS))
    served.config_map.swap("cache:\n  limit: most\n")
    served.process.wait_ready(lambda: "daemon-configuration" in doctor.wrong("--root", served.root, "--offline"))
    doctor.expect("daemon-configuration", "fail", "cache.limit is 'most'", "last good one", "--root", served.root,
                  "--offline", beside=("configuration",))


def test_judges_the_limits_of_the_daemon_that_runs(served: CacheDaemon, kubelet: Path,
                                                   authorities: tuple[Path, Path]) -> None:
    served.launcher = ["prlimit", "--memlock=4096:4096"]
    served.start()
    of(served, kubelet, authorities).expect("memlock", "warn", f"of process {served.process.pid}",
                                            "start the daemon again")


def in_terminal(arguments: list[str], **environment: str) -> str:
    """What the program writes to a terminal."""
    master, slave = pty.openpty()
    program = str(workspace.binaries() / "weighhouse")
    with subprocess.Popen([program, "doctor", *arguments], stdout=slave, stderr=slave,
                          env=os.environ | {"TERM": "xterm"} | environment) as ran:
        os.close(slave)
        text = b""
        while True:
            try:
                text += os.read(master, 65536)
            except OSError:  # its last descriptor is closed
                break
        ran.wait(30)
    os.close(master)
    return text.decode()


def test_is_coloured_on_a_terminal_only(root: Path, kubelet: Path) -> None:
    arguments = ["--root", str(root), "--kubelet-dir", str(kubelet), "--offline"]
    plain = run(arguments).stdout
    lines = plain.splitlines()
    assert all(re.fullmatch(r"(ok  |skip|warn|FAIL)  [a-z-]+: .+|        .+", line) for line in lines[:-1]), plain
    assert lines[-1].startswith(f"{len([line for line in lines if not line.startswith(' ')]) - 1} checks: ")
    assert "\x1b[32mok  \x1b[0m  kernel: " in in_terminal(arguments)
    assert "\x1b" not in plain + in_terminal(arguments, NO_COLOR="1") + in_terminal(arguments, TERM="dumb")
