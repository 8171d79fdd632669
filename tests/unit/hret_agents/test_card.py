"""The dataset card: metadata that the Hub knows, and a text that says what a port is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fnmatch import fnmatch
from importlib.resources import files
from typing import Any

import pytest
import yaml

from hret_agents.card import HUB_LICENCES, OPEN_LICENCES, card
from hret_agents.checks.says import CHECKS
from hret_agents.plan.records import Plan, Role, Span, TaskPlan
from hret_agents.spent import Spent
from llm_eval.dataset.spec import Manifest, ModuleSpec, SplitRecord
from llm_eval.records import Usage
from tests.fakes.hub_store import LICENSES

KNOWN = {
    "multiple-choice": {"multiple-choice-qa", "multiple-choice-coreference-resolution"},
    "question-answering": {"extractive-qa", "open-domain-qa", "closed-domain-qa"},
    "text-generation": {"dialogue-modeling", "dialogue-generation", "conversational",
                        "language-modeling"},
    "text-classification": {"natural-language-inference", "multi-class-classification"},
}  # fmt: skip
"""Some of the Hub's task categories, and of their task ids."""

CHOICES = TaskPlan(kind="multiple_choice", question=["q"], choices=["c[]"], answer="a")
LABELS = TaskPlan(kind="multiple_choice", question=["p", "h"], answer="l", answer_kind="text")
TASKS = [
    (CHOICES, ["multiple-choice", "question-answering"], ["multiple-choice-qa"]),
    (
        replace(LABELS, fixed_choices=["entailment", "neutral", "contradiction"]),
        ["text-classification"],
        ["natural-language-inference"],
    ),
    (
        replace(LABELS, fixed_choices=["a", "b", "c"]),
        ["text-classification"],
        ["multi-class-classification"],
    ),
    (replace(LABELS, fixed_choices=["yes", "no"]), ["text-classification"], None),
    (TaskPlan(kind="number", question=["q"], answer="a"), ["question-answering"], None),
    (TaskPlan(kind="math", question=["q"], answer="a"), ["question-answering"], None),
    (TaskPlan(kind="code", question=["q"], answer="a"), ["text-generation"], None),
    (
        TaskPlan(kind="text", question=["q"], answer="t[]", span=Span(
            context="x", text="t[]", start="s[]")),
        ["question-answering"],
        ["extractive-qa"],
    ),
    (TaskPlan(kind="ungraded", question=["q"]), ["text-generation"], None),
    (
        TaskPlan(kind="ungraded", question=["m[].text"], speaker="m[].role"),
        ["text-generation"],
        ["conversational"],
    ),
]  # fmt: skip


def manifest_of(**changes: Any) -> Manifest:
    """A port of two subsets on the Hub."""
    record = SplitRecord(rows=900, passed=890, failed=10, kept=3, files={"f.parquet": "0"})
    spec = ModuleSpec(slug="org__quiz_ko", class_name="QuizKo", source="org/quiz", lang="ko",
                      repo="me/quiz-ko", subsets={}, task="ungraded", question=[["q"]])  # fmt: skip
    return Manifest(**{
        "slug": "org__quiz_ko", "source": "org/quiz", "revision": "0123abcd", "licence": "mit",
        "source_lang": "en", "target_lang": "ko", "translator": "some-model",
        "prompt_version": "abc123", "repo": "me/quiz-ko", "plan_sha256": "f" * 64,
        "columns": {"q": "질문"}, "splits": {"easy": {"test": record, "train": record}},
        "checks": {"numbers": 4, "option_distinct": 2, "connection": 8}, "module": spec,
        "module_sha256": "0", "module_way": "template", **changes,
    })  # fmt: skip


def plan_of(task: TaskPlan = CHOICES) -> Plan:
    """A plan for that port."""
    return Plan(source="org/quiz", source_lang="en", target_lang="ko", roles={"q": Role.prose},
                names={}, task=task)  # fmt: skip


