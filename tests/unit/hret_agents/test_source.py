"""Opening sources: files and folders here; configs, splits and revisions on the Hub."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from hret_agents.job import PortJob
from hret_agents.source import Source, is_local, open_source, stem_of
from llm_eval.errors import UserError
from tests.conftest import child_environment
from tests.fakes.hub import HubServer

ROWS = [{"질문": f'{i}번 물음, "따옴표"와 쉼표', "n": i} for i in range(6)]


def jsonl(path: Path, rows: list[dict[str, Any]] = ROWS) -> None:
    """Write rows as JSON Lines."""
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")


def arrow(path: Path) -> None:
    """Write rows as an Arrow stream, as `datasets` keeps them."""
    import pyarrow as pa

    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


WRITERS: Mapping[str, Callable[[Path], object]] = {
    "quiz.jsonl": jsonl,
    "quiz.ndjson": jsonl,
    "quiz.json": lambda p: p.write_text(json.dumps(ROWS), "utf-8"),
    "quiz.csv": lambda p: Dataset.from_list(ROWS).to_csv(p, index=False),
    "quiz.tsv": lambda p: Dataset.from_list(ROWS).to_csv(p, index=False, sep="\t"),
    "quiz.parquet": lambda p: Dataset.from_list(ROWS).to_parquet(p),
    "quiz.arrow": arrow,
}


def opened(name: str | Path, **more: Any) -> Source:
    """The source of a job on `name`."""
    return open_source(PortJob(dataset=str(name), **more))


def shape(source: Source) -> dict[str, dict[str, int]]:
    """Rows by subset and split."""
    return {s: {t: len(d) for t, d in splits.items()} for s, splits in source.data.items()}


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_every_kind(name: str, work: Path) -> None:
    """A file of each known kind gives its rows, in order, with their values unchanged."""
    WRITERS[name](work / name)
    source = opened(name)
    assert shape(source) == {"default": {"train": 6}}
    assert source.data["default"]["train"].to_list() == ROWS
    assert (source.name, source.stem, source.local) == (name, "quiz", True)
    assert source.licence is None
    assert opened(name).revision == source.revision


def test_the_revision_of_a_file_is_its_content(work: Path) -> None:
    """Another content under the same name is another revision, and its new rows are read."""
    jsonl(work / "quiz.jsonl")
    before = opened("quiz.jsonl")
    jsonl(work / "quiz.jsonl", ROWS[:2])
    after = opened("quiz.jsonl")
    assert before.revision != after.revision
    assert (before.rows, after.rows) == (6, 2)


SPLITS = {
    "train.jsonl": "train", "test.jsonl": "test", "dev.jsonl": "validation",
    "val.jsonl": "validation", "valid.jsonl": "validation", "validation.jsonl": "validation",
    "gsm8k_test.jsonl": "test", "quiz-train-00000-of-00001.jsonl": "train", "TEST.jsonl": "test",
    "latest.jsonl": "train", "contest.jsonl": "train", "quiz.jsonl": "train",
}  # fmt: skip


@pytest.mark.parametrize("name", SPLITS)
def test_a_file_s_name_tells_its_split(name: str, work: Path) -> None:
    """A split is a whole word of the file's name, else "train", else what the user says."""
    jsonl(work / name)
    assert shape(opened(name)) == {"default": {SPLITS[name]: 6}}
    assert shape(opened(name, splits=("mine",), subsets=("default",))) == {"default": {"mine": 6}}


def test_a_file_has_no_subset_of_its_own(work: Path) -> None:
    """A subset asked of a file is refused, with the one there is: it must not become a name."""
    jsonl(work / "quiz.jsonl")
    with pytest.raises(UserError, match="no subset called 'own'") as told:
        opened("quiz.jsonl", subsets=("own",))
    assert "default" in told.value.hint


def test_several_splits_of_one_file_are_refused(work: Path) -> None:
    """Two splits of one file are an error, not a port of the first alone."""
    jsonl(work / "quiz.jsonl")
    with pytest.raises(UserError):
        opened("quiz.jsonl", splits=("train", "test"))


