"""The real huggingface_hub against the fixture: what it accepts, the fixture may well serve."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from conftest import REPO, SHARD, TOKEN, RunningHub, make_model
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from models import synthetic
from safetensors import safe_open


def files_of(directory: Path) -> dict[str, bytes]:
    """Every file below `directory` but the fixture's own."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".fixture.json"
    }


def api(hub: RunningHub, token: str | bool = False) -> HfApi:
    """The client's API, for this hub."""
    return HfApi(endpoint=hub.url, token=token)


def test_snapshot_download_gets_every_byte(hub: RunningHub, models: Path, tmp_path: Path) -> None:
    found = snapshot_download(REPO, cache_dir=tmp_path, endpoint=hub.url, token=False)
    assert Path(found).name == hub.commit()
    assert files_of(Path(found)) == files_of(models / REPO)
    with safe_open(Path(found) / SHARD, "numpy") as shard:
        assert all(shard.get_tensor(name).size for name in shard.keys())


def test_snapshot_download_passes_the_clients_own_verification(hub: RunningHub, tmp_path: Path) -> None:
    snapshot_download(REPO, cache_dir=tmp_path, endpoint=hub.url, token=False)
    result = api(hub).verify_repo_checksums(REPO, cache_dir=tmp_path)
    assert result.checked_count > 5 and not result.mismatches and not result.missing_paths


@pytest.mark.parametrize("revision", ["main", "v1", "refs/pr/1"])
def test_hf_hub_download_by_any_revision(hub: RunningHub, models: Path, tmp_path: Path, revision: str) -> None:
    for name in ("config.json", "1_Pooling/config.json", SHARD):
        path = hf_hub_download(REPO, name, revision=revision, cache_dir=tmp_path, endpoint=hub.url, token=False)
        assert Path(path).read_bytes() == (models / REPO / name).read_bytes()


def test_model_info_tells_digests_and_sizes(hub: RunningHub, models: Path) -> None:
    info = api(hub).model_info(REPO, files_metadata=True)
    shard = next(sibling for sibling in info.siblings if sibling.rfilename == SHARD)
    content = (models / REPO / SHARD).read_bytes()
    assert info.sha == hub.commit()
    assert (shard.size, shard.lfs.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_list_repo_tree_goes_through_all_pages(models: Path) -> None:
    with RunningHub(models, ["--page-size", "3"]) as hub:
        listed = list(api(hub).list_repo_tree(REPO, recursive=True))
        assert hub.stats()["api_calls"] > 2
    files = {entry.path: entry for entry in listed if hasattr(entry, "blob_id")}
    assert files.keys() == files_of(models / REPO).keys()
    config = (models / REPO / "config.json").read_bytes()
    assert files["config.json"].blob_id == hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    assert [entry.path for entry in listed if not hasattr(entry, "blob_id")] == ["1_Pooling"]


def test_ten_thousand_files_are_listed(tmp_path: Path) -> None:
    synthetic.add_many(tmp_path / "acme/many", 10_000)
    with RunningHub(tmp_path) as hub:
        names = api(hub).list_repo_files("acme/many")
        tree = list(api(hub).list_repo_tree("acme/many", recursive=True))
    assert len(names) == 10_000 and len(tree) == 10_100


def test_a_renamed_repository_is_found(hub: RunningHub, models: Path, tmp_path: Path) -> None:
    assert api(hub).model_info("acme/old").id == REPO
    path = hf_hub_download("acme/old", SHARD, cache_dir=tmp_path, endpoint=hub.url, token=False)
    assert Path(path).read_bytes() == (models / REPO / SHARD).read_bytes()


def test_a_private_repository_needs_the_token(hub: RunningHub, models: Path, tmp_path: Path) -> None:
    with pytest.raises(HfHubHTTPError, match="401"):  # RepositoryNotFoundError only over https
        api(hub).model_info("acme/private")
    found = snapshot_download("acme/private", cache_dir=tmp_path, endpoint=hub.url, token=TOKEN)
    assert files_of(Path(found)) == files_of(models / "acme/private")
    log = hub.control("GET", "log")
    assert {entry["authorization"] for entry in log if entry["side"] == "cdn"} == {"none"}


def test_refusals_become_the_clients_own_exceptions(hub: RunningHub, tmp_path: Path) -> None:
    def download(repo: str, name: str = "config.json", revision: str = "main", token: str | bool = False) -> None:
        hf_hub_download(repo, name, revision=revision, cache_dir=tmp_path, endpoint=hub.url, token=token)

    with pytest.raises(RepositoryNotFoundError):
        download("acme/nothing", token=TOKEN)
    with pytest.raises(RevisionNotFoundError):
        download(REPO, revision="nothing")
    with pytest.raises(EntryNotFoundError):
        download(REPO, "nothing.json")
    with pytest.raises(GatedRepoError):
        download("acme/gated")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        api(hub, "hf_wrong").model_info(REPO)
    with pytest.raises(HfHubHTTPError, match="disabled"):
        api(hub).model_info("acme/disabled")


def test_the_client_resumes_where_it_was_cut(hub: RunningHub, models: Path, tmp_path: Path) -> None:
    hub.faults({"side": "cdn", "times": 1, "action": {"kind": "cut", "after": 70_000}})
    path = hf_hub_download(REPO, SHARD, cache_dir=tmp_path, endpoint=hub.url, token=False)
    assert Path(path).read_bytes() == (models / REPO / SHARD).read_bytes()


def test_a_moved_branch_is_a_new_snapshot_and_the_old_one_stays(tmp_path: Path) -> None:
    model = make_model(tmp_path / "models", REPO, [5000])
    with RunningHub(tmp_path / "models") as hub:
        old = hub.commit()
        synthetic.add_shards(model, [5000], seed=2)
        hub.control("POST", "rescan")
        paths = [
            Path(hf_hub_download(REPO, "model.safetensors", revision=revision, cache_dir=tmp_path / "cache",
                                 endpoint=hub.url, token=False))
            for revision in ("main", old)
        ]
    assert paths[0].read_bytes() == (model / "model.safetensors").read_bytes() != paths[1].read_bytes()
    assert paths[1].parent.name == old
