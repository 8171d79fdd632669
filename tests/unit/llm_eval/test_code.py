"""Programs in replies: found in any shape, run in a jail, and right only if their tests ran."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Any

import pytest

from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import UserError
from llm_eval.evaluation import code as code_module
from llm_eval.evaluation import load_evaluator
from llm_eval.evaluation.code import Code, pass_at_k
from llm_eval.evaluation.programs import candidates
from llm_eval.models.openai import OpenAIModel
from llm_eval.records import Sample, Score
from llm_eval.results import EvaluationResult
from llm_eval.runner import PipelineRunner
from llm_eval.sandbox import Layers, layers
from tests.fakes.chat import ChatServer, Fault
from tests.fakes.chat_rules import refuses

jails = pytest.mark.skipif(not layers().enough, reason=layers().says)
PROMPT = (
    "from typing import List\n\n\ndef helper(x):\n    return x * 2\n\n\n"
    'def total(numbers: List[int]) -> int:\n    """The doubled sum.\n    >>> total([1, 2])\n    6\n'
    '    """\n'
)
BODY = "    found = 0\n    for n in numbers:\n        found += helper(n)\n    return found\n"
CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 6\n    assert candidate([]) == 0\n"
WHOLE = 'def total(numbers: List[int]) -> int:\n    """Sum."""\n' + BODY


def sample(**more: Any) -> Sample:
    """One problem in HumanEval's shape."""
    told = {"prompt": PROMPT, "tests": [CHECK], "entry_point": "total", **more}
    return Sample(index=0, input="Go on:\n" + PROMPT, reference=BODY, metadata=told)


def score(reply: str, timeout: float = 10.0, **more: Any) -> Score:
    """The judgement of one reply."""
    return Code(timeout=timeout).score(sample(**more), reply, BaseDataset())


# --- the shapes of a reply ----------------------------------------------------------------------

RIGHT = {
    "the body": BODY,
    "the body without its first spaces": BODY.strip(),
    "the body, not indented": "found = sum(numbers)\nreturn found * 2\n",
    "the body with less below": "return sum(\n    helper(n) for n in numbers\n)",
    "the whole function": WHOLE,
    "prompt and body": PROMPT + BODY,
    "a fence": f"```python\n{WHOLE}```",
    "a fence around the body": f"```python\n{BODY}```",
    "a fence in prose": f"다음과 같습니다.\n\n```py\n{WHOLE}```\n\n설명: `total`은 합입니다.",
    "an open fence": f"코드:\n```python\n{WHOLE}",
    "a fence without a language": f"```\n{WHOLE}```",
    "a tilde fence": f"~~~python\n{WHOLE}~~~",
    "an indented fence": "1. 답:\n\n   ```python\n"
    + "".join(f"   {line}\n" for line in WHOLE.splitlines()) + "   ```\n",
    "thoughts": f"<think>```python\ndef total(n): return 0\n```</think>\n```python\n{WHOLE}```",
    "a first draft": "```python\ndef total(numbers): return 1\n```\n고치면:\n"
    f"```python\n{WHOLE}```",
    "two blocks": "```python\ndef twice(x): return 2 * x\n```\n```python\n"
    "def total(numbers): return sum(map(twice, numbers))\n```",
    "an example beside it": f"```python\n{WHOLE}```\n```python\nprint(total([1]))\n```",
    "a command beside it": f"```bash\npip install x\n```\n```python\n{WHOLE}```",
    "prose before bare code": f"Sure, here it is:\n\n{WHOLE}",
    "prose after bare code": f"{WHOLE}\n이 함수는 두 배의 합을 돌려줍니다.\n",
    "prose after the body": f"{BODY}\n이 함수는 두 배의 합을 돌려줍니다!\n",
    "powers of two stars": "    return sum(n ** 1 * 2 for n in numbers)\n",
    "a lambda": "total = lambda numbers: 2 * sum(numbers)",
    "an import from the future": f"from __future__ import annotations\n{PROMPT}{BODY}",
    "a script": f'{WHOLE}\n\nif __name__ == "__main__":\n    raise SystemExit(total([1]))\n',
    "dataclasses": "from dataclasses import dataclass\n\n\n@dataclass\nclass P:\n    x: 'int'\n\n\n"
    "def total(numbers):\n    return sum(P(n).x for n in numbers) * 2\n",
}  # fmt: skip


