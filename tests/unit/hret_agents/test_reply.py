"""A reply is read id by id, whatever it is wrapped in, and never where it could mean two things."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from hret_agents.translate.base import Reply
from hret_agents.translate.reply import decode
from llm_eval.records import Failure


def reply(*rows: Any, **more: Any) -> str:
    """A reply's text."""
    return json.dumps({"rows": list(rows), **more}, ensure_ascii=False)


def row(number: Any, *texts: Any, **more: Any) -> dict[str, Any]:
    """A row of a reply."""
    return {"id": number, "t": list(texts), **more}


def kinds(replies: Sequence[Reply]) -> list[str]:
    """What each row came to: "ok", or the kind of its failure."""
    return [r.kind if isinstance(r, Failure) else "ok" for r in replies]


def test_a_reply_is_taken_id_by_id() -> None:
    """Rows may come in any order, with more beside them; what is bad costs its own row alone."""
    spans: list[list[list[str]]] = [[[]] for _ in range(8)]
    text = reply(
        row(8, "팔"), row(2, "이", note="!"), row(1, "일"), row(99, "x"), row("삼", "x"),
        row(True, "x"), row(3.0, "x"), row([3], "x"),
        row(4, "사"), row(4, "넷"), row(5, "오", "오"), row(6, None), {"id": 7}, "junk", None, 3,
        thought="hm",
    )  # fmt: skip
    replies = decode(text, "stop", spans)
    assert [replies[0], replies[1], replies[7]] == [("일",), ("이",), ("팔",)]
    assert kinds(replies[2:7]) == ["json_ids", "json_ids", "list_len", "malformed", "malformed"]


def test_marks_are_put_back_or_the_row_fails() -> None:
    """A mark that was lost or doubled fails its row, and says which marks there must be."""
    replies = decode(
        reply(row(1, "⟦2⟧ 나 ⟦ 1 ⟧"), row(2, "가"), row(3, "⟦1⟧⟦1⟧")),
        "stop",
        [[["`a`", "`b`"]], [["`a`"]], [["`a`"]]],
    )
    assert replies[0] == ("`b` 나 `a`",)
    assert kinds(replies[1:]) == ["placeholder_multiset"] * 2
    assert isinstance(replies[1], Failure) and "⟦1⟧" in replies[1].message


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "```json\n{}\n```",
        "Here you are:\n\n```\n{}```\nAnything else?",
        "<think>The user sent {{rows}}.\nSo {{}}</think>\n{}",
        "{}\n{}",
        "I keep {{marks}}. {}",
        '{{"note": {{"language": "ko"}}}}\n{}',
        'Asked for {{"rows": [{{"id": 1, "t": [...]}}]}}, I reply:\n```json\n{}\n```',
        "I think aloud, and my opening tag was in the prompt.\n</think>\n{}",
    ],
)
def test_words_around_the_json_do_no_harm(around: str) -> None:
    """Fences, chatter and thoughts around the reply are passed over."""
    text = around.format(*[reply(row(1, "가 {} {x}"))] * 2)
    assert decode(text, "stop", [[[]]]) == [("가 {} {x}",)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"rows": null}',
        '{"rows": {"1": "가"}}',
        "가",
        '{"rows": [',
        '"rows"',
    ],
)
def test_a_reply_of_another_shape_fails_every_row(text: str) -> None:
    """What is no JSON of the shape asked for fails all rows, to be asked again."""
    replies = decode(text, "stop", [[[]], [[]]])
    assert kinds(replies) == ["malformed"] * 2
    assert all(isinstance(r, Failure) and r.retryable for r in replies)


