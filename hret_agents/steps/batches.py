"""A port that was begun by batches is not gone on with live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hret_agents.plan.glossary import Glossary
from hret_agents.steps.state import Port
from hret_agents.translate.base import Ask, Translator
from hret_agents.translate.batch import name_of
from hret_agents.translate.batch_store import BatchStore
from hret_agents.translate.chat import ChatTranslator
from hret_agents.translate.memory import unit_key
from hret_agents.translate.units import unit_of
from hret_agents.translators import BATCHES
from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.models.transport import Transport


def not_in_batches(port: Port, translator: Translator, rows: Iterable[Mapping[str, Any]]) -> None:
    """What lies in a batch at the server is paid for: it must not be asked for live as well.

    Raises:
        UserError: some of `rows`, which are a sample of the port's, lie in one.
    """
    path = settings.home() / BATCHES
    if port.job.batch or not isinstance(translator, ChatTranslator) or not path.is_file():
        return
    if not isinstance(translator.transport, Transport):
        return  # a backend in this process knows no batches
    glossary = Glossary(port.plan.glossary)
    names = []
    for row in rows:
        unit, _ = unit_of(row, port.plan)
        terms = glossary.occurring(unit.texts)
        ask = Ask(unit, unit_key(unit, translator.policy, terms), terms=terms)
        names.append(name_of(ask, translator.policy))
    store = BatchStore(path)
    try:
        found = store.places(translator.transport.endpoint.base_url.rstrip("/"), names)
    finally:
        store.close()
    if found:
        raise UserError(
            "rows of this port lie in a batch at the server: asking again would pay for them twice",
            hint="run the same command with --batch, which reads them",
        )
