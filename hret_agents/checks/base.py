"""What a check is, what it finds, and by which rules of the plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["gate", "flag"]
Scope = Literal["text", "reply", "row", "split"]


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its id: how grave a finding is, what is judged, and what it means."""

    id: str
    severity: Severity
    scope: Scope
    says: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that spoke: which, how grave, where, and a sentence that helps.

    `settled`: of a text that a person has locked, so that no model can mend it.
    """

    check: str
    severity: Severity
    path: str
    message: str
    settled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {
            "check": self.check,
            "severity": self.severity,
            "path": self.path,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the checks of texts go by.

    `choices` are the leaves whose texts must stay different from one another; `register` is the
    plan's (formal, polite, plain), None if any will do; `span` the leaves (context, answer) of an
    answer that stands in its context word for word; `lettered`: the gold is the letter of an option
    that stands in the texts, in no leaf of its own; `ignore` switches checks off, by leaf or for
    all (`*`).
    """

    lang: str
    source_lang: str = "en"
    choices: Sequence[str] = ()
    register: str | None = None
    span: tuple[str, str] | None = None
    lettered: bool = False
    ignore: Mapping[str, Collection[str]] = field(default_factory=dict)

    def ignores(self, check: str, path: str) -> bool:
        """Is a check switched off for a leaf?"""
        return check in self.ignore.get(path, ()) or check in self.ignore.get("*", ())
