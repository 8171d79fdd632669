"""The module template: what it renders is formatted, self-contained, and reads replies rightly."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import black
import pytest

from llm_eval.dataset import load_datasets
from llm_eval.dataset.base import BaseDataset
from llm_eval.dataset.render import literal, render
from llm_eval.dataset.spec import ModuleSpec
from llm_eval.evaluation.string_match import judge
from tests.conftest import ROOT

LETTERED = ModuleSpec(
    slug="rendered_ko", class_name="QuizKo", source="ORG/quiz", lang="ko", repo=None,
    subsets={"default": ["test"]}, task="multiple_choice", question=[["맥락"], ["질문"]],
    choices=[["선택지", "[]"]], answer=["정답"], answer_kind="letter",
)  # fmt: skip
NUMBER = replace(LETTERED, task="number", choices=[], question=[["질문"]], answer_kind="steps")
SPECS = {
    "letter": LETTERED,
    "index": replace(LETTERED, answer_kind="index"),
    "index from 1": replace(LETTERED, answer_kind="index", index_base=1),
    "label": replace(LETTERED, answer_kind="label", labels=["labels", "[]"]),
    "text among choices": replace(LETTERED, answer_kind="text"),
    "columns": replace(LETTERED, choices=[["a"], ["b"], ["c"]], answer_kind="index"),
    "nested": replace(LETTERED, choices=[["choices", "text", "[]"]], answer=["choices", "gold"]),
    "fixed": replace(LETTERED, choices=[], fixed_choices=["참", "거짓", '"따옴표"'],
                     answer_kind="text"),
    "lettered": replace(LETTERED, lettered=True),
    "number": replace(NUMBER, answer_kind="number"),
    "steps": NUMBER,
    "text": replace(NUMBER, task="text", answer_kind="text"),
    "math": replace(NUMBER, task="math", answer_kind="text"),
    "ungraded": replace(NUMBER, task="ungraded", answer=None, answer_kind=None),
    "turns": replace(NUMBER, question=[["turns", "[]", "content"]]),
    "english": replace(LETTERED, lang="en", repo="tester/quiz-en"),
    "subsets": replace(LETTERED, subsets={f"a subset {i}": ["train", "test"] for i in range(60)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPECS)
def test_black_has_nothing_to_do(kind: str) -> None:
    """A rendered module stands as black leaves it, and renders to the same bytes again."""
    code = render(SPECS[kind])
    assert black.format_str(code, mode=black.Mode()) == code
    assert render(SPECS[kind]) == code


LONG = "a column name of thirty letters"
WIDE = {
    "column": replace(LETTERED, question=[[LONG]], choices=[[LONG, "[]"]], answer=[LONG]),
    "index": replace(LETTERED, answer=[LONG], answer_kind="index", index_base=1),
    "labels": replace(LETTERED, answer_kind="label", labels=[LONG, "[]"]),
}


@pytest.mark.parametrize("kind", WIDE)
def test_black_has_nothing_to_do_with_long_names(kind: str) -> None:
    """Names as long as people make them do not change that."""
    code = render(WIDE[kind])
    assert black.format_str(code, mode=black.Mode()) == code


@pytest.mark.parametrize("kind", SPECS)
def test_a_module_needs_this_project_and_datasets_alone(kind: str) -> None:
    """It imports the standard library, `datasets`, `llm_eval.datasets`, and nothing unused."""
    tree = ast.parse(render(SPECS[kind]))
    froms = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    plain = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    ours = {"datasets", "llm_eval.datasets", "llm_eval.datasets.base"}
    assert {"pathlib", "typing"} | ours == froms
    assert plain <= {"re"}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert plain <= names


STRANGE = ('q"', "q'", "back\\slash", "{braces}", "{{ jinja }}", "{% if %}", "line\nbreak", '"""',
           "'''", "%s", "# no comment", "\\", "\\n", "tab\t", "\u2028", "\x01\x1b", "정 답", "",
           "row", '"] or __import__("os")._exit(7) or row["')  # fmt: skip


