"""Every mistake is one sentence with a hint and exit status 2, before anything is written or paid.

The tables run against a Hub and a chat server that are up and willing; what gets as far as the Hub
as child processes.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.scenario import Machine
from tests.fakes.chat import ChatServer
from tests.fakes.hub import HubServer

KEY, TOKEN = "sk-THE-SECRET-KEY-4711", "hf_THESECRETTOKEN4711"
NOBODY = "http://127.0.0.1:9"
PROGRESS = re.compile(r"^(download|preflight|translate|module|push|evaluate): ")
ROWS = [
    {"question": f"What comes after the number {i}?", "choices": ["one", "two"], "answer": i % 2}
    for i in range(4)
]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
PLAN = """
source: quiz.jsonl
source_lang: en
target_lang: ko
roles: {question: prose, 'choices[]': choices, answer: answer_index}
names: {}
task: {kind: multiple_choice, question: [question], choices: ['choices[]'], answer: answer,
  answer_kind: index}
"""


def card(subsets: Mapping[str, tuple[str, ...]], licence: str = "") -> bytes:
    """A README that declares subsets and their splits, all of the same file."""
    lines = [f"license: {licence}"] if licence else []
    lines.append("configs:")
    for subset, splits in subsets.items():
        lines += [f"- config_name: {subset}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {split}.jsonl"]
    return "\n".join(["---", *lines, "---", ""]).encode()


def repo(
    hub: HubServer,
    name: str,
    subsets: Mapping[str, tuple[str, ...]] = {"default": ("test",)},
    *,
    licence: str = "mit",
    data: bytes = JSONL,
    private: bool = False,
) -> None:
    """A dataset on the Hub whose splits all hold `data`."""
    splits = {f"{split}.jsonl": data for names in subsets.values() for split in names}
    hub.put(name, {"README.md": card(subsets, licence), **splits}, private=private)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[HubServer, ChatServer]]:
    """A Hub with something of everything, and a chat server that would translate all of it."""
    with HubServer() as hub, ChatServer(key=KEY) as chat:
        hub.add_user("reader", token="hf_reader", role="read")
        hub.add_user("guest", token="hf_guest", orgs={"org": "read"})
        hub.add_user("tester2", token=TOKEN, orgs={"org": "admin"})
        repo(hub, "org/one", {"default": ("train", "test")})
        repo(hub, "org/two", {"easy": ("test",), "hard": ("test",)})
        repo(hub, "org/empty", data=b"")
        repo(hub, "org/bare", licence="")
        repo(hub, "org/nd", licence="cc-by-nd-4.0")
        repo(hub, "org/gated")
        hub.gate("org/gated")
        repo(hub, "stranger/secret", private=True)
        repo(hub, "tester2/theirs")
        yield hub, chat


def files(folder: Path) -> dict[str, bytes]:
    """What every user writes by hand before they make their mistake."""
    given = {
        "quiz.jsonl": JSONL,
        "empty.jsonl": b"",
        "picture.parquet": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "notes.txt": b"hello",
        "broken.json": b'[{"question": "a b", "answer"',
        "binary.csv": b"\xff\xfe\x00\x01" * 50,
        "plain": b"a file, no folder",
        "plan.yaml": PLAN.encode(),
        "plan_key.yaml": (PLAN + "colour: red\n").encode(),
        "plan_role.yaml": PLAN.replace("answer_index", "anser_index").encode(),
        "plan_broken.yaml": b"roles: {question: [",
        "plan_text.yaml": b"just a text",
        "plan_columns.yaml": PLAN.replace("question: prose", "frage: prose").encode(),
        "plan_lang.yaml": PLAN.replace("target_lang: ko", "target_lang: ja").encode(),
        "plan_format.yaml": (PLAN + "format: 9\n").encode(),
        "nameless.jsonl": b'{"id": 1, "": "an empty name", "answer": "x"}\n',
        "windows.jsonl": JSONL + '{"question": "무엇?", "answer": "셋"}\n'.encode("cp949"),
        "semicolons.csv": b"question;answer\nWho, me?;yes\n",
        "plan_list.yaml": PLAN.replace("question: [question]", "question: question").encode(),
    }
    for name, data in given.items():
        (folder / name).write_bytes(data)
    (folder / "nothing").mkdir()
    for name in ("a.csv", "b.jsonl"):
        (folder / "mixed").mkdir(exist_ok=True)
        (folder / "mixed" / name).write_bytes(JSONL)
    return given


def machine_of(
    tmp_path: Path, servers: tuple[HubServer, ChatServer], *, far: bool = True, **env: str
) -> Machine:
    """A machine with the right keys, but for what `env` says; without a Hub if not `far`."""
    hub, chat = servers
    right = {"OPENAI_API_KEY": KEY, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    there = hub if far else None
    return Machine(tmp_path, there, chat, more=right | env, within=not far)


def is_far(arguments: str) -> bool:
    """Do they begin with a repo of the Hub's, or push to it?"""
    return arguments.startswith(("org/", "stranger/")) or "--push" in arguments


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2, and on stderr one sentence, with a hint, that holds all the words."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if line and not PROGRESS.match(line)]
    assert [line[:4] for line in said] == ["Erro", "  → "], f"no sentence and hint: {said}"
    assert said[0].startswith("Error: ") and len(said[0]) < 600
    for word in words:
        assert word in done.stderr


