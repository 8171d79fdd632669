"""A port whose translator is an engine of vLLM in the port's own process."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.scenario import Machine, rows_of
from tests.fakes.tiny_lm import make
from tests.vllm.conftest import ENGINE


def test_a_random_model_fails_every_row_by_name(tmp_path: Path) -> None:
    """Its replies have the shape that was asked for and nothing in them that passes a check: no
    source text stands in a translation's place, and the status says so."""
    folder = make(tmp_path / "talker", chat=True, context=4096)
    machine = Machine(tmp_path, more={"VLLM_ENABLE_V1_MULTIPROCESSING": "0"})
    params = json.dumps({**ENGINE, "max_model_len": 2048, "max_tokens": 200})
    result = machine.ported(
        *("--dataset", "sample", "--model", f"vllm:{folder}", "--model-params", params),
        *("--limit", "3", "--max-retries", "1"),
        status=1,
    )
    assert (result["rows"]["passed"], result["rows"]["failed"]) == (0, 3)
    assert result["module_path"] is None
    assert result["usage"]["requests"] > 0
    failed = rows_of(Path(result["failed_path"]))
    assert [f["row"] for f in failed] == [0, 1, 2]
    assert all(f["error"]["kind"] and f["error"]["message"] for f in failed)
