"""`hret eval`: a model on a dataset, from the command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from llm_eval.results import EvaluationResult

HELP = "Evaluate a model on a port, a registered dataset, or a module file."


def command(
    model: Annotated[
        str,
        typer.Option(
            help="A backend, or BACKEND:MODEL, as huggingface:PATH, vllm:PATH, openai:NAME."
        ),
    ],
    dataset: Annotated[
        str, typer.Option(help="A slug, an original name, a pushed repo, or a .py file.")
    ],
    model_name: Annotated[
        str | None, typer.Option(help="The model that the backend asks for.")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="One subset, or several: a,b.")] = None,
    revision: Annotated[
        str | None, typer.Option(help="Of a pushed repo: a branch, tag or commit.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Default: test, else the first.")] = None,
    evaluation_method: Annotated[
        str | None,
        typer.Option(
            help="string_match, log_likelihood, code or dataset. Default: the dataset's own."
        ),
    ] = None,
    api_base: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Its key; better: OPENAI_API_KEY.")] = None,
    model_params: Annotated[
        str | None,
        typer.Option(
            help="More for the backend, as a JSON object: concurrency, rpm, tpm, max_retries, "
            "max_tokens, temperature, ..."
        ),
    ] = None,
    evaluator_params: Annotated[
        str | None,
        typer.Option(help='For the method, as a JSON object: \'{"k": [1, 5], "n": 10}\'.'),
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option(help="A backend that the evaluation method asks.")
    ] = None,
    judge_params: Annotated[str | None, typer.Option(help="For it, as a JSON object.")] = None,
    reward_model: Annotated[
        str | None, typer.Option(help="A reward model: each reply gets a reward.")
    ] = None,
    reward_params: Annotated[str | None, typer.Option(help="For it, as a JSON object.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N samples.")] = None,
    sample_ids: Annotated[
        str | None, typer.Option(help="Only the samples with these ids: a,b or @FILE, one a line.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with a run: last, its id, or its folder.")
    ] = None,
    max_failures: Annotated[
        str | None, typer.Option(help="End when more samples failed; below 1: a share of all.")
    ] = None,
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help="Keep replies for other runs, and use those kept. Default: at temperature 0.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write metrics, samples and info here.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print metrics and info as JSON.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens.")] = False,
) -> int:
    """Run an evaluation; the exit status."""
    import logging

    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # long prompts are named as failures
    from hret.cli.evaluate_progress import EvaluationProgress
    from llm_eval.evaluator import Evaluator, json_of, names_of, share_of, writable
    from llm_eval.results import json_text

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    if output is not None:
        writable(output)
    named = {"model_name": model_name, "api_base": api_base, "api_key": api_key}
    params: dict[str, Any] = {k: v for k, v in named.items() if v is not None}
    subsets = list(names_of(subset))
    with EvaluationProgress(quiet=as_json) as progress:
        try:
            result = Evaluator().run(
                model,
                dataset,
                subset=subsets or None,
                split=split,
                evaluation_method=evaluation_method,
                model_params=params | json_of(model_params, "--model-params"),
                dataset_params={"revision": revision} if revision else {},
                evaluator_params=json_of(evaluator_params, "--evaluator-params"),
                judge_model=judge_model,
                judge_params=json_of(judge_params, "--judge-params"),
                reward_model=reward_model,
                reward_params=json_of(reward_params, "--reward-params"),
                limit=limit,
                sample_ids=_listed(sample_ids),
                resume=resume,
                max_failures=share_of(max_failures, "--max-failures"),
                cache=cache,
                watch=progress,
            )
        except BaseException:  # whatever ended it: how to go on stands in one line
            if progress.run is not None:
                for line in _to_go_on(sys.argv[1:], progress.run):
                    typer.echo(line, err=True)
            raise
    if output is not None:
        _save(result, output)
    if as_json:
        typer.echo(json_text({"metrics": result.metrics, "info": result.info}))
    else:
        for line in _lines(result.metrics):
            typer.echo(line)
        if note := result.info.get("note"):
            typer.echo(f"note: {note}", err=True)
        if cached := result.info.get("cached"):
            again = "kept from earlier runs; --no-cache asks anew"
            typer.echo(f"{cached:,} of the replies were {again}", err=True)
        if output is not None:
            typer.echo(f"written to {output}")
    if failed := result.metrics["failed"]:
        first = next(r.error for r in result.rows if r.error)
        typer.echo(f"{failed} failed, the first: {first['message']}", err=True)
    return 1 if result.metrics["failed"] else 0


def _listed(text: str | None) -> list[str] | None:
    """The ids in `a,b`, or in the lines of a file that is named by @FILE."""
    from llm_eval.errors import UserError
    from llm_eval.evaluator import names_of

    if text is None:
        return None
    if not text.startswith("@"):
        return list(names_of(text))
    try:
        lines = Path(text[1:]).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{text[1:]} cannot be read: {e}", hint="--sample-ids @FILE") from None
    return [line.strip() for line in lines if line.strip()]


def _save(result: EvaluationResult, output: Path) -> None:
    from llm_eval.errors import UserError

    try:
        result.save_json(output)
    except OSError as e:
        run = result.info.get("run")
        again = f", and --resume {run}: what was answered is kept" if run else ""
        raise UserError(
            f"{output} cannot be written: {e.strerror or e}", hint=f"another --output{again}"
        ) from None


def _to_go_on(arguments: Sequence[str], run: str) -> Iterator[str]:
    """This command with `--resume`, to be pasted; what is secret is left out, and that is said."""
    import shlex

    told, secret, left = list[str](), False, iter(arguments)
    for argument in left:
        name, equals, value = argument.partition("=")
        if name in ("--api-key", "--resume"):
            secret = secret or name == "--api-key"
            if not equals:
                next(left, None)
            continue
        option = f"{name}=" if equals and name.startswith("--") else ""
        shown = option + _open(value if option else argument)
        secret = secret or shown != argument
        told.append(shown)
    yield f"To go on: {shlex.join(['hret', *told, '--resume', run])}"
    if secret:
        yield "  (its keys, headers and queries of addresses are left out: add them again)"


def _open(text: str) -> str:
    """An argument without what is secret in it: in a JSON object by its names, in an address."""
    from llm_eval.secret import tellable

    try:
        found = json.loads(text)
    except ValueError:
        found = text
    if not isinstance(found, dict):
        return str(tellable(text))
    shown = tellable(found)
    return text if shown == found else json.dumps(shown, ensure_ascii=False)


def _lines(metrics: dict[str, Any], indent: str = "") -> Iterator[str]:
    """A line per metric; what is told apart, as subsets are, is indented."""
    for name, value in metrics.items():
        label = f"{indent}{name}"
        if isinstance(value, dict):
            yield label
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{label:<20} {value:.4f}" if isinstance(value, float) else f"{label:<20} {value}"
