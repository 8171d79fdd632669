"""Programs that tests can judge: which leaf holds the program, and which ones what judges it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hret_agents.plan.look import FITS, Look, share_of
from hret_agents.plan.programs import is_python
from hret_agents.plan.records import LeafPath, Role
from hret_agents.plan.schema import Leaf
from llm_eval.evaluation.programs import judges_nothing

_SOLUTIONS = re.compile(
    r"^(canonical_solution|(reference|gold|correct)_(solution|code|program|answer)|solution|code|"
    r"answer|reference|program|completion)$",
    re.I,
)
_TESTS = re.compile(
    r"^(tests?|test_(code|list|cases?|setup_code|imports?|setup)|unit_tests?)$", re.I
)
_SETUP = re.compile(r"setup|import", re.I)
_TEST = re.compile(r"\bassert\b|\bunittest\b|\bdef (check|test)")


class Tested(NamedTuple):
    """A program, its tests in the order in which they run, and the name they call it by."""

    solution: LeafPath
    tests: list[LeafPath]
    entry_point: LeafPath | None


def find_tested(
    leaves: Sequence[Leaf], looks: Mapping[LeafPath, Look], roles: Mapping[LeafPath, Role]
) -> Tested | None:
    """The program and its tests, which are Python, hold an assertion, and run when executed."""
    code = [leaf for leaf in leaves if roles[leaf.path] is Role.code]
    tests = [leaf for leaf in code if _TESTS.match(leaf.name)]
    solution = next(
        (x for x in code if _SOLUTIONS.match(x.name) and x not in tests and not x.listed), None
    )
    asserting = [x for x in tests if looks[x.path].share(_TEST) >= FITS]
    asserting = [x for x in asserting if is_python(looks[x.path])]
    if solution is None or not asserting or looks[solution.path].json:
        return None
    if not is_python(looks[solution.path]):
        return None
    if all(share_of(looks[x.path].texts, judges_nothing) > 1 - FITS for x in asserting):
        return None
    tests = [x for x in tests if x in asserting or _SETUP.search(x.name)]
    tests.sort(key=lambda x: _SETUP.search(x.name) is None)  # what is set up comes first
    entry = next((x.path for x in code if x.name.lower() in ("entry_point", "fn_name")), None)
    return Tested(solution.path, [x.path for x in tests], entry)
