"""What a jailed process may read: Python, the installed packages, llm_eval, the system's libraries.

No folder that could hold a user's own files is among them: not the checkout that llm_eval lies in,
not the current folder, nothing of the home but an environment that lies there.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

_SYSTEM = (
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/nix/store",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/openssl.cnf",
    "/usr/share/locale",
    "/usr/share/zoneinfo",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/kernel/mm/transparent_hugepage",
)
_PACKAGES = ("site-packages", "dist-packages")


def interpreter() -> str:
    """The Python that runs here, without the environment around it."""
    return os.path.realpath(sys.executable)


def ours() -> str:
    """The folder of llm_eval."""
    return str(Path(__file__).resolve().parents[1])


@cache
def python_path() -> list[str]:
    """Of `sys.path`: the standard library and the folders of installed packages."""
    standard = os.path.dirname(os.path.realpath(os.__file__))
    found = []
    for entry in sys.path:
        real = os.path.realpath(entry) if entry else ""
        inside = real == standard or real.startswith(standard + "/")
        if real and (inside or os.path.basename(entry.rstrip("/")) in _PACKAGES):
            found.append(real)
    return list(dict.fromkeys(found))


@cache
def code() -> list[str]:
    """The files and folders of code that may be read and that nobody in the jail wrote."""
    prefix = os.path.realpath(sys.base_prefix)
    libraries = [os.path.join(prefix, name) for name in ("lib", "lib64")]
    return _existing([interpreter(), *libraries, *python_path(), ours()])


@cache
def system() -> list[str]:
    """The files and folders of the system that may be read."""
    return _existing(_SYSTEM)


def _existing(paths: list[str] | tuple[str, ...]) -> list[str]:
    return [p for p in dict.fromkeys(paths) if os.path.exists(p)]
