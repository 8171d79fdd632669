"""docs/models.md and docs/evaluation.md work as printed, in both languages.

A tiny random model, a fake chat server and a fake reward server stand for those that the pages
name. What runs by a library that is not installed here ends with the sentence that names it, and
its parameters are held against the backend's; `THEIRS` are other projects' programs.
"""

from __future__ import annotations

import inspect
import json
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import pytest

from hret.cli import main as hret
from llm_eval.errors import MissingExtra
from llm_eval.evaluation import EVALUATORS
from llm_eval.evaluator import main as script
from llm_eval.models import MODELS
from llm_eval.models.litellm import LiteLLMModel
from llm_eval.models.served_asks import COMPLETIONS
from llm_eval.models.vllm import VLLMModel
from tests.conftest import ROOT
from tests.docs.pages import EXTRAS, READMES, blocks, kind_of, lines, of_kind
from tests.fakes.chat import ChatServer
from tests.fakes.reward import RewardServer
from tests.live.check_server import main as check_server

MODELS_PAGES = ("docs/models.md", "docs/models.ko.md")
EVALUATION_PAGES = ("docs/evaluation.md", "docs/evaluation.ko.md")
THEIRS = {"vllm": "vLLM's own server", "lm_eval": "lm-evaluation-harness"}
OF_VLLM = {"tensor_parallel_size", "gpu_memory_utilization", "min_p"}
"""What the pages pass on to vLLM; where it is installed its own names are asked."""
ENGLISH = (MODELS_PAGES[0], EVALUATION_PAGES[0], READMES[0])
REFUSED = openai.AuthenticationError
SAMPLE = 36
QUIZ = [{"question": "How many are left?", "choices": ["one", "two"], "answer": 1}]


@pytest.fixture
def reward() -> Iterator[RewardServer]:
    """A running server of a reward model."""
    with RewardServer() as server:
        yield server


