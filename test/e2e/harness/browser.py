"""A real Chromium without a window, driven over the W3C WebDriver protocol: plain HTTP to chromedriver."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable

from harness.process import Process

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# It runs as root in a namespace of the test's, where its own sandbox can't be, and reaches the loopback only.
_FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
          "--disable-component-update", "--no-first-run", "--no-proxy-server",
          "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


class Browser:
    """One window; what it keeps goes below `directory`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._driver = Process("chromedriver", ["chromedriver", "--port=0"], directory / "chromedriver.log",
                               {"HOME": str(directory), "TMPDIR": str(directory)}, stdout=subprocess.PIPE)
        self._url = f"http://127.0.0.1:{self._port()}/session"
        self._url += "/" + self._call("POST", "", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": [*_FLAGS, f"--user-data-dir={directory}/profile"]}}}})["sessionId"]

    def _port(self) -> int:
        """Waits for the line that says which port was free."""
        for line in self._driver.stdout:
            if said := re.search(rb"started successfully on port (\d+)", line):
                return int(said[1])
        raise RuntimeError(f"chromedriver did not start:\n{self._driver.log_tail()}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        with _OPENER.open(request, timeout=60) as reply:
            return json.load(reply)["value"]

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a function returns in the page."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str = "body") -> str:
        """What a reader sees of the first element that fits."""
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def until(self, wanted: Callable[[], Any], seconds: float = 15) -> Any:
        """What `wanted` returns as soon as that is true."""
        deadline = time.monotonic() + seconds
        while not (found := wanted()):
            assert time.monotonic() < deadline, f"not within {seconds} s; the page says:\n{self.text()}"
            time.sleep(0.05)
        return found

    def look(self, width: int, height: int, scheme: str) -> None:
        """From now on a screen of this size, and the reader's wish for "light" or "dark"."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                      mobile=width < 600)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, file: Path) -> None:
        """The whole page, also what would have to be scrolled to."""
        image = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(image))

    def complaints(self) -> list[str]:
        """What the console says since it was last asked: errors, and what the page's policy forbade."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def close(self) -> None:
        try:
            self._call("DELETE", "")
        except OSError:
            pass  # it has died; the driver ends what is left of it
        self._driver.stop()


def artifacts() -> Path:
    """Where pictures stay for people to look at, in the build's directory."""
    return Path(os.environ.get("WEIGHHOUSE_BIN", "build/dev/bin")).parent / "screenshots"
