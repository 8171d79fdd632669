"""Which samples, and which method: told before anything is asked."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from llm_eval.dataset.adapt import Samples, judges_itself
from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import UserError
from llm_eval.evaluation import BaseEvaluator, load_evaluator
from llm_eval.models.base import BaseModel
from llm_eval.records import Sample

_GUESSED = 10_000  # ids among which a mistyped one is looked for


def chosen(samples: Samples, ids: Sequence[str] | None, limit: int | None) -> Samples:
    """The samples with these ids, in their own order, and the first so many of them.

    Raises:
        UserError: there is no sample of such an id.
    """
    if ids is not None:
        wanted = {str(i) for i in ids}
        places = array("q", (i for i, s in enumerate(samples) if s.id in wanted))
        if len(places) < len(wanted) or not wanted:
            raise _no_sample(samples, wanted)
        samples = samples.chosen(places)
    return samples[:limit] if limit is not None else samples


def _no_sample(samples: Samples, wanted: set[str]) -> UserError:
    missing = sorted(wanted - {s.id for s in samples if s.id in wanted})
    some = [s.id for s in islice(samples, _GUESSED)]
    if not missing:
        return UserError("sample_ids names no sample", hint="leave it out")
    near = get_close_matches(missing[0], some, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return UserError(
        f"there is no sample {missing[0]!r}",
        hint=f"{guess}ids are {some[0]!r} to {samples[len(samples) - 1].id!r}",
    )


def fitting(
    method: BaseEvaluator | None,
    dataset: BaseDataset,
    samples: Sequence[Sample],
    about: Mapping[str, Any],
) -> tuple[BaseEvaluator, str]:
    """The method to use and, where it is not the one asked for, why.

    Asked for none: the one that the dataset's `info()` names ("evaluation_method", or the first of
    "evaluation_only"), else its own where it has one. Asked for one that needs references, of a
    dataset that gives none but judges itself: its own as well.

    Raises:
        UserError: "evaluation_only" leaves out the one asked for, or there are no references.
    """
    own, only = judges_itself(dataset), about.get("evaluation_only") or []
    only = [only] if isinstance(only, str) else list(only)
    if method is None:
        named = [about.get("evaluation_method"), *only, "dataset" if own else "string_match"]
        return load_evaluator(next(n for n in named if isinstance(n, str) and n)), ""
    if only and method.name not in only:
        raise UserError(
            f"{type(dataset).__name__} is not evaluated by {method.name}",
            hint=f"its info() allows: {', '.join(map(str, only))}",
        )
    if method.needs_reference and all(s.reference is None for s in samples):
        if own:
            why = f"{method.name} needs references and this dataset has none: it judges itself"
            return load_evaluator("dataset"), why
        raise UserError(
            f"{method.name} needs references, and {type(dataset).__name__} has none",
            hint="give 'reference' in load(), or define evaluate_prediction()",
        )
    return method, ""


def alike(model: BaseModel, method: BaseEvaluator) -> str:
    """What makes all replies to a sample the same, where several are asked for."""
    params = dict(getattr(model, "params", None) or {})
    for more in (params.get("extra_body"), getattr(model, "extra", None)):
        params |= more if isinstance(more, Mapping) else {}
    told, seed = ["temperature=0"] * (params.get("temperature") == 0), params.get("seed")
    fixed = told + [f"seed={seed}"] * (seed is not None)
    if method.replies == 1 or not fixed:
        return ""
    said = " and ".join(fixed)
    return f"with {said} the {method.replies} replies to a sample may be all the same"
