"""A dataset module by a model: asked for, linted, verified, and asked for again with the reason.

Nothing that the model writes is trusted: what is wrong with it is found without running it (the
lint) or by running it in the kernel's sandbox (the judge that the caller brings).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

from hret_agents.ask import Asker
from hret_agents.job import Listener, Stage
from hret_agents.module.extract import extract
from hret_agents.module.lint import lint
from llm_eval.dataset.render import literal, prose
from llm_eval.dataset.spec import ModuleSpec
from llm_eval.errors import BackendError

Judge = Callable[[str], str]  # why a module does not hold; empty when it does
TEMPLATE = "template"
_TOLD = 2_000  # characters of a reason that the model is told
_NOTED = 500  # that are noted in the manifest
_KEPT = 40_000  # characters of a reply that stand in the conversation after it
_FINDINGS = 12  # of the lint, told at once
_REPAIR = """검증에서 다음 잘못이 나왔습니다.

{reason}

이것을 고친 완전한 모듈을 다시 Python 코드 블록 하나로만 답하세요. 규칙은 모두 그대로입니다."""
_PASSING: tuple[tuple[re.Pattern[str], str], ...] = (  # what differs from run to run
    (re.compile(r"(?:/[^\s/'\":,]+)*/hret-[\w.-]+"), "..."),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "0x..."),
    (re.compile(r"/proc/\d+"), "/proc/PID"),
    (re.compile(r"https?://[^\s'\"]+"), "the server"),
)


@dataclass(frozen=True, slots=True)
class Written:
    """A module; `way` is "template" or "model:NAME"; `tries`: why others before were refused."""

    code: str
    way: str
    tries: tuple[str, ...] = ()


def author(
    asker: Asker,
    prompt: str,
    judge: Judge,
    listener: Listener,
    *,
    spec: ModuleSpec,
    repairs: int,
    verified: str = "verified on every row",
) -> Written:
    """A module by the model, or one without code (`way` is "template") if none of its tries held.

    Args:
        prompt: what the conversation begins with.
        judge: runs a module and says why it does not hold; each try that parses is given to it.
        repairs: how many more tries a model has after its first.
        verified: what the module's header says of it.

    Raises:
        UserError: the model could not be asked.
    """
    messages = [{"role": "user", "content": prompt}]
    tries: list[str] = []
    for number in range(1, repairs + 2):
        listener(Stage("module", f"asking {asker.model} to write it ({number} of {repairs + 1})"))
        try:
            reply = asker.ask(messages)
        except BackendError as e:
            tries.append(f"{number}: {_clean(e.message, asker)[:_NOTED]}")
            break
        code, reason = finished(reply, spec, header=f"written by {asker.model}, {verified}")
        reason = _clean(reason or judge(code), asker)
        if not reason:
            return Written(code, f"model:{asker.model}", tuple(tries))
        tries.append(f"{number}: {reason[:_NOTED]}")
        messages += [
            {"role": "assistant", "content": reply[:_KEPT]},
            {"role": "user", "content": _REPAIR.format(reason=reason[:_TOLD])},
        ]
    return Written("", TEMPLATE, tuple(tries))


def finished(reply: str, spec: ModuleSpec, *, header: str) -> tuple[str, str]:
    """(the module in a reply, as it would be saved; why it cannot be: one of the two is empty)."""
    try:
        return _finished(reply, spec, header)
    except (
        Exception
    ) as e:  # a reply may be anything, and was paid for: no reader's fault ends a port
        return "", f"the reply cannot be read: {type(e).__name__}: {e}"


def _finished(reply: str, spec: ModuleSpec, header: str) -> tuple[str, str]:
    found = extract(reply)
    if found.reason:
        return "", found.reason
    if findings := lint(found.code, class_name=spec.class_name, slug=spec.slug):
        more = len(findings) - _FINDINGS
        rest = [f"and {more} more"] if more > 0 else []
        return "", "\n".join([*findings[:_FINDINGS], *rest])
    code, reason = with_repo(found.code, spec.repo)
    if reason:
        return "", reason
    return _formatted(f"# {_comment(f'{spec.source} ({spec.lang}): {header}')}\n{code}")


def with_repo(code: str, repo: str | None) -> tuple[str, str]:
    """(the module with the name of its repo on the Hub in its place; why it has no such place).

    >>> with_repo('REPO = None\\n', "me/quiz-ko")
    ('REPO = "me/quiz-ko"\\n', '')
    """
    found = [value for node in ast.parse(code).body if (value := _repo(node))]
    if len(found) != 1 or found[0].lineno != found[0].end_lineno:
        return "", "REPO: Optional[str] = None must stand outside of functions, on one line, once"
    lines, place = code.encode().split(b"\n"), found[0].lineno - 1
    line = lines[place]
    start, end = found[0].col_offset, found[0].end_col_offset
    lines[place] = line[:start] + literal(repo).encode() + line[end:]
    return b"\n".join(lines).decode(), ""


def _repo(node: ast.stmt) -> ast.Constant | None:
    match node:
        case ast.Assign(targets=[ast.Name(id="REPO")], value=ast.Constant() as value):
            return value
        case ast.AnnAssign(target=ast.Name(id="REPO"), value=ast.Constant() as value):
            return value
    return None


def _formatted(code: str) -> tuple[str, str]:
    import black
    from black.parsing import InvalidInput

    try:
        return black.format_str(code, mode=black.Mode()), ""
    except (InvalidInput, ValueError, RecursionError, AssertionError) as e:
        return "", f"the code cannot be formatted: {' '.join(str(e).split())[:200]}"


def _comment(text: str) -> str:
    """`text` fit for a comment in the first line, where "coding:" would declare an encoding."""
    return re.sub(r"(coding)(?=[:=])", r"\1 ", prose(text))


def _clean(reason: str, asker: Asker) -> str:
    """A reason without keys, and without what would differ in the next run."""
    for found, instead in _PASSING:
        reason = found.sub(instead, reason)
    return asker.scrub(reason)
