"""Document 000, §1.2, §1.3 and §5, as they stand: addresses, keys and datasets alone are others."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.scenario import Machine
from tests.fakes.anthropic import AnthropicServer
from tests.fakes.chat import ChatServer
from tests.litellm.asking import KEY

EVALUATE = """
from llm_eval.evaluator import Evaluator

# 1) Evaluator 인스턴스 생성
evaluator = Evaluator()

# 2) LiteLLM을 통한 모델 평가
results = evaluator.run(
    # LiteLLM 백엔드 지정
    model="litellm",
    
    # LiteLLM 파라미터 설정
    model_params={
        "model_name": "gpt-4", # OpenAI 모델명
        # 혹은 "anthropic/claude-3-opus-20240229"와 같이 다른 제공업체 모델
        "api_key": "%(key)s",
        "max_tokens": 512,
        "temperature": 0.7
    },
    
    dataset="sample",
    subset=["default"],
    split="test",
    
    evaluation_method="string_match"
)

print(results)
df = results.to_dataframe()
print(df)
gpt, rows = results.metrics, len(df)

import os

results = evaluator.run(
    model="litellm",
    model_params={
        "model_name": "anthropic/claude-3-opus-20240229",
        "api_key": os.environ["ANTHROPIC_API_KEY"],
        "max_tokens": 512
    },
    
    # 생성된 데이터셋 모듈 사용
    dataset="sample",
    subset=["default"],
    split="test",
    
    evaluation_method="string_match"
)

print(results)
print(results.to_dataframe())
import json
json.dump([gpt, rows, results.metrics, results.info], open("found.json", "w"))
"""


def test_litellm_evaluates_a_port(
    tmp_path: Path, chat: ChatServer, anthropic: AnthropicServer
) -> None:
    """§1.2 and §5: OpenAI's and Anthropic's models judge one port, by strings of LiteLLM."""
    chat.answer = lambda messages: "생각해 보면, 정답은 (A)입니다."
    anthropic.answer = lambda text: "정답은 (A)입니다."
    around = {
        "OPENAI_BASE_URL": chat.url,
        "ANTHROPIC_API_BASE": anthropic.url,
        "ANTHROPIC_API_KEY": KEY,
    }
    machine = Machine(tmp_path, more=around)
    machine.ported("--dataset", "sample")
    done = machine.run("-c", EVALUATE % {"key": KEY})
    assert done.returncode == 0, done.stderr
    found = (machine.work / "found.json").read_text("utf-8")
    gpt, rows, claude, info = json.loads(found)
    assert (gpt["accuracy"], gpt["n"], rows) == (0.25, 36, 36)
    assert (claude["accuracy"], claude["n"]) == (0.25, 36)
    assert info["model"] == "litellm:anthropic/claude-3-opus-20240229"
    assert (chat.count(), len(anthropic.requests)) == (36, 36)
    assert {r.body["temperature"] for r in chat.requests} == {0.7}
    told = "".join(
        path.read_text("utf-8", "replace")
        for path in tmp_path.rglob("*")
        if path.is_file() and path.suffix in (".json", ".jsonl", ".md", ".yaml", ".py")
    )
    assert KEY not in told + done.stdout + done.stderr
