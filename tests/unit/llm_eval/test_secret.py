"""What is told of parameters, and what is taken out of messages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm_eval.models.plugged import PluggedModel
from llm_eval.records import Prompt
from llm_eval.secret import Secret, scrubbed, secrets_in, tellable

HIDDEN: dict[str, Any] = {
    "apikey": "hidden-0",
    "apiKey": "hidden-1",
    "x-api-key": "hidden-2",
    "api_key_openai": "hidden-3",
    "safety_token": "hidden-4",
    "X-Foo-Auth": "hidden-5",
    "headers": {"a": "hidden-6"},
    "extra_headers": [("a", "hidden-7")],
    "authorization": "Bearer hidden-8",
    "Set-Cookie": "hidden-9",
    "dbPassword": "hidden-10",
    "client_secret": Secret("hidden-11"),
    "azure_ad_token_provider": lambda: "hidden-12",
}
TOLD: dict[str, Any] = {
    "max_tokens": 5,
    "stop_token_ids": [1, 2],
    "skip_special_tokens": True,
    "tokenizer": "org/tiny",
    "author": "x",
    "eos_token": "</s>",
    "system_message": "see http://h/a?b=c or not",
    "response_format": {"properties": {"answer_key": {"type": "string"}}},
    "seed": None,
}


def test_what_is_named_like_a_key_is_left_out() -> None:
    """At any depth, however it is written; what decides a reply stays."""
    assert tellable({**HIDDEN, **TOLD}) == TOLD
    assert tellable({"deep": [{"more": (HIDDEN, TOLD)}]}) == {"deep": [{"more": [{}, TOLD]}]}


def test_an_address_is_told_without_what_may_be_secret_in_it() -> None:
    """User, password, query and fragment; a text in which one stands is told as it is."""
    given = "http://u:p@h/v1?api-key=hidden-1&b=hidden%2F2#x"
    assert tellable({"api_base": given}) == {"api_base": "http://h/v1"}
    assert {"hidden-1", "hidden%2F2", "hidden/2"} <= secrets_in({"api_base": given})


@pytest.mark.parametrize("place", range(12))
def test_what_is_left_out_is_taken_out_of_messages(place: int) -> None:
    """With or without the word before it."""
    name = list(HIDDEN)[place]
    found = secrets_in([{name: HIDDEN[name]}])
    assert scrubbed(f"no: hidden-{place}.", found) == "no: ***."
    assert secrets_in(TOLD) == set()


def test_a_plugged_class_tells_no_key() -> None:
    """Neither in what results hold of it, nor in its errors."""

    class Theirs:
        def __init__(self) -> None:
            self.params = {k: v for k, v in HIDDEN.items() if "provider" not in k}

        def generate_batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
            raise ValueError("refused: hidden-1 and hidden-10 and hidden-6")

    async def ask() -> Any:
        model = PluggedModel(Theirs(), "theirs")
        try:
            return model.about, await model.generate([Prompt(sample_id="0", text="x")])
        finally:
            await model.close()

    about, (found,) = asyncio.run(ask())
    assert about["params"] == {}
    assert found.failure.message.endswith("refused: *** and *** and ***")
