"""Every schema of the field, ported end to end, and held against the gold plan of its fixture; of
the schemas that were written after the planner those that have a gold.

What must stay is taken from the hand-written plan, not from the one that the port inferred.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hret_agents.job import PortJob, PortResult
from hret_agents.plan.records import Role, keys_of, read_plan
from hret_agents.plan.schema import leaves_of, values
from hret_agents.port import port_dataset
from llm_eval.dataset import load_datasets
from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from tests.fakes.chat import ChatServer
from tests.schemas import HELD_OUT, Fixture, fixtures

MOVING = ("answer_text", "answer_start")  # follow a translation, and are none
APART = {
    "ceval_chinese",  # the fake model translates Latin letters only
    "headqa_answer_structs",  # its gold is called "ra", and the planner leaves it ungraded
}
LATER = [f for f in fixtures(HELD_OUT) if f.gold and f.name not in APART]
FIXTURES = [*fixtures(), *LATER]


def ported(fixture: Fixture, chat: ChatServer, work: Path) -> PortResult:
    """The port of a fixture's rows, from a parquet file with its features."""
    folder = work / fixture.name
    folder.mkdir()
    fixture.write(folder)
    job = PortJob(dataset=str(folder), model="m", api_base=chat.url, max_retries=1)
    return port_dataset(job)


def table(folder: Path) -> Any:
    """A folder's parquet files, with their features."""
    from datasets import load_dataset

    files = sorted(str(f) for f in folder.rglob("*.parquet"))
    return load_dataset("parquet", data_files=files, split="train")


def stored(data: Any) -> list[dict[str, Any]]:
    """Rows as they are stored: images stay bytes."""
    rows: list[dict[str, Any]] = data.with_format("arrow")[:].to_pylist()
    return rows


def kept(fixture: Fixture) -> list[str]:
    """The leaves that must be byte for byte what they were."""
    roles = {path: Role(role) for path, role in fixture.plan["roles"].items()}
    return [p for p, role in roles.items() if not role.translated and role not in MOVING]


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda f: f.name)
def test_a_schema_ports(fixture: Fixture, chat: ChatServer, work: Path) -> None:
    """All rows pass; what must stay stays; features are equal; golds score 1, all else 0."""
    if not any(Role(role).translated for role in fixture.plan["roles"].values()):
        with pytest.raises(UserError, match="no column of .* is text to translate"):
            ported(fixture, chat, work)
        return
    result = ported(fixture, chat, work)
    assert (result.rows["passed"], result.rows["failed"]) == (len(fixture.rows), 0)
    old, new = table(work / fixture.name), table(Path(result.data_path))
    names = read_plan(Path(result.plan_path)).names
    assert {names.get(c, c): f for c, f in old.features.items()} == dict(new.features)
    assert [leaf.path for leaf in leaves_of(old.features)] == list(fixture.plan["roles"])
    for before, after in zip(stored(old), stored(new), strict=True):
        named = {column: after[names.get(column, column)] for column in before}
        for path in kept(fixture):
            assert values(named, path) == values(before, path), path
            assert shape(named, path) == shape(before, path), path
    scored(fixture, result)


def shape(row: Mapping[str, Any], path: str) -> Any:
    """The lengths of the lists on the way to a leaf."""
    found: list[Any] = []
    items: list[Any] = [row]
    for key in keys_of(path):
        if key == "[]":
            found.append([None if v is None else len(v) for v in items])
            items = [x for v in items if v is not None for x in v]
        else:
            items = [v[key] for v in items if v is not None]
    return found


def scored(fixture: Fixture, result: PortResult) -> None:
    """The oracle is always right where there is a gold; every wrong choice is wrong."""
    metrics = Evaluator().run(lambda prompt: "모르겠습니다.", result.slug).metrics
    assert metrics["failed"] == 0
    if not fixture.gold:
        assert result.rows["graded"] == 0
        assert metrics["n"] == 0
        return
    assert result.rows["graded"] > 0
    right = Evaluator().run("oracle", result.slug).metrics
    assert (right["accuracy"], right["failed"]) == (1.0, 0)
    assert right["n"] == result.rows["graded"]
    wrong_choices(load_datasets(result.slug))


def wrong_choices(data: BaseDataset) -> None:
    """Each choice but the right one scores 0."""
    for i, sample in enumerate(data.load()):
        others = [o for o in sample.get("options") or [] if o != sample["reference"]]
        if sample["reference"] is not None:
            assert [data.evaluate_prediction(i, o) for o in others] == [(False, 0.0)] * len(others)
