"""What names tell. They decide where types and values leave it open, and never against them."""

from __future__ import annotations

import re
from functools import cache

from hret_agents.plan.records import EACH, LeafPath, keys_of

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[가-힣]+|\d+")


@cache
def parts_of(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters.

    >>> parts_of("AnswerRightEnding"), parts_of("mc1_targets"), parts_of("Incorrect Answer 2")
    (('answer', 'right', 'ending'), ('mc', '1', 'targets'), ('incorrect', 'answer', '2'))
    """
    return tuple(m.lower() for m in _PARTS.findall(name))


@cache
def names_on(path: LeafPath) -> tuple[str, ...]:
    """The keys of a path, lists aside: `messages[].content` has `messages` and `content`."""
    return tuple(key for key in keys_of(path) if key != EACH)


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LAST_ID = _set(
    "id ids idx idxs index uid guid uuid hash md5 sha sha1 sha256 key commit ind no nr repo slug "
    "path file filename identifier"
)
_LAST_URL = _set("url urls link links href homepage uri")
_LAST_TAG = _set(
    "category categories subject subjects topic topics type types level difficulty source sources "
    "src domain lang language languages split version tag tags role from speaker sender polarity "
    "genre author authors date name names model subset status license licence config grade field "
    "subfield area skill skills style format kind group gender country dataset condition concept "
    "task year month day timestamp keywords keyword unit units mode bias origin location"
)
_CODE = re.compile(
    r"^(code|formal_(statement|problem|theorem|proof|solution|code)|canonical_solution|tests?|test_(code|list|cases?|setup_code|imports?|patch|setup)|"
    r"entry_point|program|snippet|patch|sql|regex|command|signature|declaration|starter_code|"
    r"(reference|solution|buggy|gold|correct)_(code|solution|program)|buggy_solution|"
    r"challenge_test_list|.*_test_?cases?|.*_code|.*_sql|.*_tests?|.*_program|code_.*|import|imports|libs)$",
    re.I,
)
_ID = re.compile(
    r"[a-z]{1,4}id|(answer|article|dialogue|document|example|image|instance|item|message|passage|"
    r"problem|question|record|sample|story|thread)id"
)
_OF_TESTS = _set("test tests testcase testcases cases")
_GIVEN = _set("input inputs output outputs stdin stdout expected")
_FUNCTION = _set("fn func function method tool call")
_TOOLS = _set(
    "tools tool functions function tool_calls tool_call function_call function_calls parameters "
    "arguments args kwargs schema json_schema"
)
_LABEL = re.compile(
    r"^(labels?|gold|gold_?label|.*_labels?|label_.*|targets?|class|answer_?key|verdict|sentiment|"
    r"final_decision|stance|emotions?|intent)$",
    re.I,
)
_ASKING = _set(
    "question questions query queries problem prompt prompts instruction instructions input inputs "
    "goal stem claim hypothesis premise statement ask riddle puzzle request"
)
_CONTEXT = _set(
    "context contexts passage passages article story document documents background premise "
    "premises dialogue dialog dialogs ctx instruction instructions paragraph paragraphs system "
    "history narrative situation scenario evidence table facts obs observation startphrase"
)
_TEXT = _set(
    "text texts content contents body title headline description abstract sentence sentences "
    "review tweet post comment utterance utterances turn turns conversation conversations message "
    "messages quote sent phrase conclusion original value"
)
_ASIDE = _set(
    "rationale rationales explanation explanations explain solution solutions hint hints response "
    "responses output outputs support summary summaries highlights cot reasoning thought thoughts "
    "reason reasons justification decomposition fact lecture comments feedback revision analysis "
    "critique chosen rejected completion completions continuation reply generation generations "
    "reference references note notes annotation annotations annotator exp explication gold answer "
    "answers target targets correct incorrect wrong plausible best worst hallucinated steps proof "
    "distractor distractors docstring label labels translation reject accept preferred judge "
    "judgement extra search"
)
_VERDICT = _set(
    "rubric rubrics criteria criterion criterions guideline guidelines editorial commentary remark "
    "remarks walkthrough thinking think trace traces trajectory trajectories derivation insight "
    "evaluation assessment grading grader verification verdict judgment strategy approach"
)
_SECOND = _set("seed original orig earlier raw paraphrased rephrased norm annot")
_REFERENCE = _set("target tgt trg ref reference references mt hyp hypothesis translation post")
_WRITTEN = _set("heading headings caption captions")
_GOLDISH = _set("answer answers ans gold label labels target targets correct output outputs truth")
_WRONG = _set("incorrect wrong distractor distractors false hallucinated")
_PREFERENCE = _set("chosen rejected reject preferred dispreferred")
_SHOWN_LABELS = re.compile(
    r"^(question|word|target_word|term|aspect|aspect_term|keyword|span\d?_text|span\d|pronoun|"
    r"entity|subject_entity|object_entity|relation|quote)$",
    re.I,
)
_EMPTY_PROSE = re.compile(r"^(explanation|rationale|hint|notes?)$", re.I)


def is_id(name: str) -> bool:
    """id, example_id, uuid, answerKey, pubid"""
    parts = tuple(part for part in parts_of(name) if part != "list")
    last = parts[-1] if parts else ""
    numbered = parts[:1] == ("unnamed",)  # as pandas calls a column of row numbers
    return (
        last in _LAST_ID
        or numbered
        or parts[-2:] == ("file", "name")
        or _ID.fullmatch(last) is not None
    )


def is_url(name: str) -> bool:
    """url, image_link"""
    words = [part for part in parts_of(name) if not part.isdigit()]
    return bool(words) and words[-1] in _LAST_URL


def is_tag(name: str) -> bool:
    """category, question_type"""
    parts = parts_of(name)
    page = not {"wiki", "wikipedia"}.isdisjoint(parts) and parts[-1] in ("title", "page")
    return page or (bool(parts) and parts[-1] in _LAST_TAG)


def is_date(name: str) -> bool:
    """year, version: numbers that count nothing"""
    return not {"year", "month", "day", "date", "version"}.isdisjoint(parts_of(name)[-1:])


def is_code(name: str) -> bool:
    """canonical_solution, test_list"""
    names = parts_of(name)[-1:] == ("name",) and not _FUNCTION.isdisjoint(parts_of(name))
    return names or _CODE.match(name.replace(" ", "_")) is not None


def is_of_tool(path: LeafPath) -> bool:
    """Does a leaf lie in the schema of a tool, or in a call of one?"""
    *above, _ = names_on(path)
    return any(name.lower() in _TOOLS or parts_of(name)[-1:] == ("call",) for name in above)


def is_of_tests(path: LeafPath) -> bool:
    """Is a leaf what a program is given by a test, or must give back?"""
    *above, last = names_on(path)
    given = not _GIVEN.isdisjoint(parts_of(last))
    return given and any(parts_of(name)[-1:] and parts_of(name)[-1] in _OF_TESTS for name in above)


def is_of_ids(path: LeafPath) -> bool:
    """Does a leaf lie in a struct of numbers of rows: idx.paragraph, idx.question?"""
    return any(name.lower() in ("id", "ids", "idx", "index") for name in names_on(path)[:-1])


def is_options(name: str) -> bool:
    """options, choices"""
    return bool(parts_of(name)) and parts_of(name)[-1] in ("options", "choices", "alternatives")


def is_label(name: str) -> bool:
    """label, sentiment"""
    return _LABEL.match(name.replace(" ", "_")) is not None


def is_asking(path: LeafPath) -> bool:
    """question, query, prompt, problem"""
    return _speaks(path, _ASKING)


def asks(name: str) -> bool:
    """question, search_query, Question 2: is the last word of a name what is asked?"""
    words = [part for part in parts_of(name) if not part.isdigit()]
    return bool(words) and words[-1] in _ASKING


def is_context(path: LeafPath) -> bool:
    """context, passage, article: what is shown before the question"""
    return _speaks(path, _CONTEXT)


def is_text(path: LeafPath) -> bool:
    """text, title, sentence: what a question may be about, or what is labelled"""
    return _speaks(path, _TEXT)


def is_aside(path: LeafPath) -> bool:
    """explanation, response, answer: what comes after the question, and is never shown"""
    return any(part in _ASIDE for name in names_on(path) for part in parts_of(name))


def is_verdict(path: LeafPath) -> bool:
    """rubric, editorial, trace: what is written of an answer, or on the way to it"""
    return any(part in _VERDICT for name in names_on(path) for part in parts_of(name))


def first_of(name: str) -> tuple[str, ...]:
    """The words of a name, without those that say that it is a text's other form.

    >>> first_of("original_question"), first_of("annot_utt"), first_of("text")
    (('question',), ('utt',), ('text',))
    """
    return tuple(part for part in parts_of(name) if part not in _SECOND)


def is_reference(name: str) -> bool:
    """target, ref, mt: beside a language pair the side that is translated into"""
    return not _REFERENCE.isdisjoint(parts_of(name))


def is_wrong(name: str) -> bool:
    """incorrect_answers, distractor1: no gold, whatever else the name says"""
    return not _WRONG.isdisjoint(parts_of(name))


def is_starter(name: str) -> bool:
    """starter_code: code that is shown with what is asked"""
    return not {"starter", "skeleton"}.isdisjoint(parts_of(name))


def is_tools(name: str) -> bool:
    """tools, functions: what may be called to answer"""
    return name.lower() in ("tools", "functions")


def is_goldish(name: str) -> bool:
    """answer, target, output: short texts under such a name are not translated as prose"""
    return any(part in _GOLDISH for part in parts_of(name))


def is_preference(path: LeafPath) -> bool:
    """chosen, rejected: replies that people have ranked"""
    return any(part in _PREFERENCE for name in names_on(path) for part in parts_of(name))


def is_prose(path: LeafPath) -> bool:
    """A name of what is written in sentences, or at least in words."""
    known = is_asking(path) or is_context(path) or is_text(path) or is_aside(path)
    return known or not _WRITTEN.isdisjoint(parts_of(names_on(path)[-1]))


def is_shown_label(name: str) -> bool:
    """A short column that is part of what is asked: COPA's cause or effect, the word in question"""
    return _SHOWN_LABELS.match(name) is not None


def is_empty_prose(path: LeafPath) -> bool:
    """What is prose even if no row that was looked at holds any"""
    name = names_on(path)[-1]
    speaks = is_asking(path) or is_context(path) or is_text(path)
    kept = is_id(name) or is_tag(name) or is_label(name) or is_goldish(name)
    return _EMPTY_PROSE.match(name) is not None or (speaks and not kept)


def _speaks(path: LeafPath, known: frozenset[str]) -> bool:
    """Is one of the last words of the leaf's name, or of what it lies in, one of `known`?"""
    *above, last = names_on(path)
    words = parts_of(last)
    if any(part in known for part in words):
        return True
    return any(parts_of(name)[-1:] and parts_of(name)[-1] in known for name in above)
