"""litellm as this project uses it: loaded late, offline, quiet; a model's provider, and its key."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from llm_eval.aio import run_sync
from llm_eval.errors import MissingExtra, UserError
from llm_eval.secret import tellable

# Read when litellm is imported, or when a provider is first used.
_OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_DISABLE_BUG_REPORT_LINK": "true",
    "LITELLM_MODE": "PRODUCTION",  # else it puts the nearest .env into the environment
}
_SIGNED_IN = ("bedrock", "sagemaker", "vertex_ai", "vertex_ai_beta")  # by more than variables
_ASKED_AS = {"cohere_chat": "cohere", "azure_text": "azure", "anthropic_text": "anthropic"}
_VARIABLES = {"bedrock": "AWS", "sagemaker": "AWS", "huggingface": "HF", "watsonx": "WX"}
_PLACE = re.compile(r"_(BASE|URL|ENDPOINT|VERSION|REGION|REGION_NAME|PROJECT|PROJECT_ID|LOCATION)$")
_TAKEN_AS = {"API_BASE": "api_base", "API_VERSION": "api_version"}
_BESIDES_A_KEY = ("azure_ad_token", "azure_ad_token_provider", "tenant_id", "azure_scope")
_JUDGED = (
    *("temperature", "top_p", "n", "seed", "stop", "max_tokens", "max_completion_tokens"),
    *("logprobs", "top_logprobs", "response_format", "presence_penalty", "frequency_penalty"),
    *("logit_bias", "reasoning_effort", "thinking", "tools", "tool_choice"),
)
_AROUND = ("api_version", "allowed_openai_params")  # decide what is taken
_lock = threading.Lock()
_users: Counter[int] = Counter()  # backends that are open, by their loop's id


def installed() -> None:
    """Raise `MissingExtra` where litellm is not installed; imports nothing."""
    if find_spec("litellm") is None:
        raise MissingExtra("model 'litellm'", "litellm")


def load() -> Any:
    """The module; imported at first use, which takes seconds: call it in a thread."""
    with _lock:
        for name, value in _OFFLINE.items():
            os.environ.setdefault(name, value)
        new = "litellm" not in sys.modules
        litellm: Any = import_module("litellm")
        if new:
            atexit.register(lambda: run_sync(_let_go(litellm)))
        litellm.suppress_debug_info = True
        litellm.disable_hf_tokenizer_download = True
        litellm.disable_stop_sequence_limit = True  # else the fifth one is cut off, silently
        litellm.drop_params = False  # the backend's own parameter says it, request by request
        if not os.environ.get("LITELLM_LOG"):
            logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
        return litellm


def opened() -> int:
    """One more backend uses litellm's connections on this loop; what to pass to `closed`."""
    place = id(asyncio.get_running_loop())
    _users[place] += 1
    return place


async def closed(litellm: Any, place: int) -> None:
    """One backend fewer; after the last one the connections of this loop are closed."""
    _users[place] -= 1
    if _users[place] <= 0 and place == id(asyncio.get_running_loop()):
        del _users[place]
        await _let_go(litellm)


async def _let_go(litellm: Any) -> None:
    """Close what litellm keeps open on this loop: at the end of Python it would complain."""
    cache = litellm.in_memory_llm_clients_cache
    suffix = f"-{id(asyncio.get_running_loop())}"
    for name in [name for name in cache.cache_dict if name.endswith(suffix)]:
        client = cache.cache_dict.pop(name)
        cache.ttl_dict.pop(name, None)
        with suppress(Exception):  # a client that is broken cannot be closed either
            await client.close()


@dataclass(frozen=True, slots=True)
class Provider:
    """Who is asked: `name` in litellm's words, and `model` as that provider calls it."""

    name: str
    model: str

    @property
    def called(self) -> str:
        """Its name in sentences: litellm has a second one for some."""
        return _ASKED_AS.get(self.name, self.name)


def provider_of(litellm: Any, model: str, api_base: str | None) -> Provider:
    """The provider of `model` ("provider/name", or a name that litellm knows).

    Raises:
        UserError: litellm cannot tell.
    """
    try:
        name, provider, _, _ = litellm.get_llm_provider(model, api_base=api_base)
    except Exception:  # litellm raises whatever it does not expect
        raise UserError(
            f"litellm does not know whose model {model!r} is",
            hint=f"name the provider: model_name 'anthropic/{model}', or 'openai/{model}' "
            "with api_base for a server that speaks OpenAI's protocol",
        ) from None
    return Provider(str(provider), str(name))


