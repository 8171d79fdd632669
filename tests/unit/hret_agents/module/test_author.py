"""The conversation with a model about a module: tries, repairs, and what is noted of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import replace

import black
import pytest

from hret_agents.ask import Asker
from hret_agents.job import Event, Stage, silent
from hret_agents.module.author import Written, author, finished, with_repo
from llm_eval.dataset.spec import ModuleSpec
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_module import BAD, GOOD, changed, fenced, scripted

KEY = "sk-NOBODY-MAY-READ-ME"
SPEC = ModuleSpec(
    slug="quiz_ko", class_name="QuizKo", source="me/quiz", lang="ko", repo=None,
    subsets={"default": ["test"]}, task="multiple_choice", question=[["질문"]],
    choices=[["선택지", "[]"]], answer=["정답"], answer_kind="index",
)  # fmt: skip


def wrote(
    chat: ChatServer,
    *replies: str,
    judge: Callable[[str], str] = lambda code: "",
    repairs: int = 3,
    model: str = "writer",
) -> Written:
    """What came of a model that says these replies."""
    chat.answer = scripted(*replies)
    asker = Asker(model, api_base=chat.url, api_key=KEY, max_retries=0)
    return author(asker, "모듈을 작성하세요.", judge, silent, spec=SPEC, repairs=repairs)


def conversation(chat: ChatServer) -> Sequence[dict[str, str]]:
    """The messages of the last request."""
    found: Sequence[dict[str, str]] = chat.requests[-1].body["messages"]
    return found


def test_a_good_module_is_taken_at_once(chat: ChatServer) -> None:
    """It is formatted, says where it came from in its first line, and is otherwise as written."""
    found = wrote(chat, fenced(GOOD))
    assert (found.way, found.tries, chat.count()) == ("model:writer", (), 1)
    head, _, rest = found.code.partition("\n")
    assert head == "# me/quiz (ko): written by writer, verified on every row"
    assert ast.dump(ast.parse(rest)) == ast.dump(ast.parse(GOOD))
    assert black.format_str(found.code, mode=black.Mode()) == found.code


def test_each_refusal_is_told_and_noted(chat: ChatServer) -> None:
    """The conversation goes on with the reason; what was refused is in the result, in order."""
    reasons = iter(["default/test, row 3: the wrong answer 'B' scores [True, 1.0]", ""])
    found = wrote(
        chat, BAD["no code"], BAD["syntax error"], BAD["forbidden import"], fenced(GOOD),
        fenced(changed("A quiz of", "The quiz of")),
        judge=lambda code: next(reasons), repairs=9,
    )  # fmt: skip
    assert found.way == "model:writer"
    assert [t[:2] for t in found.tries] == ["1:", "2:", "3:", "4:"]
    for said, tried in zip(
        ["no code", "does not parse: line", "imports os", "row 3"], found.tries, strict=True
    ):
        assert said in tried
    messages = conversation(chat)
    assert [m["role"] for m in messages] == ["user", *["assistant", "user"] * 4]
    for tried, message in zip(found.tries, messages[2::2], strict=True):
        assert tried[3:] in message["content"]
    assert messages[1]["content"] == BAD["no code"]


@pytest.mark.parametrize("repairs", [0, 2])
def test_it_ends(chat: ChatServer, repairs: int) -> None:
    """A model that never learns is asked so often and no more, and no code of it is kept."""
    found = wrote(chat, *BAD.values(), judge=lambda code: "no", repairs=repairs)
    assert (found.code, found.way, len(found.tries)) == ("", "template", repairs + 1)
    assert chat.count() == repairs + 1


def test_a_resumed_run_asks_nothing(chat: ChatServer) -> None:
    """The same replies give the same bytes, from the kept ones."""
    first = wrote(chat, BAD["no code"], fenced(GOOD))
    assert chat.count() == 2
    assert wrote(chat, "다른 답") == first
    assert chat.count() == 2


def test_what_differs_from_run_to_run_is_not_told(chat: ChatServer) -> None:
    """Temporary folders, addresses in memory and process ids would make a resumed run differ."""
    tries = []
    for run in ("aB3_x9", "zz81kk"):
        said = (
            f"no file /tmp/hret-verify-{run}/data/x.parquet, <A at 0x7f0{run[-2:].encode().hex()}>,"
            f" /proc/{len(run) * ord(run[0])}/mem, {KEY}, http://127.0.0.1:{ord(run[1])}/v1"
        )
        tries.append(wrote(chat, fenced(GOOD), judge=lambda code, said=said: said).tries)  # type: ignore[misc]
    assert tries[0] == tries[1]
    assert chat.count() == 4
    assert KEY not in str(tries) and "127.0.0.1" not in str(tries)
    assert KEY not in str(conversation(chat))


def test_a_long_reason_is_cut(chat: ChatServer) -> None:
    """What a module's own error says may be long: the model and the manifest get its beginning."""
    found = wrote(chat, fenced(GOOD), judge=lambda code: "x" * 100_000, repairs=1)
    assert max(map(len, found.tries)) < 600
    assert conversation(chat)[2]["content"].count("x") == 2_000


