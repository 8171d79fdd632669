"""`hret datasets`: the ports on this machine."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llm_eval.dataset.ports import Port
    from llm_eval.errors import Unknown

HELP = "List, show, trust and remove the ports on this machine."
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Slug = Annotated[str, typer.Argument(help="A port's slug, original name or pushed repo.")]
Revision = Annotated[
    str | None, typer.Option(help="Of a pushed repo: a branch, tag or commit (default: main).")
]


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
def show(
    slug: Slug,
    revision: Revision = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON alone.")] = False,
) -> int:
    """The port's manifest, where it lies, and where its module runs."""
    port = _found(slug, revision)
    if as_json:
        shown = {"path": str(port.folder), **asdict(port.manifest), "runs": _where(port)}
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return 0
    typer.echo(port.manifest.to_json())
    typer.echo(str(port.folder))
    typer.echo(_where(port))
    return 0


@app.command("rm", help="Remove a port's folder; the translation memory stays.")
def remove(
    slug: Slug, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> int:
    """Remove a port after asking."""
    from llm_eval.dataset import ports

    if (port := ports.find(slug)) is None:
        raise _unknown(slug)
    if not yes:
        typer.confirm(f"Remove {port.folder}?", abort=True)
    shutil.rmtree(port.folder)
    typer.echo(f"removed {port.folder}; porting it again costs nothing, its translations are kept")
    return 0


@app.command("trust", help="Trust a port's module as it stands now, after you have read it.")
def trust(slug: Slug, revision: Revision = None) -> int:
    """Note the module's hash as trusted."""
    from llm_eval.dataset import ports

    port = _found(slug, revision)
    typer.echo(f"trusted {port.folder / 'dataset.py'} (sha256 {ports.trust(port)})")
    return 0


def _where(port: Port) -> str:
    """Where the module of a port runs, and why there."""
    from llm_eval.dataset import ports

    way, by = ports.way_of(port), port.manifest.module_way
    if way == "template":
        return "module: runs in-process; it is what the template gives for its spec"
    if way == "trusted":
        return "module: runs in-process; you have trusted it"
    if way == "refused":
        return f"module: does not run; edited since it was verified ({ports.refusal(port).hint})"
    from llm_eval.sandbox import layers

    if not layers().enough:
        return f"module: does not run; {by} wrote it, and there is no sandbox: {layers().says}"
    return f"module: runs in the sandbox; {by} wrote it"


def _found(name: str, revision: str | None = None) -> Port:
    """The port of that name here, else on the Hub: there, nothing of it is run."""
    from llm_eval.dataset import hub, ports

    if revision is None and (port := ports.find(name)):
        return port
    if hub.is_repo(name) and (port := hub.downloaded(name, revision)):
        return port
    raise _unknown(name)


def _unknown(name: str) -> Unknown:
    from llm_eval.dataset import ports
    from llm_eval.errors import Unknown

    return Unknown("port", name, {n for p in ports.local_ports() for n in p.manifest.names})
