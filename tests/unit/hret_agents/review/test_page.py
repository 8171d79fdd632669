"""report.html in a real browser: rows, filters, hostile cells, ten thousand rows."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from hret_agents.checks import CHECKS, Finding
from hret_agents.job import PortResult
from hret_agents.review.report import MOST_ROWS, write_report
from hret_agents.review.words import SAYS_KO
from hret_agents.steps.state import Port
from hret_agents.translate.write import Notes, SplitWriter, tables
from llm_eval.dataset.spec import SplitRecord
from llm_eval.records import Failure
from tests.fakes.translit import forward
from tests.unit.hret_agents.review.ported import finished, ported

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = [
    "</script><script>window.pwned = 1</script> Why so?",
    "<img src=https://example.com/a.png onerror='window.pwned = 1'> Why so?",
    "{{ 7 * 7 }} {% raw %} ${window.pwned = 1} Why so?",
    "One line\u2028and one paragraph\u2029more, why so?",
    "Nothing \x00 here, why so?",
    "شرح هذا السؤال \u202e evil Why so?",
    "<!-- $DATA $MORE $SCRIPT $STYLE --> Why so?",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}: the page is not seen by this run")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox"], headless=True
        )
        yield started
        started.close()


class Seen:
    """A page, the requests that it made, and the errors that it met."""

    def __init__(self, browser: Browser, path: Path, script: str = "") -> None:
        self.asked: list[str] = []
        self.errors: list[str] = []
        context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
        if script:
            context.add_init_script(script)
        context.route(re.compile("^(?!file:)"), lambda route: route.abort())
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.url = path.resolve().as_uri()
        self.page.goto(self.url, wait_until="commit")
        self.page.locator(".item").first.wait_for()

    def counted(self, text: str) -> None:
        """Wait until the page is whole and says how many rows are listed."""
        expect(self.page.locator("#shown")).to_have_text(re.compile(f"^{text}"), timeout=20_000)

    def close(self) -> None:
        """Nothing but the page itself was asked for, and its script met no error."""
        assert self.asked == [self.url]
        assert self.errors == []
        assert self.page.evaluate("typeof window.pwned") == "undefined"
        self.page.context.close()


@pytest.fixture
def fruit(work: Path) -> PortResult:
    """Three rows: one that failed, one with a finding, one with none."""
    texts = ["I have 3 apples today.", "I have no pears today.", "I have 5 plums today."]
    known = {texts[0]: "오늘 사과가 4개 있다.", texts[1]: "오늘 배가 하나도 없다."}
    return ported([{"question": t, "id": i} for i, t in enumerate(texts)], known)


def test_rows_filters_keys_and_languages(browser: Browser, fruit: PortResult) -> None:
    """Failed rows first, then flagged ones; filters, search, keys, ids and the other language."""
    seen = Seen(browser, Path(fruit.path, "report.html"))
    page = seen.page
    seen.counted("3행 표시 · 전체 3행 가운데 3행")
    ids = page.locator(".item .top")
    expect(ids).to_have_text([re.compile("test/2"), re.compile("test/0"), re.compile("test/1")])
    expect(page.locator("#counts")).to_have_text("행 3 · 통과 2 · 실패 1 · 경고 1 · 그대로 둔 칸 0")
    expect(page.locator("#row")).to_contain_text("the memory has no translation")
    page.keyboard.press("j")
    expect(page.locator("#id")).to_have_text("default/test/0")
    expect(page.locator("#row")).to_contain_text("오늘 사과가 4개 있다.")
    expect(page.locator("#row")).to_contain_text(SAYS_KO["numbers"])
    page.keyboard.press("k")
    expect(page.locator("#id")).to_have_text("default/test/2")
    page.select_option("#check", "numbers")
    seen.counted("1행")
    page.select_option("#check", "")
    page.fill("#search", "하나도")
    seen.counted("1행")
    expect(page.locator("#id")).to_have_text("default/test/1")
    page.fill("#search", "")
    page.select_option("#state", "failed")
    seen.counted("1행")
    page.evaluate("location.hash = encodeURIComponent('default/test/1')")
    expect(page.locator("#id")).to_have_text("default/test/1")
    seen.counted("3행")
    page.click("#language")
    seen.counted("3 rows listed")
    page.click("#about summary")
    expect(page.locator("#checks")).to_contain_text(CHECKS["numbers"].says)
    expect(page.locator("#plan")).to_contain_text("question: prose")
    expect(page.locator("#provenance")).to_contain_text("rows_test.jsonl")
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    seen.close()


@pytest.mark.parametrize("script", ["", "delete window.DecompressionStream"])
def test_cells_are_shown_and_never_run(browser: Browser, work: Path, script: str) -> None:
    """HTML, script ends, templates, signs that hide or turn others: text, as it stands; also in a
    browser that must unpack the rows by itself."""
    known = {text: text.replace("Why so?", "왜 그런가요?") for text in HOSTILE}
    result = ported([{"question": t, "note": t * 3} for t in HOSTILE], known, plan=_plan())
    path = Path(result.path, "report.html")
    html = path.read_text("utf-8")
    assert "pwned" not in html and "example.com" not in html
    seen = Seen(browser, path, script)
    seen.counted(f"{len(HOSTILE)}행")
    shown = set()
    for _ in HOSTILE:
        shown.add(seen.page.locator(".pair .text").first.inner_text().rstrip("\n"))
        seen.page.keyboard.press("j")
    assert shown == {re.sub("[\x00\u2028\u2029\u202e]", _named, text) for text in HOSTILE}
    seen.close()


def _named(sign: re.Match[str]) -> str:
    return f"U+{ord(sign[0]):04X}"


def _plan() -> Path:
    """A plan that translates hostile questions whatever the checks say of them."""
    plan = """
