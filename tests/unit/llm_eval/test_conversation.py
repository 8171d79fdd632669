"""A prompt is one and the same conversation, whichever backend shows it."""

from __future__ import annotations

from typing import Any

import pytest

from llm_eval.errors import BackendError
from llm_eval.models.conversation import turns
from llm_eval.records import Prompt

USER = {"role": "user", "content": "수도는?"}
REPLY = {"role": "assistant", "content": "서울"}
PICTURE = {"type": "image", "image": "a.png"}
TEXT = {"type": "text", "text": "수도는?"}


@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        (USER, ["system", "user"]),
        ({"role": "system", "content": "길게"}, ["system", "user"]),
        ({"role": "developer", "content": "길게"}, ["developer", "user"]),
        (REPLY, ["system", "assistant", "user"]),
    ],
    ids=lambda v: v["role"] if isinstance(v, dict) else "",
)
def test_a_system_message_begins_it_where_none_does(first: Any, wanted: list[str]) -> None:
    """A developer's turn is such a turn too."""
    said = (first,) if first is USER else (first, USER)
    found = turns(Prompt(sample_id="a", text="", messages=said), "짧게")
    assert [m["role"] for m in found] == wanted
    assert found[0]["content"] == ("짧게" if len(wanted) > len(said) else "길게")
    assert turns(Prompt(sample_id="a", text="수도는?"), None) == [USER]


@pytest.mark.parametrize("content", ["수도는?", [TEXT]], ids=["text", "parts"])
def test_images_stand_before_what_the_user_says_last(content: Any) -> None:
    """Whatever follows; what was given is not changed."""
    asked = {"role": "user", "content": content}
    said = Prompt(sample_id="a", text="", messages=(USER, asked, REPLY), images=("a.png",))
    first, last, reply = turns(said, None)
    assert (first, reply) == (USER, REPLY)
    assert last == {"role": "user", "content": [PICTURE, TEXT]}
    assert asked["content"] == content
    bare = Prompt(sample_id="a", text="", images=("a.png",))
    assert turns(bare, None)[0]["content"] == [PICTURE]


def test_images_without_a_turn_of_the_user_are_refused() -> None:
    """They are no part of what the model says."""
    with pytest.raises(BackendError, match="no message of the user"):
        turns(Prompt(sample_id="a", text="", messages=(REPLY,), images=("a.png",)), None)
