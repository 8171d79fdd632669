"""The system calls that a jailed process may make, as a seccomp program (classic BPF).

The process has no business with other processes, with the network, or with files' rights; so what
is not needed is refused, and of some calls only the harmless arguments pass:

    clone           for threads alone
    kill, tgkill    to itself
    fcntl, ioctl    descriptors and locks; no owner of signals, no leases, no terminals
    prctl           names of threads, and questions
    prlimit64       questions about itself
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llm_eval.sandbox import syscalls

_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_THREAD = 0x00010000
_NAMESPACES = 0x7E020080  # every CLONE_NEW... flag
_FCNTL = (*range(8), 36, 37, 38, 1030, 1032, 1034)  # not 8: SETOWN, 10: SETSIG, 1024: lease
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
_PRCTL = (3, 15, 16, 21, 23, 39, 0x53564D41)
_OWN_PID = 0

Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Program:
    """A filter: its instructions, packed, and where the process must put in its own id.

    `own_pid` holds the indices of the instructions whose constant is that id.
    """

    code: bytes
    own_pid: tuple[int, ...]


def known(machine: str = "") -> bool:
    """Is there a filter for this processor?"""
    return (machine or platform.machine()) in syscalls.MACHINES


def program(machine: str = "") -> Program:
    """The filter for a processor, this one's when none is named."""
    machine = machine or platform.machine()
    which = syscalls.MACHINES.index(machine)
    lines: list[Instruction] = [
        _load(4),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL),
        _load(0),
    ]
    if machine == "x86_64":
        lines += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for number in _numbers(syscalls.ALLOWED, which):
        lines += _rule(number, [(_RETURN, 0, 0, _ALLOW)])
    own: list[int] = []
    for name, block in _looked_at().items():
        for number in _numbers({name: syscalls.LOOKED_AT[name]}, which):
            start = len(lines) + 1
            lines += _rule(number, block)
            if name in ("kill", "tgkill"):
                own.append(start + 1)
    for number in _numbers(syscalls.PRETENDED, which):
        lines += _rule(number, [(_RETURN, 0, 0, _ERROR)])
    for number in _numbers(syscalls.ABSENT, which):
        lines += _rule(number, [(_RETURN, 0, 0, _ERROR | _ENOSYS)])
    lines += [(_AT_LEAST, 0, 1, syscalls.NEWEST + 1), (_RETURN, 0, 0, _ERROR | _ENOSYS), _refuse()]
    return Program(b"".join(struct.pack("=HBBI", *line) for line in lines), tuple(own))


def _numbers(table: dict[str, syscalls.Numbers], which: int) -> Iterable[int]:
    return (n for numbers in table.values() if (n := numbers[which]) is not None)


def _looked_at() -> dict[str, Sequence[Instruction]]:
    """For each call with conditions: what follows when its number fits."""
    return {
        "clone": [
            _load(_argument(0)),
            (_AND, 0, 0, _THREAD | _NAMESPACES),
            *_one_of([_THREAD]),
        ],
        "kill": [_load(_argument(0)), *_one_of([_OWN_PID])],
        "tgkill": [_load(_argument(0)), *_one_of([_OWN_PID])],
        "fcntl": [_load(_argument(1)), *_one_of(_FCNTL)],
        "ioctl": [_load(_argument(1)), *_one_of(_IOCTL)],
        "prctl": [_load(_argument(0)), *_one_of(_PRCTL)],
        "prlimit64": [
            _load(_argument(0)),
            (_EQUAL, 1, 0, 0),
            _refuse(),
            _load(_argument(2)),
            (_EQUAL, 1, 0, 0),
            _refuse(),
            _load(_argument(2) + 4),
            *_one_of([0]),
        ],
    }


def _one_of(values: Sequence[int]) -> list[Instruction]:
    """Allow when the loaded word is one of these, else refuse."""
    tests = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [*tests, _refuse(), (_RETURN, 0, 0, _ALLOW)]


def _rule(number: int, block: Sequence[Instruction]) -> list[Instruction]:
    return [(_EQUAL, 0, len(block), number), *block]


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _argument(index: int) -> int:
    """Where the low half of an argument lies in what the filter sees (both are little-endian)."""
    return 16 + 8 * index


def _refuse() -> Instruction:
    return (_RETURN, 0, 0, _ERROR | _EPERM)
