"""Verification lets right modules through and no wrong one, whatever a wrong one tries.

Modules here are small and hold their own rows, so that each runs in a fraction of a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from llm_eval.dataset.expect import Expected
from llm_eval.dataset.process import ChildModule
from llm_eval.dataset.render import render
from llm_eval.dataset.verify import Verdict, verify
from tests.unit.llm_eval.test_render import LETTERED, write

ROWS = [
    {"q": f"What is the colour of thing {i}?", "c": [f"red {i}", f"green {i}", f"blue {i}"],
     "a": "ABC"[i % 3]}
    for i in range(7)
]  # fmt: skip
EXPECTED = [
    Expected(
        shown=[str(row["q"])],
        choices=row["c"],
        golds=[str(row["a"]), f"({row['a']})"],
        wrong=[x for x in "ABC" if x != row["a"]],
        hidden=[f"Answer: {row['a']}"],
        reference=str(row["a"]),
    )
    for row in ROWS
]
RIGHT = """
from llm_eval.datasets import register_dataset
from llm_eval.datasets.base import BaseDataset

ROWS = []


@register_dataset("things_ko")
class Things(BaseDataset):
    def __init__(self, subset=None, split=None, **more):
        super().__init__(subset=subset, split=split)
        self.rows = ROWS

    def load(self):
        return [
            {"input": self.get_prompt(i), "reference": row["a"], "options": list("ABC")}
            for i, row in enumerate(self.rows)
        ]

    def __len__(self):
        return len(self.rows)

    def get_prompt(self, index):
        row = self.rows[index]
        lines = [f"{x}. {choice}" for x, choice in zip("ABC", row["c"])]
        return "\\n".join([row["q"], *lines, "One letter:"])

    def evaluate_prediction(self, index, prediction):
        right = prediction.strip("() ") == self.rows[index]["a"]
        return right, float(right)
