"""`hret memory`: what was translated before, as numbers, as files, and let go of."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hret_agents.translate.exchange import Exported
    from hret_agents.translate.incoming import Imported
    from hret_agents.translate.memory import Memory

HELP = "Count, export, import and clean up the translation memory."
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def _memory() -> Memory:
    from hret_agents.translate.memory import Memory
    from llm_eval import settings

    return Memory(settings.home() / "memory.sqlite")


@app.command("stats", help="What the memory holds, and what was paid for it.")
def stats(as_json: Json = False) -> int:
    """Entries by languages and model, locked ones, requests by model."""
    from hret_agents.translate import upkeep

    with _memory() as memory:
        found = upkeep.stats(memory)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return 0
    typer.echo(f"{found['path']}  {_size(found['bytes'])}")
    for row in found["units"]:
        dates = f"{row['oldest'][:10]} to {row['newest'][:10]}"
        typer.echo(f"  {_pair(row)}  {row['entries']:,} rows by {row['model']}, {dates}")
    for row in found["locked"]:
        typer.echo(f"  {_pair(row)}  {row['entries']:,} locked translations by people")
    for row in found["suggested"]:
        typer.echo(f"  {_pair(row)}  {row['entries']:,} suggestions, shown to the model only")
    if not (found["units"] or found["locked"] or found["suggested"]):
        typer.echo("  nothing yet: hret port fills it, hret memory import brings translations in")
    for row in found["requests"]:
        typer.echo(f"  {row['model']}: {_spent(row)}")
    return 0


def _pair(row: dict[str, Any]) -> str:
    if not row["target_lang"]:
        return "languages not known"  # kept before they were noted
    return f"{row['source_lang'] or '?'} → {row['target_lang']}"


def _spent(row: dict[str, Any]) -> str:
    said = (
        f"{row['requests']:,} requests, "
        f"{row['prompt_tokens']:,} + {row['completion_tokens']:,} tokens"
        f" (estimated {row['estimated_prompt_tokens']:,} + "
        f"{row['estimated_completion_tokens']:,})"
    )
    if row["cost_usd"] is not None:
        said += f", {row['cost_usd']:.4f} USD"
        if row["unpriced"]:
            said += f" and {row['unpriced']:,} requests of unknown price"
    return said


def _size(count: int) -> str:
    """Bytes as a person reads them.

    >>> _size(500), _size(1_500_000)
    ('500 bytes', '1.4 MiB')
    """
    power = max(0, count.bit_length() - 1) // 10
    if not power:
        return f"{count} bytes"
    return f"{count / (1 << 10 * power):,.1f} {'KMGT'[power - 1]}iB"


@app.command("export", help="Write the memory to a file: .jsonl loses nothing, .tmx is for others.")
def export(
    file: Annotated[Path, typer.Argument(help="A new .jsonl or .tmx file.")],
    lang: Annotated[str | None, typer.Option(help="Only what was translated into this.")] = None,
    locked: Annotated[bool, typer.Option("--locked", help="Only what people locked.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Write the file and say what is in it."""
    from hret_agents.translate.exchange import export_file
    from llm_eval.errors import UserError

    if file.exists() and not force:
        raise UserError(f"{file} is there already", hint="another name, or --force")
    with _memory() as memory:
        done = export_file(memory, file, target_lang=lang, locked_only=locked)
    if as_json:
        typer.echo(json.dumps({"path": str(file), **asdict(done)}, ensure_ascii=False, indent=2))
    else:
        _say_exported(file, done)
    return 0


def _say_exported(file: Path, done: Exported) -> None:
    held = f"{done.units:,} rows by models, {done.locked:,} locked translations"
    if file.suffix.lower() == ".tmx":
        typer.echo(f"{file}: {done.pairs:,} translation units ({held})")
    else:
        typer.echo(f"{file}: {held}, {done.suggested:,} suggestions")
    _say(done.repeated, "pairs of texts that were in it already are written once")
    _say(done.unwritable, "pairs left out: they hold control characters; .jsonl holds them")
    _say(done.of_no_language, "rows left out: kept before languages were noted; .jsonl holds them")


def _say(count: int, what: str) -> None:
    if count:
        typer.echo(f"  {count:,} {what}")


@app.command("import", help="Bring .jsonl and .tmx files in: all of it, or nothing.")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Files: .jsonl, .tmx.")],
    suggestions: Annotated[
        bool,
        typer.Option(
            "--suggestions", help="Only show the pairs to the model; do not translate by them."
        ),
    ] = False,
    source_lang: Annotated[str, typer.Option(help="Of lines that name none.")] = "en",
    target_lang: Annotated[str, typer.Option(help="Of lines that name none.")] = "ko",
    as_json: Json = False,
) -> int:
    """Bring files in and say what came of it."""
    from hret_agents.translate.exchange import import_files

    languages = {"source_lang": source_lang, "target_lang": target_lang}
    with _memory() as memory:
        done = import_files(memory, files, **languages, suggestions=suggestions)
    if as_json:
        typer.echo(json.dumps(asdict(done), ensure_ascii=False, indent=2))
    else:
        _say_imported(done, suggestions)
    return 0


def _say_imported(done: Imported, suggestions: bool) -> None:
    typer.echo(
        f"imported {done.units:,} rows by models, {done.locked:,} locked translations,"
        f" {done.suggested:,} suggestions"
    )
    _say(done.changed, "translations replaced earlier ones of the memory")
    _say(done.there + done.units_there, "were there already and stay as they were")
    _say(done.empty, "pairs left out: a text is empty")
    _say(done.duplicates, "repeated in the files")
    _say(done.without_pair, "TMX units left out: no text in the source or another language")
    if not suggestions:
        _say(done.known, "already known, not locked: a model's, as the memory holds them")
        _say(done.by_model, "pairs bear a model's name: edited since, or of another memory")
    _say(done.conflicts, "translations replaced by a later one of the same source:")
    for line in done.named:
        typer.echo(f"    {line}")
    _say(done.conflicts - len(done.named), "more of these are not shown")


@app.command("gc", help="Remove what was not used for long, or a model's translations.")
def gc(
    older_than: Annotated[
        int | None, typer.Option(min=0, help="Last used more than N days ago; 0: all.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Translated by this model.")] = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="What people brought in too, by its age.")
    ] = False,
    locked_only: Annotated[
        bool,
        typer.Option(
            "--locked-only", help="Only what people brought in; with --older-than 0 all of it."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: Json = False,
) -> int:
    """Remove entries and give the space back."""
    from hret_agents.translate import upkeep

    with _memory() as memory:
        done = upkeep.collect(
            memory,
            older_than=older_than,
            model=model,
            locked=locked,
            locked_only=locked_only,
            dry_run=dry_run,
        )
    if as_json:
        typer.echo(json.dumps({**asdict(done), "dry_run": dry_run}, ensure_ascii=False, indent=2))
        return 0
    verb = "would remove" if dry_run else "removed"
    people = done.locked + done.suggested
    typer.echo(
        f"{verb} {done.units:,} rows by models and {people:,} entries by people;"
        f" {_size(done.freed)} {'of texts' if dry_run else 'came back'}"
    )
    if done.kept_space:
        typer.echo(f"  the space could not be given back now: {done.kept_space}")
    return 0
