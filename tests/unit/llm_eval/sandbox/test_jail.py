"""A jail runs what it is given, keeps it in, and says in a sentence why it ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from llm_eval.sandbox import Jail, JailError, Limits, SandboxUnavailable, layers
from llm_eval.sandbox.folder import remove
from llm_eval.sandbox.notes import Notes
from llm_eval.sandbox.records import LEAST, MOST, _group_limits, most_memory

SMALL = Limits(seconds=20, memory=1 << 30, disk=8 << 20, output=1 << 20)
ECHO = "import sys\nfor line in sys.stdin:\n    print(line.strip().upper(), flush=True)"


@pytest.fixture(params=["landlock", "bubblewrap", ""], ids=["landlock", "bubblewrap", "all"])
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A layer that this kernel has, or all of them."""
    monkeypatch.setenv("HRET_SANDBOX", request.param)
    if not layers().enough:
        pytest.skip(f"this kernel has no {request.param or 'sandbox'}: {layers().says}")
    return str(request.param)


def said(source: str, limits: Limits = SMALL) -> str:
    """Why a jail with this code ended before it wrote a line."""
    with Jail(source, limits=limits) as jail, pytest.raises(JailError) as caught:
        jail.line()
    return caught.value.message


def test_lines_go_in_and_out(layer: str) -> None:
    """What is sent is read, what is printed comes back, and the exit status at the end."""
    with Jail(ECHO, limits=SMALL) as jail:
        jail.send(b"one")
        jail.send("둘".encode())
        assert [jail.line(), jail.line().decode()] == [b"ONE", "둘"]
        assert not jail.unasked()
        assert jail.wait() == 0
        assert jail.tried() == []


def test_it_starts_in_a_home_of_its_own(layer: str) -> None:
    """Arguments are passed; home, current and temporary folder are one, empty, and then gone."""
    code = """
import os, sys, tempfile
from pathlib import Path
import llm_eval
assert os.listdir() == [] and sys.argv[1:] == ["a", "b c"]
assert os.getcwd() == str(Path.home()) == tempfile.gettempdir()
Path("mine").write_text("text")
os.rename("mine", "yours")
print(os.getcwd(), flush=True)
sys.exit(3)
"""
    with Jail(code, "a", "b c", limits=SMALL) as jail:
        assert jail.line() == os.fsencode(jail.home)
        assert jail.wait() == 3
        assert (jail.home / "yours").read_text() == "text"
    assert not jail.home.parent.exists()


def test_what_is_given_may_be_read(layer: str, tmp_path: Path) -> None:
    """A file and a folder that are given can be read and not written; what lies beside cannot."""
    (tmp_path / "data").mkdir()
    for name in ("data/rows", "module", "other"):
        (tmp_path / name).write_text(name)
    code = """
import os, sys
top = sys.argv[1]
print(open(f"{top}/data/rows").read(), open(f"{top}/module").read(), os.listdir(f"{top}/data"))
for path, mode in (("other", "r"), ("data/rows", "w"), ("data/new", "w"), ("module", "a")):
    try:
        open(f"{top}/{path}", mode)
    except OSError as e:
        print(path, flush=True)
"""
    with Jail(code, str(tmp_path), readable=[tmp_path / "data", tmp_path / "module"]) as jail:
        lines = [jail.line().decode() for _ in range(5)]
        assert lines == ["data/rows module ['rows']", "other", "data/rows", "data/new", "module"]
        jail.wait()
        assert jail.tried() == [
            f"tried to open {tmp_path}/other",
            *(f"tried to write to {tmp_path}/{p}" for p in ("data/rows", "data/new", "module")),
        ]


def test_no_descriptor_of_ours_is_there(layer: str, tmp_path: Path) -> None:
    """Of the parent's open files a jail has none, even of those that children inherit."""
    with open(tmp_path / "secret", "w+") as ours:
        os.set_inheritable(ours.fileno(), True)
        code = """
import os, stat
def kind(fd):
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return None
print([kind(fd) for fd in range(256) if kind(fd) is not None], flush=True)
"""
        with Jail(code, limits=SMALL) as jail:
            assert jail.line() == b"[True, True, True, True]"  # 0, 1, 2, and the notes


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("while True: pass", "the process took longer than 1 s"),
        ("x = bytearray(1 << 31)", "the process ended: MemoryError"),
        ("open('x', 'wb').write(bytes(1 << 24))", "the process ended: OSError: [Errno 27]"),
        ("for i in range(99): open(str(i), 'wb').write(bytes(1 << 22))",
         "the process wrote more than 8 MB to disk"),
        ("print('x' * (1 << 22))", "the process wrote more than 1 MB in one line"),
        ("raise SystemExit(5)", "the process ended: exit status 5"),
        ("import os; os.abort()", "the process ended"),
        ("raise ValueError('one\\x1b[2Jtwo')", "the process ended: ValueError: one?[2Jtwo"),
    ],
)  # fmt: skip
def test_the_end_is_told(code: str, why: str, layer: str) -> None:
    """Whatever ended it, one sentence says so."""
    limits = replace(SMALL, seconds=1) if "while" in code else SMALL
    assert said(code, limits).startswith(why)