@jails
@pytest.mark.parametrize("reply", RIGHT.values(), ids=RIGHT)
def test_a_right_program_passes_in_any_shape(reply: str) -> None:
    """However it is wrapped, and whatever of the prompt it repeats."""
    found = score(reply)
    assert (found.value, found.is_correct, found.why) == (1.0, True, None)


BODILESS = "".join(PROMPT.partition("def total")[:2]) + "(numbers: List[int]) -> int:\n"


@jails
@pytest.mark.parametrize("body", ["", "    # the doubled sum\n", "    # twice\n\n    # the sum"])
@pytest.mark.parametrize("reply", [WHOLE, f"```python\n{WHOLE}```", BODY, PROMPT + BODY])
def test_a_prompt_may_leave_its_function_without_a_body(body: str, reply: str) -> None:
    """What it imports and defines before that function is there for a reply that repeats it."""
    assert score(reply, prompt=BODILESS + body).why is None
    decorated = BODILESS.replace("def total", "@staticmethod\ndef total") + body
    assert score(reply, prompt=decorated).why is None


@jails
def test_a_prompt_may_end_in_the_middle_of_a_line_or_at_its_end() -> None:
    """A body goes on where it stops, or on the next line; a comment swallows none of it."""
    assert score(BODY, prompt=PROMPT.rstrip()).is_correct
    assert score("2 * sum(numbers)", prompt=PROMPT + "    return ").is_correct
    assert score(BODY, prompt=PROMPT + "    # the sum").is_correct


WRONG = {
    "nothing": ("", "assertion"),
    "prose": ("모르겠습니다.", "syntax"),
    "another function": ("```python\ndef sum_all(x): return x\n```", "assertion"),
    "a wrong body": ("    return 6\n", "assertion"),
    "none": ("    return None\n", "assertion"),
    "an exception": ("    return 1 / 0\n", "ZeroDivisionError: division by zero"),
    "a name that is not there": ("    return totl(numbers)\n", "NameError"),
    "broken code": ("```python\ndef total(numbers:\n    return\n```", "syntax"),
    "an endless loop": ("    while True: pass\n", "longer than"),
    "memory": ("    return len('x' * (3 << 30))\n", "MemoryError"),
    "recursion": ("    return total(numbers)\n", "RecursionError"),
    "unfinished thoughts": (f"<think>\n{WHOLE}", "assertion"),
    "exit": ("    import sys; sys.exit(0)\n", "SystemExit"),
    "hard exit": ("    import os; os._exit(0)\n", "ended"),
    "exit at import": (f"import os\nos._exit(0)\n{WHOLE}", "ended"),
    "a lookalike": ("    print('{\"passed\": true}', flush=True)\n", "assertion"),
    "lookalikes everywhere": (
        "    import os\n    for fd in range(64):\n        try:\n"
        "            os.write(fd, b'{\"passed\": 1}\\n')\n        except OSError: pass\n"
        "    os._exit(0)\n", "spoke in place"),
    "waiting for the nonce": (
        "    import os\n    for fd in range(64):\n        try: os.set_blocking(fd, False)\n"
        "        except OSError: continue\n        try: os.write(fd, os.read(fd, 999))\n"
        "        except OSError: pass\n    os._exit(0)\n", ""),
    "an equality that raises": (
        "    class A:\n        def __eq__(self, other): raise SystemExit(0)\n    return A()\n",
        "SystemExit"),
    "an equality that leaves": (
        "    import os\n    class A:\n        def __eq__(self, o): os._exit(0)\n    return A()\n",
        "ended"),
    "an exception that raises": (
        "    class E(Exception):\n        def __str__(self): raise SystemExit\n    raise E\n",
        "E"),
    "atexit": (
        "    import atexit, os\n    atexit.register(os._exit, 0)\n    return 1\n", "assertion"),
    "its own check": (
        "def total(numbers): return 0\n\n\ndef check(candidate): pass\n", "assertion"),
    "another exec": (
        "def total(numbers): return 0\n\n\nimport builtins\nbuiltins.exec = print\n\n\n"
        "def check(candidate): pass\n", "assertion"),
    "tests compiled without asserts": (
        "def total(numbers): return 0\n\n\nimport builtins\nold = compile\n"
        "builtins.compile = lambda *a, **k: old(*a, **k, optimize=1)\n", "assertion"),
    "tests taken away": (
        "def total(numbers): return 0\n\n\nimport gc\nfor o in gc.get_objects():\n"
        "    if isinstance(o, dict) and 'candidates' in o:\n"
        "        o['tests'].clear(); o['call_check'] = False\n", "assertion"),
    "reading files": ("    return open('/etc/shadow').read()\n", "/etc/shadow"),
    "sockets": ("    import socket; socket.socket()\n", "tried"),
    "a signal to us": ("    import os; os.kill(os.getppid(), 9)\n", ""),
}  # fmt: skip


