"""What is pushed: a port that a second machine can use as its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.e2e.publishing import (
    REPO,
    TITLE,
    card_of,
    folder_of,
    ported,
    push,
    pushed,
    refused,
    rows,
    titles,
    tree,
)
from tests.e2e.scenario import Machine
from tests.fakes.chat import ChatServer
from tests.fakes.chat_module import GOOD, fenced, scripted
from tests.fakes.hub import HubServer

CHECK = """
import json, sys
import huggingface_hub
from huggingface_hub import DatasetCard
from datasets import load_dataset
card = DatasetCard.load(sys.argv[1])
if not huggingface_hub.__version__.startswith("1."):  # 1.x asks a fixed address
    card.validate()
names = [c["config_name"] for c in card.data.configs]
print(json.dumps({name: load_dataset(sys.argv[1], name).num_rows for name in names}))
"""


def test_what_a_card_shows_runs_on_a_second_machine(
    porter: Machine, hub: HubServer, tmp_path: Path
) -> None:
    """Its metadata are valid, its configs load split by split, and each of its snippets runs."""
    result = ported(porter, "--push")
    assert (result["repo_id"], result["url"]) == (REPO, f"{hub.url}/datasets/{REPO}")
    assert hub.repo(REPO).private
    second = Machine(tmp_path / "second", hub)
    done = second.run("-c", CHECK, REPO)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"easy": {"train": 5, "test": 7}, "hard": {"test": 6}}
    text = card_of(hub)
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 2
    outputs = []
    for snippet in snippets:
        done = second.run("-c", snippet)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert "'accuracy': 1.0" in outputs[0]
    assert "num_rows: 7" in outputs[1]
    revision = hub.commits("org/quiz")[0].oid
    assert f"(https://huggingface.co/datasets/org/quiz/tree/{revision})" in text
    assert text.index("## 한국어 안내") < text.index("## Where it comes from")
    meta = yaml.safe_load(text.split("---\n")[1])
    assert (meta["license"], meta["source_datasets"]) == ("mit", ["org/quiz"])


def test_a_second_push_of_the_same_makes_no_commit(
    porter: Machine, hub: HubServer, chat: ChatServer
) -> None:
    """The card tells the cost, the folder's own does not; what the memory knows changes neither."""
    result = ported(porter, "--push")
    before, asked = hub.commits(REPO)[0].oid, chat.count()
    tokens = result["usage"]["prompt_tokens"] + result["usage"]["completion_tokens"]
    cost = f"| cost | {result['usage']['requests']} requests to `gpt-4o-mini`, {tokens:,} tokens, "
    assert f"{cost}{result['cost_usd']:.4f} USD |" in card_of(hub)
    assert "| cost |" not in (folder_of(porter) / "README.md").read_text("utf-8")
    ported(porter, "--push")
    pushed(porter)
    assert chat.count() == asked
    assert hub.commits(REPO)[0].oid == before
    assert titles(hub) == [TITLE, "initial commit"]


def test_the_cost_is_that_of_all_runs(porter: Machine, hub: HubServer, chat: ChatServer) -> None:
    """A run that --max-cost stops is counted once, and so is the one that goes on after it."""
    stopped = porter.main("--dataset", "org/quiz", "--all-subsets", "--batch-size", "1",
                         "--concurrency", "1", "--max-cost", "0.0015")  # fmt: skip
    assert stopped.returncode == 2, stopped.stderr
    some = translations(chat)
    assert some > 0
    ported(porter, "--batch-size", "1", "--push")
    assert translations(chat) > some
    assert f"| cost | {translations(chat)} requests to `gpt-4o-mini`, " in card_of(hub)


def translations(chat: ChatServer) -> int:
    """How many requests for a translation were answered."""
    return sum(r.status == 200 for r in chat.requests if r.path.endswith("/chat/completions"))


