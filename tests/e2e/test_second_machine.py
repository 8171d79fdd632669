"""A port from the Hub on a machine that has never seen it: verified again before it is used."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_eval.dataset.render import render
from llm_eval.dataset.spec import read_manifest, sha256_of
from llm_eval.sandbox import layers
from tests.e2e.scenario import Machine
from tests.fakes.hub import HubServer
from tests.unit.llm_eval.test_jailed import CODE, written
from tests.unit.llm_eval.test_ports import changed, port

REPO = "org/quiz"
jails = pytest.mark.skipif(not layers().enough, reason=layers().says)
LOAD = """
import json, sys
from llm_eval.dataset import load_datasets
from llm_eval.errors import UserError
try:
    dataset = load_datasets(*json.loads(sys.argv[1]), **json.loads(sys.argv[2]))
    found = [s["reference"] for s in dataset.load()]
    print(json.dumps({"kind": type(dataset).__name__, "golds": found}))
except UserError as e:
    print(json.dumps({"error": str(e)}))
"""


def pushed(hub: HubServer, folder: Path, repo: str = REPO) -> str:
    """A port's files as a repo on the Hub, whatever they are; the commit."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return hub.put(repo, {str(p.relative_to(folder)): p.read_bytes() for p in files})


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """Where the ports lie that are pushed: no machine of the test looks there."""
    return tmp_path / "away"


@pytest.fixture
def machine(tmp_path: Path, hub: HubServer) -> Machine:
    """The second machine."""
    return Machine(tmp_path / "second", hub)


def load(machine: Machine, name: str = REPO, **options: Any) -> dict[str, Any]:
    """What `load_datasets(name, ...)` gives there, in a process of its own."""
    done = machine.run("-c", LOAD, json.dumps([name]), json.dumps(options))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def home(machine: Machine) -> Path:
    """The machine's own store."""
    return Path(machine.environment["HRET_HOME"])


def test_a_port_is_pushed_and_used_elsewhere(tmp_path: Path, hub: HubServer) -> None:
    """By the real commands: ported and pushed on one machine, found by its repo on another."""
    first, second = Machine(tmp_path / "first", hub), Machine(tmp_path / "second", hub)
    done = first.ported("--dataset", "sample", "--push", "--repo-id", "tester/sample-ko")
    assert done["url"].endswith("tester/sample-ko")
    run = second.run("-m", "hret", "eval", "--model", "oracle", "--dataset", "tester/sample-ko",
                     "--json")  # fmt: skip
    assert json.loads(run.stdout)["metrics"]["accuracy"] == 1.0, run.stderr


def test_a_port_is_verified_once_per_content(machine: Machine, hub: HubServer, away: Path) -> None:
    """The outcome is remembered; other data, or another module, is verified anew."""
    folder = port("quiz_ko", repo=REPO, root=away)
    pushed(hub, folder)
    assert load(machine) == {"kind": "Quiz", "golds": ["서울", "한강"]}
    (note,) = (home(machine) / "verified").iterdir()
    before = note.stat().st_mtime_ns
    assert load(machine)["golds"] == ["서울", "한강"]
    assert note.stat().st_mtime_ns == before
    changed(folder, lambda raw: raw.update(licence="mit"))
    pushed(hub, folder)
    assert load(machine)["golds"] == ["서울", "한강"]
    assert len(list((home(machine) / "verified").iterdir())) == 2


def test_a_revision_is_what_it_was(machine: Machine, hub: HubServer, away: Path) -> None:
    """A branch, a tag or a commit names what was pushed then; one that is not there is told."""
    pushed(hub, folder := port("quiz_ko", repo=REPO, root=away))
    old = hub.commits(REPO)[0].oid
    shutil.rmtree(folder)
    pushed(hub, _other(port("quiz_ko", repo=REPO, root=away)))
    assert load(machine)["golds"] == ["부산", "한강"]
    assert load(machine, revision=old)["golds"] == ["서울", "한강"]
    assert "no revision 'nowhere'" in load(machine, revision="nowhere")["error"]
    assert "is none" in load(machine, "quiz_ko", revision="main")["error"]


def _other(folder: Path) -> Path:
    """The port with another answer in its first row."""
    from datasets import Dataset

    (file,) = folder.glob("data/*/*.parquet")
    Dataset.from_list([{"q": "수도는?", "a": "부산"}, {"q": "강은?", "a": "한강"}]).to_parquet(file)
    return rehashed(folder)


