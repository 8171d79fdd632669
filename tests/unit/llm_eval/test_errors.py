"""Errors say what to do, keep to their tree, and give foreign ones one of our names."""

from __future__ import annotations

import asyncio
import inspect
from typing import get_args

import pytest

from llm_eval import errors
from llm_eval.errors import (
    RETRYABLE,
    AuthError,
    BackendError,
    DatasetError,
    HretError,
    Kind,
    MissingExtra,
    RunError,
    ScoringError,
    Unknown,
    UserError,
    boundary,
)
from llm_eval.records import Failure

FOREIGN = [ValueError("no"), KeyError("q"), AssertionError(), RecursionError("deep"), OSError(5)]


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        (UserError, ValueError),
        (AuthError, PermissionError),
        (MissingExtra, ImportError),
        (Unknown, LookupError),
    ],
)
def test_a_users_mistake_is_also_the_stdlib_error(
    kind: type[Exception], also: type[Exception]
) -> None:
    """Code that catches Python's own exceptions catches ours too."""
    assert issubclass(kind, UserError) and issubclass(kind, also)


@pytest.mark.parametrize("kind", [BackendError, DatasetError, ScoringError])
def test_what_costs_one_sample_is_no_mistake_of_the_user(kind: type[Exception]) -> None:
    """The two branches of the tree never meet: one is data, the other ends the run."""
    assert issubclass(kind, RunError) and not issubclass(kind, UserError)


def test_the_tree_at_the_top_names_every_error() -> None:
    """The drawing in the module's docstring lacks no class."""
    drawn = errors.__doc__ or ""
    classes = {
        n for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, HretError)
    }
    assert len(classes) == 9
    assert {name for name in classes if name not in drawn} == set()


def test_the_hint_stands_under_the_message() -> None:
    """What to do next is printed with the error, and can be read apart from it."""
    error = UserError("no key", hint="set OPENAI_API_KEY")
    assert str(error) == "no key\n  → set OPENAI_API_KEY"
    assert (error.message, error.hint) == ("no key", "set OPENAI_API_KEY")
    assert str(UserError("no key")) == "no key"


def test_a_missing_extra_says_what_to_install() -> None:
    """The command that mends it is in the text."""
    assert "pip install -e '.[hf]'" in str(MissingExtra("the backend", "hf"))


def test_an_unknown_name_is_answered_with_a_guess() -> None:
    """A typo names what was meant, and all that there is."""
    error = Unknown("model", "openia", {"openai", "oracle", "first"})
    assert str(error).startswith("no model called 'openia'")
    assert "did you mean 'openai'? There are: first, openai, oracle" in str(error)


@pytest.mark.parametrize(("known", "said"), [(["b", "a"], "there are: a, b"), ([], "none")])
def test_a_name_like_no_other_gets_the_list(known: list[str], said: str) -> None:
    """Where nothing is near, nothing is guessed."""
    text = str(Unknown("dataset", "zzzzzz", known))
    assert said in text and "did you mean" not in text


def test_a_hint_of_its_own_replaces_the_guess() -> None:
    """Who knows better than the guess says so."""
    assert Unknown("dataset", "a", ["a1"], hint="port it").hint == "port it"


def test_only_what_may_pass_is_tried_again() -> None:
    """A refused parameter is never paid for twice; a busy server is asked again."""
    again = {k for k in get_args(Kind) if BackendError("x", kind=k).retryable}
    assert again == set(RETRYABLE) == {"rate_limit", "server", "timeout", "connection"}


def test_a_failure_records_the_kind_of_its_error() -> None:
    """The record in the result says where, what kind, and whether to try again."""
    failure = Failure.of(BackendError("busy", kind="rate_limit", status=429), "generate")
    assert failure.to_dict() == {
        "where": "generate",
        "kind": "rate_limit",
        "message": "busy",
        "retryable": True,
    }
    assert Failure.of(ScoringError("bad"), "score").kind == "scoring"
    assert Failure.of(DatasetError("bad"), "load").kind == "dataset"


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda e: type(e).__name__)
def test_the_boundary_names_what_escapes(foreign: Exception) -> None:
    """A foreign exception becomes ours, says where it was, and keeps its cause."""
    with pytest.raises(ScoringError) as caught, boundary(ScoringError, "scoring sample 7"):
        raise foreign
    assert f"scoring sample 7: {type(foreign).__name__}" in str(caught.value)
    assert caught.value.__cause__ is foreign


@pytest.mark.parametrize("own", [UserError("mend it"), BackendError("x", kind="length")], ids=repr)
def test_the_boundary_lets_our_own_pass(own: HretError) -> None:
    """An error with a name keeps it."""
    with pytest.raises(HretError) as caught, boundary(ScoringError, "scoring"):
        raise own
    assert caught.value is own


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_the_boundary_lets_a_stop_pass(stop: type[BaseException]) -> None:
    """Ctrl-C and cancellation are never a sample's failure."""
    with pytest.raises(stop), boundary(ScoringError, "scoring"):
        raise stop
