"""`hret port`: one command from a dataset's name to a verified module."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hret_agents.job import PortJob, PortResult
    from hret_agents.port import DryRun

HELP = "Port a dataset: translate, check, write a dataset module, verify it, and maybe push it."
Text = Annotated[str | None, typer.Option()]


def command(
    dataset: Annotated[
        str, typer.Option(help="A Hub dataset (OWNER/NAME), a local file or folder, or 'sample'.")
    ],
    subset: Annotated[str | None, typer.Option(help="One subset, or several: a,b.")] = None,
    split: Annotated[
        str | None, typer.Option(help="One split, or several: train,test. Default: all.")
    ] = None,
    all_subsets: Annotated[bool, typer.Option("--all-subsets", help="Port every subset.")] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of the source.")
    ] = None,
    target_lang: Annotated[str, typer.Option(help="Language to port into.")] = "ko",
    plan: Annotated[Path | None, typer.Option(help="A field plan (YAML) to go by.")] = None,
    glossary: Annotated[
        Path | None,
        typer.Option(help="Terms and their translations (CSV or JSON), over the plan's own."),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(help="Korean: formal (합쇼체), polite (해요체) or plain (해라체)."),
    ] = None,
    style: Annotated[
        str | None, typer.Option(help="A sentence for the translator, on style or subject.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print plan, requests, tokens, cost; ask nothing.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="The translator: a model's name, vllm:PATH, huggingface:PATH, "
            "litellm:PROVIDER/NAME, 'memory' or 'memory:FILE'."
        ),
    ] = None,
    model_params: Annotated[
        str | None,
        typer.Option(help='For such a backend, as a JSON object: \'{"dtype": "bfloat16"}\'.'),
    ] = None,
    api_base: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server (ends in /v1).")
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Its key; better: OPENAI_API_KEY.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests under way. Default: found by trying.")
    ] = None,
    rpm: Annotated[float | None, typer.Option(help="Most requests a minute.")] = None,
    tpm: Annotated[float | None, typer.Option(help="Most tokens a minute, both ways.")] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            help="Most USD that this run may spend: it stops before. What earlier runs of the same "
            "command spent does not count."
        ),
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="By the Batch API: half the price, within 24 hours.")
    ] = False,
    no_suggestions: Annotated[
        bool,
        typer.Option("--no-suggestions", help="Show the model no similar texts from the memory."),
    ] = False,
    batch_size: Annotated[int | None, typer.Option(help="Most rows in one request.")] = None,
    plan_model: Annotated[
        str | None, typer.Option(help="A model that may refine the plan, named as for --model.")
    ] = None,
    module_model: Annotated[
        str | None,
        typer.Option(
            help="A model that writes the dataset module, named as for --model. "
            "Default: a template."
        ),
    ] = None,
    guide_prompt: Annotated[
        Path | None,
        typer.Option(
            help="A prompt of your own for it; without --module-model for the translator."
        ),
    ] = None,
    module_repairs: Annotated[
        int, typer.Option(help="Further tries that it has when its module does not hold.")
    ] = 3,
    max_retries: Annotated[
        int | None, typer.Option(help="Further attempts of what failed.")
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Where ports go.")] = Path("generated_datasets"),
    push: Annotated[bool, typer.Option("--push", help="Push the port to the Hub.")] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Push as public (default: private).")
    ] = False,
    repo_id: Annotated[str | None, typer.Option(help="Push to this repo (OWNER/NAME).")] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Push as a pull request on the Hub.")
    ] = False,
    push_revision: Annotated[
        str | None, typer.Option(help="Push to this branch of the repo.")
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="You may publish a translation of the source.")
    ] = False,
    keep_columns: Annotated[
        bool, typer.Option("--keep-columns", help="Keep column names.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Only the first N rows of each split.")] = None,
    evaluate: Annotated[
        str | None, typer.Option(help="Then evaluate these: oracle,random,first,openai:NAME.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Run a port; the exit status."""
    from hret.cli.progress import Progress
    from hret_agents.job import PortJob
    from hret_agents.port import dry_run as estimate
    from hret_agents.port import port_dataset
    from llm_eval import settings
    from llm_eval.evaluator import json_of, names_of
    from llm_eval.secret import secret

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    job = PortJob(
        dataset=dataset,
        subsets=names_of(subset),
        all_subsets=all_subsets,
        splits=names_of(split),
        revision=revision,
        target_lang=target_lang,
        model=model,
        model_params=json_of(model_params, "--model-params"),
        api_base=api_base,
        api_key=secret(api_key),
        hf_token=settings.load().hf_token,
        concurrency=concurrency,
        batch_size=batch_size,
        max_retries=max_retries,
        rpm=rpm,
        tpm=tpm,
        max_cost=max_cost,
        batch=batch,
        suggestions=not no_suggestions,
        plan=plan,
        glossary=glossary,
        register=register,
        style=style,
        keep_columns=keep_columns,
        plan_model=plan_model,
        module_model=module_model,
        guide_prompt=_text(guide_prompt),
        module_repairs=module_repairs,
        limit=limit,
        output_dir=output_dir,
        push=push,
        public=public,
        repo_id=repo_id,
        accept_license=accept_license,
        create_pr=create_pr,
        push_revision=push_revision,
        evaluate=names_of(evaluate),
    )
    _for_a_push(job)
    if dry_run:
        _show_estimate(estimate(job), as_json, job)
        return 0
    with Progress(quiet=as_json) as progress:
        result = port_dataset(job, progress)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False, indent=2, default=str))
    else:
        _show(result)
    if any("error" in metrics for metrics in result.evaluations.values()):
        return 2
    return 1 if result.rows["failed"] else 0