def nothing_left(machine: Machine) -> None:
    """No half-written port: an empty work folder at most."""
    root = machine.work / "generated_datasets"
    left = [p for p in root.rglob("*") if p != root / ".work"] if root.exists() else []
    assert left == []


class Bad(NamedTuple):
    """A mistake: a port's arguments, what must be said of it, and how the environment differs."""

    arguments: str
    words: tuple[str, ...]
    env: Mapping[str, str] = {}

    def __repr__(self) -> str:
        told = " ".join([self.arguments.replace(QUIZ, "quiz"), *self.env]) or "empty"
        return re.sub(r"[^\w./ -]", "~", told)[:60]


QUIZ = "quiz.jsonl --model fake-translator"
PORTS = [
    # what is to be ported
    Bad("org/nothing", ("org/nothing", "HF_TOKEN")),
    Bad("org/two --subset eazy", ("did you mean 'easy'", "easy, hard")),
    Bad("org/two", ("easy, hard", "--subset", "--all-subsets")),
    Bad("org/one --split dev", ("'dev'", "test, train")),
    Bad("org/one --revision nope", ("no such revision",)),
    Bad("org/empty", ("org/empty",)),
    Bad("empty.jsonl", ("empty.jsonl holds no rows",)),
    Bad("nameless.jsonl --model fake-translator", ("has no name",)),
    Bad("windows.jsonl --model fake-translator", ("not UTF-8", f"line {len(ROWS) + 1}", "CP949")),
    Bad("semicolons.csv --model fake-translator", ("';'", "commas")),
    Bad("nothing", ("nothing", "no dataset file")),
    Bad("mixed", ("several kinds", "csv", "json")),
    Bad("missing.jsonl", ("missing.jsonl",)),
    Bad("./missing/folder", ("./missing/folder",)),
    Bad("picture.parquet", ("picture.parquet", "parquet")),
    Bad("notes.txt", ("notes.txt", ".jsonl")),
    Bad("broken.json", ("broken.json",)),
    Bad("binary.csv", ("binary.csv",)),
    # names
    Bad("../x", ("../x",)),
    Bad("a/b/c", ("'a/b/c'", "OWNER/NAME")),
    Bad("org/..", ("'org/..'", "OWNER/NAME")),
    Bad("org/x\x1b[31m", ("OWNER/NAME",)),
    Bad("org/one\n", ("OWNER/NAME",)),
    Bad("org/", ("OWNER/NAME",)),
    Bad("o" * 300, ("OWNER/NAME",)),
    Bad("~no-such-user/x", ("~no-such-user/x",)),
    Bad("", ("''",)),
    Bad("org/two --subset ../../x", ("../../x",)),
    Bad("org/one --split ../test", ("../test",)),
    Bad(f"{QUIZ} --target-lang Korean!", ("'Korean!'", "--target-lang ko")),
    Bad(f"{QUIZ} --target-lang ../ko", ("'../ko'",)),
    Bad(f"{QUIZ} --create-pr", ("--create-pr", "add --push")),
    Bad(f"{QUIZ} --repo-id me/quiz", ("--repo-id", "add --push")),
    Bad(f"{QUIZ} --target-lang jp", ("'jp'", "--target-lang ja")),
    Bad(f"{QUIZ} --target-lang ko-KR", ("'ko-KR'", "--target-lang ko")),
    Bad(f"{QUIZ} --target-lang ko\n", ("language code",)),
    # numbers and places
    Bad(f"{QUIZ} --limit 0", ("--limit", "0")),
    Bad(f"{QUIZ} --batch-size 0", ("batch", "0")),
    Bad(f"{QUIZ} --max-retries -1", ("max", "-1")),
    Bad(f"{QUIZ} --concurrency 0", ("--concurrency", "0")),
    Bad(f"{QUIZ} --output-dir plain/below", ("plain/below", "--output-dir")),
    Bad(f"{QUIZ} --output-dir /proc/x/y", ("/proc/x/y", "--output-dir")),
    Bad(QUIZ, ("plain/home", "HRET_HOME"), {"HRET_HOME": "plain/home"}),
    Bad(f"{QUIZ} --split tset", ("did you mean 'test'",)),
    Bad(f"{QUIZ} --evaluate oracel", ("did you mean 'oracle'",)),
    Bad(f"{QUIZ} --evaluate vllm", ("--evaluate vllm:NAME",)),
    Bad(f"{QUIZ}", ("no whole number",), {"BATCH_SIZE": "many"}),
    # plans
    Bad(f"{QUIZ} --plan plan_no.yaml", ("Error: there is no plan file plan_no.yaml",)),
    Bad(f"{QUIZ} --plan nothing", ("nothing is a folder",)),
    Bad(f"{QUIZ} --plan plan_format.yaml", ("plan_format.yaml", "format 9")),
    Bad(f"{QUIZ} --plan plan_key.yaml", ("plan_key.yaml", "colour")),
    Bad(f"{QUIZ} --plan plan_role.yaml", ("plan_role.yaml", "roles.answer", "answer_index")),
    Bad(f"{QUIZ} --plan plan_broken.yaml", ("plan_broken.yaml", "YAML")),
    Bad(f"{QUIZ} --plan plan_text.yaml", ("plan_text.yaml", "--dry-run")),
    Bad(f"{QUIZ} --plan plan_columns.yaml", ("plan_columns.yaml", "frage", "question")),
    Bad(f"{QUIZ} --plan plan_lang.yaml", ("'ja'", "'ko'")),
    Bad(f"{QUIZ} --plan plan_list.yaml", ("plan_list.yaml", "task.question")),
    # the translator
    Bad("quiz.jsonl", ("OPENAI_API_KEY", "--api-base", "memory"),
        {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}),
    Bad("quiz.jsonl", ("OPENAI_API_KEY",),
        {"OPENAI_API_KEY": "your-openai-api-key-here", "OPENAI_BASE_URL": ""}),
    Bad(QUIZ, ("401", "OPENAI_API_KEY"), {"OPENAI_API_KEY": "sk-wrong"}),
    Bad(QUIZ, ("key",), {"OPENAI_API_KEY": f"{KEY}\nX-Other: 1"}),
    Bad(QUIZ, ("http://",), {"OPENAI_BASE_URL": f"http://me:{TOKEN}@127.0.0.1:9/v1"}),
    Bad(QUIZ, ("could not be reached", "--api-base"), {"OPENAI_BASE_URL": f"{NOBODY}/v1"}),
    Bad(f"{QUIZ} --api-base localhost:1", ("localhost:1", "http://")),
    Bad("quiz.jsonl --model huggingface", ("'huggingface'", "--api-base")),
    Bad("quiz.jsonl --model oracle --dry-run", ("'oracle'", "--api-base")),
    Bad("quiz.jsonl --model memory:no.jsonl", ("no.jsonl",)),
    # the Hub
    Bad("org/one", ("org/one", "HF_TOKEN"), {"HF_TOKEN": "hf_wrong"}),
    Bad("org/gated", ("gated", "HF_TOKEN")),
    Bad("stranger/secret", ("stranger/secret", "HF_TOKEN")),
    Bad("org/one", ("reached", "HF_ENDPOINT"), {"HF_ENDPOINT": NOBODY}),
    Bad("org/one --push", ("may only read",), {"HF_TOKEN": "hf_reader"}),
    Bad("org/one --push", ("HF_TOKEN",), {"HF_TOKEN": ""}),
    Bad(f"{QUIZ} --push --accept-license", ("401", "HF_TOKEN"), {"HF_TOKEN": "hf_wrong"}),
    Bad("org/one --push --repo-id org/mine", ("org", "--repo-id guest/NAME"),
        {"HF_TOKEN": "hf_guest"}),
    Bad("org/one --push --repo-id stranger/mine", ("stranger", "--repo-id tester2/NAME")),
    Bad("org/one --push --repo-id ../x", ("'../x'", "OWNER/NAME")),
    Bad("org/one --push --repo-id tester2/a\nb", ("OWNER/NAME",)),
    Bad("org/one --push --repo-id tester2/theirs", ("tester2/theirs", "--repo-id")),
    Bad("org/one --push --accept-license --repo-id tester2/theirs", ("something else",)),
    Bad("org/bare --push", ("licence", "--accept-license")),
    Bad("org/nd --push", ("cc-by-nd-4.0", "--accept-license")),
    Bad(f"{QUIZ} --push", ("licence", "--accept-license")),
]  # fmt: skip


