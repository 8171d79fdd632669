"""`Evaluator().run(...)`, and the same as a script: `python llm_eval/evaluator.py --model ...`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    # A script's own folder comes first on the path, and ours holds modules that are no top-level
    # ones; and as __main__ this file is not `llm_eval.evaluator`: the registries would double.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from llm_eval.evaluator import main as _main

    sys.exit(_main())

from llm_eval.aio import run_sync
from llm_eval.errors import UserError
from llm_eval.files import beside
from llm_eval.signals import as_ctrl_c

if TYPE_CHECKING:
    from llm_eval.results import EvaluationResult
    from llm_eval.runner import Dataset, Model, Role
    from llm_eval.runs.work import Progress

Params = Mapping[str, Any] | None
PATIENCE = 35.0  # seconds that Ctrl-C is given: those of `llm_eval.runs.work.GRACE`, and some


class Evaluator:
    """Evaluates models on datasets. The defaults stand in where `run` is not told.

    Args:
        default_model_backend: the backend when `model` is left out.
        default_evaluation_method: the method when `evaluation_method` is left out; None means the
            dataset's own where it has one, else `string_match`.
        default_split: the split when none is named; None means the dataset's own default.
    """

    def __init__(
        self,
        default_model_backend: str | None = None,
        default_evaluation_method: str | None = None,
        default_split: str | None = None,
    ) -> None:
        self.default_model_backend = default_model_backend
        self.default_evaluation_method = default_evaluation_method
        self.default_split = default_split

    def run(
        self, model: Model | None = None, dataset: Dataset | None = None, **options: Any
    ) -> EvaluationResult:
        """Evaluate `model` on `dataset` and wait for the result. Takes what `arun` takes.

        On Ctrl-C what is being answered is waited for, up to 30 s; a second one ends that.
        """
        return run_sync(self.arun(model, dataset, **options), grace=PATIENCE)

    async def arun(
        self,
        model: Model | None = None,
        dataset: Dataset | None = None,
        *,
        subset: str | Sequence[str] | None = None,
        split: str | None = None,
        evaluation_method: str | None = None,
        model_params: Params = None,
        dataset_params: Params = None,
        evaluator_params: Params = None,
        judge_model: Role | None = None,
        judge_params: Params = None,
        reward_model: Role | None = None,
        reward_params: Params = None,
        limit: int | None = None,
        sample_ids: Sequence[str] | None = None,
        resume: str | Path | None = None,
        max_failures: float | None = None,
        cache: bool | None = None,
        journal: bool = True,
        listener: Callable[[int, int], None] | None = None,
        watch: Callable[[Progress], None] | None = None,
        **later: Any,
    ) -> EvaluationResult:
        """Evaluate `model` on `dataset`. The run has a folder, from which it can be resumed.

        Args:
            model: a backend's name, a backend, or a function `f(input_text) -> str`.
            dataset: a name, a class, an instance, or a path to a module file.
            subset, split: what of the dataset; its own default when left out.
            evaluation_method: e.g. "string_match", or "code" (pass@k); "dataset" is the module's
                own, and left out it is the one that the dataset's `info()` names, else its own.
            model_params, dataset_params, evaluator_params: given to their constructors.
            judge_model: a backend that the evaluation method may ask (`self.model.judge`).
            reward_model: gives each reply a `reward`.
            judge_params, reward_params: for their constructors, where they are named.
            limit: the first so many samples only.
            sample_ids: only the samples with these ids.
            resume: "last", the id of a run, or its folder: goes on with it. It owes only what is
                missing, and what failed in transport; it must have asked the same, of the same
                code where model, method or dataset are one's own.
            max_failures: ends the run when more samples failed; below 1, a share of all of them.
            cache: keep the model's replies for other runs, and use those kept; left out, where
                none is drawn by lot (temperature 0, likelihoods). Never those of a function, a
                baseline or a class of one's own.
            journal: False leaves nothing on disk.
            listener: called with (done, total) as samples finish.
            watch: called now and then with a `Progress`: rate, tokens, cost, failures.

        Raises:
            UserError: a name, parameter or key that cannot be used; nothing was asked then. Or the
                run could not go on: what was answered is kept, and the sentence says how.
        """
        refuse_unbuilt(later)
        model = model if model is not None else self.default_model_backend
        if model is None or dataset is None:
            raise UserError(
                f"run() needs a {'model' if model is None else 'dataset'}",
                hint="name both: run(model, dataset)",
            )
        from llm_eval.runner import PipelineRunner

        return await PipelineRunner(
            dataset_name=dataset,
            model_backend_name=model,
            subset=subset,
            split=split or self.default_split,
            evaluation_method_name=evaluation_method or self.default_evaluation_method,
            dataset_params=dataset_params or {},
            model_backend_params=model_params or {},
            evaluator_params=evaluator_params or {},
            judge_model=judge_model,
            judge_params=judge_params or {},
            reward_model=reward_model,
            reward_params=reward_params or {},
            limit=limit,
            sample_ids=sample_ids,
            resume=resume,
            max_failures=max_failures,
            cache=cache,
            journal=journal,
            listener=listener,
            watch=watch,
        ).arun()


def writable(path: str | Path) -> None:
    """A `UserError` now, and not after the run, if a result cannot be written to `path`."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = beside(target)
        for file in (target, new) if target.exists() else (new,):
            with file.open("a"):
                pass
        if new != target:
            new.unlink()
    except OSError as e:
        raise UserError(
            f"{path} cannot be written: {e.strerror}", hint="name another file"
        ) from None


