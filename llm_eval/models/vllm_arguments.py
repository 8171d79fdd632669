"""What can be asked of vLLM: the names of its engine's and its sampling's parameters.

They are read from the source of the vLLM that is installed, whatever its version: importing it
takes a quarter of a minute, and a typo is told before that.
"""

from __future__ import annotations

import ast
import difflib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llm_eval.errors import MissingExtra, UserError

OWN_OF_ENGINE = ("model", "seed", "data_parallel_size")  # set here, by these or other names
OWN_OF_SAMPLING = (
    *("n", "prompt_logprobs", "prompt_logprob_token_ids", "prompt_logprob_start"),
    *("logprob_token_ids", "flat_logprobs", "detokenize", "output_kind", "stream_interval"),
    *("skip_clone", "output_text_buffer_length", "structured_outputs", "trace_decode_token_ids"),
    *("skip_reading_prefix_cache", "routed_experts_prompt_start"),
)
SECRET = ("hf_token",)  # never told


@cache
def _fields(file: Path, name: str) -> tuple[str, ...]:
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            lines = [n for n in node.body if isinstance(n, ast.AnnAssign)]
            found = [n.target.id for n in lines if isinstance(n.target, ast.Name)]
            return tuple(f for f in found if not f.startswith("_"))
    raise UserError(
        f"this version of vllm has no {name} in {file.name}", hint="pip install -U vllm"
    )


def names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the engine's, the sampling's) parameters that are passed on as they are.

    Raises:
        MissingExtra: vLLM is not installed.
    """
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("model 'vllm'", "vllm")
    folder = Path(next(iter(spec.submodule_search_locations)))
    engine = _fields(folder / "engine" / "arg_utils.py", "EngineArgs")
    sampling = _fields(folder / "sampling_params.py", "SamplingParams")
    return (
        tuple(f for f in engine if f not in OWN_OF_ENGINE),
        tuple(f for f in sampling if f not in OWN_OF_SAMPLING),
    )


def parted(given: Mapping[str, Any], own: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the engine is given, what every sampling is), by the names of either.

    `own` are the parameters of the backend itself, which a typo may have meant.

    Raises:
        UserError: a name is neither's; it guesses what was meant.
        MissingExtra: vLLM is not installed.
    """
    engine, sampling = names()
    for name in given:
        if name in engine or name in sampling:
            continue
        near = difflib.get_close_matches(name, {*own, *engine, *sampling}, n=1, cutoff=0.5)
        raise UserError(
            f"model 'vllm' takes no {name!r}",
            hint=(f"did you mean {near[0]!r}? " if near else "")
            + f"Its own parameters are: {', '.join(own)}; and those of vLLM's EngineArgs and "
            "SamplingParams",
        )
    return (
        {k: v for k, v in given.items() if k in engine},
        {k: v for k, v in given.items() if k not in engine},
    )


def told(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as a result tells them: JSON-ready, without keys."""
    shown = {k: v for k, v in arguments.items() if k not in SECRET and v is not None}
    plain: dict[str, Any] = json.loads(json.dumps(shown, default=str, sort_keys=True))
    return plain
