"""`hret serve`: any backend as an OpenAI-compatible server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import socket

    from llm_eval.models.base import BaseModel
    from llm_eval.models.served_http import App

HELP = "Serve a model as an OpenAI-compatible endpoint, for every tool that speaks to one."
KEY = "HRET_SERVE_KEY"


def command(
    model: Annotated[
        str,
        typer.Option(help="huggingface:PATH, vllm:PATH, litellm:PROVIDER/NAME, or a backend."),
    ],
    model_params: Annotated[
        str | None, typer.Option(help="More for the backend, as a JSON object.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; other than loopback only with a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    api_key: Annotated[
        str | None, typer.Option(help=f"What requests must bring; better: {KEY}.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what happens.")] = False,
) -> int:
    """Load the model and serve it until Ctrl-C; the exit status."""
    import asyncio
    import logging

    from llm_eval.evaluator import json_of
    from llm_eval.models import load_model
    from llm_eval.models.served import Served
    from llm_eval.models.served_http import App, bound
    from llm_eval.secret import secret

    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING)
    name, _, rest = model.partition(":")
    params = {"model_name": rest} if rest else {}
    backend = load_model(name, **params | json_of(model_params, "--model-params"))
    key = secret(api_key or os.environ.get(KEY))
    names = (rest or name, *([model] if rest else ()))
    with bound(host, port, key=key is not None) as sock:
        app = App(served=Served(backend), names=names, key=key)
        asyncio.run(_until_stopped(app, backend, sock))
    return 0


async def _until_stopped(app: App, backend: BaseModel, sock: socket.socket) -> None:
    """Serve until the first Ctrl-C, or a SIGTERM, and answer what is in flight then.

    Another one ends it at once.
    """
    import asyncio
    import signal

    from llm_eval.models.served_http import listening

    stop, main = asyncio.Event(), asyncio.current_task()
    assert main is not None

    def asked_to() -> None:
        if stop.is_set():
            main.cancel()
        stop.set()

    try:
        await app.served.check()
        async with listening(app, sock):
            for sign in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(sign, asked_to)
            typer.echo(_how_to_use(app, sock), err=True)
            await stop.wait()
            typer.echo("Stopping: what is in flight is answered; Ctrl-C ends at once.", err=True)
    finally:
        await backend.close()


def _how_to_use(app: App, sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    key = "with its key" if app.key else "no key needed"
    return (
        f"Serving {app.names[0]} at {address} ({key}): "
        f"OPENAI_BASE_URL={address}, model {app.names[0]!r}. Ctrl-C ends it."
    )
