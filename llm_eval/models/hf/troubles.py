"""Why a model cannot be loaded, in a sentence. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llm_eval.errors import AuthError, UserError
from llm_eval.secret import Secret

HINT = "a folder that save_pretrained wrote, or a name on the Hub"


def before(name: str, device_map: Any, arguments: Mapping[str, Any]) -> None:
    """Raise a `UserError` for what can be known before anything is loaded."""
    path = Path(name).expanduser()
    if not path.exists() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise UserError(f"there is no folder {name}", hint=HINT)
    if path.is_dir() and not (arguments.get("gguf_file") or arguments.get("subfolder")):
        if not any((path / f).is_file() for f in ("config.json", "adapter_config.json")):
            raise UserError(
                f"the folder {name} holds no model: it has no config.json, so it cannot be loaded",
                hint=HINT,
            )
    if device_map is not None and find_spec("accelerate") is None:
        raise UserError("device_map needs accelerate", hint="pip install accelerate")
    if (by := _bitsandbytes(arguments)) and find_spec("bitsandbytes") is None:
        raise UserError(f"{by} needs bitsandbytes", hint="pip install bitsandbytes")


def _bitsandbytes(arguments: Mapping[str, Any]) -> str:
    """The argument that asks for bitsandbytes, if one does."""
    for name in arguments:
        if name.startswith(("load_in_", "bnb_")):
            return name
    config = arguments.get("quantization_config")
    told = config if isinstance(config, Mapping) else getattr(config, "__dict__", {})
    method = str(getattr(told.get("quant_method"), "value", told.get("quant_method")))
    return "quantization_config" if method == "bitsandbytes" else ""


def sentence(error: Exception, name: str, revision: str | None, token: Secret | None) -> UserError:
    """What `error`, raised while `name` was loaded, tells the user."""
    kinds = {type(e).__name__ for e in _chain(error)}
    if "GatedRepoError" in kinds:
        return AuthError(
            f"the model {name!r} is gated, and this token may not read it",
            hint="accept its terms on its page on the Hub, and set HF_TOKEN",
        )
    if "RevisionNotFoundError" in kinds:
        return UserError(
            f"the model {name!r} has no revision {revision!r}", hint="a branch, a tag, a commit"
        )
    if "RepositoryNotFoundError" in kinds:
        return UserError(
            f"there is no model {name!r} on the Hub, or it is private",
            hint="see how it is spelled; HF_TOKEN for a private one; ./NAME for a folder",
        )
    said = next((line for e in _chain(error) for line in _lines(e)), type(error).__name__)
    away = kinds & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError"}
    if away or "couldn't connect" in said.lower():
        return UserError(
            f"the model {name!r} is not on this machine, and the Hub is not reached",
            hint=f"HF_HUB_OFFLINE, HF_ENDPOINT; without the Hub: {HINT.split(',')[0]}",
            caller_only=True,
        )
    said = token.scrub(said) if token else said
    return UserError(f"the model {name!r} cannot be loaded: {said[:500]}", hint=_hint(said))


def _hint(said: str) -> str:
    if "trust_remote_code" in said:
        return "it brings code of its own: trust_remote_code=True if you trust it"
    if "device" in said or "CUDA" in said:
        return "device is 'cpu', 'cuda', 'cuda:1', 'mps'; left out, the best there is"
    if "dtype" in said:
        return "dtype is 'auto', 'float32', 'float16' or 'bfloat16'"
    return HINT


def _lines(error: BaseException) -> Iterator[str]:
    return (line.strip() for line in str(error).splitlines() if line.strip())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
