"""The fake Hub as a server: transfers, connections, scripted faults, its own start and end."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from tests.fakes.hub import DROP, HubServer
from tests.unit.fakes.hub_clients import child, finish, start, status, upload

ROOT = Path(__file__).resolve().parents[3]
AUTH = {"Authorization": "Bearer hf_tester"}
FILE = "/datasets/org/qa/resolve/main/a.txt"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub that is quick to call a file large."""
    with HubServer(lfs_min=1000, multipart_min=3000, chunk_size=1000) as server:
        yield server


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    return HfApi(endpoint=hub.url, token="hf_tester")


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Makes the threads of this process take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def connect(hub: HubServer) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10))


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, **rest: Any
) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request(method, path, **rest)
    response = connection.getresponse()
    return response, response.read()


# Transfers


def test_a_folder_is_uploaded_in_every_way_and_only_once(hub: HubServer, tmp_path: Path) -> None:
    """Small files go in the commit, others to LFS, huge ones in parts; unchanged ones nowhere."""
    files = {
        "small.txt": b"1",
        "by_name.parquet": b"2",
        "sub/large.txt": b"3" * 1500,
        "sub/huge.txt": bytes(range(7)) * 500,
    }
    for path, data in files.items():
        target = tmp_path / "folder" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    code = """
        from huggingface_hub import HfApi
        place = {"repo_id": "org/qa", "repo_type": "dataset"}
        HfApi().create_repo(**place)
        answer = [HfApi().upload_folder(folder_path="folder", **place).oid for _ in range(2)]
    """
    first, second = child(hub, tmp_path, code)
    held = hub.files("org/qa")
    assert held == files | {".gitattributes": held[".gitattributes"]}
    newest = hub.commits("org/qa")[0]
    large = {path for path, blob in newest.files.items() if blob.sha256}
    assert large == set(files) - {"small.txt"}
    puts = [seen.path for seen in hub.seen if seen.method == "PUT"]
    assert len(puts) == 2 + 4 and sum("/part/" in path for path in puts) == 4
    assert first == second == newest.oid and len(hub.commits("org/qa")) == 2


def test_a_snapshot_is_what_the_revision_holds(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    """A snapshot of a tag has the files of that time, regular and LFS."""
    hub.put("org/qa", {"data/a.parquet": b"x" * 5000, "a.txt": b"1"})
    api.create_tag("org/qa", tag="v1", repo_type="dataset")
    hub.put("org/qa", {"a.txt": b"2", "b.txt": b"new"})
    folder = api.snapshot_download(
        "org/qa", repo_type="dataset", revision="v1", cache_dir=tmp_path, max_workers=2
    )
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*.*")}
    assert found == hub.files("org/qa", "v1")


def test_trees_tell_sizes_and_last_commits(hub: HubServer, api: HfApi) -> None:
    """A listing stops at folders unless it is recursive, and can name the commit behind a path."""
    first = hub.put("org/qa", {"a.txt": b"1", "data/x/1.parquet": b"12"}, message="One")
    hub.put("org/qa", {"a.txt": b"22"}, message="Two")
    top = list(api.list_repo_tree("org/qa", repo_type="dataset", expand=True))
    assert [entry.path for entry in top] == [".gitattributes", "a.txt", "data"]
    titles = {entry.path: entry.last_commit.title for entry in top if entry.last_commit}
    assert titles == {".gitattributes": "initial commit", "a.txt": "Two", "data": "One"}
    deep = [
        entry.path for entry in api.list_repo_tree("org/qa", repo_type="dataset", recursive=True)
    ]
    assert deep == [".gitattributes", "a.txt", "data", "data/x", "data/x/1.parquet"]
    inside = api.list_repo_tree("org/qa", "data", repo_type="dataset")
    assert [entry.path for entry in inside] == ["data/x"]
    (info,) = api.get_paths_info("org/qa", ["data/x/1.parquet", "no"], repo_type="dataset")
    assert isinstance(info, RepoFile) and info.size == 2
    assert info.lfs and info.lfs.sha256 == hashlib.sha256(b"12").hexdigest()
    assert api.list_repo_files("org/qa", repo_type="dataset", revision=first[:8]) == [
        ".gitattributes",
        "a.txt",
        "data/x/1.parquet",
    ]


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("lines=1-2", 400, None, None),
    ],
)
def test_ranges(
    hub: HubServer, wanted: str, status: int, body: bytes | None, content_range: str | None
) -> None:
    """A GET with a Range gets those bytes; one that starts past the end is a 416."""
    hub.put("org/qa", {"a.txt": b"0123456789"})
    with connect(hub) as connection:
        response, data = ask(connection, "GET", FILE, headers={"Range": wanted})
    assert response.status == status
    assert response.headers["Content-Range"] == content_range
    assert body in (None, data)


