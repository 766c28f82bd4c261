"""Landlock: rules of the kernel that a process gives itself. Ours allow nothing at all.

The first version (Linux 5.13) knows files only. Later ones know TCP (4, Linux 6.7), devices (5), and abstract sockets
and signals of processes outside (6, Linux 6.12). Every version also keeps the process from tracing others.
"""

from __future__ import annotations

import ctypes
import struct

from fl_server_ai.sandbox import kernel

_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION: ask for the version only
# How many kinds of access to files each version knows: from executing to, in version 5, commands to devices.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP, _TCP_SINCE = 0b11, 4  # bind, connect
_SCOPES, _SCOPES_SINCE = 0b11, 6  # abstract sockets, signals


def version() -> int:
    """The version that the kernel offers; 0 where it offers none."""
    if not kernel.IS_LINUX:
        return 0
    try:
        return kernel.call("syscall", kernel.LANDLOCK_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


def restrict() -> None:
    """Forbid this thread, and threads that it starts, whatever the kernel's version of Landlock can forbid.

    Raises:
        OSError: the kernel refused, or has no Landlock.
    """
    rules = _rules(version())
    buffer = ctypes.create_string_buffer(rules, len(rules))
    ruleset = kernel.call("syscall", kernel.LANDLOCK_CREATE_RULESET, buffer, len(rules), 0)
    try:
        kernel.call("syscall", kernel.LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        kernel.call("close", ruleset)


def _rules(offered: int) -> bytes:
    """struct landlock_ruleset_attr: which accesses need a rule. There are no rules, so these are refused."""
    files = (1 << _FILE_RIGHTS.get(offered, 16)) - 1
    if offered < _TCP_SINCE:
        return struct.pack("=Q", files)
    if offered < _SCOPES_SINCE:
        return struct.pack("=QQ", files, _TCP)
    return struct.pack("=QQQ", files, _TCP, _SCOPES)