@pytest.mark.parametrize(
    ("fault", "said"),
    [(Fault.refusal, "refused"), (Fault.content_filter, "filter"), (Fault.truncated, "cut")],
)
def test_a_model_that_will_not(chat: ChatServer, fault: Fault, said: str) -> None:
    """It is not asked again, and the reason is noted."""
    chat.script(fault)
    found = wrote(chat, fenced(GOOD))
    assert (found.way, chat.count(), len(found.tries)) == ("template", 1, 1)
    assert said in found.tries[0]


def test_every_try_is_an_event(chat: ChatServer) -> None:
    """Whoever watches sees which try it is."""
    seen: list[Event] = []
    chat.answer = scripted(BAD["no code"], fenced(GOOD))
    asker = Asker("writer", api_base=chat.url, api_key=KEY)
    author(asker, "?", lambda code: "", seen.append, spec=SPEC, repairs=1)
    assert [e.what for e in seen if isinstance(e, Stage)] == [
        "asking writer to write it (1 of 2)",
        "asking writer to write it (2 of 2)",
    ]


@pytest.mark.parametrize("model", ["qwen-coding:7b", "a\nimport os", 'x"""y', "coding=utf-7"])
def test_the_header_is_a_comment_whatever_the_name(model: str) -> None:
    """No name of a model declares an encoding or leaves the comment."""
    code, reason = finished(fenced(GOOD), SPEC, header=f"written by {model}")
    assert reason == ""
    assert ast.dump(ast.parse(code.encode())) == ast.dump(ast.parse(GOOD))


def test_no_reply_ends_a_port(chat: ChatServer) -> None:
    """What no reader of replies can read is a reason, and the next try is asked for."""
    deep = changed(
        "class QuizKo(BaseDataset)", f"class QuizKo(BaseDataset, {'+'.join('1' * 2500)})"
    )
    found = wrote(chat, fenced(deep), fenced(GOOD))
    assert found.way == "model:writer"
    assert "cannot be read: RecursionError" in found.tries[0]


def test_the_repo_stands_in_its_place() -> None:
    """Its name is filled in, over whatever the model wrote; a module without the place is told."""
    named = replace(SPEC, repo="o/q")
    made_up = changed("REPO: Optional[str] = None", "REPO = 'somebody/elses'")
    assert '\nREPO: Optional[str] = "o/q"\n' in finished(fenced(GOOD), named, header="")[0]
    assert '\nREPO = "o/q"\n' in finished(fenced(made_up), named, header="")[0]
    assert "\nREPO = None\n" in finished(fenced(made_up), SPEC, header="")[0]
    for wrong in ("", "REPO = 1\nREPO = None", "REPO = 'a'\\\n    'b'", "REPO = str(None)"):
        code = changed("REPO: Optional[str] = None", wrong)
        assert "REPO" in with_repo(code, None)[1], wrong
