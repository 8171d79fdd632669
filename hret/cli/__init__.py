"""The command line: `hret port|push|eval|serve|datasets|memory|review|doctor`.

Commands import what they need when they run, so that help comes at once. Exit status: 0 all rows
passed, 1 some failed (named), 2 a user's error; 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by
SIGHUP; 70 a bug of ours.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import typer

from hret import __version__
from hret.cli import datasets, doctor, evaluate, memory, port, push, review, serve

_DISK = "check the path, its rights and the room on its disk; --verbose shows more"
_KEPT = "What was translated is kept: run the same command again to go on."
app = typer.Typer(
    name="hret",
    help="Port any Hugging Face dataset into Korean, verified, and evaluate any model on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("port", help=port.HELP)(port.command)
app.command("push", help=push.HELP)(push.command)
app.command("eval", help=evaluate.HELP)(evaluate.command)
app.command("serve", help=serve.HELP)(serve.command)
app.command("doctor", help=doctor.HELP)(doctor.command)
app.add_typer(datasets.app, name="datasets", help=datasets.HELP)
app.add_typer(memory.app, name="memory", help=memory.HELP)
app.add_typer(review.app, name="review", help=review.HELP)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hret {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Options that stand before a command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    from llm_eval.signals import as_ctrl_c

    with as_ctrl_c() as signals:
        status = _status(list(sys.argv[1:] if argv is None else argv))
    return 128 + signals[0] if signals and status == 130 else status


def _status(arguments: list[str]) -> int:
    from llm_eval.errors import HretError

    try:
        status = typer.main.get_command(app).main(
            arguments, prog_name="hret", standalone_mode=False
        )
        if status == 130:  # what typer makes of Ctrl-C
            _say_stopped(arguments)
        return status if isinstance(status, int) else 0
    except HretError as e:
        typer.echo(f"Error: {e}", err=True)
        return 2
    except KeyboardInterrupt:
        _say_stopped(arguments)
        return 130
    except Exception as e:  # the outermost edge: a usage error to show, or a bug to report
        return _ended(e, "--verbose" in arguments)


def _say_stopped(arguments: Sequence[str]) -> None:
    typer.echo(f"\nStopped. {_KEPT if arguments[:1] == ['port'] else ''}".rstrip(), err=True)


def _ended(error: Exception, verbose: bool) -> int:
    if type(error).__name__ == "Abort":  # a question answered with no
        return 130
    show = getattr(error, "show", None)
    if show is not None:  # click's usage errors know how to print themselves
        show()
        return int(getattr(error, "exit_code", 2))
    if verbose:
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.strerror:  # the disk's or the system's, and not ours
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"Error: {where}{error.strerror}\n  → {_DISK}", err=True)
        return 2
    typer.echo(f"Internal error: {type(error).__name__}: {error}", err=True)
    if not verbose:
        typer.echo("  → please report it, with what --verbose prints", err=True)
    return 70
