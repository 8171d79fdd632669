"""`hret review`: a port's report, its texts as a table to correct, and corrections brought in."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from hret_agents.review.correct import Corrected

HELP = "Open a port's report, export its texts to be corrected, import what was corrected."


class _Group(TyperGroup):
    """What is no command is a port: `hret review SLUG` opens its report."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the hidden command in front of a port's name."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["open", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_Group, no_args_is_help=True, rich_markup_mode=None)
Slug = Annotated[str, typer.Argument(help="A port's slug, original name or pushed repo.")]
Source = Annotated[
    Path | None, typer.Option(help="The file or folder that was ported, if it was moved.")
]


@app.command("open", help="Print where a port's report lies: the same as hret review SLUG.")
def open_report(
    slug: Slug,
    browser: Annotated[bool, typer.Option("--open", help="Open it in a browser too.")] = False,
    source: Source = None,
) -> int:
    """The report's path; a report that is missing is written."""
    from hret_agents.review.opened import opened, port_named
    from hret_agents.review.report import REPORT, write_report
    from hret_agents.steps.prepare import locked

    found = port_named(slug)
    path = found.folder / REPORT
    if not path.is_file():
        port = opened(found, source)
        with locked(port):
            write_report(replace(port, work=port.folder))
    typer.echo(str(path))
    if browser:
        typer.launch(path.resolve().as_uri())
    return 0


@app.command("export", help="Write a port's texts to a file to be corrected: .xlsx, .csv, .jsonl.")
def export(
    slug: Slug,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Default: SLUG.review.xlsx.")
    ] = None,
    only: Annotated[
        Literal["all", "flagged", "failed"], typer.Option(help="Of which rows.")
    ] = "all",
    source: Source = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
) -> int:
    """Write the file and say how to bring it back."""
    from hret_agents.review import lines
    from hret_agents.review.opened import opened, port_named
    from hret_agents.review.sheet import suffix_of
    from llm_eval.errors import UserError

    found = port_named(slug)
    path = output or Path(f"{found.manifest.slug}.review.xlsx")
    suffix_of(path)
    if path.exists() and not force:
        raise UserError(f"{path} is there already", hint="another name (-o), or --force")
    count, left_out = lines.export(opened(found, source), path, only)
    typer.echo(f"{path}: {count:,} texts")
    if left_out:
        typer.echo(f"  {left_out:,} rows left out: their texts cannot be told from their code")
    typer.echo("  write what is right into the column 'corrected', save, and then:")
    typer.echo(f"  hret review import {found.manifest.slug} {path}")
    return 0


@app.command("import", help="Lock what was corrected, and make the rows that hold it again.")
def import_(
    slug: Slug,
    file: Annotated[Path, typer.Argument(help="An exported file that was corrected.")],
    source: Source = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """Bring corrections in; exit status 1 if a row of the file still fails."""
    from hret_agents.review.correct import import_file
    from hret_agents.review.opened import port_named

    found = port_named(slug)
    done = import_file(found, file, source)
    if as_json:
        typer.echo(json.dumps(asdict(done), ensure_ascii=False, indent=2))
    else:
        _say(done, str(found.folder))
    return 1 if done.failing else 0


def _say(done: Corrected, folder: str) -> None:
    typer.echo(f"locked {done.texts:,} texts; made {done.rows:,} rows again, asked for nothing")
    if others := done.rows - done.named:
        typer.echo(f"  {others:,} of them are not in the file: they hold the same texts")
    if done.mended:
        typer.echo(f"  {done.mended:,} had failed and passed now")
    for row in done.failing[:20]:
        typer.echo(f"  {row} still fails: not all of its texts have a translation that passes")
    if len(done.failing) > 20:
        typer.echo(f"  ... and {len(done.failing) - 20:,} more")
    typer.echo(folder)
