"""What a pod does with a writable `layout: hub` volume while the Hub is reachable (HF_ENDPOINT): it asks for the head
of the default branch. HF_HUB_CACHE is the mount.

Argument: repository. Prints one JSON object; any exception ends it with a trace and status 1.
"""

from __future__ import annotations

import json
import sys

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download


def main() -> None:
    """One update, and what the cache looks like afterwards."""
    repository = sys.argv[1]
    snapshot = snapshot_download(repository)
    config = hf_hub_download(repository, "config.json")
    cache = scan_cache_dir()
    [repo] = cache.repos
    print(json.dumps({
        "snapshot": snapshot,
        "config": config,
        "revisions": {found.commit_hash: sorted(found.refs) for found in repo.revisions},
        "warnings": [str(warning) for warning in cache.warnings],
    }))


if __name__ == "__main__":
    main()
