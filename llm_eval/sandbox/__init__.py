"""Running code that nobody has read: a Python process that the kernel keeps to itself.

    records   limits, layers, errors
    allowed   what such a process may read
    filter    which system calls it may make, as a seccomp program (numbers in syscalls)
    bwrap     the outer wall, where bubblewrap works
    inside    what runs first in the process: it locks itself, and only then runs the code
    watch     names what the code tries (audit hook); it holds nothing back, the kernel does
    notes     those names, in words
    watchdog  deadline, disk and threads, looked at from outside
    folder    removing what is left
    jail      the process as its parent sees it
    probe     which layers this machine has, found by trying

A process without a network, without our environment, without any file but the Python packages
and what it is given to read. Not held back: what it does with its own time and memory within the
limits, and what it answers. Linux on x86-64 and ARM64 has the layers; elsewhere there are none.
"""

from __future__ import annotations

from llm_eval.sandbox.jail import Jail
from llm_eval.sandbox.probe import layers
from llm_eval.sandbox.records import JailError, Layers, Limits, SandboxUnavailable

__all__ = ["Jail", "JailError", "Layers", "Limits", "SandboxUnavailable", "layers"]
