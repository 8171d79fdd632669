"""Keys that cannot be printed."""

from __future__ import annotations

from typing import Any


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
        """`text` with the key, should it occur, blacked out."""
        return text.replace(self._text, "***") if self._text else text

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