""".replace("[]", json.dumps(ROWS), 1)


def judged(
    folder: Path, code: str, expected: Sequence[Expected] = EXPECTED, timeout: float = 30
) -> Verdict:
    """The verdict on a module of seven rows."""
    path = folder / "dataset.py"
    path.write_text(code, encoding="utf-8")
    return verify(path, "things_ko", [("default", "test", 7, expected)], timeout=timeout)


def changed(old: str, new: str) -> str:
    """The right module with one thing changed."""
    assert RIGHT.count(old) == 1, old
    return RIGHT.replace(old, new)


def test_a_right_module_is_let_through(tmp_path: Path) -> None:
    """A module that does what is expected on every row holds, and every row was looked at."""
    assert judged(tmp_path, RIGHT) == Verdict(7)


def test_the_template_is_let_through(tmp_path: Path) -> None:
    """What the template renders holds, on graded and ungraded rows, in each of its parts."""
    rows = [{"맥락": "글", "질문": f"물음 {i}", "선택지": ["가", "나"], "정답": gold}
            for i, gold in enumerate(["A", "B", ""])]  # fmt: skip
    path = write(tmp_path, LETTERED, rows)
    wants = [
        Expected(shown=["글", f"물음 {i}"], choices=["가", "나"], golds=[gold, f"정답: {gold}"],
                 wrong=["AB"["BA".index(gold)]], hidden=[f"정답: {gold}"])
        for i, gold in enumerate("AB")
    ]  # fmt: skip
    wants.append(
        Expected(shown=["글", "물음 2"], choices=["가", "나"], golds=[], wrong=[], ungraded=True)
    )
    assert path.read_text("utf-8") == render(LETTERED)
    assert verify(path, "rendered_ko", [("default", "test", 3, wants)]) == Verdict(3)
    assert "rendered_ko" in verify(path, "other_ko", [("default", "test", 3, wants)]).reason
    assert "train" in verify(path, "rendered_ko", [("default", "train", 3, wants)]).reason


LEAK = 'lines = [f"{x}. {choice}" for x, choice in zip("ABC", row["c"])]'
JUDGE = 'right = prediction.strip("() ") == self.rows[index]["a"]'
REFERENCE = '{"input": self.get_prompt(i), "reference": row["a"], "options": list("ABC")}'
WRONG = [
    ("the answer leaks", LEAK, LEAK + '; lines.append("Answer: " + row["a"])', "row 0", "away"),
    ("it leaks late", LEAK, LEAK + '; lines.append("Answer: C" * (index == 5))', "row 5", "away"),
    ("it leaks in load() alone", '"input": self.get_prompt(i)',
     '"input": self.get_prompt(i) + "Answer: " + row["a"]', "row 0", "away"),
    ("always right", JUDGE, "right = True", "row 0", "wrong answer"),
    ("always wrong", JUDGE, "right = False", "row 0", "gold answer"),
    ("right by chance", JUDGE, 'right = index != 4 and prediction.strip("()") == "ABC"[index % 3]',
     "row 4", "gold answer"),
    ("contained is right", JUDGE,
     'right = self.rows[index]["a"] in prediction or prediction == "B"', "row 0", "wrong answer"),
    ("scores in words", "return right, float(right)", 'return right, "yes"', "row 0", "yes"),
    ("scores nothing", "return right, float(right)", "return None", "judge", "NoneType"),
    ("raises on a row", JUDGE, JUDGE + "; index == 3 and 1 / 0", "judge", "ZeroDivisionError"),
    ("a question is missing", 'join([row["q"], *lines', "join([*lines", "row 0", "lacks"),
    ("a choice is missing", '*lines, "One', '*lines[:2], "One', "row 0", "lacks 'blue 0'"),
    ("rows are dropped", "enumerate(self.rows)", "enumerate(self.rows[:6])", "7 rows", "load()s 6"),
    ("rows are doubled", "self.rows = ROWS", "self.rows = ROWS + ROWS", "7 rows", "14"),
    ("rows are dropped at both", "self.rows = ROWS", "self.rows = ROWS[1:]", "7 rows", "6"),
    ("rows change places", "self.rows = ROWS", "self.rows = ROWS[:2] + ROWS[:1:-1]", "row 2",
     "lack"),
    ("choices change places", 'zip("ABC", row["c"])', 'zip("ABC", row["c"][::-1])', "row 0", ""),
    ("letters change places", 'zip("ABC", row["c"])',
     'zip("BCA", row["c"])', "row 0", "behind the"),
    ("a hint with the choice", LEAK, LEAK + '; lines.append(row["c"]["ABC".index(row["a"])])',
     "row 1", "may tell"),
    ("a hint by the row", LEAK, LEAK + '; lines.append("hint" + "!" * "ABC".index(row["a"]))',
     "row 1", "may tell the answer"),
    ("a hint by spaces", '"One letter:"', '"One letter:" + " " * "ABC".index(row["a"])', "row 1",
     "may tell the answer"),
    ("a hint by the letter's sign", 'f"{x}. {choice}"', 'f"{x}{\'.)\'[x == row[\'a\']]} {choice}"',
     "row 1", "may tell the answer"),
    ("a hint once it was judged", "right = prediction", 'ROWS[0]["q"] += "!"; right = prediction',
     "row 0", "another prompt each time"),
    ("the first replies are right", JUDGE, JUDGE + "; self.left = getattr(self, 'left', 9) - 1; "
     "right = right or self.left > 0", "row 5", "the wrong answer"),
    ("other options", 'list("ABC")', 'list("BCA")', "row 0", "options"),
    ("fewer options", 'list("ABC")', 'list("AB")', "row 0", "options"),
    ("a prompt that is no text", '"input": self.get_prompt(i)', '"input": [self.get_prompt(i)]',
     "row 0", "input"),
    ("the key is another", '"reference": row["a"]', '"reference": "ABC"[i % 2]', "row 2",
     "reference"),
    ("the key is missing", '"reference": row["a"]', '"reference": None', "row 0", "reference"),
    ("another name", '"things_ko"', '"things"', "things", "things_ko"),
    ("no name", '@register_dataset("things_ko")', "", "things_ko", "registers"),
    ("no class", "(BaseDataset):", ":", "BaseDataset", ""),
    ("a missing import", "\nROWS", "\nimport no_such_module_at_all\nROWS", "no_such_module", ""),
    ("no Python", "class Things", "klass Things", "SyntaxError", ""),
    ("no list", "return [\n            {", "return {\n            'x': {", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "why"), [w[1:] for w in WRONG],
                         ids=[w[0] for w in WRONG])  # fmt: skip
def test_a_wrong_module_is_told(old: str, new: str, where: str, why: str, tmp_path: Path) -> None:
    """A module that runs and is wrong does not hold; the reason names the row and what is wrong."""
    verdict = judged(tmp_path, changed(old, new))
    assert not verdict.ok
    assert where in verdict.reason
    assert why in verdict.reason


def test_what_must_not_be_graded(tmp_path: Path) -> None:
    """A row without an answer that a module grades anyway does not hold."""
    wants = [replace(EXPECTED[0], golds=[], wrong=[], ungraded=True), *EXPECTED[1:]]
    verdict = judged(tmp_path, RIGHT, wants)
    assert "row 0" in verdict.reason
    assert not verdict.ok


@pytest.mark.parametrize("count", [0, 6, 8])
def test_every_row_is_looked_at(count: int, tmp_path: Path) -> None:
    """Fewer expectations than rows, or more, is a reason against a module, not a silent pass."""
    wants = [*EXPECTED, EXPECTED[0]][:count]
    assert not judged(tmp_path, RIGHT, wants).ok


SAY = """
def say(*lines):
    for fd in range(3, 20):
        try:
            os.write(fd, b"\\n".join(lines) + b"\\n")
        except OSError:
            pass