source: rows_test.jsonl
source_lang: en
target_lang: ko
roles: {question: prose, note: category}
names: {question: 질문}
task: {kind: ungraded, question: [question], choices: [], fixed_choices: []}
ignore: {'*': [target_script, placeholder_multiset, length_hard, repetition]}
"""
    path = Path("plan.yaml")
    path.write_text(plan, "utf-8")
    return path


def test_half_a_character_and_korean_are_drawn(browser: Browser, fruit: PortResult) -> None:
    """A note may hold what no file of text can; Korean has a width, so a font draws it."""
    port = finished(fruit)
    checks = port.folder / "checks.jsonl"
    note = json.loads(checks.read_text("utf-8").splitlines()[0]) | {"message": "half \ud83d here"}
    checks.write_text(json.dumps(note) + "\n", "utf-8")
    write_report(port, cost="1.23 USD")
    seen = Seen(browser, port.folder / "report.html")
    seen.page.keyboard.press("j")
    expect(seen.page.locator("#row .found")).to_contain_text("half U+D83D here")
    seen.page.click("#about summary")
    expect(seen.page.locator("#provenance")).to_contain_text("1.23 USD")
    drawn = """() => {
      const context = document.createElement("canvas").getContext("2d");
      const ink = (text) => {
        context.font = "40px " + getComputedStyle(document.body).fontFamily;
        context.clearRect(0, 0, 300, 150);
        context.fillText(text, 0, 60);
        return context.getImageData(0, 0, 60, 80).data.join();
      };
      return ink("\uac00") !== ink("\ub098") && ink("\uac00") !== ink("\uffff");
    }"""
    assert seen.page.evaluate(drawn)
    seen.close()


def test_ten_thousand_rows_stay_usable(
    browser: Browser, fruit: PortResult, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of more rows the failed and flagged ones are shown, then the first; the page says so."""
    port = large(finished(fruit), MOST_ROWS + 500, failed=MOST_ROWS + 400, flagged=MOST_ROWS + 300)
    write_report(port)
    begun = time.monotonic()
    seen = Seen(browser, port.work / "report.html")
    first = time.monotonic() - begun
    page = seen.page
    expect(page.locator(".item .top").nth(0)).to_contain_text(f"test/{MOST_ROWS + 400}")
    expect(page.locator(".item .top").nth(1)).to_contain_text(f"test/{MOST_ROWS + 300}")
    expect(page.locator(".item .top").nth(2)).to_contain_text("test/0")
    seen.counted("10,000행 표시 · 전체 10,500행 가운데 10,000행")
    runs = [page.evaluate(TIMED) for _ in range(3)]
    took = {name: min(run[name] for run in runs) for name in runs[0]}
    with capsys.disabled():
        print(f"\nfirst row {first:.2f} s; ms: {took}")
    assert first < 15
    assert all(ms < 1000 for ms in took.values()), took
    seen.counted("11행")
    seen.close()


def large(port: Port, count: int, *, failed: int, flagged: int) -> Port:
    """A port of `count` rows as large as GSM8K's, written as a port is, one failed, one flagged."""
    from datasets import Dataset

    text = "Natalia sold clips to her friends in April, and half as many in May. " * 4
    rows = [{"question": f"Question {n}: {text}", "id": n} for n in range(count)]
    data = Dataset.from_list(rows)
    work = port.folder.parent / "large"
    writer = SplitWriter(work / "data" / "default", "test", data.features, port.plan)
    korean = forward(text)
    made = [
        None if row["id"] == failed else row | {"question": f"{n}번 질문: {korean}"}
        for n, row in enumerate(rows)
    ]
    for start, table in zip(range(0, count, 1000), tables(data), strict=True):
        writer.write(table, made[start : start + 1000])
    with Notes(work) as notes:
        notes.found("default", "test", flagged, [Finding("numbers", "flag", "question", "see")])
        failure = Failure(where="check", kind="numbers", message="no")
        notes.failed("default", "test", failed, rows[failed], failure)
    files = {path.name: "" for path in writer.close()}
    record = SplitRecord(rows=count, passed=count - 1, failed=1, kept=0, files=files)
    source = replace(port.source, data={"default": {"test": data}})
    return replace(port, work=work, source=source, splits={"default": {"test": record}})


TIMED = """() => {
  const took = {};
  const list = document.querySelector("#list");
  const search = document.querySelector("#search");
  const time = (name, act) => {
    const begun = performance.now();
    act();
    document.body.offsetHeight;
    took[name] = Math.round(performance.now() - begun);
  };
  time("scroll", () => { list.scrollTop = 300000; list.dispatchEvent(new Event("scroll")); });
  const find = (text) => { search.value = text; search.dispatchEvent(new Event("input")); };
  time("search", () => find("april"));
  time("state", () => {
    const state = document.querySelector("#state");
    state.value = "clean";
    state.dispatchEvent(new Event("change"));
  });
  time("narrow", () => find("question 512"));
  return took;
}"""


def test_every_check_is_said_in_korean() -> None:
    """A check that is added is added here too."""
    assert set(SAYS_KO) == set(CHECKS)