def write(folder: Path, spec: ModuleSpec, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A rendered module with its data beside it."""
    from datasets import Dataset

    target = folder / "data" / "default"
    target.mkdir(parents=True)
    Dataset.from_list([dict(r) for r in rows]).to_parquet(target / "test-00000-of-00001.parquet")
    (folder / "dataset.py").write_text(render(spec), encoding="utf-8")
    return folder / "dataset.py"


def made(folder: Path, spec: ModuleSpec, *rows: Mapping[str, Any]) -> BaseDataset:
    """The dataset of a rendered module."""
    return load_datasets(str(write(folder, spec, rows)))


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
def test_a_strange_name_stays_a_name(name: str) -> None:
    """No column, choice, slug or source name can leave the literal that it stands in."""
    spec = replace(LETTERED, slug=name, source=name, repo=name, subsets={name: [name]},
                   question=[[name], [name, "[]", name]], choices=[], fixed_choices=[name, "x"],
                   answer=[name])  # fmt: skip
    tree = ast.parse(render(spec))
    usual = ast.parse(render(replace(spec, slug="s", source="s", repo="s", subsets={"s": ["s"]},
                                     question=[["s"], ["s", "[]", "s"]], fixed_choices=["s", "x"],
                                     answer=["s"])))  # fmt: skip

    def shape(node: ast.AST) -> list[str]:
        return [type(n).__name__ for n in ast.walk(node)]

    assert shape(tree) == shape(usual)
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    assert name in texts


def test_strange_columns_are_read(tmp_path: Path) -> None:
    """Columns with quotes, braces and line breaks in their names give their own cells."""
    names = [n for n in STRANGE if n]
    spec = replace(LETTERED, question=[[n] for n in names], choices=[["선택지", "[]"]])
    row = {n: f"cell {i}" for i, n in enumerate(names)} | {"선택지": ["가", "나"], "정답": "B"}
    data = made(tmp_path, spec, row)
    assert all(f"cell {i}\n" in data.get_prompt(0) for i in range(len(names)))
    assert data.evaluate_prediction(0, "B") == (True, 1.0)


def test_cells_are_data(tmp_path: Path) -> None:
    """Braces, Jinja signs and a template's own placeholder in a cell come through as they are."""
    text = '{query} {0} {{ x }} {% y %} \\n """ \' %s'
    path = write(
        tmp_path, SPECS["text"], [{"질문": text, "정답": "{}"}, {"질문": "a", "정답": "b"}]
    )
    data = load_datasets(str(path), base_prompt_template="<<{query}>>")
    (first, _) = data.load()
    assert first["input"].startswith(f"<<{text}")
    assert first["input"].count("<<") == 1


def test_literals_are_what_they_stand_for() -> None:
    """A literal evaluates to its value."""
    for value in [None, True, "가\"'\\\n\x00\u2028", ["a", ["b\\"]], 3]:
        assert ast.literal_eval(literal(value)) == value


def test_a_module_runs_alone(tmp_path: Path) -> None:
    """In an isolated interpreter, elsewhere, it loads its rows, and nothing of the porting half."""
    row = {"맥락": "비가 온다.", "질문": "무엇이 오나?", "선택지": ["비", "눈"], "정답": "A"}
    path = write(tmp_path / "port", LETTERED, [row])
    code = (
        "import sys, json; sys.path.append(sys.argv[1]); import llm_eval\n"
        "sys.modules['hret_agents'] = sys.modules['hret'] = None\n"
        "from llm_eval.dataset import load_datasets\n"
        "print(json.dumps(load_datasets(sys.argv[2]).load()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(ROOT), str(path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (sample,) = json.loads(done.stdout)
    prompt = (
        "비가 온다.\n\n무엇이 오나?\n\nA. 비\nB. 눈\n\n정답을 알파벳 한 글자로만 답하세요.\n정답:"
    )
    assert sample == {
        "input": prompt, "reference": "A", "options": ["A", "B"],
        "metadata": {"choices": ["비", "눈"]}, "_subset_name": "default",
    }  # fmt: skip


def function(kind: str, name: str) -> Any:
    """A function of a rendered module."""
    scope: dict[str, Any] = {"__file__": "dataset.py", "__name__": "rendered"}
    exec(compile(render(SPECS[kind]), "dataset.py", "exec"), scope)
    return scope[name]


CHOICES = ["alpha", "beta", "감마", "delta"]
LETTERS = [
    ("B", "B"), ("(B)", "B"), (" b eta", None), ("B.", "B"), ("B) beta", "B"), ("B. beta", "B"),
    ("정답: C", "C"), ("정답은 (C)입니다.", "C"), ("답: C", "C"), ("답은 C", "C"),
    ("**정답: C**", "C"),
    ("The answer is D.", "D"), ("Answer: D", "D"), ("정답:C", "C"), ("정답：C", "C"),
    ("A 같지만 정답은 B", "B"), ("정답: A\n다시 보니 정답: B", "B"), 
    ("정답: A일까? 아니다. 정답: D", "D"),
    ("<think>정답: A</think>정답: B", "B"), ("<think>A</think>\n\nC", "C"),
    ("<think>정답: A", None),
    ("beta", "B"), ("정답: beta", "B"), ("정답: 감마", "C"), ("감마", "C"),
    ("선택지 가운데 B가 맞다", "B"), ("A와 B가 모두 맞다", None), ("A or B", None),
    ("A. **beta**", "A"), ("**C. 감마**", "C"),
    ("", None), ("   ", None), ("모르겠습니다.", None), ("E", None), ("정답: E", None),
    ("Apple", None), ("정답: Apple", None), ("ABBA", None), ("I would say so", None),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "letter"), LETTERS, ids=ascii)
def test_the_letter_of_a_reply(reply: str, letter: str | None) -> None:
    """The last marked letter counts, else a bare one, a choice's text, the only one; or none."""
    assert function("letter", "read_letter")(reply, CHOICES) == letter


NUMBERS = [
    ("42", 42), ("정답: 42", 42), ("정답: 1,204개", 1204), ("#### 42", 42), ("\\boxed{42}", 42),
    ("\\boxed{-3.5}", -3.5), ("정답은 $18입니다.", 18), ("정답: ₩18,000", 18000),
    ("**정답: 42**", 42),
    ("3 + 5 = 8", 8), ("먼저 7개, 그다음 5개이므로 12개.", 12), ("정답: 7\n검산하니 정답: 8", 8),
    ("정답: 8 (상자 3개)", 8), ("The answer is .5", 0.5), ("정답: -7", -7), ("42.", 42),
    ("42.0", 42),
    ("<think>정답: 1</think>정답: 2", 2), ("<think>정답: 1", None), ("", None), ("없음", None),
    ("정답: 없음", None), ("1,204,", 1204), ("nan", None), ("inf", None),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "number"), NUMBERS, ids=ascii)