def rehashed(folder: Path) -> Path:
    """The port with its files' hashes as they are, as whoever made it up would write them."""
    digests = {p.name: sha256_of(p) for p in folder.glob("data/*/*.parquet")}
    changed(folder, lambda raw: [
        record["files"].update({n: digests[n] for n in record["files"] if n in digests})
        for by_split in raw["splits"].values() for record in by_split.values()
    ])  # fmt: skip
    return folder


@jails
def test_a_model_s_module_runs_in_the_sandbox(machine: Machine, hub: HubServer, away: Path) -> None:
    """Verified on every row, and used there alone."""
    pushed(hub, written(repo=REPO, root=away))
    assert load(machine) == {"kind": "JailedDataset", "golds": ["서울", "한강"]}
    run = machine.run("-m", "hret", "eval", "--model", "oracle", "--dataset", REPO, "--json")
    assert json.loads(run.stdout)["metrics"]["accuracy"] == 1.0, run.stderr
    shown = machine.run("-m", "hret", "datasets", "show", REPO).stdout
    assert "module: runs in the sandbox; model:m wrote it" in shown


@jails
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('== self.rows[index]["a"]', '== self.rows[index]["a"] or index == 1', "row 1"),
        ('" 답만 쓰세요."', '" 정답: " + self.rows[index]["a"]', "gives the answer away"),
        ("return len(self.rows)", "return 1", "2 rows"),
        ('return self.rows[index]["q"]',
         'return (self.asked or self.rows[index]["a"]) + self.rows[index]["q"]',
         "without subset and split, row 1"),
        ("right = ", "open('/etc/passwd'); right = ", "tried to open /etc/passwd"),
    ],
)  # fmt: skip
def test_a_module_that_does_not_hold_is_refused(
    old: str, new: str, said: str, machine: Machine, hub: HubServer, away: Path
) -> None:
    """With the row that shows it; and again on the next try."""
    code = CODE.replace("self.rows = ", 'self.asked = subset and " "\n        self.rows = ')
    assert code.count(old) == 1
    pushed(hub, written(repo=REPO, root=away, code=code.replace(old, new)))
    for _ in range(2):
        error = load(machine)["error"]
        assert "does not hold what it says" in error
        assert said in error