@pytest.fixture
def here(
    work: Path, small: Path, chat: ChatServer, reward: RewardServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Files, keys and a port of the sample; and what stands for the names of the pages."""
    from PIL import Image

    chat.answer = lambda messages: "yes" if "as good as" in str(messages) else "정답: A"
    monkeypatch.setenv("OPENAI_BASE_URL", chat.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    (work / "my-model").symlink_to(small)
    (work / "my_quiz.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUIZ), "utf-8")
    (work / "my_backend.py").write_text(own_backend(), "utf-8")
    Image.new("RGB", (8, 8), "red").save(work / "red.png")
    assert hret(["port", "--dataset", "sample"]) == 0
    yield {
        "http://localhost:8000/v1": chat.url,
        "http://localhost:8001": reward.url,
        "openai:Qwen/Qwen3-0.6B": "openai:served",
        "Qwen/Qwen3-0.6B": str(small),
    }
    for registry in (MODELS, EVALUATORS):
        for name in set(registry.names()) & {"shouting", "by_judge"}:
            registry.forget(registry.get(name))  # type: ignore[arg-type]


def own_backend() -> str:
    """The file of the user's own backend, as models.md has it."""
    (found,) = (b for b in blocks(MODELS_PAGES[0], "python") if "generate_batch(self" in b)
    return found


def replaced(text: str, names: Mapping[str, str]) -> str:
    """The text with its names of models and addresses replaced."""
    for name, other in names.items():
        text = text.replace(name, other)
    return text


def run(line: str, names: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of a command as printed, run in this process."""
    words = shlex.split(replaced(line, names), comments=True)
    if words[0] == "hret":
        return hret(words[1:])
    if words[1] == "-m":
        assert words[2] == "tests.live.check_server"
        monkeypatch.setattr(sys, "argv", words[2:])
        check_server()
        return 0
    assert words[1] == "llm_eval/evaluator.py"
    return script(words[2:])


@pytest.mark.parametrize("pages", [MODELS_PAGES, EVALUATION_PAGES], ids=lambda pages: pages[0])
def test_both_languages_print_the_same_commands(pages: tuple[str, str]) -> None:
    """Those below are run as the English page has them, which is how the Korean one has them."""
    english, korean = ([shlex.split(x, comments=True) for x in lines(page)] for page in pages)
    assert english == korean
    known = {"ours", "serve", "pip", *THEIRS, *(f"extra {name}" for name in EXTRAS)}
    assert {kind_of(line) for line in lines(pages[0])} <= known


def test_the_commands_of_models(
    here: dict[str, str],
    chat: ChatServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each ends well; a random model as translator ends with every row failed, and says so."""
    said = {}
    for line in of_kind(MODELS_PAGES[0], "ours"):
        status = run(line, here, monkeypatch)
        said[line] = capsys.readouterr()
        assert status == int("hret port" in line), (line, said[line])
    assert len(said) == 8
    *_, server, port = (out for line, (out, _) in said.items() if "eval" not in line)
    assert "likelihoods (echo)                     yes" in server
    assert "0 of 1 passed, 1 failed" in port


def test_the_commands_of_evaluation(
    here: dict[str, str],
    chat: ChatServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each ends well. Resuming asks nothing, and kept replies are not asked for."""
    ran = of_kind(EVALUATION_PAGES[0], "ours")
    asked, said = [], []
    for line in ran:
        before = chat.count()
        assert run(line, here, monkeypatch) == 0, (line, capsys.readouterr())
        asked.append(chat.count() - before)
        said.append(capsys.readouterr().out)
    by_line = dict(zip(ran, asked, strict=True))
    resumed = next(n for line, n in by_line.items() if "--resume" in line)
    greedy, *_ = (n for line, n in by_line.items() if line.endswith("""'{"temperature": 0}'"""))
    warm, *_ = (n for line, n in by_line.items() if line.endswith("--cache"))
    assert (resumed, greedy, warm) == (0, 0, SAMPLE)
    assert sum("accuracy_norm " in out for out in said) == 3
    assert sum("reward_n " in out for out in said) == 1


def serving() -> list[str]:
    """The commands of all pages that serve, whatever model they name."""
    found = (shlex.split(x, comments=True) for page in ENGLISH for x in of_kind(page, "serve"))
    return sorted({" ".join(words).replace(":Qwen/Qwen3-0.6B", ":PATH") for words in found})


@pytest.mark.parametrize("line", serving())
def test_serving(
    line: str, small: Path, environment: dict[str, str], work: Path, request: Any
) -> None:
    """It loads, listens, answers whoever brings the key if there is one, and ends at Ctrl-C."""
    words = shlex.split(line.replace(":PATH", f":{small}"))
    keys = dict(w.split("=") for w in words if w.startswith("HRET_SERVE_KEY="))
    command = [sys.executable, "-m", *words[len(keys) :], "--port", "0"]
    process = subprocess.Popen(
        command, env=environment | keys, cwd=work, stderr=subprocess.PIPE, text=True
    )
    request.addfinalizer(process.kill)
    assert process.stderr is not None
    said = next(s for s in process.stderr if s.startswith(("Serving", "Error")))
    url = said.split("OPENAI_BASE_URL=")[1].split(",")[0].replace("0.0.0.0", "127.0.0.1")
    with openai.OpenAI(base_url=url, api_key=keys.get("HRET_SERVE_KEY", "x")) as client:
        told = client.completions.create(
            model=str(small), prompt="물은", max_tokens=1, echo=True, logprobs=1
        )
    assert told.choices[0].text.startswith("물은")
    if keys:
        with openai.OpenAI(base_url=url, api_key="x") as other, pytest.raises(REFUSED):
            other.models.list()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_others_commands() -> None:
    """What pip installs is an extra of ours; lm-evaluation-harness asks a route that is served."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = {kind: of_kind(MODELS_PAGES[0], kind) for kind in ("pip", *THEIRS)}
    assert [bool(x) for x in found.values()] == [True] * 3
    for line in found["pip"]:
        assert shlex.split(line, comments=True)[-1].strip(".[]") in told["optional-dependencies"]
    (line,) = found["lm_eval"]
    assert f"base_url=http://127.0.0.1:8000/v1{COMPLETIONS}," in line
    assert not [x for kind in ("pip", *THEIRS) for x in of_kind(EVALUATION_PAGES[0], kind)]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_commands_of_an_extra(
    extra: str, here: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Where it is not installed, a sentence names it, and no flag is wrong before that."""
    if find_spec(extra):
        pytest.skip(f"{extra} is installed: tests/{extra} run it")
    found = [x for page in ENGLISH for x in of_kind(page, f"extra {extra}")]
    assert len(found) >= 3
    for line in found:
        assert run(line, {}, monkeypatch) == 2
        assert f"model '{extra}' needs the extra '{extra}'" in capsys.readouterr().err


@pytest.mark.parametrize("page", MODELS_PAGES)
def test_the_python_of_models(
    page: str, here: dict[str, str], chat: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block, in order, in this process."""
    said = []
    for block in blocks(page, "python"):
        code = compile(replaced(block, here), page, "exec")
        if extra := next((e for e in EXTRAS if f'model="{e}"' in block), None):
            assert not params_of(block).keys() - taken(extra), block
            if not find_spec(extra):
                with pytest.raises(MissingExtra):
                    exec(code, {})
            continue
        capsys.readouterr()
        exec(code, {"__name__": "block"})
        said.append(capsys.readouterr().out.split())
    ours, _, alone, seen, judged = said
    assert 0.0 <= float(ours[0]) <= 1.0
    assert " ".join(alone).split(" ['")[0].split()[-1] in ("서울", "부산")
    assert seen == ["1"]
    assert [r.body for r in chat.requests if "image_url" in str(r.body)]
    assert judged[0] == "정답:" and -8 <= float(judged[-1]) <= 8


@pytest.mark.parametrize("page", EVALUATION_PAGES)
def test_the_python_of_evaluation(
    page: str, here: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block, in order, in this process."""
    said = []
    for block in blocks(page, "python"):
        capsys.readouterr()
        exec(compile(replaced(block, here), page, "exec"), {"__name__": "block"})
        said.append(capsys.readouterr().out.split())
    matched, judged, many = said
    assert matched[1:] == ["정답:", "A"] and 0 < float(matched[0]) < 1
    assert (judged, many) == (["1.0"], ["1.0", "100"])


def params_of(block: str) -> dict[str, Any]:
    """The `model_params` of a block that evaluates."""
    found: dict[str, Any] = {}

    class Told:
        def run(self, **given: Any) -> None:
            found.update(given["model_params"])

    begin = block.index("result = ")
    exec(block[begin:], {"Evaluator": Told})
    return found


def taken(extra: str) -> set[str]:
    """What a backend takes by name; litellm takes all else that the provider does."""
    if extra == "litellm":
        return {*inspect.signature(LiteLLMModel).parameters, "max_tokens"}
    own = set(inspect.signature(VLLMModel).parameters)
    if not find_spec("vllm"):
        return own | OF_VLLM
    from llm_eval.models.vllm_arguments import names

    return own.union(*names())
