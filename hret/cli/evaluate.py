"""`hret eval`: a model on a dataset, from the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

HELP = "Evaluate a model on a port, a registered dataset, or a module file."


def command(
    model: Annotated[str, typer.Option(help="A backend: openai, oracle, random, first.")],
    dataset: Annotated[
        str, typer.Option(help="A slug, an original name, a pushed repo, or a .py file.")
    ],
    model_name: Annotated[
        str | None, typer.Option(help="The model that the backend asks for.")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="One subset, or several: a,b.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: test, else the first.")] = None,
    evaluation_method: Annotated[
        str | None, typer.Option(help="string_match or dataset. Default: the dataset's own.")
    ] = None,
    api_base: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Its key; better: OPENAI_API_KEY.")] = None,
    model_params: Annotated[
        str | None, typer.Option(help="More for the backend, as a JSON object.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The first so many samples only.")
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
    from llm_eval.evaluator import Evaluator, json_of, writable

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    if output is not None:
        writable(output)
    named = {"model_name": model_name, "api_base": api_base, "api_key": api_key}
    params: dict[str, Any] = {k: v for k, v in named.items() if v is not None}
    subsets = [s.strip() for s in (subset or "").split(",") if s.strip()]
    result = Evaluator().run(
        model,
        dataset,
        subset=subsets or None,
        split=split,
        evaluation_method=evaluation_method,
        model_params=params | json_of(model_params, "--model-params"),
        limit=limit,
    )
    if output is not None:
        result.save_json(output)
    if as_json:
        shown = {"metrics": result.metrics, "info": result.info}
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2, default=str))
    else:
        for name, value in result.metrics.items():
            typer.echo(
                f"{name:<20} {value:.4f}" if isinstance(value, float) else f"{name:<20} {value}"
            )
        if output is not None:
            typer.echo(f"written to {output}")
    if first := next((r.error for r in result.rows if r.error), None):
        typer.echo(f"{result.metrics['failed']} failed, the first: {first['message']}", err=True)
    return 1 if result.metrics["failed"] else 0
