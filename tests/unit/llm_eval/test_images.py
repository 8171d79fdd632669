"""A sample's image in whichever form it comes: what a server is sent, what a model here sees."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from llm_eval.errors import BackendError
from llm_eval.models import images
from llm_eval.models.asks import prompt_of
from llm_eval.models.images import chat_part, data_url, digest, pixels, sniff
from tests.fakes.chat import ChatServer
from tests.unit.llm_eval.openai.asking import asked, made, one

RED = Image.new("RGB", (3, 2), (255, 0, 0))


def saved(kind: str = "PNG", image: Image.Image = RED) -> bytes:
    """The bytes of an image."""
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def inside(url: str) -> bytes:
    """What a data URL holds."""
    return base64.b64decode(url.partition(",")[2])


@contextmanager
def served(body: bytes, status: int = 200) -> Iterator[str]:
    """An address on loopback at which some bytes are."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/red.png"
        finally:
            http.shutdown()
            thread.join()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_kind_is_told_by_its_bytes(kind: str) -> None:
    """Not by its name."""
    assert sniff(saved(kind)) == f"image/{kind.lower()}"
    assert data_url(saved(kind)).startswith(f"data:image/{kind.lower()};base64,")


def ways(folder: Path) -> dict[str, Any]:
    """The same image in each form."""
    path = folder / "빨강 #1.png"
    path.write_bytes(saved())
    return {
        "path": path,
        "text": str(path),
        "file URL": path.as_uri(),
        "bytes": saved(),
        "view": memoryview(saved()),
        "PIL": RED,
        "datasets": {"bytes": saved(), "path": None},
        "datasets, by path": {"bytes": None, "path": str(path)},
        "data URL": f"data:image/png;base64,{base64.b64encode(saved()).decode()}",
        "palette": RED.convert("P"),
        "CMYK": RED.convert("CMYK"),
    }


@pytest.mark.parametrize("way", range(11))
def test_every_form_is_the_same_image(tmp_path: Path, way: int) -> None:
    """For a server and for a model in this process."""
    image = list(ways(tmp_path).values())[way]
    url = data_url(image)
    with Image.open(io.BytesIO(inside(url))) as shown:
        assert shown.convert("RGB").getpixel((2, 1)) == (255, 0, 0) and shown.size == (3, 2)
    seen = pixels(image)
    assert (seen.mode, seen.size, seen.getpixel((2, 1))) == ("RGB", (3, 2), (255, 0, 0))


def test_urls_are_passed_on_untouched() -> None:
    """A server fetches an address itself; a data URL is sent as it came."""
    for url in ("https://example.com/a b.png?x=1", "HTTP://example.com/a"):
        assert data_url(url) == url
    data = f"data:image/png;charset=x;base64,{base64.b64encode(saved()).decode()}"
    assert data_url(data) == data


def test_an_address_is_fetched_for_pixels() -> None:
    """Only where a model in this process needs them."""
    with served(saved()) as url:
        assert pixels(url).size == (3, 2)
        with pytest.raises(BackendError, match="holds no image"), served(b"<html>") as page:
            pixels(page)
        with pytest.raises(BackendError, match="cannot be fetched"), served(b"", 404) as none:
            pixels(none)


BAD: dict[str, tuple[Any, str]] = {
    "a number": (7, "int is no image"),
    "nothing": (None, "NoneType is no image"),
    "empty": ("", "'' is no image"),
    "no file": ("/no/such/file.png", "cannot be read"),
    "a folder": ("/", "cannot be read"),
    "a text": (b"secret text", "holds no image"),
    "half a data URL": ("data:image/png;base64", "no data URL"),
    "a broken data URL": ("data:image/png;base64,%%%", "no data URL"),
    "a data URL of text": ("data:text/plain,hello", "holds no image"),
    "datasets of nothing": ({"bytes": None, "path": None}, "no image"),
    "a zero byte": ("a\0b", "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_says_so(name: str) -> None:
    """As data: it costs its own sample, and what a file holds that is none is never sent."""
    image, why = BAD[name]
    for ask in (data_url, pixels, digest):
        with pytest.raises(BackendError, match=why) as caught:
            ask(image)
        assert caught.value.kind == "bad_request" and "secret" not in str(caught.value)


def test_an_image_that_is_broken_is_told() -> None:
    """The bytes begin as an image and go on as none."""
    with pytest.raises(BackendError, match="cannot be decoded"):
        pixels(saved()[:20])


def test_an_image_that_is_too_large_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is sent, with its size."""
    path = tmp_path / "large.png"
    path.write_bytes(saved())
    monkeypatch.setattr(images, "MOST", 20)
    with pytest.raises(BackendError, match="more than the 20"):
        data_url(path)


def test_a_digest_is_of_what_is_shown(tmp_path: Path) -> None:
    """Equal bytes are equal, whatever form they have; another image, size or address is another."""
    forms = ways(tmp_path)
    same = ("path", "text", "bytes", "datasets", "data URL")
    assert len({digest(forms[name]) for name in same}) == 1
    others = [RED, RED.resize((2, 3)), Image.new("RGB", (3, 2)), "http://x/a", "http://x/b"]
    assert len({digest(image) for image in others}) == len(others)


def test_images_stand_before_the_text(chat: ChatServer, tmp_path: Path) -> None:
    """In the user's last message, each as a part of its own."""
    path = tmp_path / "a.png"
    path.write_bytes(saved())
    talk = (
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": [{"type": "text", "text": "last"}]},
    )
    prompts = [
        one("what?", images=(path, "https://x/b.png")),
        one(sample="t", messages=talk, images=("https://x/c.png",)),
    ]
    found = asked(made(chat.url, concurrency=1), *prompts)
    assert [p.failure for p in found] == [None, None]
    first, second = sorted((r.body["messages"] for r in chat.requests), key=len)
    url = {"type": "image_url", "image_url": {"url": data_url(path)}}
    other = {"type": "image_url", "image_url": {"url": "https://x/b.png"}}
    assert first == [{"role": "user", "content": [url, other, {"type": "text", "text": "what?"}]}]
    assert second[:2] == list(talk[:2])
    assert [p["type"] for p in second[2]["content"]] == ["image_url", "text"]
    assert chat_part(path) == url


@pytest.mark.parametrize("given", ["red.png", b"red", RED, {"path": "red.png"}], ids=type)
def test_a_batch_takes_one_image_as_well_as_several(given: Any) -> None:
    """A path is one image, and not one for each of its letters."""
    for told, wanted in ((given, (given,)), ([given, given], (given, given)), (None, ())):
        assert prompt_of(0, {"input": "q", "images": told}).images == wanted


def test_an_image_that_is_none_costs_its_own_sample(chat: ChatServer) -> None:
    """The others are answered."""
    bad, good = asked(made(chat.url), one(images=(3,)), one(sample="t"))
    assert bad.failure and bad.failure.kind == "bad_request"
    assert good.failure is None and len(chat.requests) == 1