def test_a_file_system_reads_only_what_it_needs(hub: HubServer) -> None:
    """HfFileSystem seeks by Range requests."""
    hub.put("org/qa", {"a.txt": b"0123456789"})
    fs = HfFileSystem(endpoint=hub.url, token="hf_tester", skip_instance_cache=True)
    with fs.open("datasets/org/qa/a.txt", "rb", block_size=2) as file:
        file.seek(4)
        assert file.read(2) == b"45"
    assert [seen.status for seen in hub.seen if "/resolve/" in seen.path] == [206]


def test_heads_and_raw_pointers(hub: HubServer) -> None:
    """HEAD tells size, ETag and commit without a body; `raw` shows the pointer of an LFS file."""
    head = hub.put("org/qa", {"a.txt": b"x" * 2000})
    sha = hashlib.sha256(b"x" * 2000).hexdigest()
    with connect(hub) as connection:
        response, body = ask(connection, "HEAD", FILE)
        assert body == b""
        assert response.headers["Content-Length"] == response.headers["X-Linked-Size"] == "2000"
        assert response.headers["ETag"] == response.headers["X-Linked-Etag"] == f'"{sha}"'
        assert response.headers["X-Repo-Commit"] == head
        _, pointer = ask(connection, "GET", FILE.replace("resolve", "raw"))
    assert pointer.splitlines()[1:] == [f"oid sha256:{sha}".encode(), b"size 2000"]


def test_a_damaged_upload_is_refused(hub: HubServer) -> None:
    """LFS content that does not match its name is a 400, and no commit can point to it."""
    hub.put("org/qa", {})
    sha = hashlib.sha256(b"right").hexdigest()
    line = {"key": "lfsFile", "value": {"path": "a.bin", "oid": sha}}
    commit = "\n".join(json.dumps(x) for x in ({"key": "header", "value": {}}, line))
    with connect(hub) as connection:
        response, _ = ask(connection, "PUT", f"/lfs/datasets/org/qa/{sha}", body=b"wrong")
        assert response.status == 400
        path = "/api/datasets/org/qa/commit/main"
        response, body = ask(connection, "POST", path, body=commit, headers=AUTH)
        assert response.status == 400 and b"a.bin" in body
        response, _ = ask(connection, "PUT", f"/lfs/datasets/org/qa/{sha}", body=b"right")
        assert response.status == 200
        response, _ = ask(connection, "POST", path, body=commit, headers=AUTH)
        assert response.status == 200
    assert hub.files("org/qa")["a.bin"] == b"right"


@pytest.mark.parametrize(
    ("name", "ref", "allowed"),
    [
        ("tester", {"name": "main"}, 200),
        ("stranger", {"name": "main"}, 403),
        ("stranger", None, 200),
        ("reader", None, 403),
    ],
)
def test_large_files_need_rights_too(
    hub: HubServer, name: str, ref: dict[str, str] | None, allowed: int
) -> None:
    """An LFS upload to a branch is for writers; without one, for whoever may open a request."""
    hub.add_user("stranger", token="hf_stranger")
    hub.add_user("reader", token="hf_reader", role="read", orgs={"org": "admin"})
    hub.put("org/qa", {})
    thing = {"oid": "0" * 64, "size": 5}
    body = json.dumps({"objects": [thing]} | ({"ref": ref} if ref else {}))
    headers = {"Authorization": f"Bearer hf_{name}"}
    path = "/datasets/org/qa.git/info/lfs/objects/batch"
    with connect(hub) as connection:
        response, _ = ask(connection, "POST", path, body=body, headers=headers)
    assert response.status == allowed


