"""The snippets of the product's documents, as they stand.

Only addresses, keys, models and datasets are others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.scenario import Machine
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer

QUESTIONS = [
    "대한민국의 수도는 어디입니까?",
    "물의 화학식은 무엇입니까?",
    "1에 1을 더하면 얼마입니까?",
]
KOREAN = [
    {"질문": q, "선택지": ["가", "나", "다", "라"], "정답": letter}
    for q, letter in zip(QUESTIONS, "ACD", strict=True)
]
ENGLISH = [
    {
        "question": f"Which of these words is number {i} in the list?",
        "choices": ["alpha", "beta", "gamma", "delta"],
        "answer": i % 4,
    }
    for i in range(12)
]
FRONT = "---\nlicense: mit\nconfigs:\n- config_name: your_subset\n  data_files:\n"
CARD = FRONT + "  - split: {split}\n    path: rows.jsonl\n---\n"


def put(hub: HubServer, repo: str, rows: Sequence[Mapping[str, object]], split: str) -> None:
    """A dataset on the Hub with the subset "your_subset"."""
    lines = "\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    files = {"README.md": CARD.format(split=split).encode(), "rows.jsonl": lines.encode()}
    hub.put(repo, files)


# --- document 000, §2.2 and §2.3 --------------------------------------------------------------

EVALUATE = """
from llm_eval.evaluator import Evaluator

# 1) Evaluator 인스턴스 생성
evaluator = Evaluator()

# 2) OpenAI-Compatible API를 통한 평가
results = evaluator.run(
    # OpenAI 백엔드 지정
    model="openai",
    
    # OpenAI-Compatible API 파라미터
    model_params={
        "model_name": "text-davinci-003",  # 모델명
        "api_key": "your-api-key-here",
        "api_base": "%(api)s",  # 커스텀 엔드포인트
        "max_tokens": 256,
        "temperature": 0.2
    },
    
    dataset="sample",
    subset=["default"],
    split="test",
    
    evaluation_method="string_match"
)

print(results)
df = results.to_dataframe()
print(df)

# 자체 호스팅된 OpenAI 호환 서버 연결
results = evaluator.run(
    model="openai",
    model_params={
        "model_name": "local-llama-2-13b",  # 로컬 모델명
        "api_base": "%(api)s",  # 로컬 서버 주소
        "api_key": "not-needed",  # 자체 호스팅 서버는 API 키가 필요 없을 수 있음
        "max_tokens": 512
    },
    
    dataset="sample",
    subset=["default"],
    split="test",
    
    evaluation_method="string_match"
)
import json
same = results["metrics"] == results.metrics
json.dump([results.metrics, len(df), same], open("found.json", "w"))
"""


def test_openai_compatible_evaluation(tmp_path: Path, chat: ChatServer) -> None:
    """§2.2 and §2.3 evaluate a port by any OpenAI-compatible server."""
    chat.answer = lambda messages: "생각해 보면, 정답은 (A)입니다."
    machine = Machine(tmp_path)
    machine.ported("--dataset", "sample")
    done = machine.run("-c", EVALUATE % {"api": chat.url})
    assert done.returncode == 0, done.stderr
    metrics, rows, same = json.loads((machine.work / "found.json").read_text("utf-8"))
    assert (metrics["accuracy"], metrics["n"], rows, same) == (0.25, 36, 36, True)
    assert chat.count() == 72
    asked = [r.body for r in chat.requests if isinstance(r.body, dict)]
    assert {body["max_tokens"] for body in asked} == {256, 512}
    assert asked[0]["temperature"] == 0.2


# --- document 000, §3.3 and §5 ----------------------------------------------------------------

PORT = """
from hret_agents.agent import DatasetTranslationAgent
from hret_agents.tools import (
    DatasetDownloader, 
    DatasetTranslator, 
    ModuleGenerator, 
    DatasetPusher
)

# 에이전트 설정
agent = DatasetTranslationAgent(
    openai_api_key="sk-given-here",
    hf_token="hf_tester"
)

