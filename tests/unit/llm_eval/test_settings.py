"""Settings come from the strongest source that says something, and a key is never printed."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_eval import settings
from llm_eval.errors import UserError
from llm_eval.models.openai import endpoint_of
from llm_eval.secret import Secret, secret

KEY = "sk-very-secret-0123"


def write(folder: Path, *, env: str | None = None, config: str | None = None) -> None:
    """The two files of a project."""
    if env is not None:
        (folder / ".env").write_text(env, "utf-8")
    if config is not None:
        (folder / "config").mkdir(exist_ok=True)
        (folder / "config" / "config.py").write_text(config, "utf-8")


def loaded(folder: Path, environ: Mapping[str, str] | None = None) -> settings.Settings:
    """The settings of a project, in an environment of a test's own."""
    return settings.load(folder, environ or {})


def key_of(found: settings.Settings) -> str | None:
    """The text of the key."""
    return found.openai_api_key.reveal() if found.openai_api_key else None


# --- where a setting comes from ---------------------------------------------------------------


def test_the_defaults_stand_where_nothing_is_said(work: Path) -> None:
    """Without any source there is no key, ten rows a request and three retries."""
    write(work, config="")
    assert loaded(work) == settings.Settings(batch_size=10, max_retries=3)


def test_each_source_is_stronger_than_the_next(work: Path) -> None:
    """Environment > .env > config.py > default, for each name by itself."""
    write(
        work,
        env="BATCH_SIZE=2\nHF_TOKEN=hf_dotenv\nOPENAI_API_KEY=sk-dotenv\n",
        config="BATCH_SIZE = 1\nHF_TOKEN = 'hf_config'\nOPENAI_BASE_URL = 'http://config/v1'\n",
    )
    found = loaded(work, {"BATCH_SIZE": "3", "OPENAI_API_KEY": "sk-environ"})
    assert (found.batch_size, key_of(found)) == (3, "sk-environ")
    assert found.hf_token == Secret("hf_dotenv")
    assert (found.openai_base_url, found.max_retries) == ("http://config/v1", 3)


def test_a_flag_is_stronger_than_all(work: Path) -> None:
    """What is passed to a backend wins over every source; 0 and a key among them."""
    write(work, env="OPENAI_API_KEY=sk-env\nOPENAI_BASE_URL=http://env/v1\nMAX_RETRIES=5\n")
    given = endpoint_of(api_base="http://flag/v1", api_key="sk-flag", max_retries=0)
    assert (given.base_url, given.api_key) == ("http://flag/v1", Secret("sk-flag"))
    assert given.max_retries == 0
    found = endpoint_of()
    assert (found.base_url, found.api_key) == ("http://env/v1", Secret("sk-env"))
    assert found.max_retries == 5


def test_openai_itself_is_refused_without_a_key(work: Path) -> None:
    """No key and no server of one's own: said before anything is sent."""
    write(work, config="")
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        endpoint_of()
    assert endpoint_of(api_base="http://127.0.0.1:9/v1").api_key is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "your-openai-api-key-here",
        "your_openai_api_key",
        "Your key",
        "YOUR-OPENAI-API-KEY-HERE",
        "sk-...",
        "hf_...",
        "<your key>",
    ],
)
def test_a_placeholder_is_no_key(work: Path, text: str) -> None:
    """What documents print in a key's place hides no real key of a weaker source."""
    write(work, env=f"OPENAI_API_KEY={KEY}\n", config="")
    assert key_of(loaded(work, {"OPENAI_API_KEY": text})) == KEY
    (work / ".env").write_text(f"OPENAI_API_KEY={text}\n")
    assert key_of(loaded(work)) is None


@pytest.mark.parametrize("text", ["sk-yourself-1", "hf_your", KEY, "not-needed", "EMPTY"])
def test_a_key_that_looks_odd_is_a_key(work: Path, text: str) -> None:
    """Only what stands for no key is passed over."""
    assert key_of(loaded(work, {"OPENAI_API_KEY": text})) == text


@pytest.mark.parametrize("value", ["0", "-1", "ten", "2.5", "1e3"])
def test_a_batch_size_that_is_none_is_refused(work: Path, value: str) -> None:
    """A wrong number is told by name and never replaced by another."""
    with pytest.raises(UserError, match="BATCH_SIZE"):
        loaded(work, {"BATCH_SIZE": value})


@pytest.mark.parametrize("value", ["2.5", "True", "'ten'"])
def test_a_number_in_config_py_is_whole(work: Path, value: str) -> None:
    """2.5 rows are not quietly 2."""
    write(work, config=f"BATCH_SIZE = {value}\n")
    with pytest.raises(UserError, match="BATCH_SIZE"):
        loaded(work)


def test_no_retries_is_legal(work: Path) -> None:
    """0 is a number of retries; below it there is none."""
    assert loaded(work, {"MAX_RETRIES": "0"}).max_retries == 0
    with pytest.raises(UserError, match="MAX_RETRIES"):
        loaded(work, {"MAX_RETRIES": "-1"})


# --- the files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        f"OPENAI_API_KEY={KEY}",
        f"export OPENAI_API_KEY={KEY}",
        f"  OPENAI_API_KEY = {KEY}  ",
        f'OPENAI_API_KEY="{KEY}"',
        f"OPENAI_API_KEY='{KEY}'",
        f"# OPENAI_API_KEY=sk-old\nOPENAI_API_KEY={KEY}",
        f"OPENAI_API_KEY=sk-old\nOPENAI_API_KEY={KEY}",
        f"OPENAI_API_KEY={KEY}\r\nBATCH_SIZE=3\r",
        f"OPENAI_API_KEY={KEY} # mine",
        f"\ufeffOPENAI_API_KEY={KEY}",
    ],
)
def test_dot_env_as_people_write_it(work: Path, line: str) -> None:
    """Exports, quotes, spaces, comments, other line ends and a byte order mark are understood."""
    write(work, env=line + "\n", config="")
    assert key_of(loaded(work)) == KEY


