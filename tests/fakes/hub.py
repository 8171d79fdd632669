"""A Hugging Face Hub on loopback, in memory, that the real clients cannot tell from the real one.

    with HubServer() as hub:
        hub.put("org/qa", {"data.jsonl": b'{"q": "2+2?"}\\n'})
        HfApi(endpoint=hub.url, token="hf_tester").dataset_info("org/qa")

Clients that read their settings at import run in a process of their own, under `hub.env(...)`.
Users with no test suite at hand: `python -m tests.fakes.hub --port 8081`.
"""

from __future__ import annotations

import argparse
import re
import socket
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from tests.fakes import hub_files  # noqa: F401  registers its addresses
from tests.fakes.hub_api import Ask, Reply, answer, reply
from tests.fakes.hub_store import Commit, Gate, Hub, OrgRole, Repo, RepoType, TokenRole, User

__all__ = ["DROP", "Commit", "Hold", "HubServer", "Seen"]

DROP = 0
"""The status of a request whose connection was closed without an answer."""
MB = 2**20


class Seen(NamedTuple):
    """One request that was served. The path is as sent, with its query."""

    method: str
    path: str
    status: int


@dataclass(slots=True)
class Fault:
    """Trouble that waits for the next `left` requests that match."""

    left: int
    status: int
    path: re.Pattern[str]
    method: str | None
    after: bool
    headers: Mapping[str, str] = field(default_factory=dict)

    def strikes(self, ask: Ask, target: str) -> bool:
        due = self.left > 0 and self.method in (None, ask.method)
        return due and self.path.search(target) is not None


class Hold:
    """The next request that matches waits here; `reached` tells of it, `release()` lets it go."""

    def __init__(self, path: str, method: str | None) -> None:
        self.path, self.method = re.compile(path), method
        self.reached, self._open = threading.Event(), threading.Event()

    def pause(self, method: str, target: str) -> None:
        """Keep a request, if it is the first that matches, until it is let go on."""
        if self.method in (None, method) and self.path.search(target) and not self.reached.is_set():
            self.reached.set()
            self._open.wait()

    def release(self) -> None:
        """Let go on what waits; nothing waits here after that."""
        self.reached.set()
        self._open.set()


