"""A unit's texts are judged together: which findings there are, and how grave each is."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from hret_agents.checks import CHECKS, FLAGS, GATES, Finding, Rules, check_unit
from hret_agents.plan.records import IGNORABLE, STRUCTURAL
from hret_agents.translate.units import Segment, Unit

KO = Rules(lang="ko", choices=["c[]"])


def unit(*texts: str, path: str = "c[]") -> Unit:
    """A unit of some texts under one leaf."""
    return Unit(tuple(Segment(path, i, text) for i, text in enumerate(texts)))


def found(source: Unit, *texts: str, rules: Rules = KO, told: bool = False) -> list[str]:
    """The ids of what is found."""
    return [f.check for f in check_unit(source, texts, rules, told=told)]


def test_the_table_holds_every_check_in_the_order_of_the_document() -> None:
    """Eighteen gates and ten flags, each with a sentence; the plan knows which may be ignored."""
    gates = [c.id for c in CHECKS.values() if c.severity == "gate"]
    assert len(gates) == 18 and len(CHECKS) == 28 and list(CHECKS)[:18] == gates
    assert set(CHECKS) == {*IGNORABLE, *STRUCTURAL}
    assert all(name == c.id and c.says.endswith(".") for name, c in CHECKS.items())
    assert {c.id for c in CHECKS.values() if c.scope == "text"} == {
        *GATES, *FLAGS, "unchanged", "glossary",
    }  # fmt: skip


@pytest.mark.parametrize("texts", [[], ["하나"], ["하나", "둘", "셋"]])
def test_list_len(texts: list[str]) -> None:
    """A wrong number of texts is one gate, and nothing is compared across shifted places."""
    assert found(unit("one cat", "two cats"), *texts) == ["list_len"]
    assert found(unit("one cat", "two cats"), "고양이 하나", "고양이 둘") == []


@pytest.mark.parametrize(
    "texts",
    [
        ("고양이", "고양이"),
        ("고양이", " 고양이."),
        ("고양이", "“고양이”"),
        ("고양이 둘", "고양이둘"),
    ],
)
def test_collapsed_options_are_a_gate(texts: tuple[str, str]) -> None:
    """Two choices that differ must not become one, a few signs aside; the message names both."""
    source = unit("a cat", "a kitten")
    gates = [f for f in check_unit(source, texts, KO) if f.severity == "gate"]
    (finding,) = gates
    assert finding.check == "option_distinct"
    assert "a cat" in finding.message and "a kitten" in finding.message


def test_options_that_were_equal_may_stay_equal() -> None:
    """Equal choices of the source, other leaves, and distinct translations are no collapse."""
    assert found(unit("a cat", "a cat"), "고양이", "고양이") == []
    assert found(unit("a cat", "a kitten", path="q"), "고양이", "고양이") == []
    assert found(unit("a cat", "a kitten"), "고양이", "새끼 고양이") == []
    assert found(unit("the symbol Ca", "the symbol CA"), "기호 Ca", "기호 CA") == []
    assert found(unit("a  cat", "a cat\u00a0", "a\ncat"), "고양이", "고양이", "고양이") == []
    assert found(unit("caf\u00e9", "cafe\u0301"), "카페", "카페") == []
    assert found(unit("a cat", "acat"), "고양이", "고양이") == ["option_distinct"]


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        (("Yes, it is.", "Yes, it is!"), ("예, 그렇다.", "예, 그렇다!")),
        (("What now?", "What now!"), ("이제 뭐?", "이제 뭐!")),
        (("3.5 meters", "35 meters"), ("3.5미터", "35미터")),
    ],
)
def test_options_that_differ_by_a_sign_may_go_on_to(
    source: tuple[str, str], texts: tuple[str, str]
) -> None:
    """Choices that the source tells apart by signs alone may be told apart so in Korean."""
    assert found(unit(*source), *texts) == []


NAMES = [
    "Python",
    "UNESCO",
    "iPhone 15",
    "pH 7",
    "5 km",
    "TCP/IP",
    "Wi-Fi",
    "The Beatles",
    "E = mc^2",
]
NAMES += [
    "(zy – 2x)/z",
    "(ay−by)/2",
    "3y/(wx)",
    "xyz",
    "ab",
    "2/3 xy",
    "dy/dx",
    "bcc",
    "sin(x) + C",
]
NAMES += ["15 kmph", "22 hrs", "120 bpm", "25 ppm", "600 kcal", "4 tsp", "16 fl oz", "Émile Zola"]
NAMES += ["in vitro", "E. coli", "Homo sapiens", "Vincent van Gogh", "United States of America"]
NAMES += ["5 km²", "10 cm²", "log₂ n", "sin²θ", "sp³", "½mv²", "E=mc²", "H₂SO₄", "Ca²⁺", "x² + 2xy"]
NAMES += ["2KMnO4 + 16HCl → 2KCl + 2MnCl2 + 8H2O + 5Cl2"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_stay_once_the_model_insists(name: str) -> None:
    """What came back unchanged is a gate at first, and a flag when a name is insisted on."""
    assert found(unit(name), name) == ["target_script"]
    assert found(unit(name), name, told=True) == ["unchanged"]
    assert "unchanged" not in found(unit(name), "파이썬" + name[-1:], told=True)


ORDINARY = [
    "The Jewish one",
    "which animal is it",
    "None of these is right",
    "evaporation",
    "Yes",
    "or",
]
ORDINARY += ["speed = distance", "cat", "his/her", "24 minutes", "Data analysis", "None of These"]
ORDINARY += ["α-helix", "5 men²", "the area of πr²"]
ORDINARY += ["All of the Above", "recieve", "A. water", "6 men", "de la casa", "x = 1 or y = 2"]


@pytest.mark.parametrize("text", ORDINARY)
def test_a_sentence_is_never_waved_through(text: str) -> None:
    """Words that have a translation stay a gate however often the model insists."""
    assert found(unit(text), text, told=True) == ["target_script"]


@pytest.mark.parametrize("leaf", ["c[]", "*"])
def test_a_check_that_is_ignored_is_silent(leaf: str) -> None:
    """For the leaf or for all; other leaves and other checks go on."""
    rules = Rules(lang="ko", ignore={leaf: ["target_script", "numbers", "length_soft"]})
    assert found(unit("one of the 12 cats is here"), "one of the cats", rules=rules) == []
    assert found(unit("Which? ____"), "어느 것?", rules=rules) == ["blank_count"]
    other = Rules(lang="ko", ignore={"q": ["target_script"]})
    assert "target_script" in found(unit("Which cat?"), "Which cat?", rules=other)


def test_structure_is_never_ignored() -> None:
    """Even a plan that says so does not let choices collapse or texts get lost."""
    rules = Rules(lang="ko", choices=["c[]"], ignore={"*": ["option_distinct", "list_len"]})
    assert "option_distinct" in found(unit("a cat", "a kitten"), "고양이", "고양이", rules=rules)
    assert found(unit("a cat"), rules=rules) == ["list_len"]


def severities(source: Unit, texts: Sequence[str], settled: Sequence[int]) -> dict[str, str]:
    """How grave each finding is."""
    found = check_unit(source, texts, KO, settled=settled)
    return {f.check: f.severity for f in found}


def test_what_a_human_settled_is_only_flagged() -> None:
    """A gate on a settled text is a flag; of two choices that are one, one must be the model's."""
    assert severities(unit("Which cat?"), ["Which cat?"], [0]) == {"target_script": "flag"}
    assert severities(unit("Which cat?"), ["Which cat?"], []) == {"target_script": "gate"}
    two = unit("a cat", "a kitten")
    assert severities(two, ["고양이", "고양이"], [0])["option_distinct"] == "gate"
    assert severities(two, ["고양이", "고양이"], [0, 1])["option_distinct"] == "flag"


