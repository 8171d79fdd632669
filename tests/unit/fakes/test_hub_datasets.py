"""The fake Hub through the eyes of the real `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.hub import HubServer
from tests.unit.fakes.hub_clients import child

LINES = b'{"q": "2+2?", "a": 4}\n{"q": "3+3?", "a": 6}\n'
CONFIGS = b"""---
configs:
- config_name: easy
  data_files: [{split: train, path: easy.jsonl}]
- config_name: hard
  data_files: [{split: train, path: hard.jsonl}, {split: test, path: easy.jsonl}]
---
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def test_a_pushed_dataset_comes_back(hub: HubServer, tmp_path: Path) -> None:
    """What push_to_hub writes, load_dataset reads: splits, a second config, a branch."""
    answer = child(
        hub,
        tmp_path,
        """
        from datasets import Dataset, DatasetDict, load_dataset
        train, test = Dataset.from_dict({"q": ["a", "b"]}), Dataset.from_dict({"q": ["c"]})
        DatasetDict(train=train, test=test).push_to_hub("org/qa", private=True)
        test.push_to_hub("org/qa", config_name="hard", split="validation")
        train.push_to_hub("org/qa", split="extra", revision="dev")
        plain = load_dataset("org/qa")
        answer = {
            "plain": {name: split["q"][:] for name, split in plain.items()},
            "hard": load_dataset("org/qa", "hard", split="validation")["q"][:],
            "dev": sorted(load_dataset("org/qa", revision="dev")),
        }
        """,
    )
    assert answer == {
        "plain": {"train": ["a", "b"], "test": ["c"]},
        "hard": ["c"],
        "dev": ["extra", "test", "train"],
    }
    assert hub.repo("org/qa").private
    parquet = {path for path in hub.files("org/qa") if path.endswith(".parquet")}
    assert parquet == {
        "data/train-00000-of-00001.parquet",
        "data/test-00000-of-00001.parquet",
        "hard/validation-00000-of-00001.parquet",
    }
    assert "data/extra-00000-of-00001.parquet" in hub.files("org/qa", "dev")
    newest = hub.commits("org/qa")[0].files
    assert all(newest[path].sha256 for path in parquet)


def test_a_second_push_replaces_the_first(hub: HubServer, tmp_path: Path) -> None:
    """Shards of the older push are deleted by the commit of the newer."""
    answer = child(
        hub,
        tmp_path,
        """
        from datasets import Dataset, load_dataset
        Dataset.from_dict({"q": ["a", "b"]}).push_to_hub("org/qa", num_shards=2)
        Dataset.from_dict({"q": ["c"]}).push_to_hub("org/qa")
        answer = load_dataset("org/qa", split="train")["q"][:]
        """,
    )
    assert answer == ["c"]
    data = [path for path in hub.files("org/qa") if path.startswith("data/")]
    assert data == ["data/train-00000-of-00001.parquet"]
    older = hub.files("org/qa", hub.commits("org/qa")[1].oid)
    assert sum(path.startswith("data/") for path in older) == 2


def test_seeded_files_load_in_every_way(hub: HubServer, tmp_path: Path) -> None:
    """Configs, splits, streaming and a tagged revision load from files put without a client."""
    seed = hub.put("org/qa", {"README.md": CONFIGS, "easy.jsonl": LINES, "hard.jsonl": LINES[:22]})
    hub.repo("org/qa").refs["refs/tags/v1"] = seed
    hub.put("org/qa", {"easy.jsonl": LINES[22:]})
    answer = child(
        hub,
        tmp_path,
        """
        from datasets import get_dataset_config_names, load_dataset
        def load(*args, **options):
            return [row["a"] for row in load_dataset("org/qa", *args, **options)]
        answer = {
            "names": get_dataset_config_names("org/qa"),
            "splits": sorted(load_dataset("org/qa", "hard")),
            "easy": load("easy", split="train"),
            "streamed": load("easy", split="train", streaming=True),
            "sliced": load("easy", split="train[1:]", revision="v1"),
            "tagged": load("easy", split="train", streaming=True, revision="v1"),
            "none": error(lambda: load("nope", split="train"))[0],
        }
        """,
    )
    assert answer == {
        "names": ["easy", "hard"],
        "splits": ["test", "train"],
        "easy": [6],
        "streamed": [6],
        "sliced": [6],
        "tagged": [4, 6],
        "none": "ValueError",
    }


