"""Flags: what a human may want to see. None of them fails a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from hret_agents.checks.base import Finding, Rules
from hret_agents.module.expect import choices_of, gold_fault, gold_of, question_fault
from hret_agents.plan.glossary import Glossary
from hret_agents.plan.records import Plan, Role
from hret_agents.plan.schema import values
from hret_agents.translate.programs import pieces
from llm_eval.dataset.gold import LETTERS


def length_soft(source: str, target: str, rules: Rules) -> str:
    """A length that few translations have.

    >>> rules = Rules(lang="ko")
    >>> length_soft("Explain your reasoning step by step.", "설명하십시오.", rules)
    'rather short: 36 characters became 7'
    >>> length_soft("DNA", "디옥시리보핵산(DNA)", rules)
    ''
    """
    old, new = len(source), len(target)
    if old >= 30 and new * 4 < old:
        return f"rather short: {old} characters became {new}"
    if new > 30 and new * 2 > old * 3:
        return f"rather long: {old} characters became {new}"
    if old >= 30 and rules.lang == "ko" and source.rstrip()[-1:] in _STOPS and _cut(old, target):
        return f"it seems cut at its end: {target[-20:]!r}"
    return ""


_STOPS = (".", "?", "!")
_OPEN_ENDS = ("을", "를", "의", ",", "며", "고,")
_CLOSED_ENDS = frozenset("다요까오죠라자음함임됨짐기것네군지냐니가나데여세시")
_SENTENCE_END = re.compile(r"[가-힣][.?!]\s")


def _cut(old: int, target: str) -> bool:
    """Does a Korean text end in a particle that leads on; or without a stop, where its other
    sentences have one, and short besides?

    >>> _cut(76, "세포벽은 식물 세포에 구조를"), _cut(76, "세포벽은 식물 세포를 지킨다")
    (True, False)
    """
    target = target.rstrip()
    last = target[-1:]
    if target.endswith(_OPEN_ENDS):
        return True
    if not "가" <= last <= "힣" or last in _CLOSED_ENDS or len(target) * 2 >= old:
        return False
    return _SENTENCE_END.search(target) is not None


# -- refusals and comments -------------------------------------------------------------------------

# (what such a text holds, what excuses it in the source). All are searched without regard to case.
_REFUSALS = [
    (
        r"(?:죄송|유감|미안)[^\n]{0,200}?(?:수(?:는|가)? 없|어렵습|어려울|불가능|못합|않겠습)",
        r"sorry|apolog|regret|pardon|afraid|unfortunate|excuse|죄송|미안",
    ),
    (
        r"(?:도와|도움을?|답변|대답|제공|지원|응답|안내|조언|설명|처리|수행|요청|요구)"
        r"[가-힣]{0,2} ?(?:(?:해|도와)? ?(?:드릴|드리기|줄|할)) ?(?:수(?:는|가)? 없|어렵|곤란)|"
        r"(?:요청|요구|질문)에(?:는)? (?:응|답)[가-힣]{0,3} 수(?:는|가)? 없",
        r"\b(?:not|cannot|no|nor|never|unable|without|fail\w*|refus\w*|declin\w*|impossible|"
        r"unavailable)\b|n['’]t\b|수(?:는|가)? 없|못",
    ),
    (
        r"번역[가-힣]{0,2} ?(?:해 ?)?(?:드릴|드리기|할|하기|될|되기|제공할) ?(?:수(?:는|가)? 없|"
        r"어렵|어려|불가|곤란)|번역(?:이|은)? ?불가|번역하지 (?:않|못)|번역할 (?:내용|텍스트|문장|"
        r"글|원문)[이가을를은는] ?(?:없|보내|제공|입력|알려|주|붙여)|번역해 드리겠|"
        r"번역을 도와 ?드리",
        r"translatable|번역|(?:not|n['’]t|no|nothing|unable|impossible|hard|difficult)\b.{0,40}"
        r"\btranslat|\btranslat\w*\b.{0,40}(?:not|n['’]t|impossible|hard|difficult)",
    ),
    (
        r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b|"
        r"(?:\bAI|인공 ?지능) ?(?:언어 ?)?(?:모델|어시스턴트|비서|챗봇)?(?:로서|이기 때문|이므로|"
        r"이라서|라서|인 저)|언어 ?모델(?:로서|이기 때문|이므로|이라서|입니다)|"
        r"저는 (?:AI|인공 ?지능)",
        r"\bA\.?I\b|artificial|language model|chat ?bot|assistant|\bbots?\b|인공 ?지능",
    ),
    (
        r"(?:다음은|아래는|여기)[^.\n:]{0,30}번역(?:문|본|한 (?:글|문장|텍스트|내용|결과))?"
        r"(?: 결과)?(?:입니다|이에요|예요|이다| ?[:：])|"
        r"번역(?:문|본|한 (?:글|문장|내용))?(?: 결과)?(?:은|는)? ?(?:다음|아래|이)(?:과|와)? ?같|"
        r"^\W{0,3}(?:한국어 |국문 )?번역(?:문|본| 결과)? ?[:：]|(?:요청|부탁)하신 [^.\n]{0,20}번역",
        r"translat|번역",
    ),
    (
        r"^\W{0,3}(?:물론입니다|물론이죠|물론이에요|알겠습니다)[!.,]",
        r"\b(?:sure|of course|"
        r"certainly|absolutely|naturally|yes|ok|okay|right|understood|see|will do|got it|"
        r"indeed|definitely|course)\b|물론|알겠",
    ),
    (
        r"(?:번역자?|역자|옮긴이|편집자)의? ?(?:주|註|노트|메모|설명)\s?[:：)\]]|[(\[]역주|"
        r"번역 ?(?:참고|메모|노트|설명)\s?[:：]|"
        r"의역(?:하였|했)|직역하면|원문(?:의|에|은|을|이) ?[^.\n]{0,40}(?:번역|의역|옮)",
        r"translat|\bnote\b|literal|original|번역|역주|의역",
    ),
    (
        r"(?:더|추가로|다른) ?[^.\n]{0,12}(?:필요|궁금|번역|도움|질문)[^.\n]{0,24}(?:말씀해|알려|"
        r"문의해|요청해) ?주|도움이 되(?:었|셨)기를|(?:번역|수정)이 필요하(?:시면|면)",
        r"let (?:me|us) know|tell|\bask\b|contact|reach out|help|inform|알려|말씀|문의",
    ),
    (
        r"\bI(?:['’]m| am) sorry,? but\b|\bI can(?:['’]t|not| not) (?:help|assist|translate|"
        r"provide|comply|fulfil|answer|do that)|\bI(?:['’]m| am) (?:unable|not able) to\b|"
        r"\bhere(?:['’]s| is) (?:the|your|a) (?:korean )?translation|^\W{0,3}translation ?:|"
        r"^\W{0,3}(?:sure|certainly|of course)[!,]",
        r"sorry|can(?:['’]t|not| not)|unable|not able|translation|sure|certainly|course",
    ),
    (
        r"(?:안전|콘텐츠|운영|사용|이용) ?(?:정책|지침|가이드라인|규정)[^.\n]{0,20}"
        r"(?:위배|위반|어긋|저촉)",
        r"polic|guideline|rules?\b|regulation|terms|violat|breach|safety|정책|지침|규정",
    ),
    (
        r"(?:이런|그런|해당|이|그러한|이러한) (?:주제|내용|요청|질문|표현)[^.\n]{0,24}"
        r"(?:이야기|얘기|말씀|언급|논의|다룰|다루|대화|번역)[가-힣]{0,3} ?(?:수(?:는|가)? 없|않겠)",
        r"\b(?:not|cannot|no|nor|never|unable|refus\w*|declin\w*)\b|n['’]t\b|수(?:는|가)? 없|않",
    ),
    (
        r"^\W*(?:부적절한|민감한|유해한|불쾌한) (?:내용|표현|콘텐츠|단어)\W*$|^\W*번역\W*$",
        r"inappropriate|harmful|sensitive|explicit|offensive|unsuitable|improper|translat|번역|부적절",
    ),
    (
        r"^\W{0,3}(?:assistant|korean|target|output|한국어)\W{0,3}[:：]|"
        r"^\s*\{\s*\"(?:id|t|text|texts|translation|translated|korean|ko|rows|target)\"\s*:",
        r"assistant|korean|target|output|한국|^\s*\{",
    ),
    (r"^\s*(?:\"[^\"]+\"|“[^“”]+”)\s*$", r"^\W*[\"'“”‘’`«‹「『*_]|[\"”'’]\W*$"),
]
_COMPILED = [(re.compile(said, re.I), re.compile(excuse, re.I)) for said, excuse in _REFUSALS]
_HINTS = re.compile(  # cheap: none of the patterns above fits a text without one of these
    r"수(?:는|가)? 없|번역|의역|직역|원문|역주|주\s?[:：)]|노트|메모|알겠|물론|죄송|유감|미안|"
    r"드리기|곤란|AI|인공|모델|알려 ?주|말씀해|문의해|요청|부탁|바랍니다|되[었셨]기|\bI\b|transl|"
    r"sure|certainly|of course|as an|어렵|불가|위배|위반|어긋|저촉|않겠|부적절|민감한|유해|불쾌한|"
    r"assistant|korean|한국어|target|output|^\s*[\"“{]",
    re.I,
)


def refusal(source: str, target: str, rules: Rules) -> str:
    """A model's refusal or comment in the place of a translation, or around it.

    >>> rules = Rules(lang="ko")
    >>> refusal("Who did it?", "죄송하지만 도와드릴 수 없습니다.", rules)
    "this reads like a model's refusal or comment: '죄송하지만 도와드릴 수 없'; translate only"
    >>> refusal("I'm sorry, I can't help you.", "죄송하지만 도와드릴 수 없습니다.", rules)
    ''
    """
    if len(target) > 4000:  # a comment stands before or behind a long translation
        target = f"{target[:2000]}\n{target[-2000:]}"
    if not _HINTS.search(target):
        return ""
    for said, excuse in _COMPILED:
        if (found := said.search(target)) and not excuse.search(source):
            what = " ".join(found[0].split())[:60]
            return f"this reads like a model's refusal or comment: {what!r}; translate only"
    return ""


# -- the glossary ----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _glossary(terms: tuple[tuple[str, str], ...]) -> Glossary:
    return Glossary(dict(terms))


def glossary(source: str, target: str, terms: Sequence[tuple[str, str]]) -> str:
    """Terms of the glossary that `source` holds, and whose translation `target` does not.

    >>> glossary("Two dogs ran.", "강아지 두 마리가 뛰었다.", [("dog", "개"), ("cat", "고양이")])
    "the glossary wants 'dog' translated as '개'"
    >>> glossary("Two dogs ran.", "개 두 마리가 뛰었다.", [("dog", "개"), ("cat", "고양이")])
    ''
    """
    if not terms:
        return ""
    missed = _glossary(tuple(terms)).missing(source, target)
    wanted = (
        f"{term!r} translated as {' or '.join(map(repr, translation.split('|')))}"
        for term, translation in missed
    )
    return f"the glossary wants {', '.join(wanted)}" if missed else ""


# -- the answer in the question --------------------------------------------------------------------

_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.I)
_WORD = re.compile(r"[^\W_]+")
_SMALL = frozenset(
    "a an the of to in on at by for from with and or is are was were be it its he she they this "
    "that his her their as into about".split()
)
_FOLLOWS = (  # syllables that may follow a Korean word within its own phrase: particles, 하다, 되다
    "은는이가을를과와의에도만로으라란랑나며께한하해했할합함되된돼됐될들적인일임입였처보부까조마밖"
    "뿐같시당든여요죠야고"
)


def answer_leak(source: Mapping[str, Any], target: Mapping[str, Any], plan: Plan) -> str:
    """The translated question names the right answer, and the source question did not.

    Both rows have their columns named as in the source.
    """
    task = plan.task
    if task.kind not in ("multiple_choice", "text") or task.fixed_choices:
        return ""
    gold = gold_of(source, plan)
    if gold is None:
        return ""
    if task.kind == "multiple_choice":
        now, new = gold_of(target, plan), choices_of(target, plan)
        old_text = choices_of(source, plan)[LETTERS.index(gold)]
        new_text = new[LETTERS.index(now)] if now else ""
    else:
        found = values(target, task.answer or "")
        old_text, new_text = gold, str(found[0]).strip() if found else ""
    new_text = new_text.strip(" \t\n.,!?\"'“”‘’")
    if sum(c.isalpha() for c in new_text) < 2:
        return ""
    if not (where := _mentioned(new_text, _question(target, plan))):
        return ""
    if _holds(_question(source, plan), old_text):
        return ""
    return f"the question names the right answer {where!r}, which the source's question does not"


def _question(row: Mapping[str, Any], plan: Plan) -> str:
    return "\n".join(str(v) for p in plan.task.question for v in values(row, p) if v)


def _mentioned(answer: str, question: str) -> str:
    """How `question` names `answer`; empty if it does not."""
    if len(answer) > 300:
        return answer if answer in question else ""
    words = _ARTICLE.sub("", answer).split()
    if not words or words[0][:3].casefold() not in question.casefold():
        return ""
    spaced = r"\s*".join(map(re.escape, words))
    for m in re.finditer(rf"(?<![^\W_]){spaced}", question, re.I):
        after = question[m.end() : m.end() + 1]
        if not after.isalpha() or (
            "가" <= after <= "힣" and (after in _FOLLOWS or not "가" <= m[0][-1] <= "힣")
        ):
            return m[0]
        if m[0].isascii() and re.match(r"(?:e?s|['’]s)\b", question[m.end() :], re.I):
            return m[0]
    return ""


def _holds(question: str, answer: str) -> bool:
    """Does a source's question hold all words of its answer, in whatever order or number?

    >>> _holds("Two dogs and a cat: which barks?", "The dog"), _holds("A librarian?", "library")
    (True, False)
    """
    words = [w for w in _WORD.findall(answer.casefold()) if w not in _SMALL]
    if not words:
        return answer.strip().casefold() in question.casefold()
    if not question.isascii() and " ".join(words) in question.casefold():
        return True  # scripts without spaces
    stems = {_stem(w) for w in _WORD.findall(question.casefold())}
    return all(_stem(w) in stems for w in words)


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "ed", "es", "s", "e", "y"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            return word[: -len(ending)]
    return word


# -- the source itself -----------------------------------------------------------------------------


def source_anomaly(source: Mapping[str, Any], plan: Plan) -> Iterator[Finding]:
    """What is wrong with the source row itself: for review, the translation cannot mend it."""
    task = plan.task
    if said := gold_fault(source, plan):
        yield _anomaly(task.answer or "", said)
    elif said := _double_gold(source, plan):
        yield _anomaly(task.choices[0], said)
    if said := question_fault(source, plan):
        yield _anomaly(task.question[0] if task.question else "", said)
    for path in plan.translated:
        program = plan.roles[path] is Role.code_prompt
        for value in values(source, path):
            if not isinstance(value, str):
                continue
            if said := garbled(value) or (_UNPARSED if program and pieces(value) is None else ""):
                yield _anomaly(path, said)
                break


_UNPARSED = "it does not parse as a Python program, so it is kept as it is"


def _anomaly(path: str, said: str) -> Finding:
    return Finding("source_anomaly", "flag", path, said)


def _double_gold(source: Mapping[str, Any], plan: Plan) -> str:
    """Two equal choices of which one is the answer."""
    if plan.task.kind != "multiple_choice" or not plan.task.choices:
        return ""
    choices = [c.strip() for c in choices_of(source, plan)]
    if len(set(choices)) == len(choices) or (gold := gold_of(source, plan)) is None:
        return ""
    right = choices[LETTERS.index(gold)]
    twins = [LETTERS[i] for i, choice in enumerate(choices) if choice == right]
    if len(twins) < 2:
        return ""
    return f"the right choice stands more than once ({', '.join(twins)}): {right[:80]!r}"


_BYTES = {
    chr(code): code for code in range(0x80, 0x100)
} | {  # what a byte of UTF-8 looks like when it is read as Windows-1252
    bytes([code]).decode("cp1252", "ignore"): code for code in range(0x80, 0xA0)
}
_BYTES.pop("", None)
_TAILS = "".join(sign for sign, code in _BYTES.items() if code < 0xC0)
_MOJIBAKE = re.compile(
    f"[Â-ß][{re.escape(_TAILS)}]|[à-ï][{re.escape(_TAILS)}]{{2}}|[ð-ô][{re.escape(_TAILS)}]{{3}}"
)
_READABLE = (  # what was meant, if it was mojibake: letters, punctuation and signs in use
    (0xA0, 0x17F), (0x218, 0x21B), (0x391, 0x44F), (0x2010, 0x206F), (0x20A0, 0x20BF),
    (0x2100, 0x22FF), (0x25A0, 0x27BF), (0x3000, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF),
    (0xFEFF, 0xFEFF), (0xFF00, 0xFFEF),
)  # fmt: skip


def garbled(text: str) -> str:
    """Why a text was not read in its own encoding; empty when nothing tells.

    >>> garbled("Itâ€™s a cafÃ©."), garbled("SÃO JOÃO, “naïve” château’s café")
    ("mojibake: 'â€™' stands for '’'", '')
    >>> garbled("4�C")
    'a replacement character (U+FFFD): a letter was lost'
    """
    if text.isascii():
        return ""
    if "\ufffd" in text:
        return "a replacement character (U+FFFD): a letter was lost"
    for m in _MOJIBAKE.finditer(text):
        try:
            meant = bytes(_BYTES[sign] for sign in m[0]).decode("utf-8")
        except UnicodeDecodeError:
            continue
        if any(start <= ord(meant) <= end for start, end in _READABLE):
            return f"mojibake: {m[0]!r} stands for {meant!r}"
    return "mojibake: 'â€'" if "â€" in text else ""
