"""The parameters of a chat request, to a server that may refuse some of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from hret_agents.money import CostLimit
from llm_eval.errors import BackendError
from llm_eval.models.openai_wire import LIMITS, is_about

_AT_MOST = re.compile(r"at most (\d+)")


class RequestParams:
    """What goes along with each request: what the server refused is left out, or sent otherwise.

    Args:
        optional: parameters that a request can do without.

    Attributes:
        optional: those of them that the server was not seen to refuse.
    """

    def __init__(self, optional: Mapping[str, Any]) -> None:
        self.optional = dict(optional)
        self._limits, self._longest = list(LIMITS), math.inf

    def limit(self, tokens: int) -> tuple[str, int]:
        """A reply's limit: the name that the server takes, and no more tokens than it takes."""
        return self._limits[0], int(min(tokens, self._longest))

    def adapted(self, error: BackendError, sent: Mapping[str, Any]) -> bool:
        """Will the next request do without what this error refused among the parameters `sent`?

        The limit is the last of them: what else may be meant is left out first.

        Raises:
            CostLimit: the server takes no limit, so that no budget can be kept.
        """
        refused = [name for name in sent if is_about(error, name)]
        for name in refused:
            self.optional.pop(name, None)
        if refused and refused[0] in LIMITS:
            self._limit_refused(refused[0], sent[refused[0]], error)
        return bool(refused)

    def _limit_refused(self, name: str, tokens: int, error: BackendError) -> None:
        most = _AT_MOST.search(error.message)
        if most and int(most[1]) < tokens:
            self._longest = int(most[1])
        elif len(self._limits) > 1 or name != self._limits[0]:
            self._limits = [n for n in self._limits if n != name]
        else:
            raise CostLimit(
                "the server takes no limit on a reply's length, so --max-cost cannot be kept: "
                f"{error.message}",
                hint="leave --max-cost out",
            )
