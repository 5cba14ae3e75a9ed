"""What names mean in this test's namespace: /etc/hosts of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

from harness.workspace import mount

_HOSTS = Path("/etc/hosts")


class Names:
    """Within its `with` block /etc/hosts says what it is told, for every process of the namespace."""

    def __init__(self, directory: Path, **names: str) -> None:
        self._file = directory / "hosts"
        self._set = {name.replace("_", "."): address for name, address in names.items()}

    def __enter__(self) -> "Names":
        self._write()
        mount("--bind", str(self._file), str(_HOSTS))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        subprocess.run(["umount", str(_HOSTS)], check=True)

    def mean(self, name: str, address: str) -> None:
        """From now on."""
        self._set[name] = address
        self._write()

    def _write(self) -> None:
        """In place: the file is what is mounted."""
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        lines += [f"{address} {name}" for name, several in self._set.items() for address in several.split()]
        self._file.write_text("\n".join(lines) + "\n")
        self._file.chmod(0o644)