def test_the_number_of_a_reply(reply: str, number: float | None) -> None:
    """The last marked number counts, else the last one, whatever its separators; or none."""
    assert function("number", "read_number")(reply) == number


TEXTS = [
    ("서울", True), ("정답: 서울", True), ("서울.", True), (' "서울" ', True),
    ("생각해 보자.\n정답: 서울", True),
    ("<think>부산</think>서울", True),
    ("부산", False), ("서울 아님", False), ("정답: 부산\n서울은 아니다", False),
    ("", False), ("정답:", False),
]  # fmt: skip


def test_the_text_of_a_reply(tmp_path: Path) -> None:
    """A text counts without its mark, quotes, case, spacing and Unicode form, and only whole."""
    data = made(tmp_path, SPECS["text"], {"질문": "수도는?", "정답": "서울"})
    found = {reply: data.evaluate_prediction(0, reply) for reply, _ in TEXTS}
    assert found == {reply: (right, float(right)) for reply, right in TEXTS}


TEXTS_BY_GOLD = [
    ("x**2", ["x**2", "**x**2**", "정답: x**2", "**정답:** x**2"], ["x2", "x*2", "정답: x2"]),
    (
        "답은 없다",
        ["답은 없다", "정답: 답은 없다", "생각...\n정답: 답은 없다."],
        ["없다", "정답: 없다"],
    ),
    ("모르겠습니다.", ["모르겠습니다", "정답: 모르겠습니다."], ["", "정답:", "알겠습니다."]),
]


@pytest.mark.parametrize(("gold", "right", "wrong"), TEXTS_BY_GOLD)
def test_a_text_with_signs_or_marks_of_its_own(
    gold: str, right: list[str], wrong: list[str]
) -> None:
    """Bold print is set aside and nothing else is; a gold may hold what marks an answer."""
    is_said = function("text", "is_said")
    assert all(is_said(gold, reply) and judge(reply, gold).is_correct for reply in right)
    assert not any(is_said(gold, reply) or judge(reply, gold).is_correct for reply in wrong)


