"""What a closed set of labels is called in the prompt of a port. The data keeps its own labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

KOREAN = {
    "entailment": "함의", "entails": "함의", "entailed": "함의", "neutral": "중립",
    "contradiction": "모순", "contradicts": "모순", "contradictory": "모순",
    "not entailment": "함의 아님", "not entailed": "함의 아님", "non entailment": "함의 아님",
    "positive": "긍정", "negative": "부정", "very positive": "매우 긍정",
    "very negative": "매우 부정", "mixed": "혼합", "pos": "긍정", "neg": "부정",
    "equivalent": "동의문", "not equivalent": "동의문 아님", "paraphrase": "동의문",
    "not paraphrase": "동의문 아님", "duplicate": "중복", "not duplicate": "중복 아님",
    "acceptable": "문법적", "unacceptable": "비문법적",
    "supports": "지지", "supported": "지지", "support": "지지", "refutes": "반박",
    "refuted": "반박", "refute": "반박", "not enough info": "정보 부족",
    "not enough information": "정보 부족", "maybe": "아마도", "unknown": "알 수 없음",
    "uncertain": "불확실", "not given": "알 수 없음",
    "correct": "맞음", "incorrect": "틀림", "right": "맞음", "wrong": "틀림",
    "joy": "기쁨", "sadness": "슬픔", "anger": "분노", "fear": "두려움", "love": "사랑",
    "surprise": "놀람", "disgust": "혐오감", "spam": "스팸", "ham": "정상",
    "hate": "혐오", "offensive": "모욕", "normal": "정상", "toxic": "유해", "not toxic": "무해",
    "safe": "안전", "unsafe": "위험", "world": "세계", "sports": "스포츠", "business": "경제",
    "sci/tech": "과학/기술", "politics": "정치", "technology": "기술", "science": "과학",
    "entertainment": "연예", "health": "건강", "favor": "찬성", "against": "반대",
    "subjective": "주관", "objective": "객관", "cause": "원인", "effect": "결과",
}  # fmt: skip
_ASKED = {"yes": "예", "no": "아니요", "true": "예", "false": "아니요"}
_STATED = {"yes": "예", "no": "아니요", "true": "참", "false": "거짓"}


def is_known(label: str) -> bool:
    """Is a label one of those that datasets are labelled with, as neutral or yes?"""
    return _plain(label) in KOREAN or _plain(label) in _ASKED


def in_order(labels: Iterable[str]) -> list[str]:
    """Labels in the order in which they are usually named (yes, no, maybe); others sorted.

    >>> in_order(["contradiction", "neutral", "entailment"]), in_order(["b", "neutral", "a"])
    (['entailment', 'neutral', 'contradiction'], ['a', 'b', 'neutral'])
    """
    names = sorted(labels)
    order = [*_ASKED, *KOREAN]
    return (
        sorted(names, key=lambda n: order.index(_plain(n))) if all(map(is_known, names)) else names
    )


def shown_labels(labels: Sequence[str], lang: str, asked: bool) -> list[str]:
    """What to show for each of `labels`; empty where the labels are to be shown as they are.

    `asked`: the rows ask a question, to which the answer is yes, and not that it is true.

    >>> shown_labels(["entailment", "not_entailment"], "ko", False)
    ['함의', '함의 아님']
    >>> shown_labels(["False", "True"], "ko", True), shown_labels(["False", "True"], "ko", False)
    (['아니요', '예'], ['거짓', '참'])
    >>> shown_labels(["entailment", "4"], "ko", False), shown_labels(["yes", "no"], "ja", True)
    ([], [])
    """
    if lang != "ko":
        return []
    known = KOREAN | (_ASKED if asked else _STATED)
    shown = [known.get(_plain(label), "") for label in labels]
    return shown if all(shown) and len(set(shown)) == len(shown) else []


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", label.strip().lower())
