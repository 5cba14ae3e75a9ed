"""A Hugging Face Hub and its CDN on loopback, for tests: serves DIR/org/name/** and fails as told.

Prints {"hub": URL, "cdn": URL} when ready and ends when its standard input closes. See --help.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import threading
from pathlib import Path

from access import Tokens
from cdn import Cdn, Signer
from control import Control
from faults import FaultRules
from hub_api import Hub, Options
from records import Records
from repository import Catalog
from server import listen

DEFAULT_TOKEN = "hf_fixture"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="directory with org/name/**")
    parser.add_argument("--page-size", type=int, default=1000, help="tree entries a page (the Hub: 1000)")
    parser.add_argument("--url-lifetime", type=int, default=3600, help="seconds a signed URL lives (the Hub: 3600)")
    parser.add_argument("--token", action="append", help=f"a valid token; may be repeated (default {DEFAULT_TOKEN})")
    parser.add_argument("--api-quota", type=int, default=1_000_000, help="API requests a window")
    parser.add_argument("--resolve-quota", type=int, default=1_000_000, help="resolve requests a window")
    parser.add_argument("--quota-window", type=int, default=300, help="seconds (the Hub: 300)")
    parser.add_argument("--cdn-base", default="", metavar="URL", help="files are at URL/org/name/path instead")
    parser.add_argument("--tls-cert", type=Path, help="PEM chain: serve https on both sides")
    parser.add_argument("--tls-key", type=Path, help="PEM key of --tls-cert")
    return parser.parse_args()


def _start(arguments: argparse.Namespace) -> dict[str, str]:
    """Starts both sides; what is printed when they are ready."""
    tls = None
    if arguments.tls_cert:
        import ssl  # pylint: disable=import-outside-toplevel  # slow, and rarely needed

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    catalog = Catalog(arguments.models)
    rules, records, signer = FaultRules(), Records(), Signer(arguments.url_lifetime)
    options = Options(arguments.page_size, arguments.api_quota, arguments.resolve_quota, arguments.quota_window)
    tokens = Tokens(arguments.token or [DEFAULT_TOKEN])
    hub = Hub(catalog, signer, tokens, records, Control(catalog, rules, records, tokens), options)
    scheme = "https" if tls else "http"
    cdn_server = listen(Cdn(catalog, signer, records), rules, records, tls, both_families=True)
    signer.base = f"{scheme}://localhost:{cdn_server.port}"
    signer.elsewhere = arguments.cdn_base.rstrip("/")
    hub_server = listen(hub, rules, records, tls, both_families=False)
    hub.base = f"{scheme}://127.0.0.1:{hub_server.port}"
    return {"hub": hub.base, "cdn": signer.base}


def main() -> None:
    """Runs until standard input ends."""
    arguments = _arguments()
    if not arguments.models.is_dir():
        sys.exit(f"--models {arguments.models}: no such directory")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.stack_size(512 << 10)
    print(json.dumps(_start(arguments)), flush=True)
    while os.read(0, 4096):
        pass
    os._exit(0)  # connections may be in the middle of a stall: nobody waits for them


if __name__ == "__main__":
    main()
