"""How many tokens a request and its reply will have, said without a tokenizer.

One formula, for the dry run and for what a running port compares its usage with. A text's tokens
follow from its characters: words of Latin script, signs (digits and punctuation), and all
characters of a text in another script. The rates are those of OpenAI's o200k_base, measured on
GSM8K, AQuA-RAT, BBQ and KLUE-NLI; `prices.yaml` may give a model rates of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hret_agents.translate.masks import mask
from llm_eval.records import Usage

Term = tuple[str, str]
Row = tuple[Sequence[str], str, Sequence[Term]]  # texts, because, like

DENSITY: Mapping[str, float] = {  # characters that say what one of English says
    "latin": 1.0,
    "hangul": 0.55,
    "han": 0.4,
    "other": 0.9,
}
SCRIPTS = {"ko": "hangul", "ja": "han", "zh": "han"} | dict.fromkeys(
    ("ru", "uk", "bg", "ar", "fa", "he", "hi", "th", "el"), "other"
)
_SIGNS = bytes(c for c in range(128) if not chr(c).isalpha() and chr(c) != " ")
_LETTERS = {
    "hangul": re.compile(r"[ㄱ-ㆎ가-힣]"),
    "han": re.compile(r"[぀-ヿ㐀-鿿]"),
    "other": re.compile(r"[Ͱ-ᇿ]"),
}
_PROTECTING = re.compile(r"[`$\\<{%_@&⟦⟧]|https?:|www\.", re.IGNORECASE)
_ROW = '{"id":10,"t":["'  # what stands around a row's texts, between two of them, and at the end
_BETWEEN = '","'
_ROW_END = '"]},'
_FRAME = '{"rows":[]}'


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts tokens for one model and target language. All counts are estimates, not whole."""

    target_lang: str
    rates: Mapping[str, float]

    def text(self, text: str) -> float:
        """Tokens of a text.

        >>> from llm_eval.models.prices import RATES
        >>> meter = Meter("ko", RATES)
        >>> round(meter.text("How many apples are there?"), 1), round(meter.text("몇 개인가?"), 1)
        (6.1, 3.8)
        """
        script = _script(text)
        signs = _signs(text) if script == "latin" else 0
        return signs / self.rates["signs"] + (len(text) - signs) / self.rates[script]

    def translation(self, text: str) -> float:
        """Tokens of what a text will become: its digits and signs stay, its words change."""
        script, target = _script(text), SCRIPTS.get(self.target_lang, "latin")
        signs = _signs(text)
        letters = (len(text) - signs) * DENSITY[target] / DENSITY[script]
        return signs / self.rates["signs"] + letters / self.rates[target]

    def request(self, system: str, rows: Iterable[Row], terms: Sequence[Term] = ()) -> Usage:
        """What a request for `rows` costs, under a system prompt and with these glossary terms."""
        sent, came = self.frame(system)
        sent += self.terms(terms)
        for texts, because, like in rows:
            more = self.row(texts, because, like)
            sent, came = sent + more[0], came + more[1]
        return Usage(1, round(sent), round(came))

    def row(
        self, texts: Sequence[str], because: str = "", like: Sequence[Term] = ()
    ) -> tuple[float, float]:
        """(tokens sent, tokens that come back) for a row of a request."""
        around = self.text(_ROW) + self.text(_BETWEEN) * (len(texts) - 1) + self.text(_ROW_END)
        sent = came = around
        for text in texts:
            masked = mask(text)[0] if _PROTECTING.search(text) else text
            escapes = sum(masked.count(c) for c in '"\n\\') / self.rates["signs"]
            sent += self.text(masked) + escapes
            came += self.translation(masked) + escapes
        if because:
            sent += self.text(f',"because":"{because}"')
        if like:
            sent += self.text(f',"like":{json.dumps(like, ensure_ascii=False)}')
        return sent, came

    def terms(self, terms: Sequence[Term]) -> float:
        """Tokens that glossary terms add to a request."""
        if not terms:
            return 0.0
        return self.text('"terms":[],') + sum(self.text(f'["{a}","{b}"],') for a, b in terms)

    def frame(self, system: str) -> tuple[float, float]:
        """(tokens sent, tokens that come back) for a request without its rows and terms."""
        around = self.text(_FRAME)
        return self.text(system) + around, around


def _script(text: str) -> str:
    """The script of most of a text's letters; a tie or none is Latin."""
    if text.isascii():
        return "latin"
    counts = {name: len(letters.findall(text)) for name, letters in _LETTERS.items()}
    best = max(counts, key=lambda name: counts[name])
    latin = sum(c.isalpha() for c in text) - sum(counts.values())
    return best if counts[best] > latin else "latin"


def _signs(text: str) -> int:
    """Digits and signs in a text, a space being none."""
    encoded = text.encode("utf-8", "replace")
    count = len(encoded) - len(encoded.translate(None, _SIGNS))
    if len(encoded) != len(text):
        count += sum(c > "\x7f" and not c.isalpha() and not c.isspace() for c in text)
    return count