# Connections


def test_one_connection_carries_many_requests_and_chunks(hub: HubServer) -> None:
    """Connections stay open, and a body may come in chunks of unannounced length."""
    hub.put("org/qa", {})
    sha = hashlib.sha256(b"onetwo").hexdigest()
    with connect(hub) as connection:
        connection.connect()
        socket = connection.sock
        target = f"/lfs/datasets/org/qa/{sha}"
        parts = iter([b"one", b"two"])
        response, _ = ask(connection, "PUT", target, body=parts, encode_chunked=True)
        assert response.status == 200
        claim = json.dumps({"oid": sha, "size": 6})
        response, _ = ask(connection, "POST", f"{target}/verify", body=claim)
        assert response.status == 200
        assert connection.sock is socket


def test_a_slow_client_keeps_nobody_waiting(hub: HubServer, api: HfApi) -> None:
    """While one client is in the middle of its upload, another is served."""
    hub.put("org/qa", {})
    sha = hashlib.sha256(b"onetwo").hexdigest()
    with connect(hub) as connection:
        connection.putrequest("PUT", f"/lfs/datasets/org/qa/{sha}")
        connection.putheader("Content-Length", "6")
        connection.endheaders(b"one")
        assert api.dataset_info("org/qa").id == "org/qa"
        connection.send(b"two")
        assert connection.getresponse().status == 200


def test_several_processes_commit_at_once(hub: HubServer, tmp_path: Path) -> None:
    """Commits that race all land, one on top of the other."""
    hub.put("org/qa", {})
    code = """
        from huggingface_hub import HfApi
        for n in range(5):
            HfApi().upload_file(path_or_fileobj=b"x", path_in_repo=f"NAME/{n}",
                                repo_id="org/qa", repo_type="dataset")
        answer = None
    """
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
    for process in [start(hub, f, code.replace("NAME", f.name)) for f in folders]:
        finish(process)
    wanted = {f"{folder.name}/{n}" for folder in folders for n in range(5)}
    assert set(hub.files("org/qa")) == wanted | {".gitattributes"}
    assert len(hub.commits("org/qa")) == 2 + 15


def test_of_commits_on_one_parent_one_is_made(hub: HubServer, hasty_threads: None) -> None:
    """When clients race to build on the same head, one wins and the others are told (412)."""
    hub.put("org/qa", {str(n): b"x" for n in range(500)})
    rounds, racers = 20, 4
    ready = threading.Barrier(racers)

    def race(head: str) -> int:
        line = json.dumps({"key": "header", "value": {"parentCommit": head}})
        with connect(hub) as connection:
            connection.connect()
            ready.wait(timeout=10)
            path = "/api/datasets/org/qa/commit/main"
            return ask(connection, "POST", path, body=line, headers=AUTH)[0].status

    with ThreadPoolExecutor(racers) as pool:
        for _ in range(rounds):
            head = hub.commits("org/qa")[0].oid
            assert sorted(pool.map(race, [head] * racers)) == [200] + [412] * (racers - 1)
    assert len(hub.commits("org/qa")) == 2 + rounds


# Faults


def test_scripted_faults_strike_what_they_match(hub: HubServer, api: HfApi) -> None:
    """The next n requests that match fail; others do not, nor does the one after."""
    hub.put("org/qa", {})
    hub.fail_next(2, status=429, match="/refs$", headers={"Retry-After": "1"})
    for _ in range(2):
        assert api.dataset_info("org/qa").id == "org/qa"
        with pytest.raises(HfHubHTTPError) as caught:
            api.list_repo_refs("org/qa", repo_type="dataset")
        assert caught.value.response.headers["Retry-After"] == "1"
    api.list_repo_refs("org/qa", repo_type="dataset")
    assert [seen.status for seen in hub.seen] == [200, 429, 200, 429, 200]


