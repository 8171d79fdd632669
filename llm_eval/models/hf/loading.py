"""From a name or a folder to a model that is ready: every way it can fail is a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.models.hf.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Source:
    """What to load, and how. `arguments` go to `from_pretrained` as they are."""

    name: str
    tokenizer: Any = None
    dtype: str = "auto"
    device: str | None = None
    device_map: Any = None
    revision: str | None = None
    trust_remote_code: bool = False
    max_length: int | None = None
    arguments: Mapping[str, Any]


def load(source: Source) -> tuple[Engine, Any]:
    """(engine, tokenizer).

    Raises:
        UserError: there is no such model, it is none that writes text, or a part is missing.
    """
    token = settings.load().hf_token
    shared: dict[str, Any] = {"trust_remote_code": source.trust_remote_code}
    shared |= {"revision": source.revision} if source.revision else {}
    shared |= {"token": token.reveal()} if token else {}
    try:
        tokenizer = _tokenizer(source, shared)
        model = AutoModelForCausalLM.from_pretrained(source.name, **_arguments(source), **shared)
        if source.device_map is None and not getattr(model, "hf_quantizer", None):
            model = model.to(source.device or best_device())
    except (OSError, ValueError, ImportError, KeyError, TypeError, RuntimeError) as e:
        said = next((line for line in str(e).splitlines() if line.strip()), type(e).__name__)
        said = token.scrub(said) if token else said
        raise UserError(
            f"the model {source.name!r} cannot be loaded: {said[:500]}",
            hint="a folder that save_pretrained wrote, or a name on the Hub",
        ) from None
    model.eval()
    device = model.get_input_embeddings().weight.device
    length = source.max_length or _length(model.config, tokenizer)
    return Engine(model, device, length, _end_tokens(model, tokenizer)), tokenizer


def best_device() -> str:
    """The fastest device there is."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _tokenizer(source: Source, shared: Mapping[str, Any]) -> Any:
    if source.tokenizer is None or isinstance(source.tokenizer, str):
        return AutoTokenizer.from_pretrained(source.tokenizer or source.name, **shared)
    return source.tokenizer


def _arguments(source: Source) -> dict[str, Any]:
    given = dict(source.arguments)
    known = ("auto", "float32", "float16", "bfloat16", "float64")
    if source.dtype not in known:
        raise ValueError(f"dtype {source.dtype!r} is none of {', '.join(known)}")
    bits = {k: given.pop(k) for k in [*given] if k.startswith(("load_in_", "bnb_"))}
    if bits:
        from transformers import BitsAndBytesConfig

        given["quantization_config"] = BitsAndBytesConfig(**bits)
    if source.device_map is not None:
        given["device_map"] = source.device_map
    kind = "auto" if source.dtype == "auto" else getattr(torch, source.dtype)
    return given | {"dtype": kind}


def _length(config: Any, tokenizer: Any) -> int | None:
    """The context length: as the model says, else as its tokenizer does."""
    inner = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
        if isinstance(told := getattr(inner, name, None), int) and told > 0:
            return told
    told = getattr(tokenizer, "model_max_length", None)
    return int(told) if isinstance(told, int) and told < 1 << 30 else None


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a text, by the model's generation config, its config or tokenizer."""
    found: set[int] = set()
    for holder in (getattr(model, "generation_config", None), model.config, tokenizer):
        told = getattr(holder, "eos_token_id", None)
        found |= {t for t in (told if isinstance(told, list | tuple) else [told]) if t is not None}
    return frozenset(found)
