"""Keys that cannot be printed, and parameters told without those that stand among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

SHORTEST = 4  # characters of a text that is taken out of messages
_NAMED = re.compile(  # Portkey, a gateway, has its name in that of each of its headers
    r"(?<!x-port)key(?!word|board)|token(?!iz)|secret|auth(?!or(?!i[sz]))|password|passwd|cookie|credential",
    re.IGNORECASE,
)
_HEADERS = re.compile(r"headers?$", re.IGNORECASE)
_MARKS = re.compile(r"(bos|eos|pad|unk|sep|cls|mask|stop)_tokens?", re.IGNORECASE)  # of templates
_SCHEMAS = ("response_format", "structured_outputs", "guided_json", "json_schema", "tools")
_ADDRESS = re.compile(r"(\w+://[^\s?#]*)([?#]\S*)?")


class Secret:
    """A key. Its text comes out by `reveal()` alone, called where a header is built.

    >>> f"{Secret('sk-1')!r} {Secret('sk-1')}"
    "'***' ***"
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key itself."""
        return self._text

    def scrub(self, text: str) -> str:
        """`text` with the key, should it occur, blacked out.

        Of fewer than 8 characters it is a stand-in ("test", "EMPTY"), and a word of other texts.
        """
        return text.replace(self._text, "***") if len(self._text) >= 8 else text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not pickled: pass the setting's name instead")


def secret(value: str | Secret | None) -> Secret | None:
    """`value` as a `Secret`; None and empty stay None."""
    if isinstance(value, Secret):
        return value or None
    return Secret(value) if value else None


def is_secret(name: str, value: Any = "") -> bool:
    """Is `value`, called so, nothing that others may see? Headers are not; numbers are.

    >>> [is_secret(n) for n in ("apiKey", "x-api-key", "AWS_ACCESS_KEY_ID", "X-Foo-Auth")]
    [True, True, True, True]
    >>> [is_secret(n) for n in ("tokenizer", "author", "eos_token")], is_secret("tokens", 5)
    ([False, False, False], False)
    >>> [is_secret(n) for n in ("x-portkey-api-key", "portkey", "x-portkey-provider")]
    [True, True, False]
    """
    if isinstance(value, Secret):
        return True
    if value is None or _all_numbers(value):
        return False
    if _HEADERS.search(name):
        return True
    return bool(_NAMED.search(name)) and not _MARKS.fullmatch(name)


def _all_numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(v, bool | int | float) for v in value)
    return isinstance(value, bool | int | float)


def tellable(value: Any) -> Any:
    """`value` JSON-ready and without secrets, at any depth.

    What `is_secret` is left out, and so are the user, the password and the query of an address.
    The schema of a reply stays whole: the names in it are its own.
    """
    if isinstance(value, Mapping):
        kept = {str(k): v for k, v in value.items() if not is_secret(str(k), v)}
        return {k: _plain(v) if k in _SCHEMAS else tellable(v) for k, v in kept.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(tellable, value), key=repr)
    if isinstance(value, list | tuple):
        return [tellable(v) for v in value]
    if isinstance(value, str):
        whole = _ADDRESS.fullmatch(value.strip())
        return re.sub(r"//[^/@\s]*@", "//", whole[1] if whole else value)
    return _plain(value)


def _plain(value: Any) -> Any:
    """`value` JSON-ready, with all that is in it; what is no JSON is told by its name."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    schema = getattr(value, "model_json_schema", None)  # response_format takes pydantic classes
    if callable(schema):
        return _plain(schema())
    return f"<{getattr(value, '__name__', type(value).__name__)}>"


def secrets_in(value: Any, name: str = "") -> set[str]:
    """The texts that `tellable` leaves out of `value`."""
    if isinstance(value, str | Secret) and is_secret(name, value):
        return _ways_to_write(value.reveal() if isinstance(value, Secret) else value)
    if isinstance(value, Mapping):
        hidden = bool(name) and is_secret(name, value)
        shown = {k: v for k, v in value.items() if hidden or k not in _SCHEMAS}
        inner = (secrets_in(v, name if hidden else str(k)) for k, v in shown.items())
        return set().union(*inner)
    if isinstance(value, list | tuple | set | frozenset):
        return set().union(*(secrets_in(v, name) for v in value))
    whole = _ADDRESS.fullmatch(value.strip()) if isinstance(value, str) else None
    return _of_query(whole[2] or "") if whole else set()


def _of_query(query: str) -> set[str]:
    values = (part.partition("=")[2] for part in re.split(r"[?#&]", query))
    return set().union(*(_ways_to_write(v) | _ways_to_write(unquote_plus(v)) for v in values))


def _ways_to_write(text: str) -> set[str]:
    """A secret by itself, and without the word before it: `Bearer sk-1`."""
    return {t for t in (text, text.rpartition(" ")[2]) if len(t) >= SHORTEST}


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret blacked out, the longest first."""
    for one in sorted(secrets, key=len, reverse=True):
        text = text.replace(one, "***") if one else text
    return text


def parted(address: str) -> tuple[str, str]:
    """(address, query) of an address; a fragment is dropped.

    >>> parted("http://h/v1?api-key=k#f")
    ('http://h/v1', 'api-key=k')
    """
    base, _, query = address.partition("#")[0].partition("?")
    return base, query