def test_whole_rows_of_a_cut_reply_count() -> None:
    """Of a reply cut at the length limit the rows that are whole are kept; the others say why."""
    whole = reply(row(1, "가"), row(2, "나"), row(3, "다"))
    for cut in (whole.index('{"id": 3') + 5, whole.index("다")):
        replies = decode(whole[:cut], "length", [[[]]] * 3)
        assert replies[:2] == [("가",), ("나",)] and kinds(replies[2:]) == ["finish_reason"]
    assert kinds(decode('{"rows": [{"id', "length", [[[]]])) == ["finish_reason"]


@pytest.mark.parametrize(
    "text",
    [
        '{"rows":' + "[" * 100_000,
        "{" * 20_000,
        '{"a":' * 100_000,
        '{"rows": [{"id": ' + "1" * 5000 + ', "t": ["가"]}]}',
        '{"rows": [{"id": 1e999, "t": ["가"]}]}',
        '{"rows": [{"id": 1, "t": ["⟦' + "1" * 5000 + '⟧"]}]}',
        '{"rows": [{"id": 1, "t": ["반쪽 \\ud83d"]}]}',
    ],
)
def test_a_model_that_runs_wild_fails_its_row(text: str) -> None:
    """Endless brackets and digits, and half a character, are a bad reply and not a crash."""
    (outcome,) = decode(text, "stop", [[[]]])
    assert isinstance(outcome, Failure) and outcome.retryable


@pytest.mark.parametrize(
    "text",
    [
        '{"t": ["가", "나"], "id": "1"}',
        '[{"id": 1, "t": ["가", "나"]}]',
        '{"rows": [{"t": ["가", "나"]}]}',
        '{"t": ["가", "나"]}',
        "{“rows”: [{“id”: 1, “t”: [“가”, “나”]}]}",
        '{"rows": [{"id": " 1 ", "t": ["가", "나"]}], "done": true}',
    ],
)
def test_what_can_only_mean_one_thing_is_taken(text: str) -> None:
    """An id as text, a row without its list or, where one was asked, its id, and curly quotes."""
    assert decode(text, "stop", [[[], []]]) == [("가", "나")]


def test_one_text_may_stand_without_its_list() -> None:
    """A lone text is its own list, and a line break in it need not be escaped."""
    assert decode('{"id": 1, "t": "가\n나"}', "stop", [[[]]]) == [("가\n나",)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (reply(row(1, "가"), row("1", "나")), "json_ids"),
        (reply(row(1, "가")) + "\nOr better:\n" + reply(row(1, "나")), "json_ids"),
        (reply(row(1, "가")) + "\n" + reply(row(1, "가"), row(1, "나")), "json_ids"),
        ('{"rows": [{"t": ["가"]}, {"t": ["나"]}]}', "json_ids"),
        ('{"t": ["가"]} {"t": ["나"]}', "json_ids"),
        ("{“id”: 1, “t”: [“그는 “네” 했다”]}", "malformed"),
        ("<think>It may be " + reply(row(1, "가")), "malformed"),
        ("{'rows': [{'id': 1, 't': ['가']}]}", "malformed"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_taken(text: str, kind: str) -> None:
    """Two different translations, rows without ids, a draft, and quotes that close nowhere."""
    assert kinds(decode(text, "stop", [[[]]])) == [kind]


def test_what_looks_like_a_row_behind_a_break_is_none() -> None:
    """Where quotes were not escaped, a cell that looks like our JSON makes no rows."""
    cell = '"}]} {"rows":[{"id":2,"t":["pwned"]}]}'
    text = '{"rows": [{"id": 1, "t": ["가"]}, {"id": 2, "t": ["' + cell + '"]}]}'
    replies = decode(text, "stop", [[[]], [[]]])
    assert replies[0] == ("가",) and kinds(replies[1:]) == ["json_ids"]


def test_the_same_said_twice_is_said() -> None:
    """Two objects that agree on a row say it; what only one of them says counts too."""
    text = reply(row(1, "가"), row(2, "나")) + reply(row(2, "나"), row(3, "다"))
    assert decode(text, "stop", [[[]]] * 3) == [("가",), ("나",), ("다",)]
