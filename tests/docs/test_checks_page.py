"""The page of checks is the table of checks, in both languages."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from hret_agents.checks import CHECKS
from hret_agents.plan.records import IGNORABLE, STRUCTURAL
from tests.conftest import ROOT

PAGES = ("docs/checks.md", "docs/checks.ko.md")
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def sections(page: str) -> list[dict[str, str]]:
    """What each section's table says of its checks, by id; without the text before the first."""
    parts = re.split(r"^## .+$", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE)
    return [dict(ROW.findall(part)) for part in parts[1:]]


@pytest.mark.parametrize("page", PAGES)
def test_the_page_holds_every_check(page: str) -> None:
    """Each check stands once, in the section of its severity and of what it judges."""
    *gates, flags = sections(page)
    shown = {
        name: ("gate", scope)
        for scope, section in zip(("text", "reply", "row", "split"), gates, strict=True)
        for name in section
    }
    assert shown == {n: ("gate", c.scope) for n, c in CHECKS.items() if c.severity == "gate"}
    assert set(flags) == {n for n, c in CHECKS.items() if c.severity == "flag"}
    assert sum(map(len, gates)) + len(flags) == len(CHECKS)


def test_what_can_be_switched_off_is_what_the_page_says() -> None:
    """Gates on texts and flags can be; what judges replies, rows and splits cannot."""
    *gates, flags = sections(PAGES[0])
    texts, *structure = gates
    assert {*texts, *flags} == set(IGNORABLE)
    assert {name for section in structure for name in section} == set(STRUCTURAL)


def test_both_pages_show_the_same_examples() -> None:
    """What stands in code marks is alike, check by check, and so is the order."""
    english, korean = map(sections, PAGES)
    for ours, theirs in zip(english, korean, strict=True):
        assert list(ours) == list(theirs)
        for name in ours:
            shown, other = (Counter(re.findall(r"`[^`]+`", s[name])) for s in (ours, theirs))
            assert shown == other, name
