"""Who a sandboxed process is to the kernel: nobody, who may do nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from fl_server_ai.sandbox import kernel

# The uid and gid "nobody", whom no file should belong to.
NOBODY = 65534
_CAPABILITIES_VERSION = 0x20080522
_MOST_CAPABILITIES = 64


def become_nobody() -> None:
    """Give up the uid, the gid and all groups.

    Raises:
        OSError: this process may not.
    """
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@contextmanager
def real_nobody() -> Iterator[None]:
    """Have the real uid and gid of a process that became nobody, and keep the rights of the effective ones."""
    uid, gid = os.getuid(), os.getgid()
    os.setresgid(NOBODY, -1, -1)
    os.setresuid(NOBODY, -1, -1)
    try:
        yield
    finally:
        os.setresuid(uid, -1, -1)
        os.setresgid(gid, -1, -1)


def bound_capabilities() -> None:
    """Give up what an executable file could give this process, as far as it may."""
    for number in range(_MOST_CAPABILITIES):
        try:
            kernel.call("prctl", kernel.PR_CAPBSET_DROP, number, 0, 0, 0)
        except OSError:  # the one after the last, or this process may not: then no_new_privs alone keeps it from that
            return


def drop_capabilities() -> None:
    """Give up all capabilities that are in effect, or that this process could put into effect.

    Raises:
        OSError: the kernel refused.
    """
    kernel.call("prctl", kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_VERSION, 0))
    kernel.call("capset", header, ctypes.create_string_buffer(bytes(24)))


def die_with_parent() -> None:
    """The kernel ends this process when its parent ends. A change of the uid or the capabilities undoes it."""
    if kernel.IS_LINUX:
        kernel.call("prctl", kernel.PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def hide_memory() -> None:
    """No process of the same uid may trace this one, or read its memory."""
    if kernel.IS_LINUX:
        kernel.call("prctl", kernel.PR_SET_DUMPABLE, 0, 0, 0, 0)