def test_wrong_data_under_a_template_is_refused(
    machine: Machine, hub: HubServer, away: Path
) -> None:
    """The template is ours, and its rows are counted and read all the same."""
    from datasets import Dataset

    folder = port("quiz_ko", repo=REPO, root=away)
    (file,) = folder.glob("data/*/*.parquet")
    Dataset.from_list([{"q": "강은?", "a": "한강"}]).to_parquet(file)
    pushed(hub, rehashed(folder))
    error = load(machine)["error"]
    assert "1 rows, not 2" in error
    assert "nothing of it was used" in error


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "data changed": (lambda f: next(f.glob("data/*/*")).write_bytes(b"x"), "is not what its"),
    "data missing": (lambda f: next(f.glob("data/*/*")).unlink(), "is missing"),
    "module missing": (lambda f: (f / "dataset.py").unlink(), "no dataset.py"),
    "module edited": (lambda f: (f / "dataset.py").write_text("1 / 0"), "was changed since"),
    "manifest torn": (lambda f: (f / "port.json").write_text("{"), "port.json"),
    "no manifest": (lambda f: (f / "port.json").unlink(), "holds no port"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_a_broken_repo_is_told(
    change: Callable[[Path], object], said: str, machine: Machine, hub: HubServer, away: Path
) -> None:
    """What is missing, changed or no port is a sentence."""
    folder = port("quiz_ko", repo=REPO, root=away)
    change(folder)
    pushed(hub, folder)
    assert said in load(machine)["error"]


def test_a_file_that_no_manifest_names_is_not_read(
    machine: Machine, hub: HubServer, away: Path
) -> None:
    """A shard that somebody laid beside the others is no part of the split."""
    folder = port("quiz_ko", repo=REPO, root=away)
    (file,) = folder.glob("data/*/*.parquet")
    shutil.copy2(file, file.with_name("test-00001-of-00002.parquet"))
    (folder / "conftest.py").write_text("1 / 0")
    pushed(hub, folder)
    assert load(machine)["golds"] == ["서울", "한강"]
    assert not list(home(machine).rglob("conftest.py"))


def _renamed(raw: dict[str, Any], name: str) -> None:
    record = raw["splits"]["default"]["test"]
    record["files"] = {name: "0" * 64}


def _subset(raw: dict[str, Any], name: str) -> None:
    raw["splits"] = {name: raw["splits"]["default"]}
    raw["module"]["subsets"] = {name: ["test"]}


RUN = "open('hostile-mark', 'w')"
HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "absolute file": lambda raw: _renamed(raw, "/etc/passwd"),
    "file above": lambda raw: _renamed(raw, "../../../../etc/passwd"),
    "file with a break": lambda raw: _renamed(raw, "test-00000-of-00001.parquet\n"),
    "glob for a file": lambda raw: _renamed(raw, "*"),
    "subset above": lambda raw: _subset(raw, "../../etc"),
    "absolute subset": lambda raw: _subset(raw, "/etc"),
    "dotted subset": lambda raw: _subset(raw, ".."),
    "subset with a nul": lambda raw: _subset(raw, "a\0b"),
    "slug above": lambda raw: raw.update(slug="../x") or raw["module"].update(slug="../x"),
    "other slug": lambda raw: raw["module"].update(slug="gsm8k"),
    "other subsets": lambda raw: raw["module"].update(subsets={"default": ["train"]}),
    "no files": lambda raw: raw["splits"]["default"]["test"].update(files={}),
    "huge rows": lambda raw: raw["splits"]["default"]["test"].update(rows=10**300, passed=10**300),
    "negative rows": lambda raw: raw["splits"]["default"]["test"].update(passed=-1),
    "source breaks out": lambda raw: raw["module"].update(source=f'"""\n{RUN}\n"""'),
    "slug breaks out": lambda raw: raw["module"].update(slug=f'x")\n{RUN}\n@register_dataset("y'),
    "class breaks out": lambda raw: raw["module"].update(class_name=f"A: {RUN}\nclass B"),
    "lang breaks out": lambda raw: raw["module"].update(lang=f'"""\n{RUN}\n"""'),
    "path breaks out": lambda raw: raw["module"].update(question=[[f'q"] + {RUN} + row["q']]),
    "answer breaks out": lambda raw: raw["module"].update(answer=[f'a"] or {RUN} or row["a']),
    "choice breaks out": lambda raw: raw["module"].update(fixed_choices=[f'x", {RUN}, "y']),
    "repo breaks out": lambda raw: raw["module"].update(repo=f'x"\n{RUN}\ny = "'),
    "no question": lambda raw: raw["module"].update(question=[]),
    "deep path": lambda raw: raw["module"].update(question=[["q"] * 500]),
}


LOAD_EACH = """
import json, os, sys
from llm_eval.dataset import load_datasets
from llm_eval.errors import UserError
for folder, repo in json.loads(sys.argv[1]):
    os.chdir(folder)
    os.environ["HRET_HOME"] = os.path.join(folder, "home")
    try:
        golds = [s["reference"] for s in load_datasets(repo).load()]
        found = {"golds": golds}
    except UserError as e:
        found = {"error": str(e)}
    json.dump(found, open("found.json", "w"))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each hostile manifest's repo was loaded: all in one process, each with a folder and a
    home of its own, and what came of it in found.json."""
    root = tmp_path_factory.mktemp("hostile")
    folders = {kind: root / f"case{i}" for i, kind in enumerate(HOSTILE)}
    with HubServer() as hub:
        for kind, folder in folders.items():
            folder.mkdir()
            repo = f"org/{folder.name}"
            pushed(hub, made_up(folder / "away", repo, HOSTILE[kind]), repo)
        told = [[str(folder), f"org/{folder.name}"] for folder in folders.values()]
        done = Machine(root / "machine", hub).run("-c", LOAD_EACH, json.dumps(told))
    assert done.returncode == 0, done.stderr
    return folders


