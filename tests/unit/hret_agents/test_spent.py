"""A port's account: what all of its runs cost, each counted once."""

from __future__ import annotations

from pathlib import Path

from hret_agents.spent import Spending, Spent, spent
from llm_eval import settings
from llm_eval.records import Usage


def test_a_run_is_counted_once_however_often_it_tells(tmp_path: Path) -> None:
    """Each note of a run stands in place of its last one, on top of the runs before."""
    for _ in range(2):
        run = Spending(tmp_path)
        run.note("m", Usage(1, 10, 5), 0.1)
        run.note("m", Usage(3, 30, 15), 0.3)
    assert spent(tmp_path) == {"m": Spent(Usage(6, 60, 30), 0.6)}


def test_models_and_unknown_prices_are_told_apart(tmp_path: Path) -> None:
    """Two models have a line each; requests of unknown price are counted as such."""
    Spending(tmp_path).note("m", Usage(1, 10, 5), 0.1)
    Spending(tmp_path).note("free", Usage(2, 20, 10), None)
    assert spent(tmp_path) == {
        "free": Spent(Usage(2, 20, 10), 0.0, 2),
        "m": Spent(Usage(1, 10, 5), 0.1),
    }
    assert spent(tmp_path / "other") == {}


def test_a_run_that_spent_nothing_writes_nothing(tmp_path: Path) -> None:
    """What the memory answered leaves the account, and its file, as they were."""
    Spending(tmp_path).note("m", Usage(), 0.0)
    assert not (settings.home() / "spent").exists()


def test_a_file_that_cannot_be_read_is_no_account(tmp_path: Path) -> None:
    """A torn or foreign file is taken for none, and the next run writes a whole one."""
    Spending(tmp_path).note("m", Usage(1, 1, 1), 0.1)
    (file,) = (settings.home() / "spent").iterdir()
    for text in ("", "[]", '{"m": 3}', '{"m": {"usage": {"requests": 1}, "cost_usd": "x"}}'):
        file.write_text(text, encoding="utf-8")
        assert spent(tmp_path) == {}
    Spending(tmp_path).note("m", Usage(1, 1, 1), 0.1)
    assert spent(tmp_path) == {"m": Spent(Usage(1, 1, 1), 0.1)}
