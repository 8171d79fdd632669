"""Further schemas of published sets, which the planner was tried on after it was built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hret_agents.plan.infer import infer_plan
from hret_agents.plan.records import Plan, check_against
from hret_agents.plan.schema import leaves_of

ASKED = (
    "Which gas do green plants take in from the air?",
    "What is the name of the town on the hill?",
    "How many legs does a garden spider have?",
    "Who wrote the long letter to the old king?",
    "Where do the birds go when the winter comes?",
    "Why does the ice on the lake melt in spring?",
)
TOLD = (
    "The baker sold six loaves of bread in the morning.",
    "A heavy stone fell from the wall of the castle.",
    "My neighbour keeps three cats and an old dog.",
    "Nobody saw the boat that came in last night.",
    "The children sing a song about the summer rain.",
    "Her brother repaired the clock in the kitchen.",
)
PICKS = (
    ("a river", "the old mill", "fresh bread", "blue ink"),
    ("some salt", "the garden", "a loud bell", "wet sand"),
    ("a candle", "the market", "sweet milk", "dry wood"),
    ("a mirror", "the tower", "warm wool", "grey dust"),
    ("a basket", "the stable", "cold soup", "thin rope"),
)


class Case(NamedTuple):
    """A row by its number, and what its plan must say. `sent`: translated leaves, by spaces."""

    row: Callable[[int], dict[str, Any]]
    sent: str
    kind: str = "ungraded"
    answer: str | None = None
    answer_kind: str | None = None
    question: str = ""
    types: dict[str, Any] | None = None


def asks(i: int) -> str:
    """A question."""
    return ASKED[i % 6] if i < 6 else f"In year {i}: {ASKED[i % 6]}"


def tells(i: int) -> str:
    """A statement."""
    return TOLD[i % 6]


def picks(i: int) -> list[str]:
    """Four choices."""
    return list(PICKS[i % 5])


def right(i: int) -> int:
    """The place of the right one."""
    return (1, 0, 3, 2)[i % 4]


CASES: dict[str, Case] = {
    "eight lettered choices, two facts": Case(
        lambda i: {"id": f"3E7TU{i}", "question": asks(i), "fact1": tells(i), "fact2": tells(i + 1),
                   "choices": {"text": [*picks(i), *picks(i + 1)], "label": list("ABCDEFGH")},
                   "answerKey": "ABCDEFGH"[right(i)],
                   "formatted_question": f"{asks(i)} (A) {picks(i)[0]}", "combinedfact": tells(i)},
        "question fact1 fact2 choices.text[] combinedfact formatted_question",
        "multiple_choice", "answerKey", "label"),
    "a question in a struct": Case(
        lambda i: {"id": f"q{i}-7", "question": {"stem": asks(i), "choices": [
            {"text": t, "label": c} for t, c in zip(picks(i), "ABCD", strict=True)]},
            "answerKey": "ABCD"[right(i)]},
        "question.stem question.choices[].text", "multiple_choice", "answerKey", "label",
        "question.stem"),
    "choices that say whether they are right": Case(
        lambda i: {"question": asks(i), "options": [
            {"text": t, "is_correct": n == right(i)} for n, t in enumerate(picks(i))]},
        "question options[].text", "multiple_choice", "options[].is_correct", "flags", "question"),
    "options that are called answers": Case(
        lambda i: {"id_string": f"train_{i}", "context": tells(i), "question": asks(i),
                   "answers": picks(i), "label": right(i)},
        "context question answers[]", "multiple_choice", "label", "index", "context question"),
    "a rotated gold with wrong answers": Case(
        lambda i: {"Question": asks(i), "Correct Answer": picks(i)[0],
                   "Incorrect Answer 1": picks(i)[1], "Incorrect Answer 2": picks(i)[2],
                   "Incorrect Answer 3": picks(i)[3], "Explanation": tells(i),
                   "Subdomain": ("Genetics", "Optics")[i % 2], "Record ID": f"rec{i}8x"},
        "Question|Correct Answer|Incorrect Answer 1|Incorrect Answer 2|Incorrect Answer 3|"
        "Explanation", "multiple_choice", "Correct Answer", "text", "Question"),
    "a choice repeated under another name": Case(
        lambda i: {"question": asks(i), "choices": picks(i), "answer": right(i),
                   "rationale": picks(i)[right(i)], "text": ("yes", "no")[i % 2]},
        "question choices[]", "multiple_choice", "answer", "index", "question"),
    "four endings and a start": Case(
        lambda i: {"video-id": f"v_{i}", "sent1": tells(i), "sent2": "She then",
                   "gold-source": "gold", "label": right(i),
                   **{f"ending{n}": t for n, t in enumerate(picks(i))}},
        "sent1 sent2 ending0 ending1 ending2 ending3", "multiple_choice", "label", "index"),
    "two hypotheses between two observations": Case(
        lambda i: {"story_id": f"a-{i}", "observation_1": tells(i), "observation_2": tells(i + 1),
                   "hypothesis_1": tells(i + 2), "hypothesis_2": tells(i + 3),
                   "label": "12"[right(i) % 2]},
        "observation_1 observation_2 hypothesis_1 hypothesis_2", "multiple_choice", "label",
        "index"),
    "a word in two sentences": Case(
        lambda i: {"word": ("bank", "light", "spring")[i % 3], "sentence1": tells(i),
                   "sentence2": tells(i + 1), "start1": 4, "end1": 9, "idx": i, "label": i % 2},
        "sentence1 sentence2", "multiple_choice", "label", "index",
        "sentence1 sentence2 word", {"label": ClassLabel(names=["False", "True"])}),
    "an answer that is judged": Case(
        lambda i: {"paragraph": tells(i) + " " + tells(i + 1), "question": asks(i),
                   "answer": picks(i)[0], "idx": {"paragraph": i, "question": i, "answer": i},
                   "label": i % 2},
        "paragraph question answer", "multiple_choice", "label", "index",
        "paragraph question answer", {"label": ClassLabel(names=["False", "True"])}),
    "facts and a decomposition": Case(
        lambda i: {"qid": f"b{i}c7", "term": "Honey", "description": tells(i), "question": asks(i),
                   "answer": i % 2 == 0, "facts": [tells(i + 1), tells(i + 2)],
                   "decomposition": [asks(i + 1), asks(i + 2)]},
        "description question facts[] decomposition[]", "multiple_choice", "answer", "index"),
    "supporting titles": Case(
        lambda i: {"id": f"5a8b{i}", "question": asks(i), "answer": picks(i)[0], "type": "bridge",
                   "level": "hard",
                   "supporting_facts": {"title": [f"Old Town {i}"], "sent_id": [0]},
                   "context": {"title": [f"Old Town {i}", "New Town"],
                               "sentences": [[tells(i), tells(i + 1)], [tells(i + 2)]]}},
        "question answer context.sentences[][]", "text", "answer", "text",
        "context.sentences[][] question"),
    "a worked answer and its number": Case(
        lambda i: {"question": asks(i), "answer": f"Step-by-Step Answer: {tells(i)}",
                   "answer_number": 7 + i, "equation_solution": f"{i} + 7 = {7 + i}."},
        "question answer", "number", "answer_number", "number", "question"),
    "a conversation with questions and answers": Case(
        lambda i: {"source": "wiki", "story": tells(i) + " " + tells(i + 1),
                   "questions": [asks(i), asks(i + 1)],
                   "answers": {"input_text": ["in town", "a cat"], "answer_start": [3, 9],
                               "answer_end": [7, 12]}},
        "story questions[] answers.input_text[]", question="story questions[]"),
    "an instruction, all written out": Case(
        lambda i: {"instruction": tells(i), "input": "", "output": tells(i + 1),
                   "text": f"### Instruction:\n{tells(i)}\n### Response:\n{tells(i + 1)}"},
        "instruction input output text", question="instruction input"),
    "a prompt, a reply and marks": Case(
        lambda i: {"prompt": asks(i), "response": tells(i), "helpfulness": i % 5,
                   "coherence": i % 4, "verbosity": 2},
        "prompt response", question="prompt"),
    "two models compared": Case(
        lambda i: {"question_id": f"58210e39b3fd4441a2bd4a518bb44c2{i}", "model_a": "alpaca-13b",
                   "model_b": "koala-7b", "winner": ("model_a", "tie", "model_b")[i % 3],
                   "conversation_a": [{"role": "user", "content": asks(i)},
                                      {"role": "assistant", "content": tells(i)}],
                   "conversation_b": [{"role": "user", "content": asks(i)},
                                      {"role": "assistant", "content": tells(i + 1)}],
                   "turn": 1, "language": "English", "tstamp": 1682351591.1},
        "conversation_a[].content conversation_b[].content",
        question="conversation_a[].content"),
    "a prompt and its messages": Case(
        lambda i: {"prompt": asks(i), "prompt_id": f"f0e37e9f{i}", "messages": [
            {"content": asks(i), "role": "user"}, {"content": tells(i), "role": "assistant"}]},
        "prompt messages[].content", question="messages[].content"),
    "programs with tests and setup": Case(
        lambda i: {"task_id": i, "prompt": f"Write a function to add {i} to a number.",
                   "code": f"def add(x):\n    return x + {i}\n", "test_imports": [],
                   "test_list": [f"assert add({n}) == {n + i}" for n in range(3)]},
        "prompt", "code", "code", "code", "prompt"),
    "a prompt in a language of its own": Case(
        lambda i: {"name": f"HumanEval_{i}_f", "language": "js",
                   "prompt": f"//{tells(i)}\nfunction f{i}(x){{\n", "tests":
                   f"const assert = require('assert');\nassert.equal(f{i}(1), 2);\n",
                   "stop_tokens": ["\nfunction "]},
        "", question="prompt"),
    "many kinds of text, one label": Case(
        lambda i: {"premise": tells(i), "hypothesis": tells(i + 1), "label": i % 3,
                   "parse_premise": "( ( It rains ) . )", "binary_parse_premise": "( It rains )",
                   "lexical_overlap": "lexical", "subcase": "ln_subject/object_swap",
                   "reason": tells(i + 2)},
        "premise hypothesis reason", "multiple_choice", "label", "index", "premise hypothesis",
        {"label": ClassLabel(names=["entailment", "neutral", "contradiction"])}),
    "a lecture and a solution": Case(
        lambda i: {"question": asks(i), "choices": picks(i), "answer": right(i), "hint": tells(i),
                   "task": "closed choice", "grade": f"grade{i % 3}", "subject": "natural science",
                   "topic": "biology", "skill": "Identify plants", "lecture": tells(i + 1),
                   "solution": tells(i + 2)},
        "question choices[] hint lecture solution", "multiple_choice", "answer", "index",
        "question"),
    "options in a string": Case(
        lambda i: {"id": f"validation_Art_{i}", "question": f"<image 1> {asks(i)}",
                   "options": str(picks(i)), "explanation": "", "answer": "ABCD"[right(i)],
                   "topic_difficulty": "Easy", "question_type": "multiple-choice"},
        "question explanation", question="question"),
    "an open problem with a final answer": Case(
        lambda i: {"id": 1606 + i, "question": f"Let $a_{i}$ be a sequence. {asks(i)}",
                   "solution": [f"{tells(i)} So $x={i}$."], "final_answer": [f"${i}^2$"],
                   "is_multiple_answer": False, "unit": None, "error": None,
                   "subfield": "Algebra"},
        "question solution[]", "math", "final_answer[]", "text", "question"),
    "a claim, two kinds of answers": Case(
        lambda i: {"question": asks(i) + "\n (A) Agree\n (B) Disagree",
                   "answer_matching_behavior": " (A)", "answer_not_matching_behavior": " (B)"},
        "question"),
    "a summary": Case(
        lambda i: {"article": tells(i) + " " + tells(i + 1), "highlights": tells(i + 2),
                   "id": f"{i:040x}"},
        "article highlights", question="article"),
    "titles and ratings of products": Case(
        lambda i: {"title": "Great little lamp", "content": tells(i), "label": i % 2},
        "title content", "multiple_choice", "label", "index", "title content",
        {"label": ClassLabel(names=["negative", "positive"])}),
    "many intents": Case(
        lambda i: {"text": asks(i), "label": i % 30}, "text", "text", "label", "index", "text",
        {"label": ClassLabel(names=[f"intent_{n}" for n in range(40)])}),
}  # fmt: skip


def plan_of(case: Case, count: int = 18) -> Plan:
    """The plan for a case's rows."""
    data = Dataset.from_list([case.row(i) for i in range(count)])
    if case.types:
        data = data.cast(Features(dict(data.features) | case.types))
    plan = infer_plan(data.features, data.to_list(), source="o/n", target_lang="ko")
    check_against(plan, [leaf.path for leaf in leaves_of(data.features)], "the plan")
    return plan