def test_a_dropped_connection_is_no_answer(hub: HubServer) -> None:
    """`DROP` closes the connection, and is noted as status 0."""
    hub.fail_next(status=DROP, method="GET")
    with connect(hub) as connection:
        assert ask(connection, "HEAD", "/api/whoami-v2", headers=AUTH)[0].status == 200
        with pytest.raises(http.client.RemoteDisconnected):
            ask(connection, "GET", "/api/whoami-v2", headers=AUTH)
    with connect(hub) as connection:
        response, _ = ask(connection, "GET", "/api/whoami-v2", headers=AUTH)
    assert response.status == 200
    noted = [(seen.method, seen.status) for seen in hub.seen]
    assert noted == [("HEAD", 200), ("GET", DROP), ("GET", 200)]


@pytest.mark.parametrize("after", [False, True])
def test_a_failed_commit_may_have_been_made(hub: HubServer, api: HfApi, after: bool) -> None:
    """With `after`, the client sees a failure of what has in fact been done."""
    hub.put("org/qa", {})
    hub.fail_next(status=500, match="/commit/main", after=after)
    assert status(lambda: upload(api)) == 500
    assert ("a.txt" in hub.files("org/qa")) is after


def test_clients_survive_a_server_that_is_briefly_down(hub: HubServer, api: HfApi) -> None:
    """An upload whose first request meets a 503 asks again and goes through."""
    hub.put("org/qa", {})
    hub.fail_next(status=503, match="/preupload/")
    upload(api)
    assert hub.files("org/qa")["a.txt"] == b"new"
    assert [seen.status for seen in hub.seen if "/preupload/" in seen.path] == [503, 200]


# Start and end


def test_an_address_that_nobody_serves_is_loud(hub: HubServer) -> None:
    """A gap in the fake is a 501 that names the address."""
    with connect(hub) as connection:
        response, body = ask(connection, "GET", "/api/collections?owner=org")
    assert response.status == 501
    assert "does not serve GET /api/collections" in json.loads(body)["error"]


def test_a_crash_of_the_fake_fails_the_test(capfd: pytest.CaptureFixture[str]) -> None:
    """What breaks inside a handler is raised where the server is closed."""
    with pytest.raises(KeyError, match="name"), HubServer() as hub, connect(hub) as connection:
        response, _ = ask(connection, "POST", "/api/repos/create", body="{}", headers=AUTH)
        assert response.status == 501
    assert "KeyError: 'name'" in capfd.readouterr().err


def test_closing_leaves_nothing_behind() -> None:
    """Neither an idle connection nor half a request keeps the server or its threads alive."""
    before = set(threading.enumerate())
    with ExitStack() as clients:
        with HubServer() as hub:
            idle = clients.enter_context(connect(hub))
            ask(idle, "GET", "/api/whoami-v2", headers=AUTH)
            half = clients.enter_context(connect(hub))
            half.putrequest("PUT", "/lfs/datasets/org/qa/" + "0" * 64)
            half.putheader("Content-Length", "6")
            half.endheaders(b"one")
        assert set(threading.enumerate()) <= before
        with connect(hub) as late, pytest.raises(ConnectionRefusedError):
            late.connect()


def test_it_runs_as_a_script(tmp_path: Path) -> None:
    """`python -m tests.fakes.hub` prints the address, serves, and ends quietly on Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.hub", "--port", "0"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    settings = dict(pair.split("=", 1) for pair in process.stdout.readline().split())
    api = HfApi(endpoint=settings["HF_ENDPOINT"], token=settings["HF_TOKEN"])
    assert api.whoami()["name"] == "tester"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
