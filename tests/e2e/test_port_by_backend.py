"""A port by a backend in this process: translated, written and resumed as by a server.

One registered backend transliterates, so that every row can be compared with its source; a random
model writes what nobody can use, and no row of it may pass.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hret_agents.job import PortJob, PortResult
from hret_agents.port import dry_run, port_dataset
from hret_agents.spent import spent
from llm_eval.errors import UserError
from llm_eval.models import MODELS, register_model
from tests.conftest import ROOT
from tests.e2e.scenario import Machine, back, rows_of
from tests.fakes.backend import FakeBackend
from tests.fakes.chat import ChatServer
from tests.fakes.chat_module import GOOD, fenced, scripted
from tests.fakes.tiny_lm import make

ROWS = [
    {"question": f"What comes after {i}?", "choices": ["one", "two", "three"], "answer": i % 3}
    for i in range(30)
]


@pytest.fixture
def fake() -> Iterator[type[FakeBackend]]:
    """The backend, registered as `fake`, of which none was made yet."""
    register_model("fake")(FakeBackend)
    FakeBackend.made.clear()
    yield FakeBackend
    MODELS.forget(FakeBackend)
    FakeBackend.answer = staticmethod(lambda messages: "네.")


@pytest.fixture
def quiz(work: Path) -> str:
    """A dataset of thirty rows."""
    folder = work / "quiz"
    folder.mkdir()
    lines = (json.dumps(row) + "\n" for row in ROWS)
    (folder / "test.jsonl").write_text("".join(lines), "utf-8")
    return str(folder)


def data_of(result: PortResult) -> list[dict[str, Any]]:
    """The rows of a port."""
    (path,) = Path(result.data_path).rglob("*.parquet")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_every_row_and_the_module_are_as_by_a_server(
    fake: type[FakeBackend], chat: ChatServer, quiz: str
) -> None:
    """Plan, translation and module by one backend, which is loaded once and let go of at the end;
    the same files as with the same answers over HTTP, but for the model's name."""
    fake.answer = staticmethod(scripted("I cannot.", fenced(GOOD)))
    job = PortJob(dataset=quiz, model="fake:m", module_model="fake:m", batch_size=4)
    result = port_dataset(job)
    (model,) = fake.made
    assert (model.loaded, model.closed) == (1, 1)
    assert result.rows["passed"] == len(ROWS)
    assert [back(row["질문"]) for row in data_of(result)] == [row["question"] for row in ROWS]
    assert (result.model, result.module_way, result.cost_usd) == ("fake:m", "model:fake:m", None)
    assert len(result.module_tries) == 1
    assert max(map(len, model.calls)) > 1
    assert spent(Path(result.path))["fake:m"].unpriced == result.usage["requests"]
    limits = [p.params["max_tokens"] for call in model.calls for p in call]
    assert min(limits) > 500
    formats = ["response_format" in p.params for call in model.calls for p in call]
    assert formats[0] and not formats[-1]  # refused once, and left out from then on

    chat.answer, chat.structured = scripted("I cannot.", fenced(GOOD)), False
    other = PortJob(
        dataset=quiz, model="m", module_model="m", api_base=chat.url, output_dir=Path("by-server")
    )
    served = port_dataset(other)
    assert data_of(served) == data_of(result)
    codes = [Path(r.module_path or "").read_text("utf-8") for r in (result, served)]
    assert codes[0].replace("by fake:m", "by m") == codes[1]

    again = port_dataset(PortJob(dataset=quiz, model="fake:m", output_dir=Path("again")))
    assert again.rows["from_memory"] == len(ROWS)
    assert again.usage["requests"] == 0


def test_parameters_decide_what_is_known(fake: type[FakeBackend], quiz: str) -> None:
    """What decides a translation is in the memory's keys; where a model runs is not."""
    asked = []
    given: list[dict[str, Any]] = [{}, {"structured": True}, {"dtype": "float32"}, {}]
    for number, params in enumerate(given):
        job = PortJob(
            dataset=quiz, model="fake:m", model_params=params, output_dir=Path(str(number))
        )
        asked.append(port_dataset(job).usage["requests"] > 0)
        known = dry_run(job).estimate.known
        assert known == len(ROWS)
    assert asked == [True, True, True, False]


def test_a_pack_over_the_context_is_divided(fake: type[FakeBackend], quiz: str) -> None:
    """A prompt that the model cannot read is no failed row, but a smaller pack."""
    job = PortJob(dataset=quiz, model="fake:m", model_params={"longest": 130}, concurrency=1)
    result = port_dataset(job)
    assert result.rows["passed"] == len(ROWS)
    (model,) = fake.made
    sizes = [len(p.text.split()) for call in model.calls for p in call]
    assert max(sizes) > 130 > min(sizes)