def test_what_was_written_before_the_end_is_read(layer: str) -> None:
    """A line that was written is there, although the process has ended since."""
    with Jail("print('last')", limits=SMALL) as jail:
        jail._process.wait()
        assert jail.line() == b"last"
        with pytest.raises(JailError, match="the process ended: exit status 0"):
            jail.line()
        with pytest.raises(JailError, match="the process ended: exit status 0"):
            jail.send(b"more")


def test_it_ends_with_its_parent(layer: str, tmp_path: Path) -> None:
    """When the parent is killed, so is what it held, although that would wait for ever."""
    parent = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[4])!r})
from llm_eval.sandbox import Jail
jail = Jail("import time; print('ready', flush=True); time.sleep(600)")
jail.line()
print(jail.home, flush=True)
jail.line()
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as started:
        assert started.stdout
        home = started.stdout.readline().strip()
        held = [os.pidfd_open(pid) for pid in living_in(home)]
        assert held
        started.send_signal(signal.SIGKILL)
    for pidfd in held:
        assert select.select([pidfd], [], [], 20)[0], "it lives on without its parent"
        os.close(pidfd)
    remove(Path(os.fsdecode(home)).parent)


def living_in(home: bytes) -> list[int]:
    """The processes whose home a folder is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if b"HOME=" + home in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:  # it has ended, or is not ours
            continue
    return found


def test_the_kernel_ends_it_before_its_parent(layer: str) -> None:
    """Where memory runs out, a jail goes first."""
    with Jail(ECHO, limits=SMALL) as jail:
        jail.send(b"one")
        jail.line()
        pids = [p for p in living_in(os.fsencode(jail.home)) if _runs_python(p)]
        told = [Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in pids]
    assert told == ["1000"]


def _runs_python(pid: int) -> bool:
    return b"inside.py" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"--")[0]


@pytest.mark.parametrize(
    ("mine", "files", "found"),
    [
        ("0::/a/b", {"a/memory.max": "4096", "a/b/memory.max": "max"}, [4096]),
        ("0::/", {"memory.max": "8192"}, [8192]),
        ("0::/../../x", {"memory.max": "max"}, []),
        ("4:memory:/a\n0::/", {"memory/a/memory.limit_in_bytes": "2048"}, [2048]),
        ("nonsense", {}, []),
    ],
)
def test_a_control_group_bounds_the_memory(
    mine: str, files: dict[str, str], found: list[int], tmp_path: Path
) -> None:
    """Of both versions, and of the groups around the one that this process is in."""
    for name, text in {**files, "cgroup": mine}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert _group_limits(tmp_path, tmp_path / "cgroup") == found
    assert LEAST <= most_memory() <= MOST


def test_it_outlives_the_thread_that_started_it(layer: str) -> None:
    """A jail made in a thread goes on when that thread has ended."""
    made: list[Jail] = []
    thread = threading.Thread(target=lambda: made.append(Jail(ECHO, limits=SMALL)))
    thread.start()
    thread.join()
    with made[0] as jail:
        jail.send(b"still there")
        assert jail.line() == b"STILL THERE"


def test_probing_is_done_once(layer: str) -> None:
    """The first question starts processes, the next ones do not."""
    found = layers()
    started = time.monotonic()
    assert all(layers() is found for _ in range(100))
    assert time.monotonic() - started < 0.1


def test_the_layers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what there is, and whether it is enough."""
    monkeypatch.setenv("HRET_SANDBOX", "none")
    assert not layers().enough
    assert layers().says == "none on this machine: modules that a model wrote are not run"
    with pytest.raises(SandboxUnavailable) as caught:
        Jail(ECHO)
    assert "bubblewrap" in caught.value.hint


def test_without_layers_a_process_is_still_kept_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What need not be held by the kernel has an empty environment and limits all the same."""
    monkeypatch.setenv("HRET_SANDBOX", "none")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    code = "import os; print(dict(os.environ), flush=True)\nwhile True: pass"
    limits = Limits(seconds=1, memory=1 << 30)
    with Jail(code, limits=limits, enforce=False) as jail:
        assert b"sk-hidden" not in jail.line()
        with pytest.raises(JailError, match="took longer than 1 s"):
            jail.line()


def test_a_folder_is_removed_whatever_is_in_it(tmp_path: Path) -> None:
    """Nested deeper than a path can be, unreadable, links to elsewhere: all gone, nothing else."""
    top, kept = tmp_path / "top", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    (top / "dark").mkdir(parents=True)
    (top / "dark" / "file").touch()
    (top / "dark").chmod(0)
    (top / "link").symlink_to(kept)
    here = os.getcwd()
    os.chdir(top)
    for _ in range(2500):
        os.mkdir("a")
        os.chdir("a")
    os.symlink(kept, "link")
    os.chdir(here)
    remove(top)
    assert not top.exists()
    assert (kept / "file").read_text() == "kept"


def test_forged_notes_are_told() -> None:
    """Notes that are none show that they were forged; a flood of them is not read to its end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    notes = Notes(reader)
    os.write(writer, b'["open", "/etc/\\u001b[2Jpasswd"]\n["open", 1]\nnonsense\n["open", "/etc/\n')
    assert notes.said() == [
        "tried to open /etc/?[2Jpasswd",
        "tried to write to the notes that are taken of it",
    ]
    for _ in range(100):
        os.set_blocking(writer, False)
        try:
            os.write(writer, b"x" * 65536)
        except BlockingIOError:
            continue
        notes.said()
    assert len(notes._rest) <= 2 << 20
    os.close(reader)
    os.close(writer)