# 필요한 도구 추가
agent.add_tool(DatasetDownloader())
agent.add_tool(DatasetTranslator(batch_size=10, max_retries=3))
agent.add_tool(ModuleGenerator())
agent.add_tool(DatasetPusher())

# 데이터셋 처리 실행
result = agent.process_dataset(
    dataset_name="org/QARV",
    subset="your_subset",
    split="train",
    push_to_hub=True
)

print(f"생성된 데이터셋 모듈: {result['module_path']}")
"""

WORKFLOW = """
import os
from llm_eval.evaluator import Evaluator
from hret_agents.agent import DatasetTranslationAgent
from hret_agents.tools import DatasetDownloader, DatasetTranslator, ModuleGenerator

# 1. 환경 설정
os.environ["OPENAI_API_KEY"] = "sk-given-here"
os.environ["HF_TOKEN"] = "hf_tester"

# 2. 데이터셋 준비 (HRET Agent 사용)
agent = DatasetTranslationAgent(
    openai_api_key=os.environ["OPENAI_API_KEY"],
    hf_token=os.environ["HF_TOKEN"]
)

# 필요한 도구 추가
agent.add_tool(DatasetDownloader())
agent.add_tool(DatasetTranslator(batch_size=10, max_retries=3))
agent.add_tool(ModuleGenerator())

# 데이터셋 처리 실행
result = agent.process_dataset(
    dataset_name="org/QARV",
    subset="your_subset",
    split="train"
)

# 3. 모델 평가
evaluator = Evaluator()

results = evaluator.run(
    model="openai",
    model_params={
        "model_name": "gpt-4",
        "api_key": os.environ["OPENAI_API_KEY"],
        "max_tokens": 512
    },
    
    # 생성된 데이터셋 모듈 사용
    dataset="org/QARV",
    subset=["your_subset"],
    split="train",
    
    evaluation_method="string_match"
)

print(results)
print(results.to_dataframe())
import json
json.dump(results.metrics, open("found.json", "w"))
"""


def test_the_agent_ports_and_pushes(tmp_path: Path, hub: HubServer, chat: ChatServer) -> None:
    """§3.3 ports by four tools, pushes, and says where the module is."""
    put(hub, "org/QARV", ENGLISH, "train")
    machine = Machine(tmp_path, hub, token=None, more={"OPENAI_BASE_URL": chat.url})
    done = machine.run("-c", PORT)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip().splitlines()[-1].removeprefix("생성된 데이터셋 모듈: "))
    assert path.is_file()
    assert path.parent.name == "org__QARV__your_subset_ko"
    assert "dataset.py" in hub.files("tester/QARV-your_subset-ko")
    assert 2 <= chat.count() <= 4, "twelve rows, at most ten to a request"


def test_the_whole_workflow(tmp_path: Path, hub: HubServer, chat: ChatServer) -> None:
    """§5 ports a dataset and evaluates a model on it by the dataset's original name."""
    put(hub, "org/QARV", ENGLISH, "train")
    chat.answer = lambda messages: "정답: B"
    machine = Machine(tmp_path, hub, token=None, more={"OPENAI_BASE_URL": chat.url})
    done = machine.run("-c", WORKFLOW)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((machine.work / "found.json").read_text("utf-8"))
    assert (metrics["accuracy"], metrics["n"]) == (0.25, 12)


# --- document 000, §4.2: a module written by hand ---------------------------------------------

