"""The filter of system calls says what it should, for both processors, without being in force."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from llm_eval.sandbox import filter, syscalls

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, REFUSE, PRETEND, ABSENT, KILL = 0x7FFF0000, 0x50001, 0x50000, 0x50026, 0x80000000
PID = 4711
CLONE = {"x86_64": 56, "aarch64": 220}
KILLS = {"x86_64": 62, "aarch64": 129}
PRLIMIT = {"x86_64": 302, "aarch64": 261}
MACHINES = pytest.mark.parametrize("machine", syscalls.MACHINES)
HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+) (\d+)"),
    "aarch64": ("/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+) (\d+)"),
}


def answer(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the kernel would answer a call with, the filter run as the kernel runs it."""
    program = filter.program(machine)
    code = bytearray(program.code)
    for index in program.own_pid:
        struct.pack_into("=I", code, index * 8 + 4, PID)
    values = [*arguments, *[0] * (6 - len(arguments))]
    seen = struct.pack("=IIQ6Q", number, ARCH[machine] if arch is None else arch, 0, *values)
    lines = list(struct.iter_unpack("=HBBI", code))
    word = place = 0
    while True:
        operation, if_true, if_false, k = lines[place]
        place += 1
        if operation == 0x20:
            (word,) = struct.unpack_from("=I", seen, k)
        elif operation == 0x54:
            word &= k
        elif operation == 0x06:
            return int(k)
        else:
            holds = word == k if operation == 0x15 else word >= k
            place += if_true if holds else if_false


@MACHINES
def test_the_numbers_are_the_kernels(machine: str) -> None:
    """Every number in the tables is the one in the kernel's own headers."""
    path, pattern = HEADERS[machine]
    if not Path(path).exists():
        pytest.skip(f"no {path} (apt install linux-libc-dev)")
    found = {m[1]: int(m[2]) for m in re.finditer(pattern, Path(path).read_text())}
    found.setdefault("newfstatat", found.get("fstatat", -1))
    found["fchmodat2"] = 452  # newer than the headers of Debian 12
    which = syscalls.MACHINES.index(machine)
    for table in (syscalls.ALLOWED, syscalls.PRETENDED, syscalls.ABSENT, syscalls.LOOKED_AT):
        for name, numbers in table.items():
            assert numbers[which] == found.get(name), name


@MACHINES
def test_calls_are_answered(machine: str) -> None:
    """Reading passes, the dangerous is refused, rights are pretended, the unknown is absent."""
    which = syscalls.MACHINES.index(machine)
    read, openat = syscalls.ALLOWED["read"][which], syscalls.ALLOWED["openat"][which]
    fchmod, clone3 = syscalls.PRETENDED["fchmod"][which], syscalls.ABSENT["clone3"][which]
    assert read is not None and openat is not None and fchmod is not None and clone3 is not None
    assert {answer(machine, number) for number in (read, openat)} == {ALLOW}
    refused = {
        "x86_64": (41, 42, 49, 53, 57, 58, 59, 101, 155, 165, 272, 310, 311, 317, 321, 323, 434),
        "aarch64": (198, 199, 200, 203, 221, 117, 40, 51, 97, 270, 271, 277, 280, 282, 434),
    }
    assert {answer(machine, number) for number in refused[machine]} == {REFUSE}
    assert answer(machine, fchmod) == PRETEND
    assert {answer(machine, n) for n in (clone3, 425, 426, 427, 453, 500, 100_000)} == {ABSENT}


@MACHINES
def test_arguments_are_looked_at(machine: str) -> None:
    """Threads and not processes; signals to itself; questions about limits, and no changes."""
    clone, kill, prlimit = CLONE[machine], KILLS[machine], PRLIMIT[machine]
    thread = 0x3D0F00
    assert answer(machine, clone, thread) == ALLOW
    assert answer(machine, clone, 0x1200011) == REFUSE
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(machine, clone, thread | namespace) == REFUSE
    assert answer(machine, kill, PID, 9) == ALLOW
    assert {answer(machine, kill, pid, 9) for pid in (0, 1, PID + 1, 2**64 - 1)} == {REFUSE}
    assert answer(machine, prlimit, 0, 7, 0, 12345) == ALLOW
    assert answer(machine, prlimit, 0, 7, 1 << 40) == REFUSE
    assert answer(machine, prlimit, 1, 7, 0) == REFUSE


def test_another_processors_calls_are_fatal() -> None:
    """A process that calls as for another processor, or as x32, is ended: numbers differ there."""
    assert answer("x86_64", 0, arch=0x40000003) == KILL
    assert answer("aarch64", 63, arch=0x40000028) == KILL
    assert answer("x86_64", 0x40000000) == KILL
    assert answer("x86_64", 0x40000000 | 41) == KILL


def test_no_filter_for_an_unknown_processor() -> None:
    """Where the numbers are not known, there is no filter, and so no sandbox."""
    assert not filter.known("riscv64")
