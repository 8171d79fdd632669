"""Files and batches as OpenAI has them; `tests.fakes.chat` serves them and answers their requests.

    chat.batches.script(Course(polls=2), Course(expires_after=3))
    with chat.batches.held():  # no batch finishes in this block
        client.batches.create(...)

A batch goes on by being polled, so that nothing here depends on time: `validating` when it is made,
`in_progress` for as many polls as its course says, `finalizing` once, then its end. What it holds
is answered at the end, in the order of the input; the files list it in reverse.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.chat_protocol import Body, Refused, dumped
from tests.fakes.faults import Fault, too_many

if TYPE_CHECKING:
    from tests.fakes.chat import Record

CHAT = "/v1/chat/completions"
ENDS = {"completed", "failed", "expired", "cancelled"}
EXPIRED = "This request could not be executed before the completion window expired."


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a batch goes."""

    polls: int = 1
    """How many polls find it in progress."""
    expires_after: int | None = None
    """It expires when so many of its requests are done."""
    errors: Sequence[tuple[str, str]] = ()
    """(code, message) each, of a validation that fails."""


@dataclass(slots=True)
class _File:
    id: str
    name: str
    purpose: str
    data: bytes
    created: int = field(default_factory=lambda: int(time.time()))

    def told(self) -> Body:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(slots=True)
class _Batch:
    id: str
    asked: Body
    course: Course
    lines: list[tuple[str, Record]] = field(default_factory=list)
    """(custom_id, request) in the order of the input."""
    errors: list[Body] = field(default_factory=list)
    status: str = "validating"
    polls: int = 0
    files: dict[str, str] = field(default_factory=dict)
    created: int = field(default_factory=lambda: int(time.time()))

    def told(self) -> Body:
        done = [record.status == 200 for _, record in self.lines if record.status is not None]
        lost = len(self.lines) - len(done) if self.status in ENDS else 0
        return {
            "id": self.id,
            "object": "batch",
            "created_at": self.created,
            "expires_at": self.created + 24 * 3600,
            "status": self.status,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "request_counts": {
                "total": len(self.lines),
                "completed": sum(done),
                "failed": len(done) - sum(done) + lost,
            },
            **{f"{kind}_file_id": self.files.get(kind) for kind in ("output", "error")},
            **self.asked,
        }


