"""A glossary is read whatever it is saved as, and its terms are found where a reader finds them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from hret_agents.plan.glossary import Glossary, merged, read_glossary
from llm_eval.errors import UserError

TERMS = {"dog": "개|강아지", "machine": "기계", "machine learning": "기계 학습"}


def found(terms: list[str], text: str) -> list[str]:
    """The terms that occur in a text."""
    return [term for term, _ in Glossary(dict.fromkeys(terms, "x")).occurring([text])]


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("dog", "A Dog."),
        ("dog", "two dogs"),
        ("dog", "the dog's tail, the dogs’ tails"),
        ("box", "boxes"),
        ("bus", "BUSES run"),
        ("city", "cities"),
        ("key", "keys"),
        ("potato", "potatoes"),
        ("piano", "pianos"),
        ("hot dog", "Hot\ndogs"),
        ("Turkey", "turkey"),
        ("IT", "an IT job"),
        ("PC", "two PCs"),
        ("iPhone", "my iPhone 15"),
        ("New York", "new york"),
        ("C++", "in C++, they"),
        (".NET", "with .NET 8"),
        ("A/B test", "an A/B test"),
        ("New-York", "New-York's"),
        ("don't care", "I don't care"),
        ("naïve Bayes", "Naïve Bayes is"),
        ("機械学習", "これは機械学習です"),
        ("학습", "기계학습을"),
        ("→", "A → B"),
        ("5G", "5G"),
    ],
)
def test_a_term_is_found(term: str, text: str) -> None:
    """Whole words in any case, plurals and possessives, signs, and scripts without spaces."""
    assert found([term], text) == [term]


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("dog", "a dogma, an underdog, hotdog"),
        ("IT", "it is, It is, its"),
        ("it", "its"),
        ("US", "us, Us, USB"),
        ("iPhone", "an iphone, an IPHONE"),
        ("city", "citys"),
        ("hot dog", "hot, dog; a hotdog"),
        ("dogs", "one dog"),
        ("C++", "in C"),
        (".NET", "the net"),
        ("dog", "see `dog`, $dog$, https://dog.com/dog and {dog}"),
        ("x_1", "x_12"),
    ],
)
def test_what_is_no_term_is_not_found(term: str, text: str) -> None:
    """Parts of words, another case where case counts, and what is protected are no terms."""
    assert found([term], text) == []


def test_the_longest_of_those_that_overlap_counts() -> None:
    """A term within a longer one is not meant, unless it stands elsewhere too."""
    assert found(list(TERMS), "Machine learning for dogs") == ["dog", "machine learning"]
    assert found(list(TERMS), "machine learning on a machine") == ["machine", "machine learning"]
    assert found(["big machine", "machine learning"], "big machine learning") == [
        "machine learning"
    ]


def test_the_terms_of_several_texts_are_sorted_and_stand_once() -> None:
    """Terms come sorted with what they are translated by; none of no text."""
    glossary = Glossary(TERMS)
    assert glossary.occurring(["dogs", "a machine, a dog"]) == (
        ("dog", "개|강아지"),
        ("machine", "기계"),
    )
    assert glossary.occurring([]) == glossary.occurring(["nothing"]) == ()
    assert Glossary({}).occurring(["dog"]) == ()


def test_a_term_that_was_not_kept_is_missing() -> None:
    """Any accepted form will do, with a particle behind it, spaces and case aside."""
    glossary = Glossary(TERMS | {"Seoul": "Seoul(서울)"})
    assert glossary.missing("Dogs and machine learning", "강아지와 기계학습을") == []
    assert glossary.missing("Dogs and machine learning", "고양이와 기계 공부") == [
        ("dog", "개|강아지"),
        ("machine learning", "기계 학습"),
    ]
    assert glossary.missing("In Seoul", "seoul (서울)에서") == []
    assert glossary.missing("No term", "") == []


# -- the file --------------------------------------------------------------------------------------


def written(folder: Path, content: str | bytes, name: str = "terms.csv") -> Path:
    """A glossary file."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("term,translation\ndog,개\nhot dog,핫도그\n", "a.csv"),
        ("\ufeffTerm,Translation\r\ndog,개\r\nhot dog,핫도그\r\n", "a.csv"),
        ("note,target,source\nx,개,dog\n,핫도그,hot dog\n", "a.csv"),
        ("dog;개\nhot dog;핫도그\n", "a.csv"),
        ("SOURCE\tTARGET\n\ndog\t개\nhot dog\t핫도그", "a.tsv"),
        ('"dog","개"\n"hot dog", 핫도그 \n', "a.csv"),
        ('{"dog": "개", "hot dog": "핫도그"}', "a.json"),
        ('[{"term": "dog", "translation": "개"}, {"Source": "hot dog", "target": "핫도그"}]', "a"),
        ("dog,개\nhot dog,핫도그\ndog,개\n", "a.csv"),
    ],
)
def test_the_shapes_a_file_may_have(tmp_path: Path, content: str, name: str) -> None:
    """CSV with any usual delimiter, with and without a header, and both shapes of JSON."""
    terms = read_glossary(written(tmp_path, content, name))
    assert terms == {"dog": "개", "hot dog": "핫도그"}


def test_koreas_other_encoding_is_read_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What Korean Excel saves as CSV is read, and a sentence says how."""
    with caplog.at_level(logging.WARNING):
        terms = read_glossary(written(tmp_path, "dog,강아지\n".encode("cp949")))
    assert terms == {"dog": "강아지"} and "CP949" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("dog,개\ncat,고양이\nDog,강아지\n", r"line 3.*'강아지' here.*'개' in line 1"),
        ("term,translation\ndog,\n", r"line 2.*empty translation"),
        ("dog,개|\n", r"line 1.*empty translation"),
        ("dog,개\n,고양이\n", "line 2.*empty"),
        ("dog,개\ncat\n", "line 2.*no translation"),
        ("dog,개,note\n", "line 1: 3 columns"),
        ("just words\n", "line 1: 1 columns"),
        ('dog,"개\n', "line 1"),
        ("", "holds no terms"),
        ("term,translation\n", "holds no terms"),
        ('{"dog": "개",\n "dog" "x"}', "line 2.*no JSON"),
        ('{"dog": "개", "dog": "강아지"}', "entry 2.*entry 1"),
        ('[{"term": "dog"}]', "entry 1: no term"),
        ('{"dog": 3}', "entry 1: no term"),
        ("[1]", "entry 1: no term"),
        ("[" * 100_000, "no JSON"),
        (b"\xff\xfe\x00\x01", "no text"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str | bytes, said: str) -> None:
    """Contradictions, gaps and broken files are sentences with the place in them."""
    path = written(tmp_path, content)
    with pytest.raises(UserError, match=f"(?s){path}.*{said}"):
        read_glossary(path)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    """A missing file and a folder are told."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_glossary(path)


def test_a_file_stands_over_the_plan() -> None:
    """Of two translations of a term the file's counts, whichever way it is written."""
    own = {"dog": "개", "IT": "정보기술", "cat": "고양이"}
    assert merged(own, {"Dog": "강아지", "it": "그것"}) == {
        "Dog": "강아지",
        "IT": "정보기술",
        "cat": "고양이",
        "it": "그것",
    }