MODULE = '''
# 자동 생성된 데이터셋 모듈 예시
from llm_eval.dataset.base import BaseDataset
from datasets import load_dataset
import re

class QARVDataset(BaseDataset):
    def __init__(self, subset="your_subset", split="train"):
        """
        QARV 데이터셋 초기화
        
        Args:
            subset (str): 사용할 서브셋
            split (str): 데이터 분할(train, validation, test)
        """
        self.subset = subset
        self.split = split
        self._load_data()
    
    def _load_data(self):
        """데이터셋 로드 및 전처리"""
        dataset = load_dataset("HAERAE-HUB/QARV", self.subset)
        self.data = dataset[self.split]
    
    def get_prompt(self, index):
        """
        특정 인덱스의 프롬프트 생성
        
        Args:
            index (int): 데이터 인덱스
            
        Returns:
            str: 포맷팅된 프롬프트
        """
        example = self.data[index]
        prompt = f"질문: {example['질문']}\\n\\n"
        prompt += f"다음 중 올바른 답을 선택하세요:\\n"
        
        for i, option in enumerate(example['선택지']):
            prompt += f"{chr(65+i)}. {option}\\n"
        
        return prompt
    
    def evaluate_prediction(self, index, prediction):
        """
        예측 결과 평가
        
        Args:
            index (int): 데이터 인덱스
            prediction (str): 모델의 예측 결과
            
        Returns:
            tuple: (정답 여부, 점수)
        """
        example = self.data[index]
        correct_answer = example['정답']
        
        # 예측에서 A, B, C, D 등의 답안 추출
        pattern = r'([A-D])'
        matches = re.findall(pattern, prediction)
        
        if not matches:
            return False, 0
        
        predicted_answer = matches[0]
        is_correct = (predicted_answer == correct_answer)
        
        return is_correct, 1 if is_correct else 0
'''
BY = {
    "registration": (
        "from qarv import QARVDataset\n"
        "from llm_eval.datasets import register_dataset\n"
        "register_dataset('my_qarv')(QARVDataset)\n"
        "dataset = 'my_qarv'\n"
    ),
    "class": "from qarv import QARVDataset as dataset\n",
    "path": "dataset = 'qarv.py'\n",
}
RUN = """
import json, sys
sys.path.insert(0, ".")
{name}
from llm_eval.evaluator import Evaluator
asked = []
def model(prompt):
    asked.append(prompt)
    return "A"
more = [Evaluator().run(model, dataset, subset=s, split="train", evaluation_method=m).metrics
        for s, m in ((None, None), (["your_subset"], "string_match"))]
json.dump([more, asked], open("found.json", "w"))
"""


@pytest.mark.parametrize("by", BY)
def test_a_module_by_hand_evaluates(by: str, tmp_path: Path, hub: HubServer) -> None:
    """The class of §4.2 evaluates by registration, by class, and by the path to its file."""
    put(hub, "HAERAE-HUB/QARV", KOREAN, "train")
    machine = Machine(tmp_path, hub)
    (machine.work / "qarv.py").write_text(MODULE, "utf-8")
    done = machine.run("-c", RUN.format(name=BY[by]))
    assert done.returncode == 0, done.stderr
    both, asked = json.loads((machine.work / "found.json").read_text("utf-8"))
    assert [m["accuracy"] for m in both] == [pytest.approx(1 / 3)] * 2
    assert [m["n"] for m in both] == [3, 3]
    assert asked[0] == (
        f"질문: {QUESTIONS[0]}\n\n다음 중 올바른 답을 선택하세요:\nA. 가\nB. 나\nC. 다\nD. 라\n"
    )


# --- document 000, §3.2 and §3.3: the shell ---------------------------------------------------


def test_keys_come_from_config_py(tmp_path: Path, hub: HubServer) -> None:
    """§3.2: `config/config.py` holds keys and settings, and `src/main.py` ports with them."""
    put(hub, "org/QARV", ENGLISH, "train")
    with ChatServer(key="sk-from-config") as chat:
        machine = Machine(tmp_path, hub, token=None, more={"OPENAI_BASE_URL": chat.url})
        config = machine.work / "config" / "config.py"
        config.parent.mkdir()
        config.write_text(
            'OPENAI_API_KEY = "sk-from-config"\n'
            'HF_TOKEN = "hf_tester"\n'
            "BATCH_SIZE = 4  # 번역 배치 크기\n"
            "MAX_RETRIES = 3  # 오류 시 재시도 횟수\n",
            "utf-8",
        )
        arguments = (
            "--dataset",
            "org/QARV",
            "--subset",
            "your_subset",
            "--split",
            "train",
            "--push",
        )
        result = machine.ported(*arguments)
        assert result["rows"]["passed"] == 12
        assert chat.count() == 3, "twelve rows, four to a request"
    assert result["url"].startswith(hub.url)