def test_a_folder_of_splits(work: Path) -> None:
    """A folder's files make its splits, shards in order; hidden and foreign files do not."""
    folder = work / "my quiz"
    (folder / "sub").mkdir(parents=True)
    jsonl(folder / "train-00001-of-00002.jsonl", ROWS[3:])
    jsonl(folder / "train-00000-of-00002.jsonl", ROWS[:3])
    jsonl(folder / "sub" / "test.jsonl", ROWS[:2])
    jsonl(folder / ".hidden.jsonl")
    jsonl(folder / "_draft.jsonl")
    (folder / "README.md").write_text("hello")
    source = opened("my quiz")
    assert shape(source) == {"default": {"train": 6, "test": 2}}
    assert source.data["default"]["train"].to_list() == ROWS
    assert (source.name, source.stem) == ("my quiz", "my_quiz")
    assert shape(opened("my quiz", splits=("test",))) == {"default": {"test": 2}}
    with pytest.raises(UserError, match="no split called 'dev'") as told:
        opened("my quiz", splits=("dev",))
    assert "test, train" in told.value.hint


def test_hidden_folders_are_passed_over(work: Path) -> None:
    """What lies in a hidden folder or in a cache is not ported."""
    jsonl(work / "test.jsonl", ROWS[:1])
    (work / ".cache").mkdir()
    jsonl(work / ".cache" / "test.jsonl")
    assert shape(opened(work)) == {"default": {"test": 1}}


def test_what_does_not_fit_together(work: Path) -> None:
    """Splits with other columns, kinds that are mixed and rows that differ are told, not bent."""
    for name in ("columns", "kinds"):
        (work / name).mkdir()
        jsonl(work / name / "train.jsonl")
    jsonl(work / "columns" / "test.jsonl", [{"frage": "x"}])
    WRITERS["quiz.csv"](work / "kinds" / "test.csv")
    for name, words in (("columns", "columns"), ("kinds", "several kinds")):
        with pytest.raises(UserError, match=words):
            opened(name)


def test_files_of_a_split_that_differ_are_named(work: Path) -> None:
    """Two files of one split with other columns, or other types, are both named."""
    first = [{"q": "x", "n": 1}]
    more, text = [{"q": "x", "n": 1, "more": 2}], [{"q": "x", "n": "y"}]
    for name, other, words in (("more", more, "'more' was added"), ("text", text, "'n' is string")):
        (work / name).mkdir()
        jsonl(work / name / "train-0.jsonl", first)
        jsonl(work / name / "train-2.jsonl", other)
        said = (
            rf"columns of {name}/train-2.jsonl differ from those of {name}/train-0.jsonl: {words}"
        )
        with pytest.raises(UserError, match=said):
            opened(name)


def test_splits_that_differ_are_named(work: Path) -> None:
    """Of splits with other columns, the two and the column are named."""
    jsonl(work / "test.jsonl")
    jsonl(work / "train.jsonl", [{"n": 1}])
    said = "default/train differ from those of default/test: '질문' is missing"
    with pytest.raises(UserError, match=said):
        opened(work)