def test_streaming_parquet_reads_ranges(hub: HubServer, tmp_path: Path) -> None:
    """A parquet file is streamed by Range requests, and never fetched whole."""
    answer = child(
        hub,
        tmp_path,
        """
        from datasets import Dataset, load_dataset
        Dataset.from_dict({"q": list("abc")}).push_to_hub("org/qa")
        answer = [row["q"] for row in load_dataset("org/qa", split="train", streaming=True)]
        """,
    )
    assert answer == ["a", "b", "c"]
    reads = [s for s in hub.seen if s.path.endswith(".parquet") and s.method == "GET"]
    assert {seen.status for seen in reads} == {206}


def test_what_cannot_be_loaded_says_why(hub: HubServer, tmp_path: Path) -> None:
    """Private, gated, missing and a missing revision are `DatasetNotFoundError`s of their own."""
    for name in ("secret", "gated", "open"):
        hub.put(f"other/{name}", {"a.jsonl": LINES}, private=name == "secret")
    hub.gate("other/gated")
    code = """
        from datasets import load_dataset
        answer = [error(lambda: load_dataset(name)) for name in
                  ("other/secret", "other/gated", "other/missing", "missing")]
        answer.append(error(lambda: load_dataset("other/open", revision="nope")))
    """
    for token, gated in (("hf_tester", "ask for access"), (None, "must be authenticated")):
        folder = tmp_path / str(token)
        folder.mkdir()
        errors = child(hub, folder, code, token=token)
        assert [kind for kind, _ in errors] == ["DatasetNotFoundError"] * 5
        hidden = "cannot be accessed"
        parts = [hidden, gated, hidden, hidden, "Revision 'nope' doesn't exist"]
        assert all(part in text for part, (_, text) in zip(parts, errors, strict=True)), errors


def test_a_push_without_rights_is_a_403(hub: HubServer, tmp_path: Path) -> None:
    """A read token creates nothing, and a stranger's token changes nothing."""
    hub.put("other/qa", {"a.jsonl": LINES})
    hub.add_user("reader", token="hf_reader", role="read")
    code = """
        from datasets import Dataset
        push = Dataset.from_dict({"q": ["a"]}).push_to_hub
        answer = [error(lambda: push(name)) for name in ("reader/new", "other/qa")]
    """
    (kind, text), (kind2, text2) = child(hub, tmp_path, code, token="hf_reader")
    assert (kind, kind2) == ("HfHubHTTPError", "HfHubHTTPError")
    assert "403" in text and 'under the namespace "reader"' in text
    assert "403" in text2
    assert hub.repos() == ["other/qa"]
    assert len(hub.commits("other/qa")) == 2


def test_a_push_can_be_a_pull_request(hub: HubServer, tmp_path: Path) -> None:
    """push_to_hub with `create_pr` leaves main alone, and the request can be loaded."""
    hub.put("other/qa", {"README.md": b"---\nlicense: mit\n---\n"})
    answer = child(
        hub,
        tmp_path,
        """
        from datasets import Dataset, load_dataset
        done = Dataset.from_dict({"q": ["a"]}).push_to_hub("other/qa", create_pr=True)
        loaded = load_dataset("other/qa", split="train", revision=done.pr_revision)
        answer = [done.pr_num, loaded["q"][:]]
        """,
    )
    assert answer == [1, ["a"]]
    assert len(hub.commits("other/qa")) == 2
    assert b"license: mit" in hub.files("other/qa", "refs/pr/1")["README.md"]
