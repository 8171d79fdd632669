"""GSM8K, AQuA-RAT and BBQ: uploaded, ported, pushed, and evaluated on a second machine."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hret_agents.module.spec import class_name
from tests.e2e.scenario import Machine, back, has_hangul, rows_of, upload
from tests.fakes.chat import ChatServer
from tests.fakes.chat_module import fenced, scripted
from tests.fakes.hub import HubServer


@dataclass(frozen=True)
class Case:
    """A benchmark: its file, its kept columns and its translated ones (by their source names)."""

    file: str
    rows: int
    kept: tuple[str, ...]
    translated: tuple[str, ...]
    names: Mapping[str, str]


CASES = [
    Case("gsm8k_test", 1319, (), ("question", "answer"), {"question": "질문", "answer": "정답"}),
    Case(
        "aqua_rat_test",
        254,
        ("correct",),
        ("question", "options", "rationale"),
        {"question": "질문", "options": "선택지", "rationale": "풀이", "correct": "정답"},
    ),
    Case(
        "bbq_religion",
        1200,
        ("example_id", "question_index", "question_polarity", "context_condition", "category",
         "answer_info", "additional_metadata", "label"),
        ("context", "question", "ans0", "ans1", "ans2"),
        {"category": "분류", "context": "맥락", "question": "질문", "label": "레이블"},
    ),
]  # fmt: skip

# Runs on the second machine: every gold and every wrong answer, judged by the ported module.
JUDGE = """
import json, sys
from llm_eval.dataset import load_datasets
data = load_datasets(sys.argv[1])
samples = data.load()
out = []
for i, s in enumerate(samples):
    gold = s["reference"]
    others = [o for o in s.get("options", []) if o != gold]
    wrong = others or [str(float(gold.replace(",", "")) + 1)]
    out.append([s["input"], gold, list(data.evaluate_prediction(i, gold)),
                [list(data.evaluate_prediction(i, w)) for w in wrong]])
