"""The fake Hub's pull requests, holds and licences, through the real client."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.fakes.hub import HubServer
from tests.unit.fakes.hub_clients import as_user, upload


def numbers(api: HfApi, status: str) -> list[int]:
    """The pull requests of a status."""
    found = api.get_repo_discussions("org/qa", repo_type="dataset", discussion_status=status)  # type: ignore[arg-type]
    return [one.num for one in found if one.is_pull_request]


def test_a_merged_pull_request_is_open_no_more(hub: HubServer) -> None:
    """Merging moves main to what was proposed."""
    hub.put("org/qa", {})
    api = HfApi(endpoint=hub.url, token="hf_tester")
    upload(api, create_pr=True)
    assert (numbers(api, "open"), numbers(api, "closed")) == ([1], [])
    hub.merge("org/qa", 1)
    assert (numbers(api, "open"), numbers(api, "closed")) == ([], [1])
    assert hub.files("org/qa")["a.txt"] == b"new"


def test_large_files_go_on_with_ones_own_pull_request(hub: HubServer, tmp_path: Path) -> None:
    """Who may not write sends them to a pull request of his own, and to nobody else's."""
    hub.put("org/qa", {})
    guest, other = as_user(hub, "guest"), as_user(hub, "other")
    upload(guest, path_in_repo="a.parquet", create_pr=True)
    upload(guest, path_in_repo="b.parquet", revision="refs/pr/1")
    with pytest.raises(Exception, match="Forbidden"):
        upload(other, path_in_repo="c.parquet", revision="refs/pr/1")
    assert {"a.parquet", "b.parquet"} < set(hub.files("org/qa", "refs/pr/1"))


def test_a_held_request_waits_and_the_next_one_does_not(hub: HubServer) -> None:
    """The first commit stands still until it is let go; others pass it."""
    hub.put("org/qa", {})
    api = HfApi(endpoint=hub.url, token="hf_tester")
    held = hub.hold("/commit/main", method="POST")
    thread = threading.Thread(target=partial(upload, api, path_in_repo="late.txt"))
    thread.start()
    assert held.reached.wait(30)
    upload(api, path_in_repo="early.txt")
    assert "late.txt" not in hub.files("org/qa")
    held.release()
    thread.join(30)
    assert "late.txt" in hub.files("org/qa")


def test_a_licence_that_the_hub_does_not_know_is_refused(hub: HubServer) -> None:
    """A card with such a licence cannot be committed; one of several that it knows can."""
    hub.put("org/qa", {})
    api = HfApi(endpoint=hub.url, token="hf_tester")
    good, bad = (f"---\nlicense: {name}\n---\n".encode() for name in ("[mit, odbl]", "my-own"))
    upload(api, path_in_repo="README.md", path_or_fileobj=good)
    with pytest.raises(ValueError, match="license"):
        upload(api, path_in_repo="README.md", path_or_fileobj=bad)
