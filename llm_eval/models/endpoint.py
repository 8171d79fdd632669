"""An address that requests go to: what it may hold, and what may be told of it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import getproxies, proxy_bypass

from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.secret import Secret, is_secret, parted, scrubbed, secret, secrets_in

DEFAULT_BASE = "https://api.openai.com/v1"
_LEAST = {"concurrency": 1, "max_retries": 0}  # the least of whole numbers; others are above 0
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # of a header (RFC 9110)
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")  # in its value


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go. `timeout` is in seconds, for one whole request.

    `concurrency` fixes how many are under way; `rpm` and `tpm` cap requests and tokens a minute.
    `headers` go with every request, and may hold what nobody is to see; so may the query of the
    address, which is parted from `base_url`. `hidden` are further texts to take out of errors.
    """

    base_url: str = DEFAULT_BASE
    api_key: Secret | None = None
    timeout: float = 600.0
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    max_retries: int = 3
    backoff: float = 0.5
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: str = field(default="", repr=False)
    hidden: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        base, query = parted(self.base_url)
        object.__setattr__(self, "base_url", base)
        object.__setattr__(self, "query", query or self.query)
        for name in ("timeout", "concurrency", "rpm", "tpm", "max_retries"):
            _check_number(name, getattr(self, name))
        for name, value in self.headers:
            if not _NAME.fullmatch(name) or _UNSENDABLE.search(value):
                raise UserError(
                    f"the header {name!r} holds a character that no header may",
                    hint="is it pasted whole, without the end of its line?",
                )
        if self.api_key and not re.fullmatch(r"[!-~]+", self.api_key.reveal()):
            raise UserError(
                "the API key holds a character that no key has", hint="is it pasted whole?"
            )
        if re.search(r"//[^/]*@", self.base_url):
            raise UserError(
                "api_base holds a user or a password: http://...@...",
                hint="pass the key by api_key (--api-key), not in the address",
            )
        if not _is_address(self.base_url):
            raise UserError(
                f"api_base {self.base_url!r} is no address",
                hint="it begins with http:// or https:// and mostly ends in /v1",
            )

    def url(self, path: str) -> str:
        """Where a path lies, with the query that goes with every request."""
        whole = self.base_url.rstrip("/") + path
        return f"{whole}?{self.query}" if self.query else whole

    @property
    def query_params(self) -> dict[str, str]:
        """The query by name, for clients that want it so."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def proxy(self) -> str | None:
        """The proxy that the environment names for this address; None for none.

        Raises:
            UserError: it is no HTTP proxy.
        """
        parts = urlsplit(self.base_url)
        if proxy_bypass(parts.netloc):
            return None
        named = getproxies()
        found = named.get(parts.scheme) or named.get("all") or ""
        if found and "://" not in found:
            found = f"http://{found}"
        if found and not found.lower().startswith(("http://", "https://")):
            raise UserError(
                f"the environment names a proxy that is none of HTTP: {urlsplit(found).scheme}://",
                hint=f"set {parts.scheme}_proxy to one of HTTP, or no_proxy={parts.hostname} "
                "to do without",
            )
        return found or None

    def scrubbed(self, text: str) -> str:
        """`text` without the key, what stands in headers and query, and what else is hidden."""
        found = set(self.hidden) | secrets_in(f"http://h/?{self.query}")
        found |= {value for _, value in self.headers} | secrets_in({"headers": dict(self.headers)})
        if self.api_key:
            found.add(self.api_key.reveal())
        return scrubbed(text, found)


def endpoint_of(
    *,
    api_base: str | None = None,
    api_key: str | Secret | None = None,
    concurrency: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    max_retries: int | None = None,
    timeout: float = 600.0,
    extra_headers: Mapping[str, str] | None = None,
) -> Endpoint:
    """Where to send, from arguments first and the settings after them.

    Without a key, OpenAI's own address is refused; a server of one's own may need none.
    """
    found = settings.load()
    base = api_base or found.openai_base_url or DEFAULT_BASE
    key = secret(api_key) or found.openai_api_key
    if key is None and base == DEFAULT_BASE:
        raise UserError(
            "no API key for OpenAI",
            hint="set OPENAI_API_KEY, pass api_key, or name your own server by api_base "
            "(of a command line: in --model-params)",
            caller_only=True,
        )
    return Endpoint(
        base_url=base,
        api_key=key,
        timeout=timeout,
        concurrency=concurrency,
        rpm=rpm,
        tpm=tpm,
        max_retries=found.max_retries if max_retries is None else max_retries,
        headers=tuple((k, str(v)) for k, v in by_name("extra_headers", extra_headers).items()),
    )


def by_name(what: str, given: Any) -> dict[str, Any]:
    """A parameter of the backend that holds others by their names.

    Raises:
        UserError: it does not.
    """
    if isinstance(given, Mapping) and all(isinstance(name, str) for name in given):
        return dict(given)
    if given is None:
        return {}
    raise UserError(f"{what} is no mapping of names to values", hint='e.g. {"name": "value"}')


def hashed(**pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A hash of each group of headers or of a query, by `NAME_sha256`: they may choose the model.

    What is secret by its name is no part of it; a group without anything else is left out.
    """
    found = {}
    for group, told in pairs.items():
        bare = [(name.lower(), value) for name, value in told]
        if kept := sorted(pair for pair in bare if not is_secret(*pair)):
            found[f"{group}_sha256"] = hashlib.sha256(json.dumps(kept).encode()).hexdigest()
    return found


def _check_number(name: str, value: Any) -> None:
    """Raise a `UserError` where a number of an endpoint is none, or one that it cannot be."""
    if value is None and name not in ("timeout", "max_retries"):
        return
    if (least := _LEAST.get(name)) is None:
        good, what = isinstance(value, int | float) and 0 < value < math.inf, "a number above 0"
    else:
        good, what = isinstance(value, int) and value >= least, f"a whole number from {least}"
    if not good or isinstance(value, bool):
        raise UserError(f"{name} {value!r} is not {what}", hint="leave it out for the default")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return text.startswith(("http://", "https://")) and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets that are not closed, or a port that is no number
        return False
