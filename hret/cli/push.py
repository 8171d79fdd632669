"""`hret push`: a finished port to the Hub, without porting it again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llm_eval.dataset.ports import Port

HELP = "Push a finished port to the Hub, as it stands: private, in one commit, none if unchanged."


def command(
    slug: Annotated[str, typer.Argument(help="A port's slug, original name, repo, or folder.")],
    repo_id: Annotated[str | None, typer.Option(help="Push to this repo (OWNER/NAME).")] = None,
    revision: Annotated[
        str | None, typer.Option(help="Push to this branch; it is made if there is none.")
    ] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request, or go on with ours.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Make the repo public (default: private).")
    ] = False,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="You may publish a translation of the source.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """Push a port; the exit status."""
    from hret.cli.progress import Progress
    from hret_agents.job import PortJob
    from hret_agents.steps.publish import push_finished
    from llm_eval import settings

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    found = _found(slug)
    job = PortJob(
        dataset=found.manifest.source,
        target_lang=found.manifest.target_lang,
        hf_token=settings.load().hf_token,
        output_dir=found.folder.parent,
        push=True,
        public=public,
        repo_id=repo_id,
        accept_license=accept_license,
        create_pr=create_pr,
        push_revision=revision,
    )
    with Progress(quiet=as_json) as progress:
        port = push_finished(found, job, progress)
    if as_json:
        typer.echo(json.dumps({"slug": port.slug, "repo_id": port.repo, "url": port.url}))
    else:
        typer.echo(f"pushed {port.url}")
    return 0


def _found(name: str) -> Port:
    from llm_eval.dataset import ports
    from llm_eval.dataset.spec import MANIFEST, read_manifest
    from llm_eval.errors import Unknown

    folder = Path(name).expanduser()
    if (folder / MANIFEST).is_file():
        return ports.Port(folder.resolve(), read_manifest(folder))
    if port := ports.find(name):
        return port
    raise Unknown("port", name, {n for p in ports.local_ports() for n in p.manifest.names})
