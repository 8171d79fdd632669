"""`string_match`: is the answer that a reply gives the reference?

Choices are compared as choices, numbers as numbers, a lone letter ("(C)") as that of a choice that
the question lists, anything else as text (NFC, case and spacing aside). A reply without a readable
answer scores 0 and counts as unanswered; a sample whose reference is none of its options fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import ScoringError, UserError
from llm_eval.evaluation import extract
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.evaluation.log_likelihood import Numbers, gold_option
from llm_eval.records import Prompt, Sample, Score


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was read from a reply (None: nothing), and whether it is right."""

    extracted: str | None
    is_correct: bool


def judge(reply: str, reference: str, options: Sequence[str] = (), *, first: int = 1) -> Judgement:
    """Does `reply` give `reference`? `first` is the number of the first option in a reply.

    Raises:
        ScoringError: the reference is neither an option nor its letter. A number is none: where
            it counts from, only all references tell.

    >>> judge("정답은 ③번입니다", "C", ["A", "B", "C", "D"])
    Judgement(extracted='C', is_correct=True)
    >>> judge("그래서 모두 1,204개. #### 1204", "1204").is_correct
    True
    >>> judge("정답: 10", "1").is_correct
    False
    """
    if options:
        chosen, gold = extract.option(reply, options, first), _among(reference, options)
        return Judgement(chosen, chosen == gold)
    if extract.same(reply, reference):
        return Judgement(reply.strip(), bool(reply.strip()))
    letter = extract.lone_letter(reference)
    if letter and (said := extract.letter(reply)):
        return Judgement(said, said == letter)
    wanted = extract.as_number(reference)
    if wanted is not None:
        found = extract.number(reply)
        return Judgement(None if found is None else str(found), found == wanted)
    tail = extract.marked(reply)
    given = extract.last_line(reply) if tail is None else tail
    if not given:
        return Judgement(None, False)
    gold_text = extract.plain(reference)
    right = any(extract.plain(said) == gold_text for said in extract.readings(given, labels=False))
    whole = extract.plain(extract.visible(reply)) == gold_text
    return Judgement(given, right or whole)


def _among(reference: str, options: Sequence[str]) -> str:
    """The option that a reference is, by its text or its letter."""
    if reference in options:
        return reference
    found = extract.option(reference, options) if extract.as_number(reference) is None else None
    if found is None:
        raise ScoringError(f"the reference {reference[:80]!r} is none of the options")
    return found


class StringMatch(BaseEvaluator):
    """The `string_match` method. Of samples with options, the reference is read as
    `log_likelihood` reads it, and so is a number in a reply: where references count from 0, so do
    replies.

    Args:
        scoring: "generate", or "constrained": where a sample has options, the model's reply is held
            to one of them.
    """

    name = "string_match"

    def __init__(self, scoring: Literal["generate", "constrained"] = "generate") -> None:
        self.scoring, self._numbers = scoring, Numbers()
        if scoring not in ("generate", "constrained"):
            raise UserError(
                f"scoring={scoring!r} is neither 'generate' nor 'constrained'",
                hint="for the likelihood of options: evaluation_method='log_likelihood'",
            )

    def fits(self, samples: Sequence[Sample]) -> None:
        """Where replies are held to options, there are some; and how references name them.

        Raises:
            UserError: no sample has options.
        """
        if self.scoring == "constrained" and not any(s.options for s in samples):
            raise UserError(
                "scoring='constrained' holds a reply to its options, and these samples have none",
                hint="leave scoring out",
            )
        self._numbers = Numbers.of(samples)

    def asked(self, sample: Sample) -> Prompt:
        """The prompt, with the choice that the reply is held to."""
        if self.scoring == "constrained" and sample.options:
            return replace(Prompt.of(sample), params={"choice": list(sample.options)})
        return Prompt.of(sample)

    def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
        """1 or 0; `answered` says whether an answer could be read at all."""
        gold = gold_option(sample, self._numbers) if sample.options else sample.reference or ""
        found = judge(reply, gold, sample.options, first=self._numbers.first)
        return Score(
            sample_id=sample.id,
            value=float(found.is_correct),
            is_correct=found.is_correct,
            extracted=found.extracted,
            answered=found.extracted is not None,
        )
