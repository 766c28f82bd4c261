"""Calls of the kernel that Python has no function for, or not in every version that we support."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4

LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # the same on every machine
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

IS_LINUX = sys.platform == "linux"


def call(function: str, *arguments: object) -> int:
    """Call a function of the C library. Numbers go as the machine's words.

    Raises:
        OSError: it returned a negative number, or this library has no such function.
    """
    library = ctypes.CDLL(None, use_errno=True)
    words = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    try:
        result = int(getattr(library, function)(*words))
    except AttributeError as error:
        raise OSError(f"The C library has no function {function}.") from error
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def machine() -> str:
    """The architecture, as uname tells it: x86_64, aarch64."""
    return platform.machine()


def release() -> tuple[int, int]:
    """The kernel's version, as (6, 1)."""
    numbers = platform.release().split("-")[0].split(".")
    try:
        return int(numbers[0]), int(numbers[1])
    except (ValueError, IndexError):
        return 0, 0


def has_capability(number: int) -> bool:
    """Does this process have a capability in effect?"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False
