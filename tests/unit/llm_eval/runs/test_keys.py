"""What two prompts must share to have one key: pictures by what is seen, never by a name."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llm_eval.records import Prompt, Sample
from llm_eval.runs.asked import hash_of
from llm_eval.runs.keys import Keys, Untold

KEYS = Keys("m", {"temperature": 0}, "generate")
BLANK = Prompt(sample_id="0", text="q")


def png(color: str) -> bytes:
    """A small picture as a file has it."""
    out = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(out, "PNG")
    return out.getvalue()


def palette(*colors: int) -> Image.Image:
    """Pixels that are all of the first colour of a palette."""
    found = Image.new("P", (8, 8), 0)
    found.putpalette([*colors, *[0] * 765])
    return found


def turned(orientation: int) -> Image.Image:
    """A picture that is to be turned as its EXIF says."""
    found = Image.new("RGB", (4, 4), "red")
    found.getexif()[0x0112] = orientation
    return found


def shown(image: Any) -> bytes | None:
    """The key of a prompt that shows it."""
    return KEYS.of(replace(BLANK, images=(image,)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (palette(255, 0, 0), palette(0, 0, 255)),
        (turned(1), turned(6)),
        (Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")),
        (Image.new("L", (2, 8)), Image.new("L", (8, 2))),
        (Image.new("I;16", (2, 2), 300), Image.new("I;16", (2, 2), 400)),
        (png("red"), png("blue")),
        ({"bytes": png("red"), "path": "a.png"}, {"bytes": png("blue"), "path": "a.png"}),
        ("http://h/a.png", "http://h/b.png"),
    ],
    ids=["palette", "orientation", "pixels", "size", "16 bit", "bytes", "dict", "address"],
)
def test_other_pictures_have_other_keys(one: Any, other: Any) -> None:
    """Among the images of a prompt, and within its messages."""

    def said(image: Any) -> bytes | None:
        part = {"type": "image", "image": image}
        return KEYS.of(replace(BLANK, messages=({"role": "user", "content": [part]},)))

    for key in (shown, said):
        assert key(one) is not None and key(one) == key(one)
        assert key(one) != key(other)


@pytest.mark.parametrize("form", ["path", "text", "file", "home"])
def test_a_picture_in_a_file_is_what_the_file_holds(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its path is written; another picture under the same path is another."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "a b.png"
    forms = {"path": path, "text": str(path), "file": path.as_uri(), "home": "~/a b.png"}
    url = {"type": "image_url", "image_url": {"url": forms[form]}}
    asked = replace(BLANK, messages=({"role": "user", "content": [url]},))
    assert (shown(forms[form]), KEYS.of(asked)) == (None, None)
    path.write_bytes(png("red"))
    red = shown(forms[form]), KEYS.of(asked)
    assert red[0] == shown(png("red"))
    path.write_bytes(png("blue"))
    assert None not in red and shown(forms[form]) != red[0] and KEYS.of(asked) != red[1]


def test_what_is_of_an_unknown_kind_has_no_key() -> None:
    """Never one by its class's name; bytes, sets and paths are known."""
    assert KEYS.of(replace(BLANK, params={"tool": object()})) is None
    assert KEYS.of(replace(BLANK, images=(object(),))) is None
    one, other = (KEYS.of(replace(BLANK, params={"x": {v}})) for v in (b"1", b"2"))
    assert one is not None and one != other
    with pytest.raises(Untold):
        Keys("m", {"tool": object()}, "generate")


def test_each_turn_has_its_key() -> None:
    """And the sample counts only where replies are drawn by lot."""
    again = replace(BLANK, turn=1)
    assert KEYS.of(BLANK) != KEYS.of(again)
    elsewhere = replace(BLANK, sample_id="1")
    assert KEYS.of(BLANK) == KEYS.of(elsewhere)
    assert KEYS.of(BLANK, by_lot=True) != KEYS.of(elsewhere, by_lot=True)


@dataclass
class Case:
    """Something that a dataset may put beside a sample."""

    value: int


class Bare:
    """The same, without a word on itself."""

    def __init__(self, value: int) -> None:
        self.value = value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"assert f(1) == 2", b"assert f(1) == 3"),
        ({1, 2}, {3, 4}),
        ({1: "a", "b": 2}, {"1": "a", "b": 2}),
        (Case(1), Case(2)),
        (Bare(1), Bare(2)),
        (palette(255, 0, 0), palette(0, 0, 255)),
    ],
    ids=["bytes", "set", "names", "repr", "bare", "picture"],
)
def test_what_stands_beside_a_sample_is_told_by_what_it_holds(one: Any, other: Any) -> None:
    """A run is resumed with the same samples only, whatever a dataset puts into them."""

    def of(value: Any) -> str:
        sample = Sample(index=0, input="q", metadata={"tests": value})
        return hash_of([(sample, Prompt.of(sample))])

    assert of(one) == of(one) != of(other)