"""


def at_import(code: str) -> str:
    """The right module, doing something else first; `say` writes to every pipe that it finds."""
    return f"import os, sys, time\n{SAY}\n{code}\n" + RIGHT


HOSTILE = [
    ("os._exit(0)", "ended"),
    ("os._exit(7)", "ended"),
    ("sys.exit()", "ended"),
    ("os.kill(os.getpid(), 9)", "ended"),
    ("raise KeyboardInterrupt", "ended"),
    ("sys.stderr.write('last words'); sys.stderr.flush(); os._exit(1)", "last words"),
    ("say(b'[]')", ""),
    ("say(b'nonsense')", ""),
    ("say(b'\\xff')", ""),
    ("say(b'{}')", ""),
    ("say(b'{\"ok\": 1}')", ""),
    ("say(b'{\"ok\": {\"registered\": [\"things_ko\"], \"rows\": 7}}', b'{\"ok\": 7}',"
     " b'{\"ok\": []}', b'{\"ok\": []}')", ""),
    ("say(b'{\"ok\": {\"registered\": [\"things_ko\"], \"rows\": 7}}', b'{\"ok\": 7}',"
     " b'{\"ok\": [{}, {}, {}, {}, {}, {}, {}]}')", ""),
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("code", "why"), HOSTILE)
def test_a_hostile_module_ends_nothing(code: str, why: str, tmp_path: Path) -> None:
    """Whatever a module does to its own process, the parent gets a verdict: it does not hold."""
    verdict = judged(tmp_path, at_import(code))
    assert not verdict.ok
    assert why in verdict.reason


def children() -> set[str]:
    """The processes that this one has started and that have not ended."""
    found = Path("/proc/self/task").glob("*/children")
    return {pid for listed in found for pid in listed.read_text().split()}


@pytest.mark.parametrize("code", ["while True: pass", "time.sleep(600)"])
def test_an_endless_module_is_ended(code: str, tmp_path: Path) -> None:
    """A module that never comes to an end is stopped at its time limit, with all it started."""
    started, before = time.monotonic(), children()
    verdict = judged(tmp_path, at_import(code), timeout=2)
    assert "longer than 2 s" in verdict.reason
    assert time.monotonic() - started < 15
    assert children() == before


@pytest.mark.parametrize(
    "code",
    [
        "print('{\"ok\": 1}')",
        "sys.stdout.write('no line'); sys.stdout.flush()",
        "sys.stderr.write('x' * 50_000_000)",
        "print('y' * 50_000_000)",
        "input_left = sys.stdin.read()",
    ],
)
def test_what_a_module_prints_is_no_answer(code: str, tmp_path: Path) -> None:
    """A right module may print, much or little, and read its input: it holds all the same."""
    assert judged(tmp_path, at_import(code)) == Verdict(7)


def test_a_huge_prompt_is_read(tmp_path: Path) -> None:
    """Megabytes in one reply are read in about the time that it takes to write them."""
    started = time.monotonic()
    code = changed('"One letter:"', '"z" * 3_000_000 + "One letter:"')
    assert judged(tmp_path, code, timeout=60) == Verdict(7)
    assert time.monotonic() - started < 15


def test_the_child_knows_nothing_of_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module's process has no key, no proxy, no home of ours, and starts in an empty folder."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    monkeypatch.setenv("HTTPS_PROXY", "http://hidden")
    code = at_import(
        "import json\nraise ValueError(json.dumps([sorted(os.environ.values()), os.getcwd(),"
        " os.listdir('.'), sys.argv, sorted(os.environ)]))"
    )
    said = judged(tmp_path, code).reason
    values, cwd, listed, _, names = json.loads(said[said.index("[[") :])
    assert "hidden" not in said
    assert {v for v in values if v.startswith("/") and ":" not in v} == {cwd}
    assert set(names) <= {"HOME", "HF_HOME", "HRET_HOME", "TMPDIR", "HF_HUB_OFFLINE", "LANG",
                          "PATH", "HF_DATASETS_OFFLINE", "HF_DATASETS_DISABLE_PROGRESS_BARS",
                          "LC_CTYPE", "USE_TORCH", "USE_TF", "USE_JAX"}  # fmt: skip
    assert listed == []
    assert not Path(cwd).exists()


def test_a_child_leaves_nothing(tmp_path: Path) -> None:
    """When a module is closed, its process and its folder are gone."""
    (tmp_path / "dataset.py").write_text(RIGHT)
    with ChildModule(tmp_path / "dataset.py", timeout=30) as child:
        opened = child.ask("open", str(child.path), "default", "test")
        home, pid = child._jail.home, child._jail._process.pid
        assert home.is_dir()
    assert opened == {"registered": ["things_ko"], "rows": 7}
    assert not home.exists()
    assert not Path(f"/proc/{pid}").exists()