NO_DATA = "holds no rows"
REFUSED = {
    "a.jsonl": ("", NO_DATA), "b.jsonl": ("\n \n", NO_DATA), "c.json": ("[]", NO_DATA),
    "d.csv": ("", NO_DATA), "e.csv": ("q,a\n", NO_DATA), "f.tsv": ("q\ta\n", NO_DATA),
    "g.csv": ("\r\n\r\n", NO_DATA), "h.jsonl": ("\ufeff\n", NO_DATA),
    "i.csv": ("question;answer\nHi?;1\n", "are separated by ';'"),
    "j.csv": ("question;answer\nHi, you;1\nHi, me;2\n", "are separated by ';'"),
    "k.csv": ("question\tanswer\nHi?\t1\n", r"are separated by '\\t'"),
    "l.csv": ("question,answer\nWell, well?,1\nWho, I?,2\n", "have more fields than"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_without_rows_or_cut_in_the_wrong_places(name: str, work: Path) -> None:
    """No rows, another separator and a bare comma, which would move columns, are told."""
    text, said = REFUSED[name]
    (work / name).write_bytes(text.encode())
    with pytest.raises(UserError, match=f"{name} {said}"):
        opened(name)


def test_an_empty_file_beside_others_adds_nothing(work: Path) -> None:
    """An empty shard is passed over; the rows of the others are all there."""
    (work / "train-0.csv").write_bytes(b"")
    WRITERS["quiz.csv"](work / "train-1.csv")
    assert opened(work).data["default"]["train"].to_list() == ROWS


def test_a_mistyped_split_is_guessed(work: Path) -> None:
    """A file's split may be called anything, but not nearly what splits are called."""
    jsonl(work / "quiz_test.jsonl")
    for split in ("tset", "tests", "trian", "vaildation"):
        with pytest.raises(UserError, match=f"no split called '{split}'") as told:
            opened("quiz_test.jsonl", splits=(split,))
        assert "did you mean" in told.value.hint
    for split in ("train", "test_2", "dev", "hard", "training", "evaluation"):
        assert shape(opened("quiz_test.jsonl", splits=(split,))) == {"default": {split: 6}}


def test_the_limit_is_of_each_split(work: Path) -> None:
    """A limit takes the first rows of each split, and no more than there are."""
    (work / "quiz").mkdir()
    jsonl(work / "quiz" / "train.jsonl")
    jsonl(work / "quiz" / "test.jsonl", ROWS[:2])
    source = opened("quiz", limit=3)
    assert shape(source) == {"default": {"test": 2, "train": 3}}
    assert source.data["default"]["train"].to_list() == ROWS[:3]
    assert source.rows == 5


def test_the_sample_is_not_shadowed(work: Path) -> None:
    """The name "sample" is the shipped sample, even beside a folder of that name."""
    (work / "sample").mkdir()
    jsonl(work / "sample" / "test.jsonl")
    source = opened("sample")
    assert (source.rows, source.licence, source.stem) == (36, "apache-2.0", "sample")


STEMS = {
    "HAERAE-HUB/QARV": "HAERAE-HUB__QARV", "gsm8k": "gsm8k", "./data/my quiz.jsonl": "my_quiz",
    "/tmp/x/../quiz.tar.jsonl": "quiz.tar", "~/퀴즈.csv": "퀴즈", "./.hidden.jsonl": "hidden",
}  # fmt: skip


@pytest.mark.parametrize("name", STEMS)
def test_the_stem_of_a_name(name: str) -> None:
    """The stem is a plain name for a folder."""
    assert stem_of(name) == STEMS[name]


@pytest.mark.parametrize(
    "name",
    ["", "a/b/c", "a//b", "..", "a/..", "a/.b", "-a/b", "a b/c", "a\\b", "a/b\n", "\n", "a/b\x00",
     "a/" + "b" * 97, "x" * 300, "a/b--c", "https://huggingface.co/datasets/a/b", "./.jsonl",
     "~nobody-x"],
    ids=lambda name: ascii(name[:20]),
)  # fmt: skip
def test_a_name_that_is_none(name: str, work: Path) -> None:
    """What is no file here and cannot be a repo's name is a `UserError`, before any request."""
    said = "neither a file here|no file or folder|no dataset file|no name for a folder"
    with pytest.raises(UserError, match=said):
        open_source(PortJob(dataset=name))


def test_what_is_local() -> None:
    """A path, a file's ending or something that is there means this machine; else it is the Hub."""
    assert all(map(is_local, ["./x", "/x", "~/x", "x.jsonl", "a/b.csv", "sample"]))
    assert not any(map(is_local, ["a/b", "gsm8k", "a/b.json.d"]))
    Path("gsm8k").mkdir()
    assert is_local("gsm8k")


# --- the Hub, spoken to by child processes ----------------------------------------------------

OPEN = """
import json, sys
from hret_agents.job import PortJob
from hret_agents.source import open_source
from llm_eval.errors import UserError
from llm_eval.secret import secret
said = []
for job in json.loads(sys.argv[1]):
    job = {k: tuple(v) if isinstance(v, list) else v for k, v in job.items()}
    job["hf_token"] = secret(job.get("hf_token", "hf_tester"))
    try:
        s = open_source(PortJob(**job))
    except UserError as e:
        said.append({"error": str(e), "kind": type(e).__name__})
        continue
    rows = {a: {b: d.to_list() for b, d in x.items()} for a, x in s.data.items()}
    said.append({"name": s.name, "stem": s.stem, "revision": s.revision, "licence": s.licence,
                 "local": s.local, "rows": rows})
print(json.dumps(said))
"""
CARD = """---
license:
- mit
- cc-by-nd-4.0
configs:
- config_name: easy
  data_files:
  - split: train
    path: a.jsonl
  - split: test
    path: b.jsonl
- config_name: hard
  data_files:
  - split: test
    path: b.jsonl
---
"""


def lines(*texts: str) -> bytes:
    """Rows of one column as JSON Lines."""
    return "".join(json.dumps({"question": text}) + "\n" for text in texts).encode()


def answers(hub: HubServer, home: Path, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
    """What a process with these jobs finds on the Hub."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, json.dumps(jobs)],
        env=child_environment(home) | hub.env(home / "hf", token=None),
        cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture
def repo(hub: HubServer) -> str:
    """A dataset with two subsets, at two revisions; the older commit."""
    old = hub.put("org/quiz", {"README.md": CARD.encode(), "a.jsonl": lines("old a"),
                               "b.jsonl": lines("old b", "old c")})  # fmt: skip
    hub.put("org/quiz", {"a.jsonl": lines("new a")})
    hub.put("tester/mine", {"test.jsonl": lines("mine")}, private=True)
    return old


def test_configs_splits_and_revisions(hub: HubServer, repo: str, tmp_path: Path) -> None:
    """Named subsets and splits are opened, at the commit that is asked for, and nothing else."""
    quiz: dict[str, Any] = {"dataset": "org/quiz"}
    every, one, old, test, several = answers(
        hub, tmp_path,
        quiz | {"all_subsets": True},
        quiz | {"subsets": ["easy"]},
        quiz | {"subsets": ["easy"], "revision": repo, "splits": ["train"]},
        quiz | {"all_subsets": True, "splits": ["test"], "limit": 1},
        quiz | {"subsets": ["easy", "hard"], "splits": ["test"]},
    )  # fmt: skip
    a, b = [{"question": "new a"}], [{"question": "old b"}, {"question": "old c"}]
    assert every["rows"] == {"easy": {"train": a, "test": b}, "hard": {"test": b}}
    assert (every["name"], every["stem"], every["local"]) == ("org/quiz", "org__quiz", False)
    assert every["revision"] == hub.commits("org/quiz")[0].oid
    assert one["rows"] == {"easy": {"train": a, "test": b}}
    assert old["rows"] == {"easy": {"train": [{"question": "old a"}]}}
    assert old["revision"] == repo
    assert test["rows"] == {"easy": {"test": b[:1]}, "hard": {"test": b[:1]}}
    assert several["rows"] == {"easy": {"test": b}, "hard": {"test": b}}


def test_several_licences_must_all_allow_it(hub: HubServer, repo: str, tmp_path: Path) -> None:
    """A source with several licences is not called by the first of them alone."""
    (found,) = answers(hub, tmp_path, {"dataset": "org/quiz", "subsets": ["easy"]})
    assert found["licence"] != "mit"


def test_what_is_not_there_is_told(hub: HubServer, repo: str, tmp_path: Path) -> None:
    """A missing subset, split, revision or repo is told with what there is."""
    hub.put("org/gated", {"test.jsonl": lines("x")})
    hub.gate("org/gated")
    quiz: dict[str, Any] = {"dataset": "org/quiz"}
    found = answers(
        hub, tmp_path,
        quiz,
        quiz | {"subsets": ["eazy"]},
        quiz | {"subsets": ["hard"], "splits": ["train"]},
        quiz | {"subsets": ["easy"], "revision": "nope"},
        {"dataset": "org/no-such"},
        {"dataset": "org/gated"},
        {"dataset": "tester/mine", "hf_token": None},
    )  # fmt: skip
    words = ("2 subsets: easy, hard", "did you mean 'easy'", "there are: test", "no such revision",
             "no dataset 'org/no-such'", "gated", "private")  # fmt: skip
    for answer, word in zip(found, words, strict=True):
        assert word in answer.get("error", answer)
        assert "→" in answer["error"]


def test_a_token_opens_what_is_its_own(hub: HubServer, repo: str, tmp_path: Path) -> None:
    """A private or gated dataset is opened by whoever may read it, by the job's own token."""
    hub.put("org/gated", {"test.jsonl": lines("x")})
    hub.gate("org/gated", granted=["tester"])
    mine, gated = answers(hub, tmp_path, {"dataset": "tester/mine"}, {"dataset": "org/gated"})
    assert mine["rows"] == {"default": {"test": [{"question": "mine"}]}}
    assert gated["rows"] == {"default": {"test": [{"question": "x"}]}}


def test_a_hub_that_stumbles(hub: HubServer, repo: str, tmp_path: Path) -> None:
    """A Hub that answers with an error is one sentence about it."""
    hub.fail_next(50, status=403, match="api/datasets/org/quiz")
    (found,) = answers(hub, tmp_path, {"dataset": "org/quiz", "subsets": ["easy"]})
    assert "403" in found["error"]
    assert found["kind"] == "AuthError"
