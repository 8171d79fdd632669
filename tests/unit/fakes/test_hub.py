"""The fake Hub through the eyes of the real `huggingface_hub` client: repositories and refs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.fakes.hub import HubServer
from tests.fakes.hub_store import GIT_ATTRIBUTES
from tests.unit.fakes.hub_clients import as_user, status, upload

CARD = b"---\nlicense: mit\nlanguage: [ko, en]\ntags: [qa]\nadded: 2026-01-02\n---\n# QA\n"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token="hf_tester")


# Creating, describing, deleting


def test_a_created_repository_starts_with_one_commit(hub: HubServer, api: HfApi) -> None:
    """A new repository holds .gitattributes and nothing else."""
    url = api.create_repo("org/qa", repo_type="dataset")
    assert (url.repo_id, url.repo_type, url.endpoint) == ("org/qa", "dataset", hub.url)
    assert hub.repos() == ["org/qa"]
    assert hub.files("org/qa") == {".gitattributes": GIT_ATTRIBUTES.encode()}
    assert [commit.title for commit in api.list_repo_commits("org/qa", repo_type="dataset")] == [
        "initial commit"
    ]


def test_a_repository_without_namespace_is_the_users_own(hub: HubServer, api: HfApi) -> None:
    """A bare name is created under the user that the token speaks for."""
    assert api.create_repo("mine").repo_id == "tester/mine"
    assert hub.repos("model") == ["tester/mine"]
    assert hub.repos("dataset") == []


def test_creating_twice_conflicts_unless_that_is_fine(hub: HubServer, api: HfApi) -> None:
    """A second create is a 409, which `exist_ok` swallows."""
    hub.put("org/qa", {"a.txt": b"old"})
    assert status(lambda: api.create_repo("org/qa", repo_type="dataset")) == 409
    url = api.create_repo("org/qa", repo_type="dataset", exist_ok=True)
    assert url.repo_id == "org/qa"
    assert hub.files("org/qa")["a.txt"] == b"old"


def test_types_do_not_mix(hub: HubServer, api: HfApi) -> None:
    """A model, a dataset and a space of one name are three repositories."""
    api.create_repo("org/x", repo_type="model")
    api.create_repo("org/x", repo_type="dataset")
    api.create_repo("org/x", repo_type="space", space_sdk="static")
    upload(api, "org/x")
    assert hub.repos() == ["org/x"] * 3
    assert "a.txt" in hub.files("org/x")
    assert "a.txt" not in hub.files("org/x", repo_type="model")
    assert api.model_info("org/x").id == "org/x"
    assert api.space_info("org/x").sdk == "static"
    assert api.file_exists("org/x", "a.txt", repo_type="dataset")
    assert not api.file_exists("org/x", "a.txt", repo_type="space")


def test_the_card_is_read(hub: HubServer, api: HfApi) -> None:
    """License, languages and tags of a dataset come from the front matter of its README."""
    hub.put("org/qa", {"README.md": CARD})
    hub.put("org/plain", {"README.md": b"# no front matter\n---\nlicense: mit\n---\n"})
    info = api.dataset_info("org/qa")
    assert info.card_data is not None and info.tags is not None
    assert info.card_data.license == "mit"
    assert info.card_data.language == ["ko", "en"]
    assert {"license:mit", "language:ko", "language:en", "qa"} <= set(info.tags)
    assert not api.dataset_info("org/plain").card_data
    assert [found.id for found in api.list_datasets(filter="language:ko")] == ["org/qa"]


def test_listings_filter_and_hide(hub: HubServer, api: HfApi) -> None:
    """A list holds what matches and what the user may see."""
    hub.put("org/qa", {})
    hub.put("org/secret", {}, private=True)
    hub.put("other/qa", {})
    stranger = as_user(hub, "stranger")
    assert {d.id for d in api.list_datasets()} == {"org/qa", "org/secret", "other/qa"}
    assert {d.id for d in stranger.list_datasets()} == {"org/qa", "other/qa"}
    assert [d.id for d in api.list_datasets(author="org", search="QA")] == ["org/qa"]
    assert [d.id for d in api.list_datasets(author="org", limit=1)] == ["org/qa"]
    assert list(api.list_models()) == []


def test_info_can_be_cut_down_and_can_hold_sizes(hub: HubServer, api: HfApi) -> None:
    """`expand` names the fields to return; `files_metadata` adds sizes and LFS names."""
    hub.put("org/qa", {"a.txt": b"four", "b.parquet": b"sixsix"})
    short = api.dataset_info("org/qa", expand=["likes"])
    assert (short.likes, short.sha, short.siblings) == (0, None, None)
    siblings = api.dataset_info("org/qa", files_metadata=True).siblings or []
    known = {s.rfilename: (s.size, s.lfs is not None) for s in siblings}
    assert known["a.txt"] == (4, False)
    assert known["b.parquet"] == (6, True)


def test_settings_delete_and_move(hub: HubServer, api: HfApi) -> None:
    """A repository can be hidden, gated, renamed and deleted."""
    hub.put("org/qa", {"a.txt": b"old"})
    api.update_repo_settings("org/qa", repo_type="dataset", private=True, gated="auto")
    assert hub.repo("org/qa").private and hub.repo("org/qa").gated == "auto"
    assert status(lambda: api.move_repo("org/qa", "other/qa", repo_type="dataset")) == 403
    api.move_repo("org/qa", "tester/qa", repo_type="dataset")
    assert hub.repos() == ["tester/qa"]
    assert api.dataset_info("tester/qa").private
    api.delete_repo("tester/qa", repo_type="dataset")
    assert hub.repos() == []
    again = partial(api.delete_repo, "tester/qa", repo_type="dataset")
    assert status(again, RepositoryNotFoundError) == 404


# Commits and refs


def test_a_stale_parent_is_refused(hub: HubServer, api: HfApi) -> None:
    """A commit on a parent that is no longer the head is a 412 and changes nothing."""
    old = hub.put("org/qa", {"b.txt": b"1"})
    head = hub.put("org/qa", {"b.txt": b"2"})
    assert status(lambda: upload(api, parent_commit=old)) == 412
    assert hub.commits("org/qa")[0].oid == head
    done = upload(api, parent_commit=head[:7])
    assert [commit.oid for commit in hub.commits("org/qa")][:3] == [done.oid, head, old]


def test_a_commit_adds_copies_and_deletes(hub: HubServer, api: HfApi) -> None:
    """One commit may add, copy (from LFS too) and delete files and folders; history keeps them."""
    before = hub.put("org/qa", {"a.txt": b"a", "b.bin": b"b", "old/1.txt": b"1", "old/2.txt": b"2"})
    done = api.create_commit(
        "org/qa",
        [
            CommitOperationAdd("c.txt", b"c"),
            CommitOperationCopy("b.bin", "copy.bin"),
            CommitOperationDelete("a.txt"),
            CommitOperationDelete("old/"),
        ],
        commit_message="Tidy",
        commit_description="All at once",
        repo_type="dataset",
    )
    files = hub.files("org/qa")
    files.pop(".gitattributes")
    assert files == {"b.bin": b"b", "c.txt": b"c", "copy.bin": b"b"}
    assert hub.files("org/qa", before)["old/1.txt"] == b"1"
    last = hub.commits("org/qa")[0]
    assert (last.oid, last.title, last.message, last.author, last.parent) == (
        (done.oid, "Tidy", "All at once", "tester", before)
    )
    again = partial(api.delete_file, "a.txt", "org/qa", repo_type="dataset")
    assert status(again, RemoteEntryNotFoundError) == 404


def test_unknown_names_raise_the_clients_own_errors(
    hub: HubServer, api: HfApi, tmp_path: Path
) -> None:
    """Missing repository, revision and file are three different exceptions."""
    hub.put("org/qa", {"data/a.txt": b"a"})
    options: dict[str, Any] = {"repo_type": "dataset"}
    repository: list[Callable[[], object]] = [
        lambda: api.dataset_info("org/nope"),
        lambda: api.list_repo_refs("org/nope", **options),
        lambda: api.model_info("org/qa"),
    ]
    revision: list[Callable[[], object]] = [
        lambda: api.dataset_info("org/qa", revision="nope"),
        lambda: api.list_repo_commits("org/qa", revision="nope", **options),
        lambda: api.create_tag("org/qa", tag="v1", revision="nope", **options),
        lambda: upload(api, revision="nope"),
        lambda: api.delete_tag("org/qa", tag="nope", **options),
    ]
    entry: list[Callable[[], object]] = [
        lambda: list(api.list_repo_tree("org/qa", "nope", **options)),
        lambda: api.hf_hub_download("org/qa", "nope.txt", cache_dir=tmp_path, **options),
    ]
    assert {status(call, RepositoryNotFoundError) for call in repository} == {404}
    assert {status(call, RevisionNotFoundError) for call in revision} == {404}
    assert {status(call, RemoteEntryNotFoundError) for call in entry} == {404}


def test_branches_and_tags(hub: HubServer, api: HfApi) -> None:
    """Refs are made from any revision, listed, committed to (branches only) and deleted."""
    options: dict[str, Any] = {"repo_type": "dataset"}
    first = hub.put("org/qa", {"a.txt": b"1"})
    hub.put("org/qa", {"a.txt": b"2"})
    api.create_tag("org/qa", tag="v1", revision=first, **options)
    api.create_branch("org/qa", branch="fix/one", revision="v1", **options)
    upload(api, revision="fix/one", path_in_repo="b.txt")
    assert hub.files("org/qa", "v1")["a.txt"] == b"1"
    assert hub.files("org/qa", "fix/one") == hub.files("org/qa", "v1") | {"b.txt": b"new"}
    assert "b.txt" not in hub.files("org/qa")
    assert status(lambda: api.create_tag("org/qa", tag="v1", **options)) == 409
    assert status(lambda: api.create_branch("org/qa", branch="main", **options)) == 409
    for tag in ("v1", "refs/tags/v1"):
        assert status(partial(upload, api, revision=tag), RevisionNotFoundError) == 404
    refs = api.list_repo_refs("org/qa", **options)
    assert {ref.name for ref in refs.branches} == {"main", "fix/one"}
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", first)]
    api.delete_tag("org/qa", tag="v1", **options)
    api.delete_branch("org/qa", branch="fix/one", **options)
    assert status(lambda: api.delete_branch("org/qa", branch="main", **options)) == 403
    assert set(hub.repo("org/qa").refs) == {"refs/heads/main"}


def test_history_can_be_squashed(hub: HubServer, api: HfApi) -> None:
    """A squash leaves one commit with the same files."""
    hub.put("org/qa", {"a.txt": b"1"})
    hub.put("org/qa", {"b.txt": b"2"})
    before = hub.files("org/qa")
    api.super_squash_history("org/qa", repo_type="dataset", commit_message="One")
    assert [commit.title for commit in hub.commits("org/qa")] == ["One"]
    assert hub.files("org/qa") == before


@pytest.mark.parametrize("front_matter", ["license: [mit\n", "- a list\n"])
def test_a_readme_that_does_not_parse_is_refused(
    hub: HubServer, api: HfApi, front_matter: str
) -> None:
    """Metadata that is no YAML mapping stops the upload before a commit is made."""
    hub.put("org/qa", {})
    content = f"---\n{front_matter}---\n".encode()
    with pytest.raises(ValueError, match="Invalid metadata in README.md"):
        upload(api, path_in_repo="README.md", path_or_fileobj=content)
    assert len(hub.commits("org/qa")) == 2
