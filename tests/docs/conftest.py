"""What the pages' tests share: a tiny model, made once, in place of those that the pages name."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """As every test's; a tiny model gains nothing from a second thread, and waits for it."""
    return environment | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model; its context has room for the questions of the sample."""
    for package in ("torch", "transformers", "PIL"):
        pytest.importorskip(package, reason=f"{package} is not installed: the extra 'hf' brings it")
    import torch

    from tests.fakes.tiny_lm import make

    torch.set_num_threads(1)
    return make(tmp_path_factory.mktemp("small"), chat=True, context=1024)
