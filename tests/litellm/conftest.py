"""The real litellm against servers on loopback. It has an environment of its own: `make
test-litellm`; elsewhere this folder is skipped, for litellm wants an older client of the Hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from llm_eval.secret import is_secret
from tests.fakes.anthropic import AnthropicServer
from tests.fakes.azure import AzureServer
from tests.fakes.cohere import CohereServer
from tests.litellm.asking import KEY

WHY = "litellm is not installed here: `make test-litellm` runs these"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, where litellm is not."""
    if find_spec("litellm") is None:
        for item in items:
            if item.path.parent.name == "litellm":
                item.add_marker(pytest.mark.skip(reason=WHY))


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the developer's keys, and no address of a provider."""
    for name in list(os.environ):
        if is_secret(name) or name.endswith(("_API_BASE", "_BASE_URL", "_API_VERSION")):
            monkeypatch.delenv(name)


@pytest.fixture
def anthropic() -> Iterator[AnthropicServer]:
    """Anthropic."""
    with AnthropicServer(KEY) as server:
        yield server


@pytest.fixture
def azure() -> Iterator[AzureServer]:
    """Azure, with one deployment."""
    with AzureServer(KEY, models=("ours",)) as server:
        yield server


@pytest.fixture
def cohere() -> Iterator[CohereServer]:
    """Cohere."""
    with CohereServer(KEY) as server:
        yield server
