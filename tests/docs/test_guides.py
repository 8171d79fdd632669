"""The pages of docs/ work as printed: their commands and their Python, in both languages.

No model is behind them, and the Hub is a fake one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llm_eval.sandbox import Layers, layers
from tests.conftest import ROOT, Cli
from tests.docs.pages import ME, blocks, child, commands, ran, text_of
from tests.fakes.agent_script import LAST, AgentServer, answered, ported
from tests.fakes.chat import SENTENCE, ChatServer
from tests.fakes.chat_module import GOOD, fenced
from tests.fakes.hub import HubServer
from tests.schemas import fixtures

jails = pytest.mark.skipif(not layers().enough, reason=layers().says)
CARD = """---
license: mit
configs:
- config_name: hard
  data_files: [{split: test, path: rows.jsonl}]
---
"""
ROWS = [
    {"question": f"What comes after {i}?", "choices": ["one", "two"], "answer": i % 2}
    for i in range(5)
]
MODULE = GOOD.replace('row["선택지"]', 'row["선택지"]["text"]').replace(
    'place = row["정답"]', 'place = LETTERS.find(row["정답"] or "?")'
)
"""As a model may write it for examples/quiz."""


@pytest.fixture
def env(hub: HubServer, chat: ChatServer, work: Path) -> dict[str, str]:
    """Where the pages' datasets, keys and files are, and a model that writes modules."""
    programs = next(f for f in fixtures() if f.name == "humaneval_prompts").rows[:2]
    for repo, card, rows in (
        ("OWNER/NAME", CARD, ROWS),
        ("OWNER/PROGRAMS", CARD.replace("hard", "default"), programs),
    ):
        data = "".join(json.dumps(row) + "\n" for row in rows)
        hub.put(repo, {"README.md": card.encode(), "rows.jsonl": data.encode()})
    (work / "examples").symlink_to(ROOT / "examples")
    chat.answer = lambda messages: fenced(MODULE) if "REPO" in str(messages) else SENTENCE
    servers = {"OPENAI_BASE_URL": chat.url, "OPENAI_API_KEY": "sk-test"}
    return servers | {"HF_ENDPOINT": hub.url, "HF_TOKEN": f"hf_{ME}"}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The folder of another machine, which knows of no port."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def there(folder: Path) -> dict[str, str]:
    """What is other on that machine."""
    return {"HRET_HOME": str(folder / "home"), "HF_HOME": str(folder / "hf")}


@pytest.mark.parametrize("name", ["modules", "review", "publishing"])
def test_both_languages_print_the_same_commands(name: str) -> None:
    """Those below are run as the English page has them, which is how the Korean one has them."""
    english, korean = f"docs/{name}.md", f"docs/{name}.ko.md"
    assert commands(english) == commands(korean)
    assert len(commands(english)) > 1
    assert blocks(english, "text") == blocks(korean, "text")


@jails
def test_the_commands_of_modules(env: dict[str, str], cli: Cli, work: Path) -> None:
    """A model writes the module, with our guide and with the page's; it is evaluated in the
    sandbox; programs are judged by their tests."""
    page = "docs/modules.md"
    (guide,) = blocks(page, "text")
    (work / "guide.txt").write_text(guide, "utf-8")
    said = {}
    for words in commands(page):
        said[" ".join(words[1:])] = ran(words, cli, env, work)
    _, by_guide, shown, quiz, _, oracle, replies = said.values()
    assert re.search("^module by +model:gpt-4o-mini, after 0 refusals", by_guide, re.MULTILINE)
    assert shown.splitlines()[-1] == "module: runs in the sandbox; model:gpt-4o-mini wrote it"
    assert re.search(r"^accuracy +1\.0000$", quiz, re.MULTILINE)
    assert re.search(r"^pass@1 +1\.0000$", oracle, re.MULTILINE)
    assert re.search(r"^pass@5_stderr +0\.0000$", replies, re.MULTILINE)


