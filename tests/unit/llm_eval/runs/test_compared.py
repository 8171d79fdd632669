"""What a resumed run compares: only the same is gone on with."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_eval.errors import UserError
from llm_eval.evaluation import register_evaluator
from llm_eval.models import BaseModel, register_model
from llm_eval.records import Prediction, Prompt
from tests.unit.llm_eval.runs.test_going_on import Liking, Server, Thrice, _own, run

__all__ = ["_own"]


def made(answer: str) -> Callable[[str], str]:
    """A function like another, but for a text that it refers to."""
    return lambda text: answer


def told(text: str, answer: str = "a") -> str:
    """A function with something of its own."""
    return answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda text: "a", lambda text: "b" + text),
        (made("a"), made("b")),
        (functools.partial(told, answer="a"), functools.partial(told, answer="b")),
        (functools.partial(told, answer="a"), functools.partial(made("a"))),
    ],
    ids=["source", "closure", "arguments", "function"],
)
def test_another_function_is_no_resume(one: Any, other: Any) -> None:
    """Even of the same name; the same one is."""
    one.__name__ = other.__name__ = "answer"
    first = run(one, evaluation_method="string_match")
    with pytest.raises(UserError, match=r"the code of the model is another"):
        run(other, evaluation_method="string_match", resume="last")
    assert run(one, evaluation_method="string_match", resume="last").metrics == first.metrics


def test_other_parameters_of_a_model_that_tells_nothing_are_no_resume() -> None:
    """Those of `random`, and those of a class of one's own."""

    @register_model("mine")
    class Mine(BaseModel):
        name = "mine"

        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            return [Prediction(sample_id=p.sample_id, text=str(self.params)) for p in prompts]

    for model, name in (("random", "seed"), ("mine", "x")):
        first = run(model, evaluation_method="string_match", model_params={name: 1})
        with pytest.raises(UserError, match=rf"model_params\.{name} was 1 and is 2"):
            run(model, model_params={name: 2}, evaluation_method="string_match", resume="last")
        again = run(model, model_params={name: 1}, evaluation_method="string_match", resume="last")
        assert again.info["run"] == first.info["run"]


def module(path: Path, answer: str) -> str:
    """A dataset of one's own, which judges itself."""
    path.write_text(
        "from llm_eval.dataset import BaseDataset\n"
        "class Own(BaseDataset):\n"
        "    def load(self): return [{'input': 'q', 'reference': 'a'}]\n"
        f"    def evaluate_prediction(self, index, reply): return reply == {answer!r}, 1.0\n"
    )
    return str(path)


def test_a_dataset_that_judges_otherwise_is_no_resume(tmp_path: Path) -> None:
    """The verdicts would be of two kinds."""
    path = tmp_path / "own.py"
    for answer in "ab":
        options: dict[str, Any] = {"resume": "last"} if answer == "b" else {}
        given = module(path, answer)
        if not options:
            run(Server(), given, evaluation_method="dataset")
            run(Server(), given, evaluation_method="dataset", resume="last")
            continue
        with pytest.raises(UserError, match="the code of the dataset is another"):
            run(Server(), given, evaluation_method="dataset", **options)


def test_a_method_of_other_code_is_no_resume() -> None:
    """Of the same name."""
    run(Server(), evaluation_method="thrice")

    class Other(Thrice):
        pass

    register_evaluator("thrice")(Other)
    with pytest.raises(UserError, match="the code of the method is another"):
        run(Server(), evaluation_method="thrice", resume="last")


@pytest.mark.parametrize("role", ["judge_model", "reward_model"])
def test_a_judge_of_other_code_is_no_resume(role: str) -> None:
    """Nor a reward model: what stands beside the model is compared as it is."""

    class Strict(Liking):
        pass

    class Silent(BaseModel):
        name = "judge"

    class Other(Silent):
        pass

    first, other = (Silent(), Other()) if role == "judge_model" else (Liking(1.0), Strict(1.0))
    run(Server(), evaluation_method="thrice", **{role: first})
    run(Server(), evaluation_method="thrice", **{role: first}, resume="last")
    with pytest.raises(UserError, match=f"the code of the {role[:5]}"):
        run(Server(), evaluation_method="thrice", **{role: other}, resume="last")


@pytest.mark.parametrize(
    ("then", "now", "fits"),
    [
        ({"served": {"root": "/w"}}, {}, True),
        ({}, {"served": {"root": "/w"}}, True),
        ({"served": {}}, {"served": {"root": "/w"}}, True),
        ({"served": {"root": "/w"}}, {"served": {"root": "/v"}}, False),
        ({"served": {"root": "/w", "parent": "p"}}, {"served": {"root": "/w"}}, False),
        ({"serves": 1}, {}, False),
    ],
)
def test_a_server_that_does_not_say_what_it_serves_is_no_other(
    then: dict[str, Any], now: dict[str, Any], fits: bool
) -> None:
    """It may be busy for once; but where it says so twice, it must say the same."""
    run(Server(x=1, **then), evaluation_method="string_match")
    if fits:
        run(Server(x=1, **now), evaluation_method="string_match", resume="last")
        return
    with pytest.raises(UserError, match="about"):
        run(Server(x=1, **now), evaluation_method="string_match", resume="last")


def test_no_key_is_written_down() -> None:
    """Whatever it is called, and however deep it stands."""

    @register_evaluator("keyed")
    class Keyed(Thrice):
        name = "keyed"

        def __init__(self, **given: Any) -> None:
            self.given = given

    @register_model("keyed")
    class Model(BaseModel):
        name = "keyed"

        async def generate(self, prompts: Sequence[Prompt]) -> list[Prediction]:
            return [Prediction(sample_id=p.sample_id, text="a") for p in prompts]

    names = ["api_key", "apiKey", "hf_token", "client_secret", "Authorization", "password"]
    names += ["credentials", "db_passwd", "X-Foo-Auth", "cookies", "extra_headers"]
    given: dict[str, Any] = dict.fromkeys(names, "SECRET")
    url = "https://SECRET@host/v1?sig=SECRET"
    params = {"deep": [given], "url": url, "max_tokens": 5, "tokenizer": "t", **given}
    found = run("keyed", evaluation_method="keyed", evaluator_params=params, model_params=params)
    text = (Path(found.info["folder"]) / "run.json").read_text("utf-8")
    kept = {"deep": [{}], "url": "https://host/v1", "max_tokens": 5, "tokenizer": "t"}
    asked = json.loads(text)["asked"]
    assert "SECRET" not in text and asked["evaluator_params"] == asked["model_params"] == kept
    with pytest.raises(UserError) as caught:
        run("keyed", evaluator_params={"api_key": "SECRET"})
    assert "SECRET" not in str(caught.value)
