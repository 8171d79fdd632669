"""The fake Hub through the eyes of the real `huggingface_hub` client: who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from tests.fakes.hub import HubServer
from tests.fakes.hub_store import OrgRole
from tests.unit.fakes.hub_clients import as_user, status, upload


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token="hf_tester")


def test_whoami_knows_orgs_and_role(hub: HubServer, api: HfApi) -> None:
    """A token's user, its organisations and how far it goes are told."""
    me = api.whoami()
    assert me["name"] == "tester"
    assert [(org["name"], org["roleInOrg"]) for org in me["orgs"]] == [("org", "admin")]
    assert me["auth"]["accessToken"]["role"] == "write"
    reader = as_user(hub, "reader", role="read")
    assert reader.whoami()["auth"]["accessToken"]["role"] == "read"


def test_an_unknown_token_is_refused_everywhere(hub: HubServer) -> None:
    """A wrong token is a 401 even on a public repository, and is not called a missing one."""
    hub.put("org/qa", {})
    api = HfApi(endpoint=hub.url, token="hf_wrong")
    for call in (api.whoami, lambda: api.dataset_info("org/qa")):
        with pytest.raises(HfHubHTTPError, match="Invalid") as caught:
            call()
        assert caught.value.response.status_code == 401
        assert not isinstance(caught.value, RepositoryNotFoundError)


@pytest.mark.parametrize("repo_id", ["org/secret", "org/missing"])
def test_what_one_may_not_see_looks_missing(hub: HubServer, repo_id: str) -> None:
    """Private and missing are the same: 401 without a token, 404 with a stranger's."""
    hub.put("org/secret", {"a.txt": b"hidden"}, private=True)
    for api, expected in (
        (HfApi(endpoint=hub.url, token=False), 401),
        (as_user(hub, "stranger"), 404),
    ):
        for call in (
            partial(api.dataset_info, repo_id),
            partial(api.list_repo_files, repo_id, repo_type="dataset"),
            partial(api.auth_check, repo_id, repo_type="dataset"),
            partial(upload, api, repo_id),
        ):
            assert status(call, RepositoryNotFoundError) == expected


def test_members_see_what_is_private(hub: HubServer) -> None:
    """A private repository is open to its namespace: the user, or the organisation's members."""
    hub.put("org/secret", {"a.txt": b"hidden"}, private=True)
    hub.put("ann/secret", {"a.txt": b"hidden"}, private=True)
    ann = as_user(hub, "ann", orgs={"org": "read"})
    assert ann.dataset_info("org/secret").private
    assert ann.dataset_info("ann/secret").private
    assert not as_user(hub, "bob").repo_exists("ann/secret", repo_type="dataset")


def test_a_gated_repository_shows_itself_but_not_its_files(hub: HubServer, tmp_path: Path) -> None:
    """Files of a gated repository are a GatedRepoError until the user is let in."""
    hub.put("org/gated", {"a.txt": b"hidden"})
    hub.gate("org/gated", granted=["friend"])

    def fetch(api: HfApi) -> str:
        return api.hf_hub_download("org/gated", "a.txt", repo_type="dataset", cache_dir=tmp_path)

    anonymous = HfApi(endpoint=hub.url, token=False)
    stranger, friend = as_user(hub, "stranger"), as_user(hub, "friend")
    assert stranger.dataset_info("org/gated").gated == "manual"
    assert status(lambda: fetch(stranger), GatedRepoError) == 403
    assert status(lambda: fetch(anonymous), GatedRepoError) == 401
    check = partial(stranger.auth_check, "org/gated", repo_type="dataset")
    assert status(check, GatedRepoError) == 403
    with open(fetch(friend), "rb") as file:
        assert file.read() == b"hidden"


def test_a_token_that_only_reads_writes_nothing(hub: HubServer) -> None:
    """The owner's read token may look, and may not create, commit, branch, tag or delete."""
    hub.put("ann/qa", {})
    ann = as_user(hub, "ann", role="read")
    options: dict[str, Any] = {"repo_type": "dataset"}
    ann.auth_check("ann/qa", **options)
    for call in (
        lambda: ann.create_repo("ann/new", **options),
        lambda: upload(ann, "ann/qa"),
        lambda: upload(ann, "ann/qa", create_pr=True),
        lambda: ann.create_branch("ann/qa", branch="dev", **options),
        lambda: ann.create_tag("ann/qa", tag="v1", **options),
        lambda: ann.update_repo_settings("ann/qa", private=True, **options),
        lambda: ann.delete_repo("ann/qa", **options),
        lambda: ann.auth_check("ann/qa", write=True, **options),
    ):
        assert status(call) == 403
    assert len(hub.commits("ann/qa")) == 1 + 1
    assert set(hub.repo("ann/qa").refs) == {"refs/heads/main"}


@pytest.mark.parametrize(
    ("role", "creates", "changes_others"),
    [
        ("read", False, False),
        ("contributor", True, False),
        ("write", True, True),
        ("admin", True, True),
        (None, False, False),
    ],
)
def test_rights_in_an_organisation(
    hub: HubServer, role: OrgRole | None, creates: bool, changes_others: bool
) -> None:
    """What a member may do follows the role; a contributor may change only their own."""
    hub.put("org/qa", {})
    ann = as_user(hub, "ann", orgs={"org": role} if role else {})
    create = partial(ann.create_repo, "org/new", repo_type="dataset")
    check = partial(ann.auth_check, "org/qa", repo_type="dataset", write=True)
    if creates:
        create()
        upload(ann, "org/new")
        assert hub.files("org/new")["a.txt"] == b"new"
    else:
        assert status(create) == 403
    if changes_others:
        check()
        upload(ann)
        assert hub.files("org/qa")["a.txt"] == b"new"
    else:
        assert status(check) == 403
        assert status(lambda: upload(ann)) == 403
        assert "a.txt" not in hub.files("org/qa")


def test_a_stranger_may_open_a_pull_request(hub: HubServer, api: HfApi) -> None:
    """With `create_pr` a commit goes to refs/pr/1, which its author alone may go on with."""
    hub.put("org/qa", {"b.txt": b"old"})
    ann, bob = as_user(hub, "ann"), as_user(hub, "bob")
    done = upload(ann, create_pr=True, commit_message="Please")
    assert (done.pr_num, done.pr_revision) == (1, "refs/pr/1")
    assert "a.txt" not in hub.files("org/qa")
    assert hub.files("org/qa", "refs/pr/1")["b.txt"] == b"old"
    upload(ann, revision="refs/pr/1", path_or_fileobj=b"newer")
    assert hub.files("org/qa", "refs/pr/1")["a.txt"] == b"newer"
    assert status(lambda: upload(bob, revision="refs/pr/1", path_or_fileobj=b"bad")) == 403
    (found,) = api.get_repo_discussions("org/qa", repo_type="dataset")
    assert (found.num, found.title, found.author) == (1, "Please", "ann")
    assert not list(api.get_repo_discussions("org/qa", repo_type="dataset", author="bob"))
    details = api.get_discussion_details("org/qa", 1, repo_type="dataset")
    assert details.target_branch == "refs/heads/main"
    refs = api.list_repo_refs("org/qa", repo_type="dataset", include_pull_requests=True)
    assert [ref.ref for ref in refs.pull_requests or []] == ["refs/pr/1"]
