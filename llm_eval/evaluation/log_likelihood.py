"""`log_likelihood`: is the option that the model finds likeliest the right one?

The model writes nothing: it is asked how likely each option is behind the prompt. What is weighed
are the options as the dataset shows them: where a prompt lists the choices under letters and the
options are those letters, the letter is weighed and not the choice's text; `choices="choices"`
weighs the texts, where `metadata` has them under that name, as ported datasets do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llm_eval.dataset.adapt import Samples
from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import BackendError, RunError, ScoringError, UserError
from llm_eval.evaluation import extract
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.records import (
    Continuation,
    Failure,
    Prediction,
    Prompt,
    Sample,
    Score,
    comparable,
    options_of,
)

logger = logging.getLogger(__name__)
_BY: dict[str, Callable[[Continuation], float | None]] = {
    "accuracy_norm": lambda option: option.per_char,
    "accuracy_per_token": lambda option: option.per_token,
}


class LogProbEvaluator(BaseEvaluator):
    """The `log_likelihood` method.

    `accuracy` goes by the sum of an option's log-probabilities; `accuracy_norm` by the sum divided
    by its characters (acc_norm of lm-evaluation-harness), `accuracy_per_token` by its tokens, where
    the backend tells how many. The first of equals counts. A sample without options is not scored;
    one whose options have log-probabilities that are no numbers, or all -inf, fails.

    A reference is an option's text, or its letter or number. Whether numbers count from 0 is found
    out over all samples of the dataset, whichever are evaluated: they do if any is 0, else they
    count from 1. Where the options are such numbers themselves, the reference is a text, unless
    other samples show that it is a place; what may be either fails.

    Args:
        return_logits: haerae-evaluation-toolkit's; taken, and true by itself.
        choices: "options", or the name in `metadata` under which the texts to weigh are.
        delimiter: what stands between prompt and option; None: as `BaseModel.score_options` does.
    """

    name = "log_likelihood"
    scoring = "logprob"

    def __init__(
        self, return_logits: bool = True, choices: str = "options", delimiter: str | None = None
    ) -> None:
        if return_logits is not True:
            raise UserError(
                "log_likelihood with return_logits=False has nothing to go by",
                hint="leave return_logits out",
            )
        self.choices, self.delimiter = choices, delimiter
        self._numbers = Numbers()

    def fits(self, samples: Sequence[Sample]) -> None:
        """There are options, and the texts to weigh.

        Raises:
            UserError: no sample has options, or one lacks the texts that `choices` names.
        """
        if not any(s.options for s in samples):
            raise UserError(
                "log_likelihood weighs options, and these samples have none",
                hint='load() gives {"options": [...]}; for open questions use string_match',
            )
        for sample in samples:
            if sample.options and len(self._texts(sample)) != len(sample.options):
                raise UserError(
                    f"sample {sample.id} has {len(sample.options)} options and "
                    f"{len(self._texts(sample))} texts under metadata[{self.choices!r}]",
                    hint="leave choices out to weigh the options themselves",
                )
        self._numbers = Numbers.of(samples)

    def asked(self, sample: Sample) -> Prompt:
        """The prompt with the texts to weigh."""
        return replace(Prompt.of(sample), options=self._texts(sample))

    async def judge_all(
        self, items: Sequence[tuple[Sample, Prediction]], dataset: BaseDataset
    ) -> list[Score | Failure]:
        """1 where the likeliest option is the reference, else 0, by each of the measures."""
        return [self._judgement(sample, prediction) for sample, prediction in items]

    def _judgement(self, sample: Sample, prediction: Prediction) -> Score | Failure:
        if not sample.options:
            why = "it has no options"
            return Score(sample_id=sample.id, value=None, answered=False, why=why)
        try:
            gold = gold_option(sample, self._numbers)
            if len(prediction.options) != len(sample.options):
                raise ScoringError(f"sample {sample.id}: its options were not weighed")
            if not comparable(prediction.options):
                told = [option.logprob for option in prediction.options]
                raise BackendError(f"its options cannot be compared: {told}", kind="malformed")
        except RunError as e:
            return Failure.of(e, "score")
        options = prediction.options
        best = _likeliest([option.logprob for option in options])
        right = sample.options[best] == gold
        return Score(
            sample_id=sample.id,
            value=float(right),
            is_correct=right,
            extracted=sample.options[best],
            measures={
                name: float(sample.options[_likeliest(values)] == gold)
                for name, by in _BY.items()
                if len(values := [v for o in options if (v := by(o)) is not None]) == len(options)
            },
        )

    def _texts(self, sample: Sample) -> tuple[str, ...]:
        if self.choices == "options" or not sample.options:
            return sample.options
        texts = sample.metadata.get(self.choices)
        return options_of(texts, f"sample {sample.id}") if isinstance(texts, list | tuple) else ()


@dataclass(frozen=True, slots=True)
class Numbers:
    """How a run's references that are numbers name options.

    `first`: the number of the first option. `always`: each is a place, whatever the options are;
    `ever`: some are.
    """

    first: int = 1
    always: bool = False
    ever: bool = False

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Numbers:
        """What the references of all samples of the dataset show, whichever of them these are.

        A warning where they do not show it.
        """
        if all(_number(s) is None for s in samples):
            return cls()
        every = samples.whole if isinstance(samples, Samples) else samples
        known = [
            (n, len(s.options), _only_place(s)) for s in every if (n := _number(s)) is not None
        ]
        free = [(n, count) for n, count, only in known if only]  # no text of theirs is meant
        first = 0 if any(n == 0 for n, _ in free) else 1
        found = [n for n, count in free if 0 <= n - first < count]
        if found and first and not any(n == count for n, count in free):
            logger.warning(
                "references such as %d are read as places of options, counted from 1: none of them "
                "is 0 or the last place; give texts or letters if they count from 0",
                found[0],
            )
        inside = all(0 <= n - first < count for n, count, _ in known)
        return cls(first, always=bool(found) and inside, ever=bool(found))


def _number(sample: Sample) -> int | None:
    reference = (sample.reference or "").strip()
    plain = sample.options and reference.isascii() and reference.isdigit()
    return int(reference) if plain and len(reference) < 5 else None


def _only_place(sample: Sample) -> bool:
    return all(extract.as_number(option) is None for option in sample.options)


def _likeliest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda i: values[i])


def gold_option(sample: Sample, numbers: Numbers) -> str:
    """The option that is right; the reference names it by its text, or by letter or number.

    Raises:
        ScoringError: it names none, or may name two.
    """
    reference, options = sample.reference or "", sample.options
    number = _number(sample)
    place = None if number is None else number - numbers.first
    named = options[place] if place is not None and 0 <= place < len(options) else None
    if named is not None and (numbers.always or _only_place(sample)):
        return named
    if reference in options:
        if numbers.ever and named not in (None, reference):
            raise ScoringError(
                f"sample {sample.id}: {reference!r} is one option, and the place of another"
            )
        return reference
    read = number is None or not _only_place(sample)
    found = extract.option(reference, options) if read else None
    if found is None:
        raise ScoringError(f"sample {sample.id}: {reference[:80]!r} is none of its options")
    return found
