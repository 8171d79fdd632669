"""A module holds in every way to make it: by default, by a list of subsets, with a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llm_eval.dataset.expect import expectations
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import ModuleSpec
from llm_eval.dataset.verify import Verdict, verify
from llm_eval.dataset.ways import Way, by_default, other_ways
from tests.unit.llm_eval.test_render import LETTERED

QUIZ = replace(
    LETTERED, question=[["q"]], choices=[["c", "[]"]], answer=["a"], answer_kind="index",
    subsets={"a": ["dev", "test"], "b": ["dev", "test"], "c": ["dev"]},
)  # fmt: skip
CODE = replace(
    QUIZ, task="code", question=[["q"]], choices=[], answer=["solution"], answer_kind="code",
    tests=[["test"]], entry_point=["name"], subsets={"default": ["test"]},
)  # fmt: skip
COUNTS = {"a": 3, "b": 4, "c": 5}


def rows(spec: ModuleSpec, subset: str, split: str) -> list[dict[str, object]]:
    """The rows of a split, unlike those of any other."""
    if spec.task == "code":
        body = "    return x + {}\n"
        return [
            {"q": f"def f{i}(x):\n", "solution": body.format(i), "name": f"f{i}",
             "test": f"def check(f):\n    assert f(1) == {1 + i}\n"}
            for i in range(3)
        ]  # fmt: skip
    return [
        {"q": f"{subset} {split} {i}?", "c": [f"{i} {x} {subset}" for x in "xyz"], "a": i % 3}
        for i in range(COUNTS[subset])
    ]


class Made:
    """A module, perhaps with one thing changed, beside the data of its spec."""

    def __init__(self, folder: Path, spec: ModuleSpec, old: str = "", new: str = "") -> None:
        code = render(spec)
        assert not old or code.count(old) == 1, old
        self.folder, self.spec, self.module = folder, spec, folder / "dataset.py"
        self.module.write_text(code.replace(old, new) if old else code, "utf-8")
        for subset, splits in spec.subsets.items():
            for split in splits:
                (file,) = self.files(subset, split)
                file.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(rows(spec, subset, split)), file)

    def files(self, subset: str, split: str) -> list[Path]:
        """The one file of a split."""
        return [self.folder / "data" / subset / f"{split}-00000-of-00001.parquet"]

    def whole(self) -> Verdict:
        """The verdict on every split, and on what the module gives by itself."""
        parts = [
            (subset, split, len(rows(self.spec, subset, split)), expectations(files, self.spec))
            for subset, splits in self.spec.subsets.items()
            for split in splits
            for files in [self.files(subset, split)]
        ]
        return verify(self.module, self.spec.slug, [*parts, by_default(self.spec, self.files)])

    def ways(self) -> Verdict:
        """The verdict on the other ways alone."""
        return verify(self.module, self.spec.slug, [], ways=other_ways(self.spec, self.files))


@pytest.mark.parametrize("spec", [QUIZ, CODE, replace(QUIZ, subsets={"a": ["dev"]})])
def test_the_template_holds_in_every_way(spec: ModuleSpec, tmp_path: Path) -> None:
    """Each split, the default, one subset without a split, two as a list, with a template."""
    made = Made(tmp_path, spec)
    found = made.whole()
    assert (found.reason, found.rows > 0) == ("", True)
    assert made.ways() == Verdict(0)


def test_which_ways_there_are(tmp_path: Path) -> None:
    """By default and with a template; each subset that has the default split; two, backwards."""
    made = Made(tmp_path, QUIZ)

    def told(ways: Sequence[Way]) -> list[tuple[object, ...]]:
        return [(w.subset, w.split, w.rows, [at for at, _ in w.looks], w.template) for w in ways]

    assert told(other_ways(QUIZ, made.files)) == [
        (None, None, 7, [0, 3], True),
        ("a", None, 3, [0], False),
        ("b", None, 4, [0], False),
        (["b", "a"], "test", 7, [0, 4], False),
    ]
    apart = replace(QUIZ, subsets={"a": ["test"], "b": ["dev"], "c": ["dev"]})
    assert told(other_ways(apart, Made(tmp_path, apart).files)) == [
        (None, None, 3, [0], True),
        ("a", None, 3, [0], False),
        (["c", "b"], "dev", 9, [0, 5], False),
    ]


WRONG = [
    ("a list is ignored", "chosen = list(self.subset or [])", "chosen = []", "['b', 'a']/test"),
    ("a list is sorted", "list(self.subset or [])", "sorted(self.subset or [])", "['b', 'a']/test"),
    ("another split for a subset", "split=split or self.default_split()",
     'split=split or ("test" if subset is None else "dev")', "a without split"),
    ("a template without its place", 'self.base_prompt_template.replace("{query}", prompt)',
     "self.base_prompt_template", "a base_prompt_template, row 0: the prompt lacks"),
    ("no template", "if self.base_prompt_template:", "if False:", "for ⟦{query}⟧ its input is"),
    ("a template is a list", "split=split or", "split=(base_prompt_template or split) or",
     "the module's open failed"),
    ("another language", '"language": "ko"', '"language": "en"', "info() gives as its language"),
    ("another judge", '"evaluation_only": None', '"evaluation_only": ["llm_judge"]', "['llm_judge"),
    ("another method", '"evaluation_only": None', '"evaluation_method": "code"', "'code'"),
    ("another subset's name", '"_subset_name": self.subset_names[index]', '"_subset_name": "a"',
     "row 3: its _subset_name is 'a', not 'b'"),
    ("no subset's name", '"_subset_name": self.subset_names[index],', "", "its _subset_name is"),
    ("no options", "list(LETTERS[: len(self.choices(row))]),\n", "None,\n", "its options None"),
    ("no choices", '{"choices": self.choices(row)}', '{"choices": ["x"]}', "its choices ['x']"),
    ("choices beside", '"options": list(', '"choices": [1], "options": list(', "its choices [1]"),
    ("a thought is read", 'prediction.rsplit("</think>", 1)[-1].split("<think>")[0]',
     "prediction", "'<think>B 정답: B</think>A' scores [False, 0.0]"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_the_rules_ask_is_asked(old: str, new: str, said: str, tmp_path: Path) -> None:
    """A module that does otherwise, in one of the ways or on a row, is told where and what."""
    assert said in Made(tmp_path, QUIZ, old, new).ways().reason


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('            "prompt": row["q"],\n', "", "'prompt' as None"),
        ('"prompt": row["q"]', '"prompt": "def g(x):"', "'prompt' as 'def g(x):'"),
        ('"reference":', '"prompt": "", "reference":', "'prompt' as ''"),
        ('"tests": self.tests(row)', '"tests": []', "'tests' as []"),
    ],
)
def test_what_a_program_is_judged_by_is_as_in_the_data(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    """The code that an answer goes on with, too: without it every right answer would fail."""
    assert said in Made(tmp_path, CODE, old, new).ways().reason


def test_a_program_names_its_method(tmp_path: Path) -> None:
    """Without it the module's own verdict would count, which is none."""
    made = Made(tmp_path, CODE, '"evaluation_method": "code",\n', "")
    assert made.whole().ok
    assert "info() gives as its evaluation_method None" in made.ways().reason