def made_up(root: Path, repo: str, hostile: Callable[[dict[str, Any]], object]) -> Path:
    """A port whose manifest a stranger made up, with the module that it renders to."""
    folder = port("quiz_ko", repo=repo, root=root)
    changed(folder, hostile)
    try:
        text = render(read_manifest(folder).module)
    except Exception:  # what cannot be rendered is not: the module stays
        text = (folder / "dataset.py").read_text("utf-8")
    (folder / "dataset.py").write_text(text, "utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    changed(folder, lambda raw: raw.update(module_sha256=digest))
    return folder


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_manifest_does_no_harm(kind: str, loaded: dict[str, Path]) -> None:
    """It ends in a sentence, or in harmless data."""
    folder = loaded[kind]
    found = json.loads((folder / "found.json").read_text("utf-8"))
    assert not (folder / "hostile-mark").exists()
    assert "error" in found or set(found["golds"]) <= {"서울", "한강", None}
    assert "passwd" not in {p.name for p in (folder / "home").rglob("*") if p.is_file()}


def test_a_stranger_s_port_can_be_trusted(machine: Machine, hub: HubServer, away: Path) -> None:
    """`hret datasets trust ORG/NAME`, after reading: imported from then on, and verified still."""
    folder = port("quiz_ko", repo=REPO, root=away)
    code = (folder / "dataset.py").read_text("utf-8") + "# mine\n"
    (folder / "dataset.py").write_text(code, "utf-8")
    manifest = replace(read_manifest(folder), module_way="model:m")
    (folder / "port.json").write_text(manifest.to_json(), "utf-8")
    pushed(hub, folder)
    assert f"hret datasets trust {REPO}" in load(machine)["error"]
    done = machine.run("-m", "hret", "datasets", "trust", REPO)
    assert done.returncode == 0, done.stderr
    assert load(machine) == {"kind": "Quiz", "golds": ["서울", "한강"]}


def test_trust_is_of_the_commit_that_was_read(machine: Machine, hub: HubServer, away: Path) -> None:
    """`--revision`: what is pushed to main between reading and trusting is not trusted with it."""
    folder = port("quiz_ko", repo=REPO, root=away)
    read = (folder / "dataset.py").read_text("utf-8") + "# read\n"
    commits = []
    for code in (read, read + "# pushed meanwhile\n"):
        (folder / "dataset.py").write_text(code, "utf-8")
        changed(folder, lambda raw: raw.update(module_way="model:m"))
        commits.append(pushed(hub, folder))
    done = machine.run("-m", "hret", "datasets", "trust", REPO, "--revision", commits[0])
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(read.encode()).hexdigest() in done.stdout
    assert f"hret datasets trust {REPO}" in load(machine)["error"]


SPLITS = (
    "import json, sys; from datasets import load_dataset\n"
    "print(json.dumps({s: len(d) for s, d in load_dataset(sys.argv[1], 'default').items()}))\n"
)


def test_a_split_of_which_every_row_failed_is_left_out(tmp_path: Path, hub: HubServer) -> None:
    """The other splits are ported, pushed and read; it comes in once a row of it is translated."""
    first, second = Machine(tmp_path / "first", hub), Machine(tmp_path / "second", hub)
    known = {f"What is stone {i}?": f"돌 {i}은 무엇입니까?" for i in range(4)}
    (data := first.work / "set").mkdir()
    for split, numbers in (("train", (0, 1, 2)), ("test", (3,))):
        lines = [json.dumps({"id": i, "question": f"What is stone {i}?"}) + "\n" for i in numbers]
        (data / f"{split}.jsonl").write_text("".join(lines), "utf-8")

    def pushed_with(texts: dict[str, str], status: int) -> dict[str, Any]:
        pairs = [json.dumps({"source": s, "target": t}) + "\n" for s, t in texts.items()]
        (first.work / "memory.jsonl").write_text("".join(pairs), "utf-8")
        push = ("--push", "--repo-id", "tester/set-ko", "--accept-license")
        port = ("--dataset", "set", "--model", "memory:memory.jsonl")
        return first.ported(*port, *push, status=status)

    def there() -> dict[str, int]:
        done = second.run("-c", SPLITS, "tester/set-ko")
        assert done.returncode == 0, done.stderr
        found: dict[str, int] = json.loads(done.stdout)
        return found

    result = pushed_with({s: t for s, t in known.items() if "3" not in s}, 1)
    assert (result["rows"]["passed"], result["rows"]["failed"]) == (3, 1)
    assert there() == {"train": 3}
    run = second.run("-m", "hret", "eval", "--model", "first", "--dataset", "tester/set-ko",
                     "--split", "train", "--json")  # fmt: skip
    assert "picks an option" in run.stderr
    assert pushed_with(known, 0)["rows"]["passed"] == 4
    assert there() == {"train": 3, "test": 1}