class Batches:
    """The files and batches of one server. Its public attributes may be set while it runs.

    `arrived` makes the record of a request in a batch; `answered` gives the reply to one, or
    raises `Refused`.
    """

    def __init__(
        self, arrived: Callable[[Any], Record], answered: Callable[[Record], Body]
    ) -> None:
        self._arrived, self._answered = arrived, answered
        self.course = Course()
        """What a batch without a script does."""
        self.max_requests = 50_000
        self.max_bytes = 200_000_000
        self.requests: list[Record] = []
        """Every request of every batch that passed validation. Status None: not answered."""
        self._script: deque[Course] = deque()
        self._trouble: defaultdict[str, deque[Fault | Refused | None]] = defaultdict(deque)
        self._files: dict[str, _File] = {}
        self._batches: dict[str, _Batch] = {}
        self._made = 0
        self._held = False

    def script(self, *courses: Course) -> None:
        """How the next batches go, in the order in which they are made."""
        self._script.extend(courses)

    def trouble(self, call: str, *faults: Fault | Refused | None) -> None:
        """The faults of the next calls of one kind, or how they are refused; None is a good one.

        `call` is one of POST files, GET file, GET content, DELETE file, POST batches, GET batches,
        GET batch, POST cancel. `drop` does what was asked and breaks the reply off; `rate_limit`
        and `server_error` do nothing.
        """
        self._trouble[call].extend(faults)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the block runs, batches stay in progress."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    @property
    def made(self) -> list[Body]:
        """Every batch as it stands, oldest first. Looking does not move it on."""
        return [batch.told() for batch in self._batches.values()]

    def lose(self, name: str) -> None:
        """Forget a file or a batch, as the server does with old ones."""
        if self._files.pop(name, None) is None:
            del self._batches[name]

    def reset(self) -> None:
        """Forget requests and scripts; files and batches stay."""
        self.requests.clear()
        self._script.clear()
        self._trouble.clear()

    async def handle(self, request: web.Request, record: Record) -> Body | bytes:
        """Answer a call below /v1/files or /v1/batches."""
        work: Callable[[], Body | bytes]
        match request.method, request.path.removeprefix("/v1/").strip("/").split("/"):
            case "POST", ["files"]:
                call, work = "POST files", self._uploaded(await request.post())
            case "GET", ["files", name]:
                call, work = "GET file", lambda: self._file(name).told()
            case "GET", ["files", name, "content"]:
                call, work = "GET content", lambda: self._file(name).data
            case "DELETE", ["files", name]:
                call, work = "DELETE file", lambda: self._deleted(name)
            case "POST", ["batches"]:
                call, work = "POST batches", lambda: self._created(record.body)
            case "GET", ["batches"]:
                call, work = "GET batches", lambda: self._listed(dict(request.query))
            case "GET", ["batches", name]:
                call, work = "GET batch", lambda: self._polled(name)
            case "POST", ["batches", name, "cancel"]:
                call, work = "POST cancel", lambda: self._cancelled(name)
            case _:
                raise Refused(404, f"Invalid URL ({request.method} {request.path})")
        self._fall(call, record)
        return work()

    def _fall(self, call: str, record: Record) -> None:
        fault = self._trouble[call].popleft() if self._trouble[call] else None
        if isinstance(fault, Refused):
            raise fault
        record.fault = fault
        if record.fault is Fault.rate_limit:
            raise too_many(0.01)
        if record.fault is Fault.server_error:
            raise Refused(500, "The server had an error.", kind="server_error")

    def _new(self, kind: str) -> str:
        self._made += 1
        return f"{kind}{self._made:06d}"

    # -- files -------------------------------------------------------------------------------------

    def _uploaded(self, form: Any) -> Callable[[], Body]:
        def work() -> Body:
            sent = form.get("file")
            if form.get("purpose") != "batch":
                raise Refused(400, "'purpose' must be 'batch'.", param="purpose")
            if not isinstance(sent, web.FileField):
                raise Refused(400, "'file' is a required property.", param="file")
            if not sent.filename.endswith(".jsonl"):
                raise Refused(400, "Invalid file format for Batch API. Must be .jsonl")
            data = sent.file.read()
            if len(data) > self.max_bytes:
                raise Refused(400, "File is too large.")
            return self._kept(sent.filename, "batch", data).told()

        return work

    def _kept(self, name: str, purpose: str, data: bytes) -> _File:
        file = _File(self._new("file-"), name, purpose, data)
        self._files[file.id] = file
        return file

    def _file(self, name: str) -> _File:
        if name not in self._files:
            raise Refused(404, f"No such File object: {name}", param="id")
        return self._files[name]

    def _deleted(self, name: str) -> Body:
        del self._files[self._file(name).id]
        return {"id": name, "object": "file", "deleted": True}

    # -- batches -----------------------------------------------------------------------------------

    def _created(self, body: Any) -> Body:
        batch = _Batch(self._new("batch_"), _asked(body), self.course)
        source = batch.asked["input_file_id"]
        if source not in self._files:
            raise Refused(400, f"Invalid file ID: {source}", param="input_file_id")
        if self._script:
            batch.course = self._script.popleft()
        lines, batch.errors = self._read(self._files[source].data, batch.asked["endpoint"])
        told = [_error(code, message) for code, message in batch.course.errors]
        batch.errors = [*batch.errors, *told]
        if not batch.errors:
            batch.lines = [(name, self._arrived(asked)) for name, asked in lines]
            self.requests += [record for _, record in batch.lines]
        self._batches[batch.id] = batch
        return batch.told()

    def _read(self, data: bytes, endpoint: str) -> tuple[list[tuple[str, Any]], list[Body]]:
        """(the custom_id and body of each line, what is wrong with the file)."""
        lines: dict[str, Any] = {}
        wrong = []
        raw = data.rstrip(b"\n").split(b"\n") if data.strip() else []
        if not raw:
            wrong.append(_error("empty_file", "The input file is empty."))
        if len(raw) > self.max_requests:
            most = f"exceeds the maximum of {self.max_requests}"
            return [], [_error("too_many_tasks", f"The number of requests in the file {most}.")]
        for number, text in enumerate(raw, 1):
            try:
                name, body = _line(text, endpoint, lines)
            except _Wrong as e:
                wrong.append(_error(*e.args, line=number))
            else:
                lines[name] = body
        if len({body.get("model") for body in lines.values()}) > 1:
            wrong.append(_error("mismatched_model", "All requests must be for one model."))
        return list(lines.items()), wrong

    def _batch(self, name: str) -> _Batch:
        if name not in self._batches:
            raise Refused(404, f"No batch found with id '{name}'.")
        return self._batches[name]

    def _listed(self, query: dict[str, str]) -> Body:
        """Newest first, `limit` at a time, beginning behind `after`."""
        found = list(self._batches.values())[::-1]
        if after := query.get("after"):
            found = found[found.index(self._batch(after)) + 1 :]
        limit = int(query.get("limit", "20"))
        if not 1 <= limit <= 100:
            raise Refused(400, "'limit' must be between 1 and 100.", param="limit")
        page = [batch.told() for batch in found[:limit]]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return {"object": "list", "data": page, "has_more": len(found) > limit, **ends}

    def _polled(self, name: str) -> Body:
        batch = self._batch(name)
        if batch.errors:
            batch.status = "failed"
        elif batch.status == "cancelling":
            self._end(batch, "cancelled", len(batch.lines) // 2, "The batch was cancelled.")
        elif batch.status == "finalizing":
            done = batch.course.expires_after
            end = "completed" if done is None else "expired"
            self._end(batch, end, len(batch.lines) if done is None else done, EXPIRED)
        elif batch.status not in ENDS:
            batch.polls += 1
            over = batch.polls > batch.course.polls and not self._held
            batch.status = "finalizing" if over else "in_progress"
        return batch.told()

    def _cancelled(self, name: str) -> Body:
        batch = self._batch(name)
        if batch.status in ENDS:
            raise Refused(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.status = "cancelling"
        return batch.told()

    def _end(self, batch: _Batch, end: str, done: int, why: str) -> None:
        """Answer the first `done` requests, give up the others, and write both files."""
        files: dict[str, list[Body]] = {"output": [], "error": []}
        for custom_id, record in batch.lines[:done]:
            reply, error = self._outcome(record)
            kind = "output" if record.status == 200 else "error"
            files[kind].append(self._told(custom_id, reply, error))
        for custom_id, _ in batch.lines[done:]:
            files["error"].append(self._told(custom_id, None, (f"batch_{end}", why)))
        for kind, lines in files.items():
            if lines:
                data = "".join(dumped(line) + "\n" for line in lines[::-1]).encode()
                kept = self._kept(f"{batch.id}_{kind}.jsonl", "batch_output", data)
                batch.files[kind] = kept.id
        batch.status = end

    def _outcome(self, record: Record) -> tuple[Body | None, tuple[str, str] | None]:
        """(the reply, the error that is none of HTTP's): one of both is None."""
        try:
            body, status = self._answered(record), 200
        except Refused as no:
            body, status = no.body, no.status
        record.end = time.monotonic()
        if record.fault is Fault.drop:
            return None, ("server_error", "The request broke off.")
        record.status = status
        request_id = self._new("req_")
        return {"status_code": status, "request_id": request_id, "body": body}, None

    def _told(
        self, custom_id: str, reply: Body | None, error: tuple[str, str] | None
    ) -> dict[str, Any]:
        said = None if error is None else dict(zip(("code", "message"), error, strict=True))
        name = self._new("batch_req_")
        return {"id": name, "custom_id": custom_id, "response": reply, "error": said}


class _Wrong(Exception):
    """(code, message) of a line that fails validation."""


def _error(code: str, message: str, *, line: int | None = None) -> Body:
    return {"code": code, "message": message, "line": line, "param": None}


def _line(text: bytes, endpoint: str, known: dict[str, Any]) -> tuple[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict):
        raise _Wrong("invalid_json_line", "This line is not parseable as valid JSON.")
    name, body = line.get("custom_id"), line.get("body")
    if not isinstance(name, str) or not name or not isinstance(body, dict):
        raise _Wrong("missing_required_parameter", "A request needs a 'custom_id' and a 'body'.")
    if name in known:
        raise _Wrong("duplicate_custom_id", f"The custom_id '{name}' stands there twice.")
    if line.get("method") != "POST" or line.get("url") != endpoint:
        raise _Wrong("mismatched_url", f"The request must be a POST to '{endpoint}'.")
    return name, body


def _asked(body: Any) -> Body:
    """The checked body of a request for a batch."""
    if not isinstance(body, dict) or not isinstance(body.get("input_file_id"), str):
        raise Refused(400, "Missing required parameter: 'input_file_id'.", param="input_file_id")
    if body.get("endpoint") != CHAT:
        raise Refused(400, f"'endpoint' must be '{CHAT}'.", param="endpoint")
    if body.get("completion_window") != "24h":
        raise Refused(400, "'completion_window' must be '24h'.", param="completion_window")
    metadata = body.get("metadata") or {}
    fits = isinstance(metadata, dict) and len(metadata) <= 16
    if not fits or any(
        not isinstance(v, str) or len(k) > 64 or len(v) > 512 for k, v in metadata.items()
    ):
        raise Refused(400, "'metadata' holds at most 16 short texts.", param="metadata")
    names = ("input_file_id", "endpoint", "completion_window")
    return {**{name: body[name] for name in names}, "metadata": metadata or None}