def test_what_a_backend_cannot_be_asked(fake: type[FakeBackend], quiz: str) -> None:
    """Money, batches, keys in parameters, no such parameter: sentences, and nothing is loaded."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"max_cost": 1.0}, "the price of 'fake:m' is unknown"),
        ({"batch": True}, "--batch is for models behind"),
        ({"model_params": {"api_key": "sk-x"}}, "holds 'api_key'"),
        ({"model_params": {"extra": {"aws_secret": "x"}}}, "holds 'aws_secret'"),
        ({"model_params": {"extra_headers": {"a": "x"}}}, "holds 'extra_headers'"),
        ({"model_params": {"api_base": "http://h/v1?key=x"}}, "holds 'api_base'"),
        ({"model_params": {"dtipe": "x"}}, "dtipe"),
        ({"model": "m", "model_params": {"dtype": "x"}}, "this job names none"),
        ({"model": "vllm"}, "no translator called 'vllm'"),
        ({"model": "oracle"}, "no translator called 'oracle'"),
        ({"model": "huggingface:no/such"}, "no/such"),
        ({"module_model": "fake:m", "max_cost": 1.0, "model": "gpt-4o"}, "price of 'fake:m'"),
    ]
    for more, said in wrong:
        with pytest.raises(UserError, match=re.escape(said)):
            port_dataset(PortJob(**{"dataset": quiz, "model": "fake:m", **more}))
    assert not any(model.loaded for model in fake.made)
    found = dry_run(PortJob(dataset=quiz, model="fake:m"))
    assert found.estimate.cost_usd is None
    assert not any(model.loaded for model in fake.made)


def test_ctrl_c_keeps_what_is_finished(fake: type[FakeBackend], quiz: str) -> None:
    """What a call brought before the stop is not asked again."""

    class Stopping(FakeBackend):
        async def generate(self, prompts: Any) -> Any:
            if len(self.calls) == 3:
                self.gate.clear()
                os.kill(os.getpid(), signal.SIGINT)
            return await super().generate(prompts)

    register_model("fake")(Stopping)
    job = PortJob(dataset=quiz, model="fake:m", batch_size=2, concurrency=2)
    try:
        with pytest.raises(KeyboardInterrupt):
            port_dataset(job)
        (model,) = fake.made
        first = {p.text for call in model.calls[1:3] for p in call}
        stopped = len(model.calls)
        model.gate.set()
        result = port_dataset(job)
    finally:
        MODELS.forget(Stopping)
    assert result.rows["passed"] == len(ROWS)
    assert first and not first & {p.text for call in model.calls[stopped:] for p in call}


def test_a_backend_calls_the_name_of_its_model_as_it_likes(quiz: str) -> None:
    """`NAME:MODEL` translates and is evaluated, as `load_model` takes it."""

    class Own(FakeBackend):
        def __init__(self, model: str) -> None:
            super().__init__(model)

    register_model("own")(Own)
    try:
        result = port_dataset(PortJob(dataset=quiz, model="own:m", evaluate=("own:m",)))
    finally:
        MODELS.forget(Own)
    assert result.rows["passed"] == len(ROWS)
    assert result.evaluations["own:m"]["n"] == len(ROWS)


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model that has a chat template."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed: the extra 'hf' brings it")
    return make(tmp_path_factory.mktemp("talker"), chat=True, context=4096)


def test_a_random_model_fails_every_row_by_name(talker: Path, tmp_path: Path) -> None:
    """No source text in a translation's place, no module, exit status 1; again: asked again."""
    machine = Machine(tmp_path)
    port = ["--dataset", "sample", "--model", f"huggingface:{talker}", "--limit", "3"]
    port += ["--model-params", '{"max_new_tokens": 24}', "--max-retries", "1"]
    for _ in range(2):
        result = machine.ported(*port, status=1)
        assert (result["rows"]["passed"], result["rows"]["failed"]) == (0, 3)
        assert result["module_path"] is None
        failed = rows_of(Path(result["failed_path"]))
        assert [f["row"] for f in failed] == [0, 1, 2]
        assert all(f["error"]["kind"] and f["error"]["message"] for f in failed)
        assert result["usage"]["requests"] > 0
    shown = machine.main(*port, "--dry-run")
    assert (shown.returncode, "unknown price" in shown.stdout) == (0, True)
    assert "Loading" not in shown.stderr


def test_a_model_that_continues_texts_is_refused(tiny_lm: Path, tmp_path: Path) -> None:
    """Without a chat template it cannot be asked: a sentence, once it is loaded."""
    done = Machine(tmp_path).main("--dataset", "sample", "--model", f"huggingface:{tiny_lm}")
    assert done.returncode == 2
    assert "has no chat template" in done.stderr


def test_ctrl_c_ends_a_model_at_work(talker: Path, tmp_path: Path) -> None:
    """Its thread ends with the process, which says how to go on."""
    machine = Machine(tmp_path)
    arguments = ["--dataset", "sample", "--model", f"huggingface:{talker}", "--model-params"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "src" / "main.py"), *arguments, '{"max_new_tokens": 3000}'],
        env=machine.environment,
        cwd=machine.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("translate:"):
                break
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 130, rest
        assert "Stopped." in rest
    finally:
        process.kill()
        process.wait()