def test_a_dot_env_of_bytes_is_told(work: Path) -> None:
    """A file in another encoding is a sentence, not a traceback."""
    (work / ".env").write_bytes("OPENAI_API_KEY=열쇠".encode("cp949"))
    with pytest.raises(UserError, match=r"\.env"):
        loaded(work)


def test_a_key_copied_with_its_line_end(work: Path) -> None:
    """Space around a key in the environment is no part of it."""
    assert key_of(loaded(work, {"OPENAI_API_KEY": f" {KEY}\n"})) == KEY


def test_config_py_is_read_and_never_run(work: Path) -> None:
    """What the file would do if it were run does not happen."""
    code = "open('ran', 'w')\nimport os, nowhere_at_all\nraise SystemExit(3)\nBATCH_SIZE = 4\n"
    write(work, config=code)
    assert loaded(work).batch_size == 4
    assert not (work / "ran").exists()


@pytest.mark.parametrize(
    "value",
    [
        "os.environ.get('MINE')",
        "os.environ.get('MINE', 'sk-default')",
        "os.getenv('MINE')",
        "os.getenv('ABSENT', 'sk-mine')",
        "os.environ['MINE']",
        "'sk-mine'",
    ],
)
def test_config_py_may_ask_the_environment(work: Path, value: str) -> None:
    """The usual ways to name a variable are read, their defaults too."""
    write(work, config=f"import os\n\nOPENAI_API_KEY = {value}\n")
    assert key_of(loaded(work, {"MINE": "sk-mine"})) == "sk-mine"


def test_config_py_with_types(work: Path) -> None:
    """An annotated assignment counts like a bare one."""
    write(work, config="BATCH_SIZE: int = 4\nMAX_RETRIES: int = 1\n")
    found = loaded(work)
    assert (found.batch_size, found.max_retries) == (4, 1)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("BATCH_SIZE = 2 * 5\n", "line 1"),
        ("\nOPENAI_API_KEY = open('key').read()\n", "line 2"),
        ("BATCH_SIZE = = 3\n", "line 1"),
        ("BATCH_SIZE = 3\0\n", "config.py"),
    ],
)
def test_what_cannot_be_read_is_told(work: Path, code: str, told: str) -> None:
    """A value that only running would give is refused with file and line, never passed over."""
    write(work, config=code)
    with pytest.raises(UserError, match="config.py") as caught:
        loaded(work)
    assert told in str(caught.value)


def test_other_names_in_config_py_are_left_alone(work: Path) -> None:
    """The file may hold what is none of ours, computed or not."""
    write(work, config="RATES = [n * 2 for n in range(3)]\nBATCH_SIZE = 7\n")
    assert loaded(work).batch_size == 7


def test_home_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """HRET_HOME names the folder of this user's state, with ~ for the user's own."""
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("HRET_HOME", "~/state")
    assert settings.home() == Path("/somewhere/state")
    monkeypatch.delenv("HRET_HOME")
    assert settings.home() == Path("/somewhere/.hret")


# --- keys --------------------------------------------------------------------------------------


def _traceback(key: Secret) -> str:
    """A traceback that shows the values of all local names."""
    try:
        raise ValueError(key)
    except ValueError as e:
        found = traceback.TracebackException.from_exception(e, capture_locals=True)
        return "".join(found.format())


PRINTERS: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": lambda key: f"{key} {key!r}",
    "format_spec": lambda key: f"{key:>40}",
    "percent": lambda key: "%s %r" % (key, key),  # noqa: UP031
    "list": lambda key: str([key, {"key": key}]),
    "json": lambda key: json.dumps({"key": key}),
    "json_default": lambda key: json.dumps({"key": key}, default=str),
    "pickle": lambda key: pickle.dumps(key),
    "deepcopy": lambda key: copy.deepcopy(key),
    "settings": lambda key: repr(settings.Settings(openai_api_key=key, hf_token=key)),
    "asdict": lambda key: str(dataclasses.asdict(settings.Settings(openai_api_key=key))),
    "endpoint": lambda key: repr(endpoint_of(api_key=key)),
    "vars": lambda key: str(getattr(key, "__dict__", "")),
    "traceback": _traceback,
}


@pytest.mark.parametrize("name", PRINTERS)
def test_a_key_is_never_printed(name: str) -> None:
    """Whatever prints or stores a key prints stars, or refuses."""
    try:
        shown = PRINTERS[name](Secret(KEY))
    except TypeError as refused:
        shown = refused
    assert KEY not in str(shown)


def test_a_key_comes_out_by_reveal_alone() -> None:
    """Equal keys are equal, and the text is there for whom builds the header."""
    assert Secret(KEY).reveal() == KEY
    assert Secret(KEY) == Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY)}) == 1


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(None, None), ("", None), (KEY, Secret(KEY)), (Secret(KEY), Secret(KEY)), (Secret(""), None)],
)
def test_an_empty_key_is_none(given: Any, wanted: Secret | None) -> None:
    """Empty is the same as absent."""
    assert secret(given) == wanted


def test_scrubbing_takes_the_key_out_of_a_text() -> None:
    """Every occurrence goes; an empty key takes nothing."""
    assert Secret(KEY).scrub(f"{KEY}, {KEY}!") == "***, ***!"
    assert Secret("").scrub("text") == "text"
