"""`log_likelihood`: is the option that the model finds likeliest the right one?

The model writes nothing: it is asked how likely each option is behind the prompt. What is weighed
are the options as the dataset shows them: where a prompt lists the choices under letters and the
options are those letters, the letter is weighed and not the choice's text; `choices="choices"`
weighs the texts, where `metadata` has them under that name, as ported datasets do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import RunError, ScoringError, UserError
from llm_eval.evaluation import extract
from llm_eval.evaluation.base import BaseEvaluator
from llm_eval.records import Continuation, Failure, Prediction, Prompt, Sample, Score

_BY: dict[str, Callable[[Continuation], float]] = {
    "accuracy_norm": lambda option: option.per_char,
    "accuracy_per_token": lambda option: option.per_token,
}


class LogProbEvaluator(BaseEvaluator):
    """The `log_likelihood` method.

    `accuracy` goes by the sum of an option's log-probabilities; `accuracy_norm` by the sum divided
    by its characters (acc_norm of lm-evaluation-harness), `accuracy_per_token` by its tokens. The
    first of equals counts. A sample without options is not scored.

    Args:
        return_logits: haerae-evaluation-toolkit's; taken, and true by itself.
        choices: "options", or the name in `metadata` under which the texts to weigh are.
        delimiter: what stands between prompt and option; None leaves it to `BaseModel.weigh`.
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

    def asked(self, sample: Sample) -> Prompt:
        """The prompt with the texts to weigh."""
        return replace(Prompt.of(sample), options=self._texts(sample))

    async def judge_all(
        self, items: Sequence[tuple[Sample, Prediction]], dataset: BaseDataset
    ) -> list[Score | Failure]:
        """1 where the likeliest option is the reference, else 0, by each of the three measures."""
        return [self._judgement(sample, prediction) for sample, prediction in items]

    def _judgement(self, sample: Sample, prediction: Prediction) -> Score | Failure:
        if not sample.options:
            why = "it has no options"
            return Score(sample_id=sample.id, value=None, answered=False, why=why)
        try:
            gold = _gold(sample)
            if len(prediction.options) != len(sample.options):
                raise ScoringError(f"sample {sample.id}: its options were not weighed")
        except RunError as e:
            return Failure.of(e, "score")
        options = prediction.options
        best = _likeliest(options, lambda option: option.logprob)
        right = sample.options[best] == gold
        return Score(
            sample_id=sample.id,
            value=float(right),
            is_correct=right,
            extracted=sample.options[best],
            measures={
                name: float(sample.options[_likeliest(options, by)] == gold)
                for name, by in _BY.items()
            },
        )

    def _texts(self, sample: Sample) -> tuple[str, ...]:
        if self.choices == "options" or not sample.options:
            return sample.options
        texts = sample.metadata.get(self.choices)
        return tuple(map(str, texts)) if isinstance(texts, list | tuple) else ()


def _likeliest(options: Sequence[Continuation], by: Callable[[Continuation], float]) -> int:
    return max(range(len(options)), key=lambda i: by(options[i]))


def _gold(sample: Sample) -> str:
    """The option that is right; the reference names it by its text, or by letter or number."""
    reference = sample.reference or ""
    if reference in sample.options:
        return reference
    found = extract.option(reference, sample.options)
    if found is None:
        raise ScoringError(f"sample {sample.id}: {reference[:80]!r} is none of its options")
    return found