def test_only_the_port_is_pushed(pusher: Machine, hub: HubServer, tmp_path: Path) -> None:
    """Neither source nor model is needed; the user's own files stay here, and are whole."""
    folder = folder_of(pusher)
    own = ("notes.txt", "dataset.edited.py", "sub/a.txt", "data/own.txt", "data/easy/own.parquet")
    for name in own:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine", encoding="utf-8")
    before = tree(folder)
    assert "REPO: Optional[str] = None" in before["dataset.py"].decode()
    pushed(pusher)
    there, after = hub.files(REPO), tree(folder)
    assert not [name for name in own if name in there]
    assert {name: after[name] for name in own[:3]} == {name: before[name] for name in own[:3]}
    assert f'REPO: Optional[str] = "{REPO}"' in there["dataset.py"].decode()
    named = {"README.md", "dataset.py", "port.json", "plan.yaml", "checks.jsonl", "failed.jsonl"}
    data = {name for name in after if name.endswith(".parquet") and "own" not in name}
    assert named | data <= set(there) <= named | data | {"report.html", ".gitattributes"}
    assert {name: there[name] for name in data} == {name: before[name] for name in data}
    assert json.loads(after["port.json"])["repo"] == REPO
    alone = tmp_path / "alone"  # the module by itself: its data comes from the repo
    alone.mkdir()
    (alone / "dataset.py").write_bytes(there["dataset.py"])
    second = Machine(tmp_path / "second", hub)
    done = second.run("-m", "hret", "eval", "--model", "oracle", "--dataset",
                      str(alone / "dataset.py"), "--json")  # fmt: skip
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0, done.stderr


def test_a_module_by_a_model_is_pushed_without_asking_it_again(
    tmp_path: Path, hub: HubServer, chat: ChatServer
) -> None:
    """Its repo's name is put into it, it is verified once more, and the card tells what it cost."""
    machine = Machine(tmp_path / "first", hub, chat)
    (machine.work / "quiz_test.jsonl").write_bytes(rows(1, 4))
    chat.answer = scripted(fenced(GOOD.replace('"quiz_ko"', '"quiz_test_ko"')
                                  .replace("QuizKo", "QuizTestKo")))  # fmt: skip
    result = machine.ported("--dataset", "quiz_test.jsonl", "--module-model", "gpt-4o")
    assert result["module_way"] == "model:gpt-4o", result["module_tries"]
    before, asked = Path(result["module_path"]).read_text("utf-8"), chat.count()
    done = machine.run("-m", "hret", "push", "quiz_test_ko", "--accept-license")
    assert done.returncode == 0, done.stderr
    assert chat.count() == asked
    repo = "tester/quiz_test-ko"
    module = hub.files(repo)["dataset.py"].decode()
    assert module == before.replace("REPO: Optional[str] = None", f'REPO: Optional[str] = "{repo}"')
    assert "| cost | 1 request to `gpt-4o`, " in card_of(hub, repo)
    assert "written by `gpt-4o`" in card_of(hub, repo)
    second = Machine(tmp_path / "second", hub)
    done = second.run("-m", "hret", "eval", "--model", "oracle", "--dataset", repo, "--json")
    assert json.loads(done.stdout)["metrics"]["accuracy"] == 1.0, done.stderr


CHANGES = [
    ("dataset.py", "dataset.py", "was changed"),
    ("data/hard/test-00000-of-00001.parquet", "test-00000-of-00001.parquet", "was changed"),
    ("plan.yaml", "plan.yaml", "--plan"),
]


@pytest.mark.parametrize(("name", "said", "word"), CHANGES)
def test_what_was_not_verified_is_not_pushed(
    name: str, said: str, word: str, pusher: Machine, hub: HubServer
) -> None:
    """A module, a plan or data that somebody edited is named and stays here."""
    path = folder_of(pusher) / name
    path.write_bytes(path.read_bytes().replace(b"prose", b"category") + b"\n")
    refused(push(pusher), said, word)
    assert REPO not in hub.repos()
