"""`hret datasets`: the ports on this machine."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llm_eval.dataset.ports import Port

HELP = "List, show, trust and remove the ports on this machine."
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Slug = Annotated[str, typer.Argument(help="A port's slug, original name or pushed repo.")]


@app.command("list", help="List the ports; nothing of them is imported.")
def list_ports(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """One line per port."""
    from llm_eval.dataset import ports

    found = list(ports.local_ports())
    if as_json:
        shown = [{"path": str(p.folder), **asdict(p.manifest)} for p in found]
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    elif not found:
        typer.echo("no ports here; make one: hret port --dataset sample")
    else:
        for port in found:
            passed, failed = port.manifest.rows
            typer.echo(f"{port.manifest.slug}  {passed:,} rows, {failed:,} failed  {port.folder}")
    return 0


@app.command("show", help="Show what a port is.")
def show(slug: Slug) -> int:
    """The port's manifest."""
    port = _found(slug)
    typer.echo(port.manifest.to_json())
    typer.echo(str(port.folder))
    return 0


@app.command("rm", help="Remove a port's folder; the translation memory stays.")
def remove(
    slug: Slug, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> int:
    """Remove a port after asking."""
    port = _found(slug)
    if not yes:
        typer.confirm(f"Remove {port.folder}?", abort=True)
    shutil.rmtree(port.folder)
    typer.echo(f"removed {port.folder}; porting it again costs nothing, its translations are kept")
    return 0


@app.command("trust", help="Trust a port's module as it stands now, after you have read it.")
def trust(slug: Slug) -> int:
    """Note the module's hash as trusted."""
    from llm_eval.dataset import ports

    port = _found(slug)
    typer.echo(f"trusted {port.folder / 'dataset.py'} (sha256 {ports.trust(port)})")
    return 0


def _found(name: str) -> Port:
    from llm_eval.dataset import ports
    from llm_eval.errors import Unknown

    if port := ports.find(name):
        return port
    raise Unknown("port", name, {n for p in ports.local_ports() for n in p.manifest.names})
