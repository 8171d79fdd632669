"""From what a user calls a model to a backend: names, `NAME:MODEL`, and what is wrong with one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llm_eval.errors import UserError
from llm_eval.evaluator import Evaluator
from llm_eval.models import MODELS, as_backend, load_model
from llm_eval.secret import tellable
from tests.conftest import ROOT, Cli
from tests.fakes.chat import ChatServer

DATASET = str(ROOT / "tests" / "interop" / "modules" / "loanwords.py")
FREE = {"api_base": "http://127.0.0.1:9"}


@pytest.mark.parametrize("name", ["openai:m:free", "openai:org/m"])
def test_a_name_may_hold_the_model(name: str) -> None:
    """All behind the first colon is the model's name."""
    model = load_model(name, **FREE)
    assert model.label == name
    assert as_backend(name, FREE).label == name


def test_huggingface_takes_a_path_so() -> None:
    """`huggingface:PATH`, as the port's `--model` does; nothing is loaded yet."""
    assert load_model("huggingface:/models/tiny").label == "huggingface:/models/tiny"


def test_an_evaluation_takes_it(chat: ChatServer, cli: Cli) -> None:
    """By `Evaluator().run` and by `hret eval --model`."""
    chat.answer = lambda messages: "A"
    found = Evaluator().run("openai:m", DATASET, model_params={"api_base": chat.url})
    assert found.info["model"] == "openai:m"
    assert {r.body["model"] for r in chat.requests if r.body} == {"m"}
    done = cli(
        "eval", "--model", "openai:m", "--dataset", DATASET, "--api-base", chat.url, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["info"]["model"] == "openai:m"


@pytest.mark.parametrize(
    ("name", "params", "said", "hint"),
    [
        ("gpt-4o-mini", {}, "no model called 'gpt-4o-mini'", "model_name 'gpt-4o-mini'"),
        ("opnai:gpt-4o", {}, "no model called 'opnai'", "did you mean 'openai'"),
        ("llama3:8b", {}, "no model called 'llama3:8b'", "model_name 'llama3:8b'"),
        ("openai:", {}, "no model stands behind ':'", "openai:MODEL"),
        ("oracle:m", {}, "'oracle' asks for no model by name", "write 'oracle' alone"),
        ("openai:a", {"model_name": "b"}, "names 'a', and model_name names 'b'", "say it once"),
        ("openai:a", {"model": "b"}, "names 'a', and model names 'b'", "say it once"),
        ("random", {"sede": 1}, "'sede'", "did you mean 'seed'"),
        ("random", {"zzz": 1}, "'zzz'", "its parameters are: seed"),
    ],
)
def test_a_name_that_cannot_be_meant_says_why(
    name: str, params: dict[str, Any], said: str, hint: str
) -> None:
    """One sentence, and what to do instead."""
    with pytest.raises(UserError) as told:
        load_model(name, **params)
    assert said in told.value.message
    assert hint in told.value.hint


@pytest.mark.parametrize(
    ("given", "said"), [(4, "not int"), (None, "not NoneType"), (object(), "not object")]
)
def test_what_is_no_model_says_so(given: Any, said: str) -> None:
    """Neither a name, nor a backend, nor a function."""
    with pytest.raises(UserError, match=said):
        as_backend(given)


def test_a_function_takes_no_other_parameters() -> None:
    """`concurrency` alone."""
    assert as_backend(len, {"concurrency": 2}).name == "len"
    with pytest.raises(UserError, match="a function as model"):
        as_backend(len, {"temperature": 0})


def test_listing_backends_loads_none() -> None:
    """Their names are known without their libraries."""
    import subprocess
    import sys

    code = "from llm_eval.models import MODELS; MODELS.names(); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "aiohttp", "litellm", "vllm", "transformers"}
    assert {"openai", "huggingface", "vllm", "litellm", "multi"} <= set(MODELS.names())


def test_what_is_told_of_parameters_holds_no_key() -> None:
    """By name, at any depth; numbers stay, and what is no JSON is named by its kind."""
    given = {
        "api_key": "sk-1",
        "max_tokens": 5,
        "nested": {"hf_token": "t", "url": "http://u:p@h/x", "list": [{"password": "p"}, 1]},
        "headers": {"Authorization": "Bearer sk-1"},
        "parser": len,
        "tokenizer": "org/tiny",
    }
    assert tellable(given) == {
        "max_tokens": 5,
        "nested": {"url": "http://h/x", "list": [{}, 1]},
        "parser": "<len>",
        "tokenizer": "org/tiny",
    }
