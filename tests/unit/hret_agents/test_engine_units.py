"""What the engine does with units that are long, settled by people, or like earlier ones."""

from __future__ import annotations

import asyncio
import json

import pytest

from hret_agents.plan.glossary import Glossary
from hret_agents.translate.engine import Outcome
from hret_agents.translate.memory import Memory
from hret_agents.translate.packing import PACK_CHARS
from hret_agents.translate.suggest import Suggestions
from hret_agents.translate.units import Unit
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.translit import back
from tests.unit.hret_agents.test_engine import Lab, failed, lab, rows_of, sentence, unit, units_of

__all__ = ["lab"]

LONG = "\n\n".join(" ".join(sentence(i * 7 + j) for j in range(7)) for i in range(40))


def whole(outcome: Outcome) -> tuple[str, ...]:
    """The texts of an outcome, transliterated back."""
    assert outcome.texts is not None, outcome.failure
    return tuple(back(text) for text in outcome.texts)


def test_a_long_text_goes_in_pieces_and_comes_back_whole(lab: Lab, chat: ChatServer) -> None:
    """A cell over the budget: several requests, one text, nothing lost; then none at all."""
    assert len(LONG) > PACK_CHARS
    units = [unit("What does it say?", LONG), unit(sentence(1))]
    outcomes = lab.run(chat, units)
    assert [whole(o) for o in outcomes] == [u.texts for u in units]
    assert max(len(t) for r in chat.requests for row in rows_of(r) for t in row["t"]) <= 4000
    asked = chat.count()
    assert [o.texts for o in lab.run(chat, units)] == [o.texts for o in outcomes]
    assert chat.count() == asked


def test_equal_pieces_are_asked_once_and_stand_where_they_stood(lab: Lab, chat: ChatServer) -> None:
    """In one text, in another text and at another place, with other white space around them."""
    piece = " ".join(sentence(i) for i in range(70))
    assert 2000 < len(piece) < 4000
    texts = [f"{piece}\n\n{piece}\n \n{piece}", f"{piece}\n\n{piece}\n\n\n{piece}"]
    units = [unit(texts[0]), unit(texts[1], "a choice", "another one")]
    assert [whole(o) for o in lab.run(chat, units)] == [u.texts for u in units]
    assert set(chat.sources().values()) == {1}


def test_what_another_process_translated_meanwhile_is_not_asked(lab: Lab, chat: ChatServer) -> None:
    """The memory is looked at again before a request, if somebody has written to it."""
    units = units_of(40)

    async def one_after_the_other() -> list[Outcome]:
        first = lab.outcomes(chat.url, units, concurrency=1, batch_size=2)
        outcomes = [await anext(first)]
        second = [o async for o in lab.outcomes(chat.url, units, concurrency=4)]
        assert failed(second, units) == []
        return [*outcomes, *[o async for o in first]]

    outcomes = asyncio.run(one_after_the_other())
    assert failed(outcomes, units) == []
    assert sum(chat.sources().values()) <= len(units) + 2


def test_a_reply_that_never_fits_is_asked_for_in_pieces(lab: Lab, chat: ChatServer) -> None:
    """A model with a short output limit: the row is halved until it fits, and that is
    remembered."""
    chat.longest = 400  # tokens of three characters
    units = [unit(" ".join(sentence(i) for i in range(90)))]
    assert 3000 < units[0].size < PACK_CHARS
    (outcome,) = lab.run(chat, units)
    assert whole(outcome) == units[0].texts
    asked = chat.count()
    lab.run(chat, units)
    assert chat.count() == asked


def test_a_piece_that_was_answered_is_not_asked_again(lab: Lab, chat: ChatServer) -> None:
    """Stopped in the middle of a long text, the run goes on with the pieces that lack."""
    units = [unit(LONG)]

    async def stopped() -> None:
        stream = lab.outcomes(chat.url, units, concurrency=1)
        task = asyncio.ensure_future(anext(stream))
        async with asyncio.timeout(20):
            while chat.count() < 2:
                await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stream.aclose()

    asyncio.run(stopped())
    seen = chat.sources(answered=True)
    (outcome,) = lab.run(chat, units)
    assert whole(outcome) == units[0].texts
    assert set(chat.sources().values()) == {1} and seen


def test_packs_shrink_to_what_the_model_can_say(lab: Lab, chat: ChatServer) -> None:
    """Replies that are cut teach the size of a pack: few rows are sent twice."""
    chat.longest = 500
    units = [unit(" ".join(sentence(i * 5 + j) for j in range(5))) for i in range(100)]
    assert failed(lab.run(chat, units, concurrency=2), units) == []
    sent = sum(chat.sources().values())
    assert sent <= 1.3 * len(units)


def test_people_have_the_last_word(lab: Lab, chat: ChatServer) -> None:
    """A locked text stands in the place of the model's, before and after it was asked, without a
    request more; a unit of locked texts alone is not asked at all."""
    units = [unit(sentence(1), "the apple", "the stone"), unit(sentence(2))]
    with Memory(lab.path) as memory:
        memory.lock([("the apple", "사과"), (sentence(2), "둘째 문장.")], "en", "ko")
    one, two = lab.run(chat, units)
    assert one.texts is not None and one.texts[1] == "사과" and back(one.texts[2]) == "the stone"
    assert two.texts == ("둘째 문장.",) and not two.asked
    assert chat.count() == 1
    with Memory(lab.path) as memory:
        memory.lock([("the stone", "돌")], "en", "ko")
    one, two = lab.run(chat, units)
    assert one.texts is not None and one.texts[1:] == ("사과", "돌")
    assert chat.count() == 1


