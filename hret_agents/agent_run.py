"""One run of an agent: what its model calls, what really came of it, and when it must end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from smolagents import Tool, ToolCallingAgent
from smolagents.memory import ActionStep, FinalAnswerStep
from smolagents.monitoring import LogLevel
from smolagents.tools import validate_tool_arguments
from smolagents.utils import AgentGenerationError

from hret_agents import agent_words as words
from hret_agents.agent_model import Metered, Purse
from hret_agents.job import Listener, PortResult, Stage
from hret_agents.money import CostLimit
from hret_agents.port import result_of
from hret_agents.spent import Spent, spent
from hret_agents.steps.state import Port
from hret_agents.tools import DatasetPusher, StepTool
from llm_eval import prompts
from llm_eval.errors import Unknown, UserError

Stopped = Literal["done", "steps", "cost", "error"]
FINAL = "final_answer"
ENDED = "The run has ended."
_OURS = "hret_agents.tools."
After = Callable[[str, Port], None]
Account = Mapping[str, Spent]


@dataclass(frozen=True, kw_only=True)
class AgentStep:
    """A tool that was called, with what, and what came of it. `done`: it did what it is for."""

    tool: str
    arguments: dict[str, Any]
    outcome: str
    done: bool


@dataclass(frozen=True, kw_only=True)
class AgentResult(Mapping[str, Any]):
    """What a run did: attributes, and the same as a mapping.

    All of it but `answer`, the model's own last words, is told by what the tools did. `ports` are
    by slug, each as it stands now, with what this run spent on it; one without a module has the
    `module_path` None. `evaluations` hold dataset, model and metrics. `summary` says it in
    sentences. `stopped`: the model was "done", or the limit of "steps" or "cost" was reached, or an
    "error" ended the run. `usage` and `agent_cost_usd` are the agent's model's, `cost_usd` is all
    models' together; None where a price, or what was used, is unknown.
    """

    ports: dict[str, PortResult]
    evaluations: list[dict[str, Any]]
    steps: list[AgentStep]
    answer: str | None
    stopped: Stopped
    summary: str
    model: str
    usage: dict[str, int]
    agent_cost_usd: float | None
    cost_usd: float | None
    seconds: float

    def __getitem__(self, key: str) -> Any:
        if key in self.__dataclass_fields__:
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)

    def __len__(self) -> int:
        return len(self.__dataclass_fields__)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found["ports"] = {slug: port.to_dict() for slug, port in self.ports.items()}
        return found | {"steps": [asdict(step) for step in self.steps]}


@dataclass
class Run:
    """The book of one run. Tools are called one at a time, from whatever thread."""

    tools: Mapping[str, Tool]
    purse: Purse
    listener: Listener
    scrub: Callable[[str], str]
    reopened: Callable[[str], Port]
    after: After
    allow_push: bool
    ports: dict[str, Port] = field(default_factory=dict)
    steps: list[AgentStep] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None
    _before: dict[str, Account] = field(default_factory=dict)
    _paid: dict[str, Spent] = field(default_factory=dict)
    _latest: Port | None = None
    _one: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, port: Port) -> None:
        """A tool has come upon a port, or is done with it."""
        self._before.setdefault(port.slug, spent(port.folder))
        old = self.ports.get(port.slug)
        if old is not None and port.url is None and old.url and port.manifest == old.manifest:
            port = replace(port, url=old.url)
        self.ports[port.slug] = self._latest = port

    def call(self, name: str, arguments: Any) -> Any:
        """Call a tool for the model: its result, or what was wrong with the call. Never raises what
        the run is to end with: that is kept as `error`."""
        with self._one:
            if self.error is not None:
                return ENDED
            if name == FINAL:
                return self._final(arguments)
            self._latest = None
            said = arguments if isinstance(arguments, dict) else {"": arguments}
            self.listener(Stage("agent", f"{name} {words.cut(str(said), 200)}"))
            text, done = self._answered(name, arguments)
            self._settle()
            outcome = words.cut(text, words.TEXT)
            self.steps.append(AgentStep(tool=name, arguments=said, outcome=outcome, done=done))
            return text if self.error is None else ENDED

    def _answered(self, name: str, arguments: Any) -> tuple[str, bool]:
        """What a call gave, and whether it did what the tool is for."""
        try:
            return self._called(self._checked(name, arguments), arguments), True
        except UserError as e:
            if e.caller_only:
                self.error = e
            return self.scrub(words.told(e)), False
        except Exception as e:  # a user's tool may raise anything; of one of ours it is a bug
            tool = self.tools.get(name)
            if isinstance(tool, StepTool) or getattr(tool, "lent", None) is not None:
                self.error = e
            return self.scrub(words.cut(f"Error: {type(e).__name__}: {e}", words.TEXT)), False
        except BaseException as e:
            self.error = e
            raise

    def _final(self, arguments: Any) -> Any:
        return arguments.get("answer", arguments) if isinstance(arguments, dict) else arguments

    def _checked(self, name: str, arguments: Any) -> Tool:
        """The tool of a call that can be made."""
        tool = self.tools.get(name)
        if tool is None:
            if name == DatasetPusher.name and not self.allow_push:
                raise UserError("pushing is not allowed in this run", hint="the caller allows it")
            raise Unknown("tool", name, [*self.tools, FINAL])
        if isinstance(arguments, dict):
            for given in arguments:
                if given not in tool.inputs:
                    raise Unknown(f"argument of {name}", given, tool.inputs)
        try:
            validate_tool_arguments(tool, arguments)
        except (ValueError, TypeError) as e:
            raise UserError(str(e), hint=f"{name} takes {', '.join(tool.inputs)}") from None
        return tool

    def _called(self, tool: Tool, arguments: Any) -> str:
        if isinstance(arguments, dict):
            text = str(tool(**arguments, sanitize_inputs_outputs=True))
        else:
            text = str(tool(arguments, sanitize_inputs_outputs=True))
        if not type(tool).__module__.startswith(_OURS):  # ours give names, which hold no key
            text = self.scrub(text)
        if not isinstance(tool, StepTool):
            return text
        port = self._latest or self._found(tool, text, arguments)
        self.after(tool.stage, port)
        match tool.stage:
            case "download":
                return f"{text}\n{words.opened_port(port)}"
            case "translate":
                return f"{text}\n{words.translated_port(port)}"
            case "module":
                return f"{text}\n{words.made_port(port)}"
        return text

    def _found(self, tool: StepTool, text: str, arguments: Any) -> Port:
        """The port that a tool with a way of its own has worked on."""
        named = arguments.get("port", "") if isinstance(arguments, dict) else str(arguments)
        port = self.reopened(text if tool.stage == "download" else named)
        self.seen(replace(port, url=text) if tool.stage == "push" else port)
        return port

    def _settle(self) -> None:
        """Pay what ports have cost since it was last looked at."""
        for slug, port in self.ports.items():
            now = _sum(_since(self._before[slug], spent(port.folder)))
            before = self._paid.get(slug, Spent())
            self.purse.pay(now.cost_usd - before.cost_usd)
            if now.unpriced > before.unpriced:
                self.purse.pay(None)
            self._paid[slug] = now

    def results(self) -> dict[str, PortResult]:
        """The ports as they stand, each with what this run spent on it."""
        self._settle()
        found = {}
        for slug, port in self.ports.items():
            since = _since(self._before[slug], spent(port.folder))
            whole = _sum(since)
            found[slug] = replace(
                result_of(port, 0.0, {}),
                usage=whole.usage.to_dict(),
                cost_usd=None if whole.unpriced else round(whole.cost_usd, 6),
                asked={m: s.usage.to_dict() for m, s in since.items() if m != port.paid_model},
            )
        return found


def _since(before: Account, now: Account) -> dict[str, Spent]:
    """What was spent between two looks at an account."""
    found = {}
    for model, after in now.items():
        old = before.get(model, Spent())
        if after != old:
            usd = round(after.cost_usd - old.cost_usd, 6)
            found[model] = Spent(after.usage - old.usage, usd, after.unpriced - old.unpriced)
    return found


def _sum(account: Account) -> Spent:
    return sum(account.values(), Spent())


class Driver(ToolCallingAgent):  # type: ignore[misc]  # smolagents ships no types
    """A `ToolCallingAgent` whose tools are called by a `Run`, one after another."""

    def __init__(self, run: Run, model: Metered, *, verbose: bool) -> None:
        self._run = run
        super().__init__(
            tools=list(run.tools.values()),
            model=model,
            instructions=prompts.rendered("agent.j2", allow_push=run.allow_push),
            max_tool_threads=1,
            verbosity_level=LogLevel.INFO if verbose else LogLevel.OFF,
        )

    def execute_tool_call(self, tool_name: str, arguments: Any) -> Any:
        """The result of a call, or what was wrong with it."""
        return self._run.call(tool_name, arguments)


def driven(run: Run, model: Metered, instruction: str, max_steps: int, *, verbose: bool) -> Any:
    """Let `model` work until it is done or a limit is reached: (why it ended, its last words)."""
    agent = Driver(run, model, verbose=verbose)
    stream = agent.run(instruction, stream=True, max_steps=max_steps)
    try:
        for step in stream:
            if isinstance(step, FinalAnswerStep):
                return "done", None if step.output is None else str(step.output)
            if not isinstance(step, ActionStep) or step.is_final_answer:
                continue
            if model.failed or run.error is not None:
                break
            if step.step_number >= max_steps:
                return "steps", None
    except AgentGenerationError:
        pass  # what failed stands in the model
    finally:
        stream.close()
    return _ended(run, model), None


def _ended(run: Run, model: Metered) -> Stopped:
    """Why a run that neither is done nor has used its steps has ended; its error is kept."""
    if run.error is None and isinstance(model.failed, CostLimit):
        return "cost"
    run.error = run.error or model.failed
    assert run.error is not None
    return "cost" if isinstance(run.error, CostLimit) else "error"


def result_of_run(
    run: Run,
    model: Metered,
    stopped: Stopped,
    answer: str | None,
    started: float,
    max_steps: int,
) -> AgentResult:
    """The result, from what the tools did."""
    ports = run.results()
    evaluations = list(run.evaluations)
    return AgentResult(
        ports=ports,
        evaluations=evaluations,
        steps=list(run.steps),
        answer=answer,
        stopped=stopped,
        summary=_summary(run, ports, evaluations, stopped, max_steps),
        model=str(model.model_id),
        usage=model.usage.to_dict(),
        agent_cost_usd=model.cost_usd,
        cost_usd=run.purse.total,
        seconds=round(time.monotonic() - started, 3),
    )


def _summary(
    run: Run,
    ports: Mapping[str, PortResult],
    evaluations: Sequence[Mapping[str, Any]],
    stopped: Stopped,
    max_steps: int,
) -> str:
    said = [words.summed_up(port) for port in ports.values()] or ["No port was made."]
    for each in evaluations:
        accuracy, n = each["metrics"]["accuracy"], each["metrics"]["n"]
        said.append(f"{each['model']} on {each['dataset']}: accuracy {accuracy}, n {n}.")
    match stopped:
        case "steps":
            said.append(f"The limit of {max_steps} steps was reached: run it again to go on.")
        case "cost":
            said.append("No money is left for the next step: what was paid for is kept.")
        case "error":
            said.append(words.cut(run.scrub(f"It ended with an error: {run.error}"), words.TEXT))
    return " ".join(" ".join(said).split())