def metadata(manifest: Manifest, task: TaskPlan = CHOICES) -> dict[str, Any]:
    """The front matter of a card."""
    found: dict[str, Any] = yaml.safe_load(card(manifest, plan_of(task)).split("---\n")[1])
    return found


def resource(name: str) -> Any:
    """What the datasets library knows of the Hub's values."""
    return json.loads((files("datasets") / "utils" / "resources" / name).read_text("utf-8"))


@pytest.mark.parametrize(("task", "categories", "ids"), TASKS)
def test_tasks_are_the_hubs_own(
    task: TaskPlan, categories: list[str], ids: list[str] | None
) -> None:
    """Every kind of task has its categories, and a task id of one of them where one fits."""
    found = metadata(manifest_of(), task)
    assert (found["task_categories"], found.get("task_ids")) == (categories, ids)
    assert set(categories) <= set(KNOWN)
    assert set(ids or ()) <= set().union(*(KNOWN[c] for c in categories))


@pytest.mark.parametrize("translator", ["some-model", "memory"])
@pytest.mark.parametrize("passed", [0, 999, 1000, 99_999, 1_000_000, 50_000_000])
def test_metadata_are_values_that_the_hub_knows(passed: int, translator: str) -> None:
    """Languages, creators, sizes and multilinguality come from the Hub's lists."""
    record = SplitRecord(rows=passed, passed=passed, failed=0, kept=0, files={})
    changes = {"splits": {"a": {"test": record}}, "translator": translator, "target_lang": "pt-BR"}
    found = metadata(manifest_of(**changes))
    creators = resource("creators.json")
    assert set(found["language_creators"]) <= set(creators["language"])
    assert set(found["annotations_creators"]) <= set(creators["annotations"])
    assert set(found["multilinguality"]) <= set(resource("multilingualities.json"))
    assert set(found["size_categories"]) <= set(resource("size_categories.json"))
    assert set(found["language"]) <= set(resource("languages.json"))
    assert found["language_details"] == "pt-BR"
    assert "machine-translated" in found["tags"]
    assert found["source_datasets"] == ["org/quiz"]


LICENCES: list[tuple[str | None, dict[str, Any]]] = [
    ("mit", {"license": "mit"}),
    ("mit, cc-by-4.0", {"license": ["mit", "cc-by-4.0"]}),
    (None, {"license": "unknown"}),
    ("other", {"license": "other", "license_name": "the-source-s-own", "license_link": "link"}),
    ("My Own 1.0", {"license": "other", "license_name": "my-own-1.0", "license_link": "link"}),
]


@pytest.mark.parametrize(("licence", "said"), LICENCES)
def test_the_licence_is_carried_over(licence: str | None, said: dict[str, Any]) -> None:
    """A licence of the Hub's list stands as it is; any other has a name and a link."""
    found = metadata(manifest_of(licence=licence))
    link = "https://huggingface.co/datasets/org/quiz/tree/0123abcd"
    wanted = {k: v.replace("link", link) if k == "license_link" else v for k, v in said.items()}
    assert {k: v for k, v in found.items() if k.startswith("license")} == wanted
    ids = said["license"] if isinstance(said["license"], list) else [said["license"]]
    assert set(ids) <= LICENSES


def test_the_licences_are_the_hubs() -> None:
    """The list that is gone by is the Hub's, and no licence without derivatives counts as open."""
    assert HUB_LICENCES | {"other"} == LICENSES
    assert not [name for name in OPEN_LICENCES if "-nd" in name or name in ("other", "unknown")]


def test_a_file_of_this_machine_is_no_source_on_the_hub() -> None:
    """A local source is named, and neither linked nor listed among the Hub's datasets."""
    manifest = manifest_of(source="quiz.jsonl", slug="quiz_ko", licence=None, repo=None)
    text, found = card(manifest, plan_of()), metadata(manifest)
    assert "source_datasets" not in found
    assert "huggingface.co" not in text
    assert 'dataset="quiz_ko"' in text


