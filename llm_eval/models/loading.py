"""From what a user calls a model to a backend, a judge or a reward model.

A name of the registry, `NAME:MODEL` ("openai:gpt-4o-mini", "huggingface:PATH"), a path to a module
file of the user's own, a class, an instance, or a function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from llm_eval.errors import HretError, Unknown, UserError
from llm_eval.models.base import MODELS, BaseModel
from llm_eval.models.plugged import PluggedModel, is_plugged
from llm_eval.models.roles import BaseRewardModel, PluggedReward
from llm_eval.registry import USER, Registry, module_in

C = TypeVar("C", bound=type[Any])
T = TypeVar("T")
NAMING = ("model_name_or_path", "model_name", "model")  # parameters that say which model
REWARDS: Registry[type[BaseRewardModel]] = Registry(
    "reward model",
    {
        "huggingface": "llm_eval.models.hf_reward:HuggingFaceReward",
        "huggingface_reward": "llm_eval.models.hf_reward:HuggingFaceReward",
        "api": "llm_eval.models.reward:APIReward",
        "openai": "llm_eval.models.reward:APIReward",
    },
)


def register_model(name: str) -> Callable[[C], C]:
    """Decorator: register a backend as `name`; a judge too, and a reward model among its own."""

    def register(kind: C) -> C:
        registry: Registry[Any] = REWARDS if _is_reward(kind) else MODELS
        return registry.add(name)(kind)

    return register


def _is_reward(kind: type) -> bool:
    scores = callable(getattr(kind, "score_batch", None)) or callable(
        getattr(kind, "rewards", None)
    )
    return issubclass(kind, BaseRewardModel) or (scores and not hasattr(kind, "generate_batch"))


def load_model(name: str, /, **params: Any) -> BaseModel:
    """The backend called `name`, made with `params`.

    Raises:
        UserError: there is none of that name, or it takes no such parameter.
    """
    if name.endswith(".py"):
        kind, called = _from_file(Path(name).expanduser()), Path(name).stem
    else:
        called, kind, params = _looked_up(MODELS, name, params)
    return _as_model(_made(kind, called, params), called, params)


def load_reward_model(name: str, /, **params: Any) -> BaseRewardModel:
    """The reward model called `name`, made with `params`; a `UserError` as `load_model`."""
    called, kind, params = _looked_up(REWARDS, name, params)
    return as_reward_model(_made(kind, called, params), called)


def as_backend(given: Any, params: Mapping[str, Any] | None = None) -> BaseModel:
    """What `Evaluator.run(model=...)` takes, as a backend.

    A name, a class and a function are made with `params`; an instance is made already.
    """
    params = dict(params or {})
    if isinstance(given, str):
        return load_model(given, **params)
    if isinstance(given, type) and (is_plugged(given) or issubclass(given, BaseModel)):
        return _as_model(_made(given, given.__name__, params), given.__name__, params)
    if not isinstance(given, type) and (is_plugged(type(given)) or isinstance(given, BaseModel)):
        called = _name_of(given)
        if params:
            raise UserError(
                f"{called} is made already: {sorted(params)} is too late",
                hint="leave model_params out, or name the backend",
            )
        return _as_model(given, called, None)
    if callable(given):
        from llm_eval.models.function import FunctionModel

        try:
            return FunctionModel(given, **params)
        except TypeError as e:
            raise UserError(f"a function as model: {e}", hint="it takes: concurrency") from None
    raise UserError(
        f"a model is a name, a backend or a function, not {type(given).__name__}",
        hint="for example 'openai', with model_params={'model_name': ...}",
    )


def as_reward_model(given: Any, name: str | None = None) -> BaseRewardModel:
    """A reward model, or an object with `score_batch` alone, as one."""
    if isinstance(given, BaseRewardModel):
        return given
    if callable(getattr(given, "score_batch", None)):
        return PluggedReward(given, name or type(given).__name__)
    raise UserError(
        f"a {type(given).__name__} is no reward model: it has no score_batch()",
        hint="give it score_batch(), or name another",
    )


def _name_of(given: Any) -> str:
    name = getattr(given, "name", None)
    own = isinstance(name, str) and name != BaseModel.name
    return cast(str, name) if own else type(given).__name__


def _as_model(made: Any, name: str, params: Mapping[str, Any] | None) -> BaseModel:
    if is_plugged(type(made)):
        return PluggedModel(made, name, params)
    if not isinstance(made, BaseModel):
        raise UserError(
            f"{name!r} is no model: a {type(made).__name__} has no generate_batch()",
            hint="give it generate_batch(), or name another",
        )
    return made


def _looked_up(
    registry: Registry[type[T]], name: str, params: Mapping[str, Any]
) -> tuple[str, type[T], dict[str, Any]]:
    """(its name, the class, its parameters) behind a name or `NAME:MODEL`."""
    prefix, colon, model = name.partition(":")
    if not colon or name in registry:
        return name, _got(registry, name), dict(params)
    if prefix not in registry:
        known = get_close_matches(prefix, registry.names(), n=1, cutoff=0.75)
        _got(registry, prefix if known else name)
    kind = _got(registry, prefix)
    taken = inspect.signature(kind).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    naming = next((n for n in NAMING if n in taken), "model_name" if anything else None)
    if naming is None or not model:
        raise UserError(
            f"{registry.kind} {name!r}: "
            + (f"{prefix!r} asks for no model by name" if model else "no model stands behind ':'"),
            hint=f"for example {prefix}:MODEL" if naming else f"write {prefix!r} alone",
        )
    if twice := next((n for n in NAMING if params.get(n) not in (None, model)), None):
        raise UserError(
            f"{registry.kind} {name!r} names {model!r}, and {twice} names {params[twice]!r}",
            hint="say it once",
        )
    rest = {k: v for k, v in params.items() if k not in NAMING}
    return prefix, kind, {naming: model, **rest}


def _got(registry: Registry[type[T]], name: str) -> type[T]:
    try:
        return registry.get(name)
    except Unknown as e:
        if registry.kind != "model":
            raise
        served = f"for a model that is served: model 'openai' with model_name {name!r}"
        other = f"{name!r} is a reward model; " if name in REWARDS else ""
        raise Unknown("model", name, e.known, hint=f"{other}{e.hint}; {served}") from None


def _made(kind: type[T], name: str, params: Mapping[str, Any]) -> T:
    taken = inspect.signature(kind).parameters
    try:
        inspect.signature(kind).bind(**params)
    except TypeError as e:
        known = [p.name for p in taken.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        near = [get_close_matches(k, known, n=1) for k in params if k not in known]
        guess = next((f"did you mean {n[0]!r}? " for n in near if n), "")
        hint = f"{guess}its parameters are: {', '.join(known) or 'none'}"
        raise UserError(f"model {name!r}: {e}", hint=hint) from None
    if kind.__module__.startswith("llm_eval.models.") and USER not in kind.__module__:
        return kind(**params)
    try:
        return kind(**params)
    except HretError:
        raise
    except Exception as e:  # somebody else's constructor may raise anything
        raise UserError(
            f"{name} could not be made: {type(e).__name__}: {e}",
            hint="see its parameters, and model_params (--model-params)",
        ) from e


def _from_file(path: Path) -> type[Any]:
    """The one backend in the user's own module file; its relative imports begin here."""
    if not path.is_file():
        raise UserError(f"there is no file {path}", hint="give a path to a module (.py)")
    path = path.resolve()
    return _class_of(module_in(path, "llm_eval.models"), path)


def _class_of(module: ModuleType, path: Path) -> type[Any]:
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
        if is_plugged(kind) or (issubclass(kind, BaseModel) and kind is not BaseModel)
    ]
    leaves = [k for k in kinds if not any(o is not k and issubclass(o, k) for o in kinds)]
    if len(leaves) != 1:
        raise UserError(
            f"{path} holds {len(leaves)} backends"
            + (f": {', '.join(k.__name__ for k in leaves)}" if leaves else ""),
            hint="a module that is named by its path holds one class with generate_batch()",
        )
    return leaves[0]
