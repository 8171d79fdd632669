"""From a name or a folder to a model that is ready: every way it can fail is a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, GenerationConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.utils import logging

from llm_eval import settings
from llm_eval.errors import HretError, UserError
from llm_eval.models.hf import troubles
from llm_eval.models.hf.engine import Engine

SHARED = ("cache_dir", "local_files_only", "subfolder", "gguf_file")  # of all that is loaded
_RAISED = (OSError, ValueError, ImportError, KeyError, TypeError, RuntimeError, AssertionError)


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


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model and what goes with it. `processor`: what reads images for it; where it is to see and
    has none, `blind` is the reason."""

    model: Any
    tokenizer: Any
    device: Any
    processor: Any = None
    blind: str = ""


def load(source: Source, kind: str = "AutoModelForCausalLM") -> Loaded:
    """The model as one of transformers' class `kind`, or one that sees images where it is that.

    Raises:
        UserError: there is no such model, it is none of that kind, or a part is missing.
    """
    token = settings.load().hf_token
    shared: dict[str, Any] = {"trust_remote_code": source.trust_remote_code}
    shared |= {"revision": source.revision} if source.revision else {}
    shared |= {"token": token.reveal()} if token else {}
    shared |= {k: v for k, v in source.arguments.items() if k in SHARED}
    troubles.before(source.name, source.device_map, source.arguments)
    try:
        config = AutoConfig.from_pretrained(source.name, **shared)
        sees = kind == "AutoModelForCausalLM" and _sees(config)
        processor, blind = _processor(source, shared) if sees else (None, "")
        tokenizer = processor.tokenizer if processor else _tokenizer(source, shared)
        made = getattr(transformers, "AutoModelForImageTextToText" if sees else kind)
        with _no_bar():
            model, told = made.from_pretrained(
                source.name, output_loading_info=True, **_arguments(source), **shared
            )
        _whole(source, told, kind)
        if source.device_map is None and not getattr(model, "hf_quantizer", None):
            model = model.to(source.device or best_device())
    except HretError:
        raise
    except _RAISED as e:
        raise troubles.sentence(e, source.name, source.revision, token) from None
    model.eval()
    return Loaded(
        model=model, tokenizer=tokenizer, device=_device(model), processor=processor, blind=blind
    )


@contextmanager
def _no_bar() -> Iterator[None]:
    """Without a progress bar of transformers where standard error is no terminal."""
    silent = logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    if silent:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if silent:
            logging.enable_progress_bar()


def _whole(source: Source, told: Mapping[str, Any], kind: str) -> None:
    """Refuse a model of which a part was not in its files, and would be random."""
    missing = sorted(told.get("missing_keys") or ())
    wrong = [key for key, *_ in told.get("mismatched_keys") or ()]
    if missing or wrong:
        what = "no reward model" if "Classification" in kind else "no language model"
        raise UserError(
            f"{source.name} is {what}, or not all of it: its files lack {[*missing, *wrong][0]!r}",
            hint="download it again, or name the folder of the whole model",
        )


def engine_of(loaded: Loaded, source: Source) -> Engine:
    """What reads and writes with a loaded model."""
    model, tokenizer = loaded.model, loaded.tokenizer
    length, ends = (
        source.max_length or context_of(model.config, tokenizer),
        _end_tokens(model, tokenizer),
    )
    if hasattr(model, "generation_config"):
        model.generation_config = GenerationConfig()  # what is asked decides, and nothing else
    return Engine(
        model, loaded.device, length, ends, sees=loaded.processor is not None, turn=_turn(model)
    )


def _turn(model: Any) -> int | None:
    """The length at which rotary positions begin to scale, where they do so by what is read."""
    config = model.config.get_text_config()
    told = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    found = []
    for rope in [told, *(t for t in told.values() if isinstance(t, Mapping))]:
        kind = rope.get("rope_type") or rope.get("type")
        if kind == "longrope" or "dynamic" in str(kind):
            first = rope.get("original_max_position_embeddings") or getattr(
                config, "original_max_position_embeddings", config.max_position_embeddings
            )
            found.append(int(first))
    return min(found, default=None)


def _sees(config: Any) -> bool:
    if config.is_encoder_decoder:
        raise UserError(
            f"a model of the kind {config.model_type!r} reads and writes apart",
            hint="this backend takes causal models",
        )
    own = getattr(config, "auto_map", None) or {}
    known = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    return known or "AutoModelForImageTextToText" in own


def _processor(source: Source, shared: Mapping[str, Any]) -> tuple[Any, str]:
    """(what reads images, or None, and then why there is none)."""
    if source.tokenizer is not None:
        return None, "a tokenizer was given in place of its processor"
    try:
        found = transformers.AutoProcessor.from_pretrained(source.name, **shared)
    except Exception as e:  # a processor that lacks a library fails in whatever way it comes to
        said = next((line for line in str(e).splitlines() if line.strip()), type(e).__name__)
        lacks = (
            "" if find_spec("torchvision") else "; it may want torchvision: pip install torchvision"
        )
        return None, f"its processor cannot be loaded: {said[:300]}{lacks}"
    whole = hasattr(found, "image_processor") and hasattr(found, "tokenizer")
    return (found, "") if whole else (None, "it comes without a processor of images")


def _device(model: Any) -> Any:
    """Where tokens are to be: with the first part that is not kept on disk."""
    first = model.get_input_embeddings().weight.device
    if first.type != "meta":
        return first
    return next((p.device for p in model.parameters() if p.device.type != "meta"), "cpu")


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
    given = {k: v for k, v in source.arguments.items() if k not in SHARED}
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


def context_of(config: Any, tokenizer: Any) -> int | None:
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