def check_key(
    litellm: Any, provider: Provider, api_key: str | None, given: Mapping[str, Any]
) -> None:
    """Raise a `UserError` naming the variables that the provider needs and nobody has set.

    `given` are the backend's own parameters, which stand in their place. Providers that one signs
    in to by a profile or a role are not judged here.
    """
    if provider.name in _SIGNED_IN:
        return
    asked = f"{provider.called}/{provider.model}"
    needed = litellm.validate_environment(model=asked)["missing_keys"]
    if provider.called == "cohere" and not os.environ.get("CO_API_KEY"):
        needed = ["COHERE_API_KEY"]  # which litellm forgets to look for
    absent = [name for name in needed if not _stands(name, given)]
    keys = [name for name in absent if name.endswith(("KEY", "TOKEN"))]
    signed = bool(api_key) or any(given.get(name) for name in _BESIDES_A_KEY)
    if signed or (keys and _elsewhere(litellm, asked)):
        absent = [name for name in absent if name not in keys]
    absent = [name for name in absent if not os.environ.get(name)]
    if not absent:
        return
    either = len(keys) > 1 and provider.name == "gemini"
    named = (" or " if either else " and ").join(absent)
    by = [_TAKEN_AS.get(_stem(name), "api_key") for name in absent]
    raise UserError(
        f"litellm needs {named} for {provider.called}",
        hint=f"set {named} in the environment, or pass {', '.join(dict.fromkeys(by))}",
    )


def _stem(name: str) -> str:
    return "_".join(name.split("_")[-2:])


def _stands(name: str, given: Mapping[str, Any]) -> bool:
    return bool(given.get(_TAKEN_AS.get(_stem(name), "")) or given.get(name.lower()))


def _elsewhere(litellm: Any, model: str) -> bool:
    """Some providers' keys have several names, all of which this knows."""
    try:
        return bool(litellm.get_llm_provider(model)[2]) or bool(os.environ.get("AZURE_AD_TOKEN"))
    except Exception:  # litellm raises whatever it does not expect
        return False


def addresses(provider: str) -> dict[str, str]:
    """The variables that say where requests to a provider go, as they stand; without secrets."""
    stems = {provider.upper(), provider.partition("_")[0].upper()}
    stems |= {_VARIABLES[provider]} if provider in _VARIABLES else set()
    found = {name: value for name, value in os.environ.items() if _PLACE.search(name) and value}
    begins = tuple(f"{stem}_" for stem in stems) + tuple(f"{stem}AI_" for stem in stems)
    told: dict[str, str] = tellable({n: v for n, v in found.items() if n.startswith(begins)})
    return told


def refused(litellm: Any, provider: Provider, asked: Mapping[str, Any]) -> list[str]:
    """Those of OpenAI's parameters that the provider does not take, or that litellm would drop.

    What is no parameter of OpenAI's goes to the provider as it is, who judges it.
    """
    around = {
        name: asked[name] for name in ("api_version", "allowed_openai_params") if name in asked
    }
    wanted_away = asked.get("additional_drop_params") or ()
    bad = []
    for name in _JUDGED:
        if name in wanted_away or _says_nothing(name, asked.get(name)):
            continue
        one = {name: asked[name], **around}
        if name == "top_logprobs":
            one["logprobs"] = True
        try:
            if _mapped(litellm, provider, one) == _mapped(litellm, provider, around):
                bad.append(name)
        except litellm.exceptions.UnsupportedParamsError:
            bad.append(name)
        except Exception:  # what litellm cannot tell without a request, the request will tell
            continue
    return bad


def _mapped(litellm: Any, provider: Provider, asked: Mapping[str, Any]) -> dict[str, Any]:
    mapped = litellm.utils.get_optional_params(
        model=provider.model, custom_llm_provider=provider.name, drop_params=False, **asked
    )
    return {name: value for name, value in mapped.items() if value not in (None, {})}


def _says_nothing(name: str, value: Any) -> bool:
    """Is it what a request asks anyway?"""
    if value is None or (name == "n" and value == 1) or value is False:
        return True
    return name == "response_format" and isinstance(value, dict) and value.get("type") == "text"


def sees(litellm: Any, provider: Provider) -> bool | None:
    """Does the model take images? None where litellm's list does not say."""
    for name in (f"{provider.name}/{provider.model}", provider.model):
        entry = litellm.model_cost.get(name)
        if entry and entry.get("litellm_provider") == provider.name:
            return bool(entry.get("supports_vision"))
    return None


def price(litellm: Any, provider: Provider, sent: int, made: int) -> float | None:
    """USD for so many tokens sent and made, by the list inside litellm; None: it lists none."""
    try:
        rates = litellm.cost_per_token(
            model=provider.model,
            custom_llm_provider=provider.name,
            prompt_tokens=sent,
            completion_tokens=made,
        )
    except Exception:  # an unlisted model; litellm has no class of its own for it
        return None
    return round(float(sum(rates)), 6)
