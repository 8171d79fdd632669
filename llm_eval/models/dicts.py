"""Calling what takes a list of dicts and gives one back: haerae-evaluation-toolkit's way.

Such a call may write into the dicts it was given, copy them, or make new ones; some give them back
in another order. What belongs to what is settled here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llm_eval.errors import BackendError, RunError, UserError

Item = dict[str, Any]
PLACE = "_place"  # an item's place in its batch; a result that carries it is known by it


def each(
    call: Callable[[list[Item]], Any], items: Sequence[Mapping[str, Any]], name: str, adds: str
) -> list[Item | RunError]:
    """What `call` says of each item, in their order, or the error that stands for it.

    `name` is the call's, for messages; `adds` is the key that it fills in. Where the call raises,
    the items it had filled in by then are taken, and the others are given to it once more, one by
    one: a bad one costs itself alone. A `UserError` is raised.
    """
    given = [{**item, PLACE: i} for i, item in enumerate(items)]
    try:
        return _matched(call(given), items, name)
    except UserError:
        raise
    except Exception as e:  # foreign code may raise anything; it is its samples' loss
        if len(items) == 1:
            return [_error(e, name)]
    found: list[Item | RunError] = []
    placed = _placed(given)  # which the call may have put in another order, or into other dicts
    for i, before in enumerate(items):
        now = placed.get(i, {})
        filled = adds not in before and now.get(adds) is not None
        found += [_bare(now)] if filled else each(call, [before], name, adds)
    return found


def _placed(told: Sequence[Any]) -> dict[int, Item]:
    """Those that carry a place which no other does, by it."""
    marked = [t for t in told if isinstance(t, Mapping) and type(t.get(PLACE)) is int]
    counts = Counter(t[PLACE] for t in marked)
    return {t[PLACE]: dict(t) for t in marked if counts[t[PLACE]] == 1}


def _error(error: Exception, name: str) -> RunError:
    if isinstance(error, RunError):
        return error
    return BackendError(f"{name} raised {type(error).__name__}: {error}", kind="bad_request")


def _matched(told: Any, items: Sequence[Mapping[str, Any]], name: str) -> list[Item | RunError]:
    """The results by their place, else by their `input` where that tells, else as they stand."""
    if not isinstance(told, list | tuple) or not all(isinstance(t, Mapping) for t in told):
        return [_malformed(f"{name} gave no list of dicts")] * len(items)
    results = [dict(t) for t in told]
    if any(PLACE in r for r in results):
        by_place = _placed(results)
        lost = _malformed(f"{name} gave nothing back for this sample")
        return [_bare(by_place[i]) if i in by_place else lost for i in range(len(items))]
    if len(results) != len(items):
        said = f"{name} gave {len(results)} results for {len(items)} samples"
        return [_malformed(said)] * len(items)
    by_input = {repr(r.get("input")): r for r in results}
    wanted = [repr(item.get("input")) for item in items]
    if len(by_input) == len(items) and set(by_input) == set(wanted):
        results = [by_input[w] for w in wanted]
    return [_bare(r) for r in results]


def _bare(item: Item) -> Item:
    return {k: v for k, v in item.items() if k != PLACE}


def _malformed(said: str) -> RunError:
    return BackendError(said, kind="malformed")
