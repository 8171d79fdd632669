"""Which model it is, so that a reply is never taken for another's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_eval.models.hf.encoding import Texts
    from llm_eval.models.hf.loading import Source

SMALL = 1 << 20  # files up to this size are read; of larger ones size and time of change count


def short(text: str | bytes) -> str:
    """A short hash of a text."""
    return sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def of_files(name: str) -> str | None:
    """A hash of the files of a folder, or of one file; None where `name` is neither.

    A large file that is written anew in place changes it, since its time does. Where the folder is
    an adapter, the files of the folder that its base model is in belong to it.
    """
    told: list[str] = []
    roots, known = [Path(name).expanduser()], set[Path]()
    while roots:
        root = roots.pop(0)
        if not root.exists() or root.resolve() in known:
            continue
        known.add(root.resolve())
        inside = root.rglob("*") if root.is_dir() else [root]
        for path in sorted(p for p in inside if p.is_file()):
            told.append(f"{path.relative_to(root)} {_of_file(path)}")
            if path.name == "adapter_config.json":
                roots += _base_of(path)
    return short("\n".join(told)) if known else None


def _of_file(path: Path) -> str:
    stat = path.stat()
    if stat.st_size <= SMALL:
        return short(path.read_bytes())
    return f"{stat.st_size}/{stat.st_mtime_ns}"


def _base_of(adapter: Path) -> list[Path]:
    try:
        base = json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [Path(base)] if isinstance(base, str) and Path(base).is_dir() else []


def commit_of(source: Source) -> str | None:
    """The commit of the Hub that a model was loaded from, by its place in the cache."""
    from huggingface_hub import try_to_load_from_cache

    inside = source.arguments.get("subfolder")
    for name in ("config.json", "adapter_config.json"):
        found = try_to_load_from_cache(
            source.name,
            f"{inside}/{name}" if inside else name,
            cache_dir=source.arguments.get("cache_dir"),
            revision=source.revision,
        )
        if isinstance(found, str):
            parts = Path(found).parts
            return parts[parts.index("snapshots") + 1] if "snapshots" in parts else None
    return None


def of_tokenizer(tokenizer: Any) -> dict[str, Any]:
    """A tokenizer given in place of the model's own, by name or as an object."""
    if isinstance(tokenizer, str):
        return {"name": tokenizer, "files": of_files(tokenizer)}
    inner = getattr(tokenizer, "backend_tokenizer", None)
    made = (
        inner.to_str() if inner is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    )
    return {"name": str(getattr(tokenizer, "name_or_path", "")), "hash": short(made)}


def known(source: Source, model: Any, texts: Texts) -> dict[str, Any]:
    """Which model it is and how it is shown its prompts, JSON-ready; what is not set is left out.

    Of a model of the Hub the commit counts, of a folder its files.
    """
    import torch
    import transformers

    config = model.config
    files = of_files(source.name)
    told: dict[str, Any] = {
        "model": source.name,
        "revision": None if files else commit_of(source) or source.revision,
        "files": files,
        "tokenizer": None if source.tokenizer is None else of_tokenizer(source.tokenizer),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device.type),
        "quantization": getattr(config, "quantization_config", None),
        "arguments": source.arguments or None,
        "chat_template": texts.chat,
        "chat_template_hash": short(texts.template) if texts.template else None,
        "chat_template_kwargs": texts.template_arguments or None,
        "system_message": texts.system_message,
        "versions": f"transformers {_minor(transformers)}, torch {_minor(torch)}",
    }
    return {k: plain(v) for k, v in told.items() if v is not None}


def _minor(package: Any) -> str:
    return ".".join(str(package.__version__).split(".")[:2])


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: what it cannot is its text.

    >>> plain({"a": (1, None), "b": {2}})
    {'a': [1, None], 'b': '{2}'}
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if callable(getattr(value, "to_dict", None)):
        return plain(value.to_dict())
    return str(value)