LONE_LETTERS = [
    ("C", "C"), ("(C)", "C"), ("c", "C"), ("(c)", "C"), ("[C]", "C"), ("C.", "C"), ("C) 나라", "C"),
    ("(C) 12/11/1937", "C"), ("(C)나라", "C"), ("C. 나라", "C"), ("C: 나라", "C"), ("**C**", "C"),
    ("정답: C", "C"), ("정답: (C)", "C"), ("정답: (C) 나라", "C"), ("정답은 (C)입니다.", "C"),
    ("정답은 C입니다", "C"), ("정답: **C**", "C"), ("정답은 (C) 나라입니다", "C"),
    ("The answer is (C).", "C"), ("Answer: C", "C"), ("C가 정답입니다.", "C"), ("정답: `C`", "C"),
    (r"따라서 $\boxed{C}$", "C"), (r"\boxed{\text{(C)}}", "C"), ("정답: $C$", "C"),
    ("정답: C (나라)", "C"), ("생각해 보면 이렇다.\n(C)", "C"), ("C. 나라\n이유: 그렇다.", "C"),
    ("정답: C\n해설: A는 답이 될 수 없다.", "C"), ("A 같지만 정답은 C", "C"),
    ("정답: A일까? 아니다.\n정답: C", "C"), ("<think>정답: A</think>\n\n(C)", "C"),
    ("Answer: C\nI hope that answers.", "C"), 
    ("B", "B"), ("(B) 나라", "B"), ("정답: B", "B"), ("C 아니면 B\n정답: (B)", "B"),
    ("", None), ("모르겠습니다.", None), ("C++", None), ("정답: C++", None), ("C.E.O.", None),
    ("Cat", None), ("정답: Cat", None), ("C와 B", None), ("C 아님", None), ("나라", None),
    ("A car is in (C) here", None), ("These are the answers.", None), ("<think>(C)", None),
]  # fmt: skip


@pytest.mark.parametrize("gold", ["C", "(C)", "c", "(c)", "[C]", "C."])
def test_a_gold_that_is_a_letter_is_read_as_a_choices(gold: str) -> None:
    """By what a reply marks, or begins or ends with; string_match judges alike."""
    is_said = function("text", "is_said")
    found = {reply: (is_said(gold, reply), judge(reply, gold).is_correct)
             for reply, _ in LONE_LETTERS}  # fmt: skip
    assert found == {reply: (said == "C",) * 2 for reply, said in LONE_LETTERS}


FORMULAS = [
    ("2**3", [r"\boxed{2**3}", r"**\boxed{2 ** 3}**", "정답: 2**3", "2**3"],
     [r"\boxed{23}", "23", r"\boxed{2*3}"]),
    (r"\left\{1\right.", [r"\boxed{\left\{1\right.}", r"\boxed{2} 아니 $\boxed{\{1.}$"],
     [r"\boxed{1}"]),
    (r"\text{답: 3}", [r"\boxed{\text{답: 3}}", r"정답: \text{답: 3}"], [r"\boxed{3}", "3"]),
    ("3", [r"\boxed{3}", "정답: 3", "**정답: 3**", "3."], [r"3\boxed{4}", "", r"\boxed{"]),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "right", "wrong"), FORMULAS)
def test_the_formula_of_a_reply(gold: str, right: list[str], wrong: list[str]) -> None:
    """What is boxed last, braces that are signs aside; else what is marked, or all of it."""
    is_said = function("math", "is_said")
    assert [is_said(gold, reply) for reply in right] == [True] * len(right)
    assert [is_said(gold, reply) for reply in wrong] == [False] * len(wrong)


GOLDS = [
    ("letter", "B", "B"), ("letter", " b ", "B"), ("letter", "", None), ("letter", "E", None),
    ("letter", "AB", None), ("letter", None, None),
    ("index", 1, "B"), ("index", "1", "B"), ("index", -1, None), ("index", 2, None),
    ("index", None, None), ("index", "²", None), ("index from 1", 1, "A"),
    ("index from 1", 0, None),
    ("text among choices", "나", "B"), ("text among choices", "다", None),
    ("number", "1,204", "1,204"), ("number", "없음", None), ("number", None, None),
    ("number", "", None), ("number", "nan", None),
    ("steps", "2 + 2 = 4\n#### 4", "4"), ("steps", "4", None), ("steps", "", None),
    ("text", "서울", "서울"), ("text", " ", None), ("text", None, None), ("text", "?", None),
    ("text", "<think>", None), ("math", "x+1", "x+1"), ("math", "{", None), ("math", ".", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "gold", "answer"), GOLDS, ids=ascii)
def test_a_row_without_a_readable_gold_is_not_judged(
    kind: str, gold: Any, answer: str | None, tmp_path: Path
) -> None:
    """A gold that names no answer gives no reference, and no reply is right or wrong on it."""
    row = {"맥락": "글", "질문": "물음", "선택지": ["가", "나"], "정답": gold}
    data = made(tmp_path, SPECS[kind], row)
    (sample,) = data.load()
    assert sample["reference"] == answer
    if answer is None:
        assert data.evaluate_prediction(0, "모름") == (False, None)
        assert data.evaluate_prediction(0, "A") == (False, None)
    else:
        assert data.evaluate_prediction(0, answer) == (True, 1.0)
        assert data.evaluate_prediction(0, "모름") == (False, 0.0)