json.dump(out, open(sys.argv[2], "w"))
"""

LOAD = """
import json, sys
from datasets import load_dataset
rows = [dict(r) for r in load_dataset(sys.argv[1], split="test")]
json.dump(rows, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def servers() -> Any:
    """Both servers, for all the cases."""
    with HubServer() as hub, ChatServer() as chat:
        yield hub, chat


@pytest.mark.data
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.file)
def test_a_benchmark_goes_round(
    case: Case, servers: tuple[HubServer, ChatServer], shared_data: Path, tmp_path: Path
) -> None:
    """Ported and pushed, its data comes back whole; a second machine scores golds 1, others 0."""
    hub, chat = servers
    source = rows_of(shared_data / f"{case.file}.jsonl")
    repo = f"org/{case.file}"
    upload(hub, repo, shared_data / f"{case.file}.jsonl")

    result = Machine(tmp_path / "first", hub, chat).ported(
        "--dataset", repo, "--split", "test", "--push"
    )
    assert result["rows"]["total"] == case.rows == len(source)
    assert (result["rows"]["passed"], result["rows"]["failed"]) == (case.rows, 0)
    pushed = result["repo_id"]
    assert pushed == f"tester/{case.file}-ko"

    second = Machine(tmp_path / "second", hub)
    found = second.work / "rows.json"
    done = second.run("-c", LOAD, pushed, str(found))
    assert done.returncode == 0, done.stderr
    check_rows(case, source, json.loads(found.read_text("utf-8")))

    judged = second.work / "judged.json"
    done = second.run("-c", JUDGE, pushed, str(judged))
    assert done.returncode == 0, done.stderr
    verdicts = json.loads(judged.read_text("utf-8"))
    assert len(verdicts) == case.rows
    for prompt, _, gold, wrong in verdicts:
        assert gold == [True, 1.0]
        assert wrong
        assert all(w == [False, 0.0] for w in wrong)
        assert "답" in prompt

    done = second.run("-m", "hret", "eval", "--model", "oracle", "--dataset", pushed, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0


WRITTEN = Path(__file__).parent / "written"
BOTH_WAYS = [*(case.file for case in CASES), "humaneval"]


@pytest.mark.data
@pytest.mark.parametrize("name", BOTH_WAYS)
def test_a_model_writes_its_module(name: str, shared_data: Path, tmp_path: Path) -> None:
    """A module as a model writes it: verified on every row, and right in the sandbox."""
    slug = f"{name}_ko"
    module = (WRITTEN / f"{name}.py").read_text("utf-8").replace("SLUG", slug)
    module = module.replace("CLASS", class_name(slug))
    data = tmp_path / f"{name}.jsonl"
    shutil.copy(shared_data / f"{name}.jsonl", data)
    with ChatServer() as chat:
        chat.answer = scripted(fenced(module))
        machine = Machine(tmp_path / "machine", chat=chat)
        result = machine.ported(
            "--dataset", str(data), "--split", "test", "--module-model", "writer",
            "--evaluate", "oracle",
        )  # fmt: skip
    assert (result["slug"], result["module_way"]) == (slug, "model:writer"), result["module_tries"]
    assert (result["module_tries"], result["rows"]["failed"]) == ([], 0)
    metrics = result["evaluations"]["oracle"]
    assert (metrics["accuracy"], metrics["failed"]) == (1.0, 0)
    assert metrics["n"] == result["rows"]["total"]


@pytest.mark.data
def test_humaneval_goes_round(shared_data: Path, tmp_path: Path) -> None:
    """Programs stay the same but for their docstrings, and their own tests pass as before."""
    source = rows_of(shared_data / "humaneval.jsonl")
    with HubServer() as hub, ChatServer() as chat:
        upload(hub, "org/humaneval", shared_data / "humaneval.jsonl")
        result = Machine(tmp_path / "first", hub, chat).ported(
            "--dataset", "org/humaneval", "--split", "test", "--push"
        )
        assert (result["rows"]["passed"], result["module_way"]) == (164, "template")
        second = Machine(tmp_path / "second", hub)
        done = second.run("-m", "hret", "eval", "--model", "oracle", "--json",
                          "--dataset", result["repo_id"])  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
    assert found["info"]["evaluation_method"] == "code"
    assert (found["metrics"]["accuracy"], found["metrics"]["n"]) == (1.0, 164)
    port = pq.read_table(f"{result['data_path']}/default").to_pylist()
    for old, new in zip(source, port, strict=True):
        assert {k: new[k] for k in old if k != "prompt"} == {
            k: old[k] for k in old if k != "prompt"
        }
        assert bare(new["prompt"]) == bare(old["prompt"])
        assert has_hangul(new["prompt"])


def bare(program: str) -> str:
    """A program's tree without the texts that stand by themselves."""
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(None)
    return ast.dump(tree)


def wordless(text: str) -> bool:
    """Is there nothing to translate in a text: no two letters in a row?"""
    return re.search("[A-Za-z]{2}", text) is None


def check_rows(case: Case, source: list[dict[str, Any]], port: list[dict[str, Any]]) -> None:
    """Order, labels and golds are as they were; every text is its own row's, in Korean."""
    assert len(port) == len(source)
    for old, new in zip(source, port, strict=True):
        row = {name: new[case.names.get(name, name)] for name in old}
        assert {k: row[k] for k in case.kept} == {k: old[k] for k in case.kept}
        assert {k: back(row[k]) for k in case.translated} == {k: old[k] for k in case.translated}
        assert has_hangul(row["question"]) or wordless(old["question"])
        if "####" in str(old.get("answer")):
            assert row["answer"].rsplit("####", 1)[1] == old["answer"].rsplit("####", 1)[1]


@pytest.mark.data
def test_ten_percent_faults_leave_nothing_silently_wrong(shared_data: Path, tmp_path: Path) -> None:
    """With all kinds of faults on 10 % of replies, each row ends translated or failed and named."""
    source = rows_of(shared_data / "gsm8k_test.jsonl")
    with HubServer() as hub, ChatServer(fault_rate=0.1, seed=7) as chat:
        machine = Machine(tmp_path, hub, chat)
        done = machine.main(
            "--dataset", str(shared_data / "gsm8k_test.jsonl"), "--batch-size", "2", "--json"
        )
        result = json.loads(done.stdout)
        served = {r.fault for r in chat.requests if r.fault is not None}
    failed = [
        json.loads(line) for line in Path(result["failed_path"]).read_text("utf-8").splitlines()
    ]
    assert len(served) >= 12, served
    assert done.returncode == (1 if failed else 0)
    assert result["rows"]["failed"] == len(failed) <= 13
    assert result["rows"]["passed"] + len(failed) == len(source)
    assert all(f["source"] == source[f["row"]] for f in failed)
    lost = {f["row"] for f in failed}
    left = [row for i, row in enumerate(source) if i not in lost]
    import pyarrow.parquet as pq

    port = pq.read_table(result["data_path"] + "/default").to_pylist()
    for old, new in zip(left, port, strict=True):
        assert {k: back(new[n]) for k, n in (("question", "질문"), ("answer", "정답"))} == old
        assert has_hangul(new["질문"])
        assert has_hangul(new["정답"])