UNBUILT = (
    "scaling_method",
    "scaling_params",
    "num_few_shot",
    "language_penalize",
    "target_lang",
    "custom_cot_parser",
)


def refuse_unbuilt(options: Mapping[str, Any]) -> None:
    """Refuse known options that this version cannot honour when they are set, unknown ones always.

    An option that is taken and ignored would make a result that is not what was asked for.
    """
    for name, value in options.items():
        if name not in UNBUILT:
            raise UserError(f"run() takes no {name!r}", hint="see help(Evaluator.arun)")
        if value:
            raise UserError(f"{name}={value!r} is not built yet", hint="leave it out")


def main(argv: Sequence[str] | None = None) -> int:
    """The script's command line; the exit status (0 done, 1 some samples failed, 2 user error)."""
    options = _parser().parse_args(argv)
    with as_ctrl_c() as signals:
        status = _status(options)
    return 128 + signals[0] if signals and status == 130 else status


def _status(options: argparse.Namespace) -> int:
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        if options.output_file:
            writable(options.output_file)
        result = Evaluator().run(
            options.model,
            options.dataset,
            subset=options.subset,
            split=options.split,
            evaluation_method=options.evaluation_method,
            model_params=json_of(options.model_params, "--model_params"),
            dataset_params=json_of(options.dataset_params, "--dataset_params"),
            evaluator_params=json_of(options.evaluator_params, "--evaluator_params"),
            judge_model=options.judge_model,
            judge_params=json_of(options.judge_params, "--judge_params"),
            reward_model=options.reward_model,
            reward_params=json_of(options.reward_params, "--reward_params"),
            limit=options.limit,
            sample_ids=options.sample_ids,
            resume=options.resume,
            max_failures=share_of(options.max_failures, "--max_failures"),
            cache=options.cache,
            **{name: getattr(options, name) for name in UNBUILT if getattr(options, name, None)},
        )
        if options.output_file:
            result.save_json(options.output_file)
    except (UserError, OSError) as e:
        print(f"Error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as e:
        print("Stopped.", *getattr(e, "__notes__", ()), sep="\n", file=sys.stderr)
        return 130
    print(
        json.dumps(
            {"metrics": result.metrics, "info": result.info},
            ensure_ascii=False,
            indent=2,
            default=str,
        )
    )
    return 1 if result.metrics["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluator.py", description="Evaluate a model on a dataset.", allow_abbrev=False
    )
    parser.add_argument(
        "--model", required=True, help="a backend, or BACKEND:MODEL, as huggingface:PATH"
    )
    parser.add_argument("--dataset", required=True, help="a name, a slug, or a path to a module")
    parser.add_argument("--subset", nargs="*", help="one subset or several (default: all)")
    parser.add_argument("--split", help="default: test, else the first there is")
    parser.add_argument("--evaluation_method", help="default: the dataset's own")
    parser.add_argument("--judge_model", help="a backend that the evaluation method asks")
    parser.add_argument("--reward_model", help="a reward model: openai, huggingface")
    for name in ("model", "dataset", "evaluator", "judge", "reward"):
        parser.add_argument(f"--{name}_params", help="a JSON object")
    parser.add_argument("--limit", type=int, help="only the first N samples")
    parser.add_argument("--sample_ids", nargs="+", help="only the samples with these ids")
    parser.add_argument("--resume", help="go on with a run: last, its id, or its folder")
    parser.add_argument("--max_failures", help="end when more failed; below 1, a share of all")
    parser.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        help="keep replies for other runs, and use those kept (default: at temperature 0)",
    )
    parser.add_argument("--output_file", help="write metrics, samples and info here, as JSON")
    for name in UNBUILT:
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    return parser


def share_of(text: str | None, flag: str) -> float | None:
    """The number of a flag that takes a count or a share below 1."""
    if text is None:
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise UserError(f"{flag} {text} is no number", hint=f"{flag} 10, or {flag} 0.05") from None


def names_of(text: str | None) -> tuple[str, ...]:
    """The names in a flag that takes several.

    >>> names_of("test, dev,"), names_of(None)
    (('test', 'dev'), ())
    """
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def json_of(text: str | None, flag: str) -> dict[str, Any]:
    """The object that a flag's JSON holds; a typo is told, never taken for {}."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError as e:
        raise UserError(
            f"{flag} is no JSON: {e}", hint=f"for example {flag} '{{\"seed\": 1}}'"
        ) from None
    if not isinstance(value, dict):
        raise UserError(f"{flag} is no JSON object", hint=f"for example {flag} '{{\"seed\": 1}}'")
    return value
