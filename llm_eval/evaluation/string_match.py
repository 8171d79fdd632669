"""`string_match`: is the answer that a reply gives the reference?

Choices are compared as choices, numbers as numbers, anything else as text (NFC, case and spacing
aside). A reply without a readable answer scores 0 and counts as unanswered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import UserError
from llm_eval.evaluation import extract
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.records import Prompt, Sample, Score


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was read from a reply (None: nothing), and whether it is right."""

    extracted: str | None
    is_correct: bool


def judge(reply: str, reference: str, options: Sequence[str] = ()) -> Judgement:
    """Does `reply` give `reference`?

    >>> judge("정답은 ③번입니다", "C", ["A", "B", "C", "D"])
    Judgement(extracted='C', is_correct=True)
    >>> judge("그래서 모두 1,204개. #### 1204", "1204").is_correct
    True
    >>> judge("정답: 10", "1").is_correct
    False
    """
    if options:
        chosen = extract.option(reply, options)
        gold = reference
        if reference not in options and extract.as_number(reference) is None:
            gold = extract.option(reference, options) or reference
        return Judgement(chosen, chosen is not None and chosen == gold)
    if extract.same(reply, reference):
        return Judgement(reply.strip(), bool(reply.strip()))
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


class StringMatch(BaseEvaluator):
    """The `string_match` method.

    Args:
        scoring: "generate", or "constrained": where a sample has options, the model's reply is held
            to one of them.
    """

    name = "string_match"

    def __init__(self, scoring: Literal["generate", "constrained"] = "generate") -> None:
        self.scoring = scoring
        if scoring not in ("generate", "constrained"):
            raise UserError(
                f"scoring={scoring!r} is neither 'generate' nor 'constrained'",
                hint="for the likelihood of options: evaluation_method='log_likelihood'",
            )

    def fits(self, samples: Sequence[Sample]) -> None:
        """Where replies are held to options, there are some.

        Raises:
            UserError: no sample has options.
        """
        if self.scoring == "constrained" and not any(s.options for s in samples):
            raise UserError(
                "scoring='constrained' holds a reply to its options, and these samples have none",
                hint="leave scoring out",
            )

    def asked(self, sample: Sample) -> Prompt:
        """The prompt, with the choice that the reply is held to."""
        if self.scoring == "constrained" and sample.options:
            return replace(Prompt.of(sample), params={"choice": list(sample.options)})
        return Prompt.of(sample)

    def score(self, sample: Sample, reply: str, dataset: BaseDataset) -> Score:
        """1 or 0; `answered` says whether an answer could be read at all."""
        found = judge(reply, sample.reference or "", sample.options)
        return Score(
            sample_id=sample.id,
            value=float(found.is_correct),
            is_correct=found.is_correct,
            extracted=found.extracted,
            answered=found.extracted is not None,
        )
