"""Checks of Korean: sentence endings, and particles that are left open or tell the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from hret_agents.checks.base import Rules
from hret_agents.checks.numerals import has_protected_signs
from hret_agents.module.expect import choices_of
from hret_agents.plan.records import Plan
from hret_agents.plan.schema import values
from hret_agents.translate.masks import letters_outside

# -- sentence endings ------------------------------------------------------------------------------

_QUOTED = re.compile(
    r"\"[^\"]*\"|“[^“”]*”|‘[^‘’]*’|「[^「」]*」|『[^『』]*』|《[^《》]*》|〈[^〈〉]*〉|«[^«»]*»|"
    r"(?<![A-Za-z0-9가-힣])'[^'\n]*'(?![A-Za-z])|\([^()]*\)|\[[^\[\]]*\]"
)
_ENDS = re.compile(r"[.!?…。？！]+(?!\d)|[:：]?(?:\n|\Z)")
_LAST = re.compile(r"([가-힣]+)[^\w]*$")
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_NAMES = ["formal (합쇼체)", "polite (해요체)", "plain (해라체)"]
_REGISTERS = dict(zip(("formal", "polite", "plain"), _NAMES, strict=True))

_YO_NOUNS = re.compile(
    r"(?:^고|수|필|중|주|동|민|강|개|소|긴|대중가|^가|시|비|부|불|구|동|아니|아뇨|적|자|화|목|월|일)요$"
)
_WONDERS = re.compile(r"까요\W*\Z")
_GREETINGS = ("안녕하세요", "여보세요", "아니요", "아뇨")
_DA_NOUNS = re.compile(
    r"(?:바다|캐나다|우간다|르완다|소다|베란다|아나콘다|아만다|람다|혼다|마쓰다|린다|그라나다|플로리다|네바다|"
    r"판다|[가-힣]마다|^다|[가-힣]?보다|^간다라|야마다|도요다|스코다|프라다|란다)$"
)
_SURE_DA = re.compile(r"(?:[이하되같않]|아니|싶|따르|크|많|좋|옳|쉽|어렵)다$")
_COMMANDS = re.compile(
    r"(?:[하어아여해거너으져려러춰둬워봐줘돼쳐켜혀셔텨펴르]라|^(?:보|쓰|주|가|두|되|말|마|풀|찾|들|내|자|놔|둬)라|골라라)$"
)
_RA_NOUNS = re.compile(
    r"(?:사하라|파라|나라|이라|세라|시에라|니하라|오하라|우하라|요하라|카르라|아라)$"
)
_LETS = re.compile(
    r"(?:[가-힣]하자|^(?:보|가|말|두|주|먹|놓|찾|읽|풀|쓰|들|내|하|되|살|자|뛰|놀|걷|앉|서|나가|떠나|나누|세우|"
    r"만들|구하|배우|버리|모으|그리|고르|적|잡|사|기다리|만나|돌아가|들어가|나오|오)자|"
    r"(?:아|어|여|해|펴|봐|려|쳐)(?:보|가|두|주)자)$"
)


def _final(syllable: str) -> str:
    """The final consonant of a syllable, or a space."""
    return _FINALS[(ord(syllable) - 0xAC00) % 28]


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    """(sentence, what ends it) without quoted speech, brackets, and protected parts."""
    bare = letters_outside(text) if has_protected_signs(text) else text
    bare = _QUOTED.sub(" ", bare)
    start = 0
    for m in _ENDS.finditer(bare):
        if sentence := bare[start : m.start()].strip():
            yield sentence, m[0].strip()
        start = m.end()


def _register_of(sentence: str, end: str) -> str:
    """formal, polite, plain, or nothing where the ending is neutral.

    >>> [_register_of(said, ".") for said in ("물이 끓습니다", "끓어요", "끓는다", "끓이시오")]
    ['formal', 'polite', 'plain', '']
    >>> [_register_of(noun, "") for noun in ("수요", "바다", "사자", "나라")]
    ['', '', '', '']
    """
    sentence = sentence[-60:]
    if not (found := _LAST.search(sentence)):
        return ""
    word, alone = found[1], found.start() == 0
    last = word[-1]
    before = word[-2] if len(word) > 1 else ""
    if last in "다까" and before in ("니", "시") and len(word) > 2 and _final(word[-3]) == "ㅂ":
        return "formal" if before == "니" else ""
    if last == "다" and before == "니" and len(word) == 2:
        return ""
    if word.endswith(("십시오", "십시요")):
        return "formal"
    if last in "요죠":
        return _polite(word, end, alone)
    return "plain" if _plain(sentence[: found.start()].rstrip(), word, end, alone) else ""


def _polite(word: str, end: str, alone: bool) -> str:
    if word.endswith(_GREETINGS):
        return ""
    if word[-1] == "죠":
        return "polite" if len(word) > 1 else ""
    if len(word) < 2 or _YO_NOUNS.search(word):
        return ""
    stem = word[-2]
    vowel = (ord(stem) - 0xAC00) % 588 // 28  # ㅏ0 ㅐ1 ㅓ4 ㅔ5 ㅕ6 ㅖ7 ㅘ9 ㅙ10 ㅝ14 ㅞ15
    open_verb = _final(stem) == " " and vowel in (0, 1, 4, 5, 6, 7, 9, 10, 14, 15)
    closed = stem in "군든걸면만는" or word.endswith(("지요", "까요", "고요", "구요", "니요"))
    return "polite" if open_verb or closed or (end and not alone and stem in "도") else ""


def _plain(before: str, word: str, end: str, alone: bool) -> bool:
    last, rest = word[-1], word[:-1]
    if not rest and last not in "자라":
        return False
    if last == "다":
        return _declares(before, word, end, alone)
    asks = end[:1] in ("?", "？")
    if last == "가":
        if asks:
            return _final(rest[-1]) == "ㄴ" and not word.endswith("문가")
        return bool(end) and not alone and word.endswith(("는가", "인가", "던가", "은가"))
    if last == "냐":
        return bool(end) and len(word) > 1
    if last == "니":
        return asks and len(word) > 1 and rest[-1] not in "머주어"
    if last == "나":
        return asks and (_final(rest[-1]) == "ㅆ" or rest[-1] in "는하가되")
    if last == "라":
        return _commands(word, end, alone)
    if last == "자":
        return (
            bool(end) and not asks and not (alone and word == "하자") and bool(_LETS.search(word))
        )
    return False


def _declares(before: str, word: str, end: str, alone: bool) -> bool:
    """Does a sentence that ends in 다 state something, or is that the end of a noun?"""
    if _DA_NOUNS.search(word):
        return word == "판다" and before.endswith(("을", "를"))
    stem = _final(word[-2])
    if stem in "ㅆㅄㄶ":
        return True
    if end:
        return True
    return not alone and (stem == "ㄴ" or _SURE_DA.search(word) is not None)


def _commands(word: str, end: str, alone: bool) -> bool:
    if _RA_NOUNS.search(word):
        return False
    if not end:
        return not alone and word.endswith(("하라", "으라", "어라", "아라", "르라", "쓰라"))
    return end[:1] not in ("?", "？") and _COMMANDS.search(word) is not None


def _registers(texts: Sequence[str]) -> dict[str, str]:
    """The registers in some texts, each with the sentence that shows it first.

    A question in `-까요?` goes with formal sentences too.

    >>> _registers(["물이 끓습니다.", "왜 끓을까요?"]), _registers(["왜 끓을까요?"])
    ({'formal': '물이 끓습니다.'}, {'polite': '왜 끓을까요?'})
    """
    found: dict[str, str] = {}
    wonders = ""
    for text in texts:
        for sentence, end in _sentences(text):
            if kind := _register_of(sentence, end):
                shown = sentence[-30:] + end[:1]
                if kind == "polite" and _WONDERS.search(sentence):
                    wonders = wonders or shown
                else:
                    found.setdefault(kind, shown)
    if wonders and "formal" not in found:
        found.setdefault("polite", wonders)
    return found


def register(source: str, target: str, rules: Rules) -> str:
    """Sentence endings are of one register, the plan's if it names one.

    >>> rules = Rules(lang="ko")
    >>> register("It boils. It melts.", "물은 끓습니다. 얼음은 녹는다.", rules)
    "registers mix: formal (합쇼체) '물은 끓습니다.' and plain (해라체) '얼음은 녹는다.'; use one"
    >>> register("Choose. It boils.", '답을 고르시오. 그는 "끓는다."라고 말했습니다.', rules)
    ''
    """
    if rules.lang != "ko":
        return ""
    found = _registers([target])
    if rules.register is None:
        return _mixed(found)
    wrong = {kind: said for kind, said in found.items() if kind != rules.register}
    shown = " and ".join(f"{_REGISTERS[kind]} {said!r}" for kind, said in wrong.items())
    return f"{shown} should be {_REGISTERS[rules.register]}" if wrong else ""


def mixed_choices(texts: Sequence[str]) -> str:
    """Registers that mix between the choices of a row.

    >>> mixed_choices(["녹습니다.", "더 무거워진다.", "모래"])
    "registers mix: formal (합쇼체) '녹습니다.' and plain (해라체) '더 무거워진다.'; use one"
    >>> mixed_choices(["바다", "수요", "녹습니다."])
    ''
    """
    return _mixed(_registers(texts))


def _mixed(found: Mapping[str, str]) -> str:
    shown = " and ".join(f"{_REGISTERS[kind]} {said!r}" for kind, said in found.items())
    return f"registers mix: {shown}; use one" if len(found) > 1 else ""


# -- particles -------------------------------------------------------------------------------------

_PAIRS = [("은", "는"), ("이", "가"), ("을", "를"), ("와", "과")]
_BOTH = [*_PAIRS, *((b, a) for a, b in _PAIRS)]
_OPEN = re.compile(
    "|".join(
        [rf"{a}\({b}\)|\({a}\){b}(?![가-힣])" for a, b in _BOTH]
        + [rf"{a}/{b}(?![가-힣])|\({a}/{b}\)" for a, b in _BOTH]
        + [
            r"\(으\)[가-힣ㄱ-ㅎ]",
            r"(?<=\S)\(이\)(?:라|나|다|란|랑|며|든|고|면|니|었|에|야|요|여|시|지|네|ㅂ|ㄴ)",
            *(
                rf"(?:이{a}/{a}|{a}/이{a})(?![가-힣])"
                for a in ("라", "나", "란", "랑", "다", "라고")
            ),
            r"(?:으로/로|로/으로|이에요/예요|예요/이에요)",
        ]
    )
)
_LABELS = re.compile(r"\((?:나|다)\)")
_QUOTES = "'\"‘“「『`"


def josa_artifact(source: str, target: str, rules: Rules) -> str:
    """A particle left open for the reader to choose.

    >>> rules = Rules(lang="ko")
    >>> josa_artifact("{name} is here.", "{name}은(는) 여기 있다.", rules)
    "a particle left open: '은(는)'; choose one, or word the sentence so that none is needed"
    >>> josa_artifact("See (A) and (B).", "놀이(가)와 놀이(나)를 보시오.", rules)
    ''
    """
    if rules.lang != "ko" or ("(" not in target and "/" not in target):
        return ""
    for m in _OPEN.finditer(target):
        said = m[0]
        if said in source or (said in ("이(가)", "(가)이") and _LABELS.search(target)):
            continue
        if m.start() and target[m.start() - 1] in _QUOTES and "/" in said:
            continue  # the text speaks of the particle
        return (
            f"a particle left open: {said!r}; choose one, or word the sentence so that none is "
            "needed"
        )
    return ""


_BLANK = re.compile(
    r"(?:_{2,}|(?<![^\s(\"'“‘])_(?![A-Za-z0-9_]))[\"'”’)\]」』*]{0,3}(?:([가-힣]+)(?![(/]))?"
)
_RO = r"(?:서|써|부터|는|도|만|의|까지|서는|서의|서도|부터는|부터의)?"
_RA = r"(?:고[가-힣]{0,6}|는|면|서|도|든지?|거나|야[가-힣]{0,2}|며|니|던)"
_AFTER_FINAL = re.compile(
    rf"은|이|을|과(?:는|도|의|만|함께)?|이라{_RA}?|이란|이다|이나|이든지?|이랑(?:은|도)?|"
    rf"이여|이었[가-힣]{{1,6}}|이에요|이야(?:말로)?|아"
)
_AFTER_VOWEL = re.compile(
    rf"는|가|를|와(?:는|도|의|만|함께)?|라{_RA}?|란|다|나|든지?|랑(?:은|도)?|"
    rf"여|였[가-힣]{{1,6}}|예요|야(?:말로)?"
)
_AFTER_RIEUL = re.compile(rf"로{_RO}")
_AFTER_OTHER = re.compile(rf"으로{_RO}")
_DIGITS = dict(zip("0123456789", "ㅇㄹ ㅁ  ㄱㄹㄹ ", strict=True))
_LETTERS = {"L": "ㄹ", "M": "ㅁ", "N": "ㄴ", "R": "ㄹ"}
_PARTS = re.compile(r"\s*(?:[,;/…]|\.\.\.|–|—| - |→)\s*")


def josa_leak(target: Mapping[str, Any], plan: Plan) -> str:
    """A particle behind a blank that fits some choices only: it tells the answer.

    `target` is the translated row, its columns named as in the source.
    """
    task = plan.task
    if plan.target_lang != "ko" or task.fixed_choices or not task.choices:
        return ""
    for path in task.question:
        for text in values(target, path):
            if isinstance(text, str) and "_" in text:
                if said := _telling(text, choices_of(target, plan)):
                    return said
    return ""


def _telling(question: str, choices: Sequence[str]) -> str:
    """Which particle in a question tells the choices apart.

    >>> _telling("____은 행성입니다.", ["목성", "지구"])
    "the particle '은' behind the blank fits '목성' and not '지구'"
    >>> _telling("____은 행성입니다.", ["목성", "금성"]), _telling("____입니다.", ["목성", "지구"])
    ('', '')
    """
    choices = [choice for choice in choices if len(choice) <= 1000]
    blanks = list(islice(_BLANK.finditer(question), 20))
    for number, m in enumerate(blanks):
        if not (particle := m[1]):
            continue
        fits = _fitting(particle)
        if fits is None:
            continue
        fillers = [_filler(choice, number, len(blanks)) for choice in choices]
        finals = [(filler, _final_of(filler)) for filler in fillers]
        good = [filler for filler, final in finals if final is not None and final in fits]
        bad = [filler for filler, final in finals if final is not None and final not in fits]
        if good and bad:
            return f"the particle {particle!r} behind the blank fits {good[0]!r} and not {bad[0]!r}"
    return ""


def _fitting(particle: str) -> str | None:
    """The final consonants (a space for none) that a particle fits; None if it fits them all."""
    if _AFTER_FINAL.fullmatch(particle):
        return _FINALS[1:]
    if _AFTER_VOWEL.fullmatch(particle):
        return " "
    if _AFTER_RIEUL.fullmatch(particle):
        return " ㄹ"
    if _AFTER_OTHER.fullmatch(particle):
        return _FINALS[1:].replace("ㄹ", "")
    return None


def _filler(choice: str, number: int, blanks: int) -> str:
    """What a choice puts into a blank: its part, where it has as many as there are blanks."""
    parts = _PARTS.split(choice)
    return parts[number] if blanks > 1 and len(parts) == blanks else choice


def _final_of(word: str) -> str | None:
    """The final consonant that a word is read with, a space for none; None if that is unknown."""
    bare = re.sub(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*[.,!?]*$", "", word.strip()) or word
    bare = re.sub(r"[\s.,!?;:'\"“”‘’)\]」』*]+$", "", bare)
    if not bare:
        return None
    last = bare[-1]
    if "가" <= last <= "힣":
        return _final(last)
    if last == "0" and re.search(r"[1-9][0,.]*0$", bare):
        return "ㅂ"  # 십, 백, 천, 만: none of them ends in a vowel or ㄹ
    if last in _DIGITS:
        return _DIGITS[last]
    if last == "%":
        return " "
    if last.isascii() and last.isupper():
        return _LETTERS.get(last, " ")
    return None