def _for_a_push(job: PortJob) -> None:
    """A `UserError` where options of a push are given without one: they would do nothing."""
    from llm_eval.errors import UserError

    options = ("public", "repo_id", "create_pr", "push_revision")
    if not job.push and (idle := [o for o in options if getattr(job, o)]):
        flag = "--" + idle[0].replace("_", "-")
        raise UserError(f"{flag} is for a push, and there is no --push", hint="add --push")


def _text(path: Path | None) -> str | None:
    """The text of a file that was named."""
    from llm_eval.errors import UserError

    if path is None:
        return None
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(
            f"{path} cannot be read: {e}", hint="--guide-prompt FILE, in UTF-8"
        ) from None


def _besides(job: PortJob) -> list[str]:
    """What is asked besides the translation, in sentences."""
    from hret_agents.ask import models_asked

    named = models_asked(job)
    if job.guide_prompt and "module" not in named:
        named["module"] = "the translator, if it is a model"
    most = {"plan": "1 request", "module": f"up to {job.module_repairs + 1} requests"}
    return [f"the {what} would be asked of {named[what]}: {most[what]}" for what in named]


def _show_estimate(found: DryRun, as_json: bool, job: PortJob) -> None:
    e, besides, max_cost = found.estimate, _besides(job), job.max_cost
    if as_json:
        shown = {
            "plan": found.plan.to_yaml(),
            "model": found.model,
            "licence": found.licence,
            "estimate": e.to_dict(),
            "besides": besides,
        }
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    typer.echo(found.plan.to_yaml())
    cost = "unknown price" if e.cost_usd is None else f"{e.cost_usd:.4f} USD"
    if found.plan.task.answer is None:
        typer.echo("# not graded: no column was found to hold the answers (task.answer)")
    typer.echo(f"# rows {e.rows:,}, texts {e.texts:,}, cells kept as they are {e.kept_cells:,}")
    typer.echo(f"# model {found.model}: {e.requests:,} requests, {e.known:,} rows from memory")
    time = "within 24 hours (Batch API)" if e.seconds is None else f"{e.seconds:,.0f} s"
    typer.echo(f"# about {e.prompt_tokens:,} + {e.completion_tokens:,} tokens, {cost}, {time}")
    for said in besides:
        typer.echo(f"# in addition, {said}; this is not in the estimate")
    if max_cost is not None and e.cost_usd is not None and e.cost_usd > max_cost:
        typer.echo(f"# --max-cost {max_cost:g} would stop it on the way")
    typer.echo("# an estimate: nothing was sent")


def _show(result: PortResult) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True)
    table = Table(show_header=False, box=None, pad_edge=False)
    rows = result.rows
    table.add_row("port", result.slug)
    table.add_row(
        "rows", f"{rows['passed']:,} of {rows['total']:,} passed, {rows['failed']:,} failed"
    )
    if rows["graded"] < rows["passed"]:
        why = (
            "" if rows["graded"] else ": no column was found to hold the answers (task in the plan)"
        )
        table.add_row("graded", f"{rows['graded']:,} of {rows['passed']:,} rows{why}")
    table.add_row("from memory", f"{rows['from_memory']:,} rows; {rows['kept_cells']:,} cells kept")
    tokens = result.usage["prompt_tokens"] + result.usage["completion_tokens"]
    cost = "unknown price" if result.cost_usd is None else f"{result.cost_usd:.4f} USD"
    table.add_row("spent", f"{result.usage['requests']:,} requests, {tokens:,} tokens, {cost}")
    if result.estimated.get("requests"):
        thought = result.estimated["prompt_tokens"] + result.estimated["completion_tokens"]
        besides = [t for used in result.asked.values() for n, t in used.items() if n != "requests"]
        off = f", {(tokens - sum(besides)) / thought - 1:+.0%}" if thought else ""
        table.add_row("estimated", f"{thought:,} tokens for these requests of the translator{off}")
    if result.module_way not in (None, "template") or result.module_tries:
        table.add_row(
            "module by", f"{result.module_way}, after {len(result.module_tries)} refusals"
        )
    for name, count in result.checks.items():
        table.add_row(f"check {name}", f"{count:,}")
    for backend, metrics in result.evaluations.items():
        table.add_row(f"accuracy of {backend}", _accuracy(metrics))
    console.print(table)
    for title in ("module", "data", "plan", "checks", "failed", "manifest", "card", "report"):
        if path := result[f"{title}_path"]:
            console.print(f"{title:<9} {path}", markup=False, highlight=False)
    if result.url:
        console.print(f"pushed    {result.url}", markup=False, highlight=False)
    for refused in result.module_tries:
        console.print(f"module refused: {refused}", markup=False, highlight=False)
    for failure in result.failures:
        console.print(f"failed: {failure}", markup=False, highlight=False)
    if rows["failed"] > len(result.failures):
        console.print(f"... and {rows['failed'] - len(result.failures):,} more", markup=False)
    if result.module_path is None:
        console.print("No row passed, so there is no module: see failed.jsonl.", markup=False)
    else:
        console.print(
            f"Next: hret eval --model openai --model-name NAME --dataset {result.slug}",
            markup=False,
        )


def _accuracy(metrics: dict[str, object]) -> str:
    if "error" in metrics:
        return f"none: {metrics['error']}"
    value = metrics.get("accuracy")
    shown = f"{value:.4f}" if isinstance(value, float) else "none"
    return f"{shown} (n = {metrics.get('n')})"
