"""A process of its own that asks every provider: it reaches for nobody else, and is quiet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fakes.anthropic import AnthropicServer
from tests.fakes.azure import AzureServer
from tests.fakes.chat import ChatServer
from tests.fakes.cohere import CohereServer
from tests.litellm.asking import KEY, MODELS

ASK = """
import json, socket, sys

reached, connect, look_up = set(), socket.socket.connect, socket.getaddrinfo

def connected(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        reached.add(str(address[0]))
    return connect(self, address)

def looked_up(host, *args, **kwargs):
    reached.add(host.decode() if isinstance(host, bytes) else str(host))
    return look_up(host, *args, **kwargs)

socket.socket.connect, socket.getaddrinfo = connected, looked_up

from llm_eval.models import load_model

made = load_model("litellm", model_name="gpt-4", api_key="unused-key-000")
assert "litellm" not in sys.modules, "making a backend loads litellm"
said = []
for params in json.loads(sys.argv[1]):
    model = load_model("litellm", max_retries=0, **params)
    said += [item["prediction"] for item in model.generate_batch([{"input": "a"}, {"input": "b"}])]
    model.cost(model.usage)
import litellm
assert litellm.num_retries is None
json.dump({"said": said, "reached": sorted(reached)}, open("found.json", "w"))
"""


def test_only_the_servers_asked_are_reached(
    work: Path,
    environment: dict[str, str],
    anthropic: AnthropicServer,
    azure: AzureServer,
    cohere: CohereServer,
    chat: ChatServer,
) -> None:
    """No list of prices, no headers, no tokenizer from elsewhere; not a word on the terminal,
    though the backends were not even closed."""
    bases = {
        "anthropic": anthropic.url,
        "azure": azure.url,
        "cohere": f"{cohere.url}/v2/chat",
        "openai": chat.url,
    }
    asked = [
        {"model_name": MODELS[name], "api_base": base, "api_key": KEY, "max_tokens": 9}
        for name, base in bases.items()
    ]
    asked[1]["api_version"] = "2024-10-21"
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(asked)],
        env={k: v for k, v in environment.items() if not k.startswith("LITELLM")},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = json.loads((work / "found.json").read_text("utf-8"))
    chatted = chat.answer([])
    assert found["said"] == ["reply to a", "reply to b"] * 3 + [chatted] * 2
    assert set(found["reached"]) == {"127.0.0.1"}
    assert KEY not in str(os.listdir(work))