def listed(said: str) -> list[str]:
    """The leaves that a case names."""
    return said.split("|") if "|" in said else said.split()


@pytest.mark.parametrize("name", CASES)
def test_what_is_translated(name: str) -> None:
    """Exactly the texts are translated."""
    assert set(plan_of(CASES[name]).translated) == set(listed(CASES[name].sent))


@pytest.mark.parametrize("name", CASES)
def test_what_the_task_is(name: str) -> None:
    """The gold is found, and nothing that tells it is shown."""
    case, task = CASES[name], plan_of(CASES[name]).task
    assert (task.kind, task.answer, task.answer_kind) == (case.kind, case.answer, case.answer_kind)
    assert not case.question or task.question == listed(case.question)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("count", [1, 3])
def test_few_rows_give_nothing_away(name: str, count: int) -> None:
    """However few rows are looked at, nothing that is kept is translated."""
    assert set(plan_of(CASES[name], count).translated) <= set(listed(CASES[name].sent))


def test_values_are_typed() -> None:
    """A leaf that is no text never gets a translated role, whatever it is called."""
    features = Features(
        {"question": Value("string"), "text": Value("int32"), "answer": Value("float64"),
         "context": Value("bool"), "prose": Value("timestamp[s]"), "body": Value("binary")}
    )  # fmt: skip
    rows = [{"question": asks(i), "text": i, "answer": i / 2, "context": True, "prose": None,
             "body": b"\x00"} for i in range(9)]  # fmt: skip
    assert infer_plan(features, rows, source="o/n", target_lang="ko").translated == ["question"]