class HubServer:
    """The server, as a context manager. The user `tester` (token `hf_tester`) is admin of `org`."""

    def __init__(
        self,
        *,
        port: int = 0,
        lfs_min: int = 10 * MB,
        multipart_min: int = 64 * MB,
        chunk_size: int = 16 * MB,
    ) -> None:
        """Files from `lfs_min` bytes go to LFS (as do those that .gitattributes names), and from
        `multipart_min` in parts of `chunk_size`. Port 0 is any free one."""
        self.port, self.url = port, ""
        self.seen: list[Seen] = []
        self._hub = Hub(lfs_min=lfs_min, multipart_min=multipart_min, chunk_size=chunk_size)
        self._faults: list[Fault] = []
        self._holds: list[Hold] = []
        self._crashes: list[Exception] = []
        self._lock = threading.RLock()
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None
        self.add_user("tester", token="hf_tester", orgs={"org": "admin"})

    def __enter__(self) -> Self:
        self._listener = _Listener(("127.0.0.1", self.port), _Connection)
        self._listener.hub = self
        self.port = self._listener.server_address[1]
        self.url = self._hub.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.01,))
        self._thread.daemon = True
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close every connection; a crash of the fake itself fails the test that met it."""
        assert self._listener is not None and self._thread is not None
        for hold in self._holds:
            hold.release()
        self._listener.shutdown()
        self._listener.hang_up()
        self._listener.server_close()
        self._thread.join()
        if kind is None and self._crashes:
            raise self._crashes[0]

    # What a test sets up

    def add_user(
        self,
        name: str,
        *,
        token: str,
        orgs: Mapping[str, OrgRole] | None = None,
        role: TokenRole = "write",
    ) -> None:
        """Let a token speak for a user. `role` is how far the token goes, `orgs` the user."""
        with self._lock:
            self._hub.users[token] = User(name, role, dict(orgs or {}))

    def put(
        self,
        repo_id: str,
        files: Mapping[str, bytes],
        *,
        repo_type: RepoType = "dataset",
        revision: str = "main",
        private: bool = False,
        message: str = "Seed",
    ) -> str:
        """Commit files, in a new repository where there is none; returns the commit's oid."""
        author = repo_id.partition("/")[0]
        with self._lock:
            repo = self._hub.repos.get((repo_type, repo_id))
            if repo is None:
                new = Repo(type=repo_type, id=repo_id, creator=author, private=private)
                repo = self._hub.create(new)
            head, ref = repo.find(revision), repo.writable_ref(revision)
            blobs = {path: self._hub.blob(head, path, data) for path, data in files.items()}
            repo.lfs |= {blob.sha256: blob.data for blob in blobs.values() if blob.sha256}
            tree = {**head.files, **blobs}
            return repo.commit(ref, tree, title=message, author=author, parent=head.oid).oid

    def gate(
        self,
        repo_id: str,
        *,
        repo_type: RepoType = "dataset",
        mode: Gate = "manual",
        granted: Iterable[str] = (),
    ) -> None:
        """Let only the users in `granted` read the files: of the owners, too, only those."""
        with self._lock:
            repo = self._hub.repos[repo_type, repo_id]
            repo.gated, repo.granted = mode, set(granted)

    def fail_next(
        self,
        count: int = 1,
        *,
        status: int = 500,
        match: str = "",
        method: str | None = None,
        after: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Fail the next requests whose path (with query) the regular expression `match` finds.

        Status `DROP` closes the connection without an answer. With `after`, the request is carried
        out first: the client cannot know that its commit was made.
        """
        fault = Fault(count, status, re.compile(match), method, after, dict(headers or {}))
        with self._lock:
            self._faults.append(fault)

    def hold(self, match: str, *, method: str | None = None) -> Hold:
        """Keep the next request whose path (with query) `match` finds until it is released."""
        hold = Hold(match, method)
        self._holds.append(hold)
        return hold

    def merge(self, repo_id: str, number: int, *, repo_type: RepoType = "dataset") -> None:
        """Merge a pull request, as a person does on its page."""
        with self._lock:
            repo = self._hub.repos[repo_type, repo_id]
            pull = repo.pulls[number - 1]
            repo.refs[pull.base] = repo.refs[f"refs/pr/{number}"]
            repo.pulls[number - 1] = replace(pull, status="merged")

    def env(self, home: Path | str, *, token: str | None = "hf_tester") -> dict[str, str]:
        """The environment under which a client process talks to this Hub and keeps to `home`."""
        settings = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return settings | ({"HF_TOKEN": token} if token else {})

    # What a test looks at

    def repos(self, repo_type: RepoType | None = None) -> list[str]:
        """The ids of all repositories, sorted."""
        with self._lock:
            return sorted(id for kind, id in self._hub.repos if repo_type in (None, kind))

    def repo(self, repo_id: str, *, repo_type: RepoType = "dataset") -> Repo:
        """Everything about one repository: `private`, `gated`, `refs`, `pulls`, ..."""
        with self._lock:
            return self._hub.repos[repo_type, repo_id]

    def files(
        self, repo_id: str, revision: str = "main", *, repo_type: RepoType = "dataset"
    ) -> dict[str, bytes]:
        """What every path holds at a revision (.gitattributes too)."""
        with self._lock:
            tree = self.repo(repo_id, repo_type=repo_type).find(revision).files
            return {path: blob.data for path, blob in tree.items()}

    def commits(
        self, repo_id: str, revision: str = "main", *, repo_type: RepoType = "dataset"
    ) -> list[Commit]:
        """The commits of a revision, newest first; the last is the Hub's own `initial commit`."""
        with self._lock:
            repo = self.repo(repo_id, repo_type=repo_type)
            return list(repo.log(repo.find(revision)))

    # What a connection asks for

    def serve(self, ask: Ask, target: str) -> Reply | None:
        """The answer to a request, noted down; `None` is a connection to be dropped."""
        for hold in list(self._holds):
            hold.pause(ask.method, target)
        with self._lock:
            fault = next((f for f in self._faults if f.strikes(ask, target)), None)
            result: Reply | None = None
            if fault is None or fault.after:
                result = self._answer(ask)
            if fault:
                fault.left -= 1
                words = {"error": "The fake Hub was told to fail"}
                failed = reply(words, status=fault.status, headers=fault.headers)
                result = None if fault.status == DROP else failed
            self.seen.append(Seen(ask.method, target, result.status if result else DROP))
            return result

    def _answer(self, ask: Ask) -> Reply:
        try:
            return answer(self._hub, ask)
        except Exception as bug:  # of the fake's own: 501, since the clients retry a 500
            traceback.print_exc()
            self._crashes.append(bug)
            return reply({"error": f"The fake Hub crashed: {bug!r}"}, status=501)


class _Listener(ThreadingHTTPServer):
    """One thread a connection; closing it waits for all of them."""

    hub: HubServer
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle of a request is no news."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Wake the threads that wait for the next request of a client that stays connected."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # its client was faster


class _Connection(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; reads a request to its end before anybody looks at it."""

    server: _Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def _serve(self) -> None:
        url = urlsplit(self.path)
        ask = Ask(
            method=self.command,
            path=url.path,
            query=parse_qs(url.query, keep_blank_values=True),
            headers=self.headers,
            body=self._chunks() if self._is_chunked() else self._whole(),
        )
        result = self.server.hub.serve(ask, self.path)
        if result is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(result.status)
        for name, value in {"Content-Length": str(len(result.body)), **result.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(result.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _is_chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _whole(self) -> bytes:
        return self._read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line().partition(b";")[0], 16):
            body += self._read(size)
            self._line()
        while self._line().strip():
            continue  # trailers
        return body

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionResetError("the client hung up in the middle of a body")
        return data

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line:
            raise ConnectionResetError("the client hung up in the middle of a body")
        return line

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `HubServer.seen` instead."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve an empty Hugging Face Hub on loopback.")
    parser.add_argument("--port", type=int, default=8081, help="0: any free one")
    port = parser.parse_args().port
    try:
        with HubServer(port=port) as hub:
            print(f"HF_ENDPOINT={hub.url} HF_TOKEN=hf_tester HF_HUB_DISABLE_XET=1", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("bye")


if __name__ == "__main__":
    main()