def test_a_split_is_not_read_into_another() -> None:
    """The shards of `test-hard` are not those of `test`."""
    record = SplitRecord(rows=1, passed=1, failed=0, kept=0, files={})
    found = metadata(manifest_of(splits={"a": {"test": record, "test-hard": record}}))
    patterns = {f["split"]: f["path"] for f in found["configs"][0]["data_files"]}
    for split in patterns:
        shard = f"data/a/{split}-00003-of-00012.parquet"
        assert [s for s, pattern in patterns.items() if fnmatch(shard, pattern)] == [split]


def test_counts_stand_beside_what_they_mean() -> None:
    """Each check has its count, its kind and its sentence; a failed request is no check."""
    text = card(manifest_of(), plan_of())
    assert f"| numbers | flag | 4 | {CHECKS['numbers'].says} |" in text
    assert f"| option_distinct | gate | 2 | {CHECKS['option_distinct'].says} |" in text
    assert "| connection | gate | 8 | No translation was got. |" in text
    assert "| easy | test | 900 | 890 | 10 | 3 |" in text
    assert "20 of 1,800 rows are missing" in text


def test_cost_is_told_only_where_it_is_given() -> None:
    """A card without an account says nothing of cost; an unknown price is called so."""
    assert "| cost |" not in card(manifest_of(), plan_of())
    spent = {
        "a": Spent(Usage(1200, 30_000, 4000), 1.25),
        "b": Spent(Usage(3, 10, 5), 0.0, 3),
        "c": Spent(Usage(5, 10, 5), 0.5, 2),
    }
    text = card(manifest_of(), plan_of(), spent)
    assert "| cost | 1,200 requests to `a`, 34,000 tokens, 1.2500 USD |" in text
    assert "| cost | 3 requests to `b`, 15 tokens, 3 requests of unknown price |" in text
    assert "| 5 requests to `c`, 15 tokens, 0.5000 USD and 2 requests of unknown price |" in text


def test_the_korean_part_comes_first_in_a_korean_port() -> None:
    """In a port into another language it comes last."""
    for lang, first in (("ko", "## 한국어 안내"), ("ja", "## Where it comes from")):
        text = card(manifest_of(target_lang=lang, slug=f"org__quiz_{lang}"), plan_of())
        assert text.index("\n## ") + 1 == text.index(first)
        assert text.count("## 한국어 안내") == 1


def test_names_of_columns_cannot_break_the_page() -> None:
    """Bars, line ends, tags and backslashes in a column's name stay within its cell."""
    columns = {"a|b\n## c": "<script>", "back\\slash": "`x`"}
    text = card(manifest_of(columns=columns), plan_of())
    assert "| a\\|b ## c | &lt;script> |" in text
    assert "| back\\\\slash | `x` |" in text


def test_what_is_not_graded_says_so() -> None:
    """A port without golds shows how to get at its prompts, and no accuracy."""
    task = TaskPlan(kind="ungraded", question=["q"])
    text = card(manifest_of(), plan_of(task))
    assert "**Not graded:**" in text
    assert "oracle" not in text
    assert metadata(manifest_of(), task)["annotations_creators"] == ["no-annotation"]


def test_the_source_is_cited() -> None:
    """The entry for BibTeX names the repo, the source and its revision, and is balanced."""
    text = card(manifest_of(source="org/my_quiz", slug="org__my_quiz_ko"), plan_of())
    (entry,) = re.findall(r"```bibtex\n(.*?)```", text, re.DOTALL)
    assert r"{my\_quiz, in Korean: a machine translation of org/my\_quiz}" in entry
    assert r"\url{https://huggingface.co/datasets/me/quiz-ko}" in entry
    assert "0123abcd" in entry
    assert entry.count("{") == entry.count("}")


def test_no_sentence_is_left_open() -> None:
    """Neither an open particle nor a blank of the template stands in a card."""
    for manifest in (manifest_of(), manifest_of(licence=None, revision=None, limit=5, repo=None)):
        text = card(manifest, plan_of())
        assert not re.search(r"[을은이]\([를는가]\)|None|\{\{|\}\}\s*$|\n\n\n\n", text)