def test_what_the_checks_say_of_a_locked_text_is_only_noted(lab: Lab, chat: ChatServer) -> None:
    """A person may leave a text as it is; the row passes, and the finding can be reviewed."""
    source = unit("Which of these is a common English greeting?")
    with Memory(lab.path) as memory:
        memory.lock([(source.texts[0], source.texts[0])], "en", "ko")
    (outcome,) = lab.run(chat, [source])
    assert outcome.texts == source.texts and chat.count() == 0
    assert {(f.check, f.severity) for f in outcome.findings} == {("target_script", "flag")}


TERMS = Glossary({"apple": "사과", "river": "강"})


def test_terms_travel_only_with_the_rows_that_hold_them(lab: Lab, chat: ChatServer) -> None:
    """And an edited term asks those rows again, and no other."""
    units = [unit("The apple fell."), unit("The stone fell."), unit("Apples by the river.")]
    outcomes = lab.run(chat, units, glossary=TERMS, batch_size=1, concurrency=1)
    sent = [json.loads(r.body["messages"][1]["content"]) for r in chat.requests]
    by_text = {m["rows"][0]["t"][0]: m.get("terms") for m in sent}
    assert by_text == {
        "The apple fell.": [["apple", "사과"]],
        "The stone fell.": None,
        "Apples by the river.": [["apple", "사과"], ["river", "강"]],
    }
    assert outcomes[0].texts and "사과" in outcomes[0].texts[0]
    chat.reset()
    lab.run(chat, units, glossary=Glossary({"apple": "능금", "river": "강"}))
    assert set(chat.sources()) == {"The apple fell.", "Apples by the river."}


def test_a_term_that_was_not_kept_is_asked_for_once_more(lab: Lab, chat: ChatServer) -> None:
    """With the reason; then the row passes with a flag, and is never asked about again."""
    chat.obeys = False
    source = [unit("The apple fell.")]
    (outcome,) = lab.run(chat, source, glossary=TERMS)
    first, second = (rows_of(r)[0] for r in chat.requests)
    assert "because" not in first and "사과" in second["because"]
    assert outcome.texts and {f.check for f in outcome.findings} == {"glossary"}
    (again,) = lab.run(chat, source, glossary=TERMS)
    assert (again.texts, chat.count()) == (outcome.texts, 2)


def test_a_stop_between_a_reply_and_its_mending_changes_nothing(lab: Lab, chat: ChatServer) -> None:
    """The first reply is kept, and the one more attempt is still owed to it."""
    chat.obeys = False
    source = [unit("The apple fell.")]

    async def stopped() -> None:
        stream = lab.outcomes(chat.url, source, glossary=TERMS)
        with chat.held():
            task = asyncio.ensure_future(anext(stream))
            async with asyncio.timeout(20):
                while chat.count() < 1:
                    await asyncio.sleep(0.002)
        async with asyncio.timeout(20):
            while chat.count() < 2:
                await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stream.aclose()

    asyncio.run(stopped())
    (outcome,) = lab.run(chat, source, glossary=TERMS)
    assert outcome.texts and {f.check for f in outcome.findings} == {"glossary"}
    assert chat.count() <= 3


def test_a_mending_that_fails_leaves_the_reply_that_did(lab: Lab, chat: ChatServer) -> None:
    """The row had a good translation, and keeps it whatever becomes of the second request."""
    chat.obeys = False
    for fault in (Fault.empty, Fault.echo_source):
        source = [unit(f"The apple fell, and it was {fault}.")]
        chat.script(None, *[fault] * 3)
        (outcome,) = lab.run(chat, source, glossary=TERMS)
        assert whole(outcome) == source[0].texts
        asked = chat.count()
        (again,) = lab.run(chat, source, glossary=TERMS)
        assert (whole(again), chat.count()) == (source[0].texts, asked)


def test_similar_texts_go_along_as_examples(lab: Lab, chat: ChatServer) -> None:
    """Only beside texts that are like them, and never as the translation itself."""
    known = "The old mill stands behind the river, near the market."
    found = Suggestions([((known,), ("옛 방앗간은 강 뒤에 있다.",))])
    close = unit("The old mill stands behind the river, near the garden.")
    (one, two) = lab.run(chat, [close, unit(sentence(3))], suggestions=found)
    rows = {row["t"][0]: row.get("like") for r in chat.requests for row in rows_of(r)}
    assert rows[close.texts[0]] == [[known, "옛 방앗간은 강 뒤에 있다."]]
    assert rows[sentence(3)] is None
    assert whole(one) == close.texts and whole(two) == (sentence(3),)


def test_each_request_is_on_record_with_what_it_was_thought_to_cost(
    lab: Lab, chat: ChatServer
) -> None:
    """Also the one that brought nothing."""
    chat.script(Fault.empty)
    lab.run(chat, units_of(7), batch_size=7, concurrency=1)
    with Memory(lab.path) as memory:
        rows = list(memory.records("SELECT * FROM requests"))
    assert len(rows) == chat.count() >= 2
    assert sum(r["units"] for r in rows) == 7 + sum(len(rows_of(r)) for r in chat.requests[1:])
    told = sum(r["prompt_tokens"] for r in rows)
    assert told == pytest.approx(sum(r["estimated_prompt_tokens"] for r in rows), rel=0.5)


def test_progress_counts_rows_in_whatever_order_they_are_done(lab: Lab, chat: ChatServer) -> None:
    """Equal rows, known rows and failed rows all count, once each."""
    units = [*units_of(20), *units_of(20), Unit(()), unit(sentence(99))]
    told: list[tuple[int, int]] = []
    lab.run(chat, units[:5])
    lab.run(chat, units, progress=lambda done, bad: told.append((done, bad)))
    assert told == sorted(told) and told[-1] == (42, 0)
