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

if TYPE_CHECKING:
    from llm_eval.results import EvaluationResult
    from llm_eval.runner import Dataset, Model

Params = Mapping[str, Any] | None


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
        """Evaluate `model` on `dataset` and wait for the result. Takes what `arun` takes."""
        return run_sync(self.arun(model, dataset, **options))

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
        limit: int | None = None,
        listener: Callable[[int, int], None] | None = None,
        **later: Any,
    ) -> EvaluationResult:
        """Evaluate `model` on `dataset`.

        Args:
            model: a backend's name, a backend, or a function `f(input_text) -> str`.
            dataset: a name, a class, an instance, or a path to a module file.
            subset, split: what of the dataset; its own default when left out.
            evaluation_method: e.g. "string_match", or "code" (pass@k); "dataset" is the module's
                own, and left out it is the one that the dataset's `info()` names, else its own.
            model_params, dataset_params, evaluator_params: given to their constructors.
            limit: the first so many samples only.
            listener: called with (done, total) as samples finish.

        Raises:
            UserError: a name, parameter or key that cannot be used; nothing was asked then.
        """
        from llm_eval.runner import PipelineRunner

        refuse_unbuilt(later)
        model = model if model is not None else self.default_model_backend
        if model is None or dataset is None:
            raise UserError(f"run() needs a {'model' if model is None else 'dataset'}")
        return await PipelineRunner(
            dataset_name=dataset,
            model_backend_name=model,
            subset=subset,
            split=split or self.default_split,
            evaluation_method_name=evaluation_method or self.default_evaluation_method,
            dataset_params=dataset_params or {},
            model_backend_params=model_params or {},
            evaluator_params=evaluator_params or {},
            limit=limit,
            listener=listener,
        ).arun()


def writable(path: str | Path) -> None:
    """A `UserError` now, and not after the run, if a result cannot be written to `path`."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a"):
            pass
    except OSError as e:
        raise UserError(
            f"{path} cannot be written: {e.strerror}", hint="name another file"
        ) from None


UNBUILT = (
    "judge_model",
    "judge_params",
    "reward_model",
    "reward_params",
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
            limit=options.limit,
            **{name: getattr(options, name) for name in UNBUILT if getattr(options, name, None)},
        )
        if options.output_file:
            result.save_json(options.output_file)
    except (UserError, OSError) as e:
        print(f"Error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
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
        "--model", required=True, help="a backend: openai, huggingface, oracle, random, first"
    )
    parser.add_argument("--dataset", required=True, help="a name, a slug, or a path to a module")
    parser.add_argument("--subset", nargs="*", help="one subset or several (default: all)")
    parser.add_argument("--split", help="default: test, else the first there is")
    parser.add_argument("--evaluation_method", help="default: the dataset's own")
    for name in ("model", "dataset", "evaluator"):
        parser.add_argument(f"--{name}_params", help="a JSON object")
    parser.add_argument("--limit", type=int, help="the first so many samples only")
    parser.add_argument("--output_file", help="write metrics, samples and info here, as JSON")
    for name in UNBUILT:
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    return parser


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
