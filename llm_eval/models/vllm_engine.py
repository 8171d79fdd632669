"""vLLM's engine in a thread of its own: jobs come at any time, replies go as each is finished.

The engine puts together what it is at work on by itself (continuous batching), so that calls that
overlap keep it full. Who is cancelled is taken out again: what waits is dropped, what is being
written is aborted, and the next step goes on without it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any

from llm_eval.errors import UserError
from llm_eval.models.hf.asking import Refused

IDLE = 0.5  # seconds between two looks whether the program has ended
QUIET = {  # said to vLLM unless the user says otherwise
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # results are on the other one
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request: tokens, or a conversation with images; `params` are those of SamplingParams.

    `template_arguments` are given to the chat template of a conversation.
    """

    tokens: Sequence[int] = ()
    conversation: Sequence[Mapping[str, Any]] = ()
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """How it asks for log-probabilities: two kinds of it do not go into one step.

        Where one request of a step names tokens, vLLM tells the others no likely ones.
        """
        if "logprob_token_ids" in self.params:
            return "named"
        return "likeliest" if self.params.get("logprobs") is not None else ""


Told = Any  # vLLM's RequestOutput, or the Refused that stands in its place


@dataclass(eq=False)
class _Call:
    """Jobs that are waited for together."""

    jobs: Sequence[Job]
    loop: asyncio.AbstractEventLoop
    reply: asyncio.Future[list[Told]]
    found: list[Told] = field(default_factory=list)
    left: int = 0
    gone: bool = False

    def __post_init__(self) -> None:
        self.found, self.left = [None] * len(self.jobs), len(self.jobs)

    def put(self, place: int, told: Told) -> None:
        """Note a reply; the last one wakes up who waits."""
        self.found[place] = told
        self.left -= 1
        if not self.left and not self.gone:
            self.settle(lambda: self.reply.set_result(self.found))

    def settle(self, how: Callable[[], None]) -> None:
        """Do `how` in the loop of who waits, if they still do."""

        def settled() -> None:
            if not self.reply.done():
                how()

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(settled)


