"""What a pod does with a `layout: hub` volume, run as a program with HF_HUB_CACHE at the mount and HF_HUB_OFFLINE=1.

Arguments: repository, branch, commit. Prints one JSON object; any exception ends it with a trace and status 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download


def main() -> None:
    """Everything that the issue asks of huggingface_hub."""
    repository, branch, commit = sys.argv[1:4]
    cache = scan_cache_dir()
    [repo] = cache.repos
    print(json.dumps({
        "snapshot": snapshot_download(repository, revision=branch),
        "snapshot_by_commit": snapshot_download(repository, revision=commit),
        "default": snapshot_download(repository),
        "file_by_branch": hf_hub_download(repository, "config.json", revision=branch),
        "file_by_commit": hf_hub_download(repository, "config.json", revision=commit),
        "nested": hf_hub_download(repository, "1_Pooling/config.json"),
        "weights": hf_hub_download(repository, "model.safetensors"),
        "scanned": repo.repo_id,
        "revisions": {found.commit_hash: sorted(found.refs) for found in repo.revisions},
        "files": sum(1 for path in Path(snapshot_download(repository)).rglob("*") if path.is_file()),
        "warnings": [str(warning) for warning in cache.warnings],
    }))


if __name__ == "__main__":
    main()