@pytest.mark.parametrize("bad", PORTS, ids=repr)
def test_a_port_that_cannot_be_done(
    bad: Bad, tmp_path: Path, servers: tuple[HubServer, ChatServer]
) -> None:
    """The mistake is told in one sentence with a hint; nothing is written, pushed or paid."""
    hub, chat = servers
    machine = machine_of(tmp_path, servers, far=is_far(bad.arguments), **bad.env)
    given = files(machine.work)
    before, sent = {r: hub.files(r) for r in hub.repos()}, chat.count()
    done = machine.main("--dataset", *bad.arguments.split(" "))
    assert KEY not in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    refused(done, *bad.words)
    assert chat.count() == sent
    assert {r: hub.files(r) for r in hub.repos()} == before
    nothing_left(machine)
    assert {name: (machine.work / name).read_bytes() for name in given} == given


USAGE = [
    (("port", "--datset", "sample"), "--dataset"),
    (("port",), "--dataset"),
    (("prot", "--dataset", "sample"), "port"),
    (("port", "--dataset", "sample", "--limit", "ten"), "--limit"),
    (("eval", "--model", "first", "--dataset", "sample", "--limit", "0"), "--limit"),
    (("eval", "--model", "first", "--dataset", "sample", "--mode-name", "x"), "--model-name"),
]