@jails
@pytest.mark.parametrize(("reply", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_program_fails_and_says_why(reply: str, why: str) -> None:
    """Wrong, broken, endless, or pretending: 0, with the reason."""
    found = score(reply, timeout=3.0 if why == "longer than" else 10.0)
    assert (found.value, found.is_correct) == (0.0, False)
    assert found.why
    assert why in found.why


@jails
def test_the_asserts_of_a_list_are_run() -> None:
    """MBPP's shape: prose asks, the tests call the function by its name, set-up code among them."""
    told: dict[str, Any] = {"prompt": "정수 둘을 더하는 add를 쓰세요.", "entry_point": None}
    tests = ["import math", "assert add(1, 2) == 3", "assert add(-1, 1) == math.floor(0.5)"]
    right = "```python\ndef add(a, b):\n    return a + b\n```"
    assert score(right, tests=tests, **told).why is None
    assert score(right.replace("+", "-"), tests=tests, **told).why == "assertion"
    assert "NameError" in (score("```python\nx = 1\n```", tests=tests, **told).why or "")
    assert score("def add(a, b): return a + b", tests="\n".join(tests), **told).is_correct


def test_a_sample_without_tests_is_not_scored() -> None:
    """None, and neither right nor wrong."""
    assert score(BODY, tests=[]).value is None


def test_prose_is_never_run_as_a_program() -> None:
    """A prompt that is no code stands before no candidate, even if a parser would take it."""
    assert all("정렬" not in c for c in candidates("정렬", "def f(): pass", "f"))


@jails
def test_samples_are_judged_side_by_side() -> None:
    """Many at once, in order, off the event loop, which goes on meanwhile."""
    replies = [BODY, "    return 1\n"] * 4
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def judge() -> list[Any]:
        beat = asyncio.create_task(tick())
        found = await Code().score_all([(sample(), r) for r in replies], BaseDataset())
        beat.cancel()
        return found

    assert [s.value for s in asyncio.run(judge())] == [1.0, 0.0] * 4
    assert ticks > 5


# --- pass@k -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "c"), [*itertools.product(range(1, 7), range(7))])
def test_the_estimator_is_the_mean_over_all_draws(n: int, c: int) -> None:
    """pass@k is the share of the k-subsets of the n replies that hold one that passes."""
    if c > n:
        return
    replies = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        draws = list(itertools.combinations(replies, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_at_k(100_000, 1, 1000) == pytest.approx(0.01)


class Sums(BaseDataset):
    """Four problems that one function solves."""

    def load(self) -> list[dict[str, Any]]:
        told = {"tests": [CHECK], "entry_point": "total", "prompt": PROMPT}
        return [
            {"input": f"{i}\n{PROMPT}", "reference": BODY, "metadata": told,
             "_subset_name": "ab"[i % 2]}
            for i in range(4)
        ]  # fmt: skip

    def info(self) -> dict[str, Any]:
        return {**super().info(), "evaluation_method": "code"}


class Turns:
    """A function whose reply to sample i passes in `passing[i]` of its turns."""

    def __init__(self, *passing: int) -> None:
        self.passing, self.asked = passing, [0] * len(passing)

    def __call__(self, text: str) -> str:
        i = int(text[0])
        self.asked[i] += 1
        return BODY if self.asked[i] <= self.passing[i] else "    return 0\n"


def run(model: Any, **params: Any) -> EvaluationResult:
    """An evaluation of `Sums`, by the method that it names."""
    method: dict[str, Any] = (
        {"evaluation_method_name": "code", "evaluator_params": params} if params else {}
    )
    return PipelineRunner(dataset_name=Sums, model_backend_name=model, **method).run()


@jails
def test_replies_are_asked_for_and_summed_up() -> None:
    """All replies are kept; pass@k and its standard error are over samples."""
    model = Turns(0, 1, 3, 6)
    found = run(model, k=[1, 5], n=6)
    assert model.asked == [6] * 4
    ones, fives = [0, 1 / 6, 0.5, 1], [0, 5 / 6, 1, 1]
    m = found.metrics
    assert m["accuracy"] == m["pass@1"] == pytest.approx(sum(ones) / 4)
    assert m["pass@5"] == pytest.approx(sum(fives) / 4)
    for k, values in ((1, ones), (5, fives)):
        mean = sum(values) / 4
        spread = math.sqrt(sum((v - mean) ** 2 for v in values) / 3 / 4)
        assert m[f"pass@{k}_stderr"] == pytest.approx(spread)
    assert (m["n"], m["failed"], m["failed_replies"]) == (4, 0, 0)
    assert m["by_subset"]["a"]["pass@5"] == pytest.approx(0.5)
    replies = found.samples[2]["replies"]
    assert [r["evaluation"]["is_correct"] for r in replies] == [True] * 3 + [False] * 3
    assert replies[5]["evaluation"]["why"] == "assertion"
    assert replies[5]["prediction"] == "    return 0\n"
    assert found.info["replies"] == 6


@jails
def test_a_dataset_names_its_method() -> None:
    """Without a method asked for, the one in `info()` is used; oracle's solutions pass."""
    found = run("oracle")
    assert (found.info["evaluation_method"], found.metrics["pass@1"]) == ("code", 1.0)
    assert "replies" not in found.samples[0]


@jails
def test_a_reply_that_failed_costs_itself(chat: ChatServer) -> None:
    """A sample stands on the replies that came, while they are enough for the largest k.

    The server takes no `n`: each reply is a request of its own.
    """
    chat.answer = lambda messages: BODY
    chat.rules.append(refuses("n"))
    chat.script(*[Fault.server_error] * 3)
    model = OpenAIModel("m", api_base=chat.url, max_retries=0, concurrency=1)
    found = run(model, k=[1, 2], n=4)
    m = found.metrics
    assert (m["n"], m["failed"], m["failed_replies"]) == (3, 1, 0)
    assert "replies" in found.samples[0]
    assert len(found.samples[0]["replies"]) == 4
    chat.script(Fault.server_error)
    model = OpenAIModel("m", api_base=chat.url, max_retries=0, concurrency=1)
    m = run(model, k=[1, 2], n=4).metrics
    assert (m["n"], m["failed"], m["failed_replies"], m["pass@2"]) == (4, 0, 1, 1.0)


@jails
def test_replies_that_are_bound_to_be_alike_are_told(chat: ChatServer) -> None:
    """Several replies at temperature 0, or with one seed, are one reply several times."""
    chat.answer = lambda messages: BODY
    told: list[dict[str, Any]] = [{"temperature": 0}, {"seed": 0}, {"extra_body": {"seed": 3}}]
    for params in told:
        model = OpenAIModel("m", api_base=chat.url, **params)
        assert "all the same" in run(model, k=2).info["note"]
        assert "note" not in run(model, k=1).info


@pytest.mark.parametrize(
    "params",
    [{"k": 0}, {"k": []}, {"k": [1, 2.5]}, {"k": "5"}, {"k": True}, {"k": 5, "n": 4}, {"n": 0},
     {"n": "9"}, {"timeout": 0}, {"timeout": "x"}, {"timeout": math.inf}, {"m": 1}],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_told(params: dict[str, Any]) -> None:
    """Before anything is loaded."""
    with pytest.raises(UserError):
        load_evaluator("code", **params)


def test_what_cannot_be_judged_is_told_before_a_request(
    chat: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tests, tests that cannot be called, or no sandbox: a sentence, and no request."""
    model = OpenAIModel("m", api_base=chat.url)
    uncalled = "class T(unittest.TestCase):\n    def test(self):\n        assert f(1) == 2"
    for more, said in (
        ({"tests": []}, "have none"),
        ({"entry_point": None}, "no entry_point"),
        ({"tests": ["import unittest", uncalled]}, "every program would pass"),
    ):
        told = {**Sums().load()[0]["metadata"], **more}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Sums, "load", lambda self, told=told: [{"input": "q", "metadata": told}])
            with pytest.raises(UserError, match=said):
                run(model)
    monkeypatch.setattr(code_module, "layers", lambda: Layers(seccomp=True))
    with pytest.raises(UserError, match="no sandbox"):
        run(model)
    assert chat.requests == []
