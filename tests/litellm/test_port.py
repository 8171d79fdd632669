"""A port whose translator is reached through litellm: the same port as by the server itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hret_agents.job import PortJob, PortResult
from hret_agents.port import port_dataset
from llm_eval.secret import Secret
from tests.e2e.scenario import back
from tests.fakes.chat import ChatServer
from tests.litellm.asking import KEY

ROWS = [
    {"question": f"What comes after {i}?", "choices": ["one", "two", "three"], "answer": i % 3}
    for i in range(30)
]


def ported(model: str, server: str, **more: Any) -> PortResult:
    """A port of `ROWS`, in a folder of its own."""
    source = Path("quiz")
    source.mkdir(exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (source / "test.jsonl").write_text(lines, "utf-8")
    output = Path(model.replace("/", "-").replace(":", "-"))
    job = PortJob(
        dataset="quiz", model=model, api_base=server, api_key=Secret(KEY), output_dir=output, **more
    )
    return port_dataset(job)


def data_of(result: PortResult) -> list[dict[str, Any]]:
    """The rows of a port."""
    import pyarrow.parquet as pq

    (file,) = Path(result.path).glob("data/*/test-*.parquet")
    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def test_every_row_is_as_by_the_server_itself(chat: ChatServer) -> None:
    """All rows pass, each is its own translation, and run again nothing is asked."""
    by_litellm = ported("litellm:openai/m", chat.url)
    assert (by_litellm.rows["passed"], by_litellm.rows["failed"]) == (30, 0)
    assert data_of(by_litellm) == data_of(ported("openai:m", chat.url))
    questions = [next(iter(row.values())) for row in data_of(by_litellm)]
    assert [back(q) for q in questions] == [row["question"] for row in ROWS]

    asked = len(chat.requests)
    again = ported("litellm:openai/m", chat.url, public=True)
    assert again.rows["from_memory"] == 30
    assert chat.count() == asked - sum(r.path == "/v1/models" for r in chat.requests[:asked])
    assert all(KEY not in p.read_text("utf-8", "ignore") for p in Path().rglob("*") if p.is_file())