@pytest.mark.parametrize(("arguments", "meant"), USAGE)
def test_a_flag_or_command_that_there_is_not(
    arguments: tuple[str, ...], meant: str, tmp_path: Path
) -> None:
    """A mistyped flag, command or number is told beside what was probably meant."""
    machine = Machine(tmp_path, within=True)
    done = machine.hret(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert meant in done.stderr[done.stderr.index("Error") :]
    nothing_left(machine)


EVALS = [
    ("opnai", "sample", (), ("did you mean 'openai'", "oracle")),
    ("first", "sampel_ko", (), ("did you mean 'sample_ko'",)),
    ("first", "sample", ("--evaluation-method", "string_mach"), ("did you mean 'string_match'",)),
    ("first", "sample", ("--subset", "hard"), ("hard", "default")),
    ("first", "sample", ("--split", "dev"), ("'dev'", "test")),
    ("first", "sample", ("--model-params", "{seed: 1}"), ("--model-params", "JSON")),
    ("first", "sample", ("--model-params", "[1]"), ("--model-params", "JSON object")),
    ("first", "sample", ("--model-params", '{"sed": 1}'), ("sed",)),
    ("openai", "sample", (), ("model_name",)),
    ("openai", "sample", ("--model-name", "m", "--api-key", "sk-wrong"), ("401",)),
    ("openai", "sample", ("--model-name", "m", "--api-base", f"{NOBODY}/v1"), ("reached",)),
    ("first", "missing.py", (), ("missing.py",)),
    ("first", "hf:org/one", (), ("hret port",)),
    ("first", "org/nothing", (), ("org/nothing",)),
    ("first", "org/one", (), ("port it first",)),
    ("first", "../x", (), ("../x",)),
    ("first", "", (), ("''",)),
    ("first", "sample", ("--output", "plain/out.json"), ("plain/out.json",)),
]


@pytest.fixture(scope="module")
def ported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine's disk on which the sample is ported."""
    where = tmp_path_factory.mktemp("ported")
    Machine(where).ported("--dataset", "sample")
    (where / "work" / "plain").write_bytes(b"a file, no folder")
    return where


@pytest.mark.parametrize(("model", "dataset", "more", "words"), EVALS)
def test_an_evaluation_that_cannot_be_done(
    model: str,
    dataset: str,
    more: tuple[str, ...],
    words: tuple[str, ...],
    ported: Path,
    servers: tuple[HubServer, ChatServer],
) -> None:
    """The mistake is told in one sentence with a hint, and no model is asked."""
    sent = servers[1].count()
    machine = machine_of(ported, servers, far=is_far(dataset))
    done = machine.hret("eval", "--model", model, "--dataset", dataset, *more)
    refused(done, *words)
    assert done.stdout == ""
    assert servers[1].count() == sent


def holders(folder: Path, *secrets: str) -> list[str]:
    """The files under a folder that hold one of the secrets."""
    paths = [p for p in folder.rglob("*") if p.is_file()]
    return [str(p) for p in paths if any(s.encode() in p.read_bytes() for s in secrets)]


def test_keys_are_written_nowhere(tmp_path: Path, servers: tuple[HubServer, ChatServer]) -> None:
    """A push, an evaluation and a failing run, talkative, leave no key in any output or file."""
    machine = machine_of(tmp_path, servers)
    params = json.dumps({"model_name": "m", "api_key": KEY, "api_base": servers[1].url})
    result = machine.main("--dataset", "org/one", "--model", "fake-translator", "--verbose",
                          "--push", "--api-key", KEY, "--evaluate", "openai:m",
                          "--json")  # fmt: skip
    slug = json.loads(result.stdout)["slug"]
    evaluated = machine.run("-m", "hret", "eval", "--model", "openai", "--dataset", slug,
                            "--model-params", params, "--verbose", "--json",
                            "--output", "out.json")  # fmt: skip
    assert (result.returncode, evaluated.returncode) == (0, 0), result.stderr + evaluated.stderr
    doctor = machine.run("-m", "hret", "doctor")
    for done in (result, evaluated, doctor):
        assert KEY not in done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
    assert (machine.work / "out.json").is_file()
    assert holders(tmp_path, KEY, TOKEN) == []
    pushed = servers[0].files("tester2/one-ko")
    assert not [name for name, data in pushed.items() if KEY.encode() in data]


class _Parrot(BaseHTTPRequestHandler):
    """Refuses a key and repeats it, as careless servers do."""

    def do_GET(self) -> None:
        said = json.dumps({"error": {"message": f"bad: {self.headers['Authorization']}"}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_a_key_that_the_server_repeats_is_not_shown(tmp_path: Path) -> None:
    """A key in the server's own words is blacked out."""
    server = HTTPServer(("127.0.0.1", 0), _Parrot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/v1"
    machine = Machine(tmp_path, more={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": base})
    files(machine.work)
    done = machine.main("--dataset", "quiz.jsonl", "--model", "m", "--verbose")
    server.shutdown()
    server.server_close()
    refused(done, "401", "bad: Bearer ***")
    assert KEY not in done.stderr
