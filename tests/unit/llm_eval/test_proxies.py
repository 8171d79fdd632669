"""Which way requests take: by the proxy that the environment names, and with nobody's password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_eval.errors import BackendError, UserError
from llm_eval.secret import Secret
from tests.unit.llm_eval.servers import Answer, RawServer, post, raw_server, said

ELSEWHERE = "http://model.invalid/v1"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """A proxy that answers by itself; the environment names none yet."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with raw_server() as server:
        yield server


@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_used(
    proxy: RawServer, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    """By either spelling of its name, and with or without the scheme of its address."""
    monkeypatch.setenv(name, proxy.url.removesuffix("/v1").replace("http://", scheme))
    assert said(post(ELSEWHERE)) == "4"
    assert [path for path, _ in proxy.seen] == [f"{ELSEWHERE}/chat/completions"]


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_some_addresses_go_without(
    proxy: RawServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Those that the environment excepts."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv(name, "example.org,127.0.0.1")
    assert said(post(proxy.url)) == "4"


def test_a_proxy_never_sees_the_key(proxy: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a request by https it is told the host alone."""
    monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//me:hunter2@"))
    proxy.answers = [Answer(403, "")]
    with pytest.raises(BackendError) as caught:
        post(
            ELSEWHERE.replace("http:", "https:"),
            api_key=Secret("sk-hidden"),
            headers=(("api-key", "hidden-2"),),
            max_retries=0,
        )
    ((path, headers),) = proxy.seen
    assert path == "model.invalid:443" and headers["proxy-authorization"].startswith("Basic ")
    assert not {"authorization", "api-key"} & set(headers)
    assert caught.value.kind == "connection" and "hunter2" not in caught.value.message


def test_a_proxy_that_is_not_spoken_is_a_sentence(
    proxy: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for all requests that is none of HTTP; and what to set."""
    monkeypatch.setenv("all_proxy", "socks5://me:hunter2@127.0.0.1:9")
    with pytest.raises(UserError, match="socks5") as caught:
        post(proxy.url)
    assert "no_proxy=127.0.0.1" in caught.value.hint and "hunter2" not in str(caught.value)


def test_a_netrc_is_not_read(
    proxy: RawServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whose passwords are for other programs, and would stand beside the key."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n", "utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert said(post(proxy.url, api_key=Secret("sk-mine"))) == "4"
    assert proxy.seen[0][1]["authorization"] == "Bearer sk-mine"