def test_a_term_that_was_not_kept_is_flagged_with_what_is_wanted() -> None:
    """The model reads the message when it is asked again."""
    (finding,) = check_unit(unit("the dog"), ["그 강아지"], KO, terms=[("dog", "개")])
    assert (finding.check, finding.severity) == ("glossary", "flag")
    assert "dog" in finding.message and "개" in finding.message
    assert check_unit(unit("the dog"), ["그 개"], KO, terms=[("dog", "개")]) == []
    off = Rules(lang="ko", ignore={"*": ["glossary"]})
    assert check_unit(unit("the dog"), ["그 강아지"], off, terms=[("dog", "개")]) == []


def test_choices_speak_in_one_register() -> None:
    """A polite choice among formal ones is flagged, unless the plan does not mind."""
    source = unit("It stops.", "It goes on.")
    texts = ("멈춥니다.", "계속 움직여요.")
    assert found(source, *texts) == ["register"]
    off = Rules(lang="ko", choices=["c[]"], ignore={"c[]": ["register"]})
    assert found(source, *texts, rules=off) == []
    assert found(source, "멈춥니다.", "계속 움직입니다.") == []


def test_other_languages_are_not_judged_by_korean() -> None:
    """A language in Latin letters has no script to tell by, and no Korean particles."""
    german = Rules(lang="de")
    assert found(unit("Water boils."), "Wasser kocht.", rules=german) == []
    assert found(unit("Go on."), "Go on.", rules=german) == ["target_script"]


@pytest.mark.parametrize(
    ("lang", "text", "kept"),
    [("ja", "日本", True), ("ja", "东京是日本的首都。", False), ("ko", "日本", False)],
)
def test_a_word_may_stay_that_both_languages_write_alike(lang: str, text: str, kept: bool) -> None:
    """From Chinese to Japanese a word may be the same, once the model insists; a sentence not."""
    rules = Rules(lang=lang, source_lang="zh")
    assert found(unit(text), text, rules=rules) == ["target_script"]
    insisted = ["unchanged"] if kept else ["target_script"]
    assert found(unit(text), text, rules=rules, told=True) == insisted


def test_a_finding_is_json_ready() -> None:
    """A finding goes into checks.jsonl with its four parts."""
    finding = Finding("empty", "gate", "q", "the translation is empty")
    assert json.loads(json.dumps(finding.to_dict())) == {
        "check": "empty",
        "severity": "gate",
        "path": "q",
        "message": "the translation is empty",
    }