@jails
@pytest.mark.parametrize("page", ["docs/modules.md", "docs/modules.ko.md"])
def test_the_python_of_modules(page: str, cli: Cli, work: Path) -> None:
    """Every block, without a key; it prints what stands beside it."""
    assert cli("port", "--dataset", "sample").returncode == 0
    generated, jailed, extended = (child(b, cli, {}, work) for b in blocks(page, "python"))
    assert generated.splitlines()[-1] == "template ()"
    number, ended, tried = jailed.splitlines()
    assert (number, tried) == ("b'42'", "['tried to open /etc/passwd']")
    assert ended.startswith("the process ended: ")
    assert extended.split() == ["1.0", "0.25"]


@pytest.mark.parametrize("page", ["docs/modules.md", "docs/modules.ko.md"])
def test_the_sandbox_of_modules(page: str) -> None:
    """What the page shows of `hret doctor` is what it says with those layers."""
    (shown,) = blocks(page, "console")
    says = Layers(bubblewrap=True, landlock=7, seccomp=True).says
    assert shown.splitlines()[1].split(maxsplit=2) == ["sandbox", "modules", says]


def test_the_commands_of_review(cli: Cli, work: Path) -> None:
    """A port of the sample, its report, its table, and a correction that changes it."""
    *_, imported = [ran(words, cli, {}, work) for words in commands("docs/review.md")]
    assert imported.startswith("locked 1 texts; made 1 rows again, asked for nothing")


def test_publishing(
    env: dict[str, str], hub: HubServer, cli: Cli, work: Path, elsewhere: Path
) -> None:
    """Each push as printed; then the port is found and evaluated on another machine, where the
    Python of both pages, which is the same, shows a prompt."""
    page = "docs/publishing.md"
    assert blocks(page, "python") == blocks("docs/publishing.ko.md", "python")
    told, said = env | there(elsewhere), []
    for words in commands(page):
        far = words[1] == "eval"
        said.append(ran(words, cli, told if far else env, elsewhere if far else work))
    assert re.search(r"^accuracy +1\.0000$", said[-1], re.MULTILINE)
    assert len(hub.commits(f"{ME}/NAME-ko", "main")) == 2  # the repo's own, and one push
    assert "port.json" in hub.files(f"{ME}/NAME-ko", "draft")
    (block,) = blocks(page, "python")
    prompt = child(block, cli, told, elsewhere)
    assert "\nA. " in prompt and "\nB. " in prompt


@pytest.mark.parametrize("page", ["docs/agent.md", "docs/agent.ko.md"])
def test_the_python_of_agent(page: str, env: dict[str, str], cli: Cli, work: Path) -> None:
    """A scripted model does what the instruction says; the tools run alone; one's own in place."""
    instructed, alone, own = blocks(page, "python")
    with AgentServer() as server:
        server.answer = lambda messages: "정답: A"
        asked = {"subset": "hard", "register": "formal", "limit": 200}
        server.plays(
            *ported("OWNER/NAME", translator="gpt-4o-mini", **asked),
            ("model_evaluator", {"dataset": LAST, "model": "openai:gpt-4o-mini"}),
            answered("Done."),
        )
        said = child(instructed, cli, env | {"OPENAI_BASE_URL": server.url}, work)
    assert said.startswith("OWNER__NAME__hard_ko: 5 of 5 rows passed, module verified (template).")
    assert "openai:gpt-4o-mini on OWNER__NAME__hard_ko: accuracy 0.6, n 5." in said
    assert said.split()[-1] == "done"
    assert json.loads(child(alone, cli, {}, work))["accuracy"] == 1.0
    port = Path(child(own, cli, {}, work).strip())
    assert (port / "SIGNED").read_text("utf-8") == "by us\n"


def test_the_state_is_named(env: dict[str, str], cli: Cli, work: Path, elsewhere: Path) -> None:
    """What lies in HRET_HOME after a port, a push and an evaluation stands under State."""
    page = text_of("docs/architecture.md").partition("## State")[2]
    for words in commands("docs/publishing.md"):
        far = words[1] == "eval"
        told = env | there(elsewhere) if far else env
        ran(words, cli, told, elsewhere if far else work)
    homes = [Path(env.get("HRET_HOME", work.parent / "hret-home")), elsewhere / "home"]
    kept = {path.name.partition("-")[0] for home in homes for path in home.iterdir()}
    assert len(kept) > 5
    assert {name for name in kept if f"`{name}" not in page} == set()