class Engine:
    """A model that is loaded by `start`, and asked from any event loop.

    Args:
        arguments: those of vLLM's `LLM`.
        room: most jobs that the engine is given at once; more wait here, where they cost nothing.

    Attributes:
        llm: vLLM's LLM, once it is there.
    """

    def __init__(self, arguments: Mapping[str, Any], room: int) -> None:
        self.arguments, self.room = arguments, room
        self.llm: Any = None
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._waiting: deque[tuple[_Call, int]] = deque()
        self._running: dict[str, tuple[_Call, int]] = {}
        self._up, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._dead: UserError | None = None
        self._open, self._count = True, 0

    def start(self) -> None:
        """Load the model, in the thread that asks it; blocks until it is there.

        Raises:
            UserError: it cannot be loaded.
        """
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hret-vllm")
                self._thread.start()
        self._up.wait()
        if self._dead is not None:
            raise self._dead

    async def ask(self, jobs: Sequence[Job]) -> list[Told]:
        """For each job, in order, vLLM's output, or the `Refused` that says why there is none.

        Raises:
            UserError: the engine has stopped.
        """
        if not jobs:
            return []
        loop = asyncio.get_running_loop()
        call = _Call(jobs, loop, loop.create_future())
        self._inbox.put(lambda: self._waiting.extend((call, i) for i in range(len(jobs))))
        try:
            return await call.reply
        except asyncio.CancelledError:
            self._inbox.put(lambda: self._let_go(call))
            raise

    def stop(self) -> None:
        """Let the model go, and wait until it has: a program that ends meanwhile is aborted."""
        self._inbox.put(self._end)
        if self._thread not in (None, threading.current_thread()):
            self._thread.join(timeout=60)

    def _end(self) -> None:
        self._open = False

    def _run(self) -> None:
        try:
            self.llm = _loaded(self.arguments)
        except UserError as e:
            self._dead = e
            return
        finally:
            self._up.set()
        while self._open:
            self._listen()
            try:
                self._admit()
                if self._running:
                    for output in self.llm.llm_engine.step():
                        self._note(output)
            except Exception as e:  # the engine, its workers or the device gave up; none is ours
                self._fail(e)
        self.llm = None
        gc.collect()

    def _listen(self) -> None:
        """Hear all that was said; with nothing to do, wait for something.

        When the program ends, so does this: a thread of torch's that is left behind aborts it.
        """
        while not (self._inbox.empty() and (self._waiting or self._running)):
            try:
                self._inbox.get(timeout=IDLE)()
            except Empty:
                pass
            if not (self._open and threading.main_thread().is_alive()):
                self._open = False
                return

    def _admit(self) -> None:
        if self._dead is not None:
            raise self._dead
        kinds = {call.jobs[i].kind for call, i in self._running.values()} - {""}
        while self._waiting and len(self._running) < self.room:
            call, place = self._waiting[0]
            kind = call.jobs[place].kind
            if kind and kinds - {kind}:
                return
            self._waiting.popleft()
            if call.gone:
                continue
            kinds |= {kind} - {""}
            try:
                self._running[self._added(call.jobs[place])] = (call, place)
            except Exception as e:  # what vLLM, a template or a processor of images refuses with
                if isinstance(e, import_module("vllm.v1.engine.exceptions").EngineDeadError):
                    raise
                call.put(place, _refusal(e))

    def _added(self, job: Job) -> str:
        params = sampling(job.params)
        if job.conversation:
            (told,) = self.llm.enqueue_chat(
                [list(job.conversation)],
                params,
                use_tqdm=False,
                chat_template_kwargs=dict(job.template_arguments) or None,
            )
            return str(told).rpartition("-")[0]
        self._count += 1
        name = f"hret{self._count}"
        given = import_module("vllm.inputs").tokens_input(list(job.tokens))
        self.llm.llm_engine.add_request(name, given, params)
        return name

    def _note(self, output: Any) -> None:
        if output.finished and (known := self._running.pop(output.request_id, None)):
            call, place = known
            call.put(place, output)

    def _let_go(self, call: _Call) -> None:
        call.gone = True
        names = [name for name, (of, _) in self._running.items() if of is call]
        self._waiting = deque(one for one in self._waiting if one[0] is not call)
        for name in names:
            del self._running[name]
        if names:
            self.llm.llm_engine.abort_request(names)

    def _fail(self, error: Exception) -> None:
        said = self._dead = self._dead or UserError(
            f"vLLM's engine stopped: {_line(error)}",
            hint="what it wrote above says why; out of memory: a smaller max_num_batched_tokens, "
            "max_num_seqs or max_model_len",
        )
        calls = {id(c): c for c, _ in [*self._running.values(), *self._waiting]}
        self._running.clear()
        self._waiting.clear()
        for call in calls.values():
            call.settle(lambda call=call: call.reply.set_exception(said))  # type: ignore[misc]


def _loaded(arguments: Mapping[str, Any]) -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        vllm = import_module("vllm")
        if import_module("vllm.platforms").current_platform.is_cpu():
            arguments = _modest(arguments)
        return vllm.LLM(**arguments)
    except Exception as e:  # configurations, weights, kernels and devices all raise their own
        raise UserError(
            f"vLLM cannot load {arguments['model']!r}: {_line(e)}",
            hint="a folder that save_pretrained wrote, or a name on the Hub; what vLLM wrote above "
            "may say more",
        ) from None


def _modest(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """For a CPU, unless memory is spoken of: vLLM would take 0.92 of all there is, and fill it."""
    if {"gpu_memory_utilization", "kv_cache_memory_bytes"} & set(arguments):
        return arguments
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")  # GiB
    return {"gpu_memory_utilization": 0.4, **arguments}


def sampling(params: Mapping[str, Any]) -> Any:
    """The SamplingParams of a job; what vLLM finds wrong with them is raised as it is."""
    known, given = import_module("vllm.sampling_params"), dict(params)
    if held := given.pop("structured_outputs", None):
        given["structured_outputs"] = known.StructuredOutputsParams(**held)
    kind = known.RequestOutputKind.FINAL_ONLY
    return known.SamplingParams(output_kind=kind, flat_logprobs=True, **given)


def _refusal(error: Exception) -> Refused:
    said = _line(error)
    long = "maximum model length" in said or "maximum context length" in said
    return Refused(f"vLLM refuses it: {said}", "length" if long else "bad_request")


def _line(error: Exception) -> str:
    return next((s.strip() for s in str(error).splitlines() if s.strip()), type(error).__name__)[
        :500
    ]
