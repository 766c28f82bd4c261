"""A filter of system calls: what computing needs, and nothing that reaches outside the process.

Written as the kernel's own filter instructions: libseccomp is not in every image that Python runs in, and a sandbox
that is weaker where a library is missing would be worse than this page of numbers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from fl_server_ai.sandbox import kernel

# Memory, threads, time, signals of its own, and the stream to the server that is open already.
_X86_64 = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
    "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "readv": 19, "writev": 20,
    "sched_yield": 24, "mremap": 25, "mincore": 27, "madvise": 28, "nanosleep": 35, "getpid": 39, "sendto": 44,
    "recvfrom": 45, "exit": 60, "uname": 63, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99, "times": 100,
    "getppid": 110, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204,
    "set_tid_address": 218, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "ppoll": 271, "set_robust_list": 273, "getcpu": 309, "getrandom": 318, "membarrier": 324,
    "rseq": 334,
}  # fmt: skip
_AARCH64 = {
    "close": 57, "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66, "ppoll": 73, "fstat": 80, "exit": 93,
    "exit_group": 94, "set_tid_address": 96, "futex": 98, "set_robust_list": 99, "nanosleep": 101,
    "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
    "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
    "times": 153, "uname": 160, "getrusage": 165, "getcpu": 168, "gettimeofday": 169, "getpid": 172, "getppid": 173,
    "gettid": 178, "sysinfo": 179, "sendto": 206, "recvfrom": 207, "brk": 214, "munmap": 215, "mremap": 216,
    "mmap": 222, "mprotect": 226, "mincore": 232, "madvise": 233, "getrandom": 278, "membarrier": 283, "rseq": 293,
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """The numbers of system calls on one architecture."""

    audit: int  # the kernel's name of the architecture, AUDIT_ARCH_…
    allowed: dict[str, int]
    clone: int
    tgkill: int
    prctl: int
    has_x32: bool = False


MACHINES = {
    "x86_64": Machine(0xC000003E, _X86_64, clone=56, tgkill=234, prctl=157, has_x32=True),
    "aarch64": Machine(0xC00000B7, _AARCH64, clone=220, tgkill=131, prctl=167),
}
CLONE3 = 435
_CLONE_THREAD = 0x00010000
_NAME_THREAD, _NAME_MEMORY = 15, 0x53564D41  # PR_SET_NAME, PR_SET_VMA: harmless, and the C library wants them

# struct seccomp_data: nr, arch, instruction pointer, six 64-bit arguments (little-endian here).
_NR, _ARCH, _ARGUMENT_0 = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

_MODE_FILTER = 2


def is_available() -> bool:
    """Does this machine offer filters of system calls, and do we know its system calls?"""
    return (
        sys.platform == "linux"
        and platform.machine() in MACHINES
        and Path("/proc/sys/kernel/seccomp/actions_avail").exists()
    )


def renounce_privileges() -> None:
    """No program that this process runs gets more rights than it has. Filters and Landlock's rules take it.

    Raises:
        OSError: the kernel refused.
    """
    if kernel.IS_LINUX:
        kernel.call("prctl", kernel.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def install() -> None:
    """Filter this thread's system calls, and those of threads that it starts, from now on. There is no way back.

    Raises:
        OSError: the kernel refused.
    """
    program = _program(MACHINES[platform.machine()], os.getpid())

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]

    wanted = Filter(len(program) // 8, program)
    renounce_privileges()
    kernel.call("prctl", kernel.PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(wanted), 0, 0)


def _program(machine: Machine, pid: int) -> bytes:
    """Anything that is not named gets EACCES, what a library treats as a file that it may not have."""
    lines = [
        _line(_LOAD, _ARCH),
        _line(_EQUAL, machine.audit, yes=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NR),
    ]
    if machine.has_x32:
        lines += [_line(_AT_LEAST, 0x40000000, no=1), _line(_RETURN, _KILL)]
    for number in sorted(machine.allowed.values()):
        lines += [_line(_EQUAL, number, no=1), _line(_RETURN, _ALLOW)]
    # clone3 hides its flags from a filter; told that it does not exist, the C library takes clone.
    lines += [_line(_EQUAL, CLONE3, no=1), _line(_RETURN, _ERRNO | errno.ENOSYS)]
    lines += _only_if(machine.clone, _line(_ANY_BIT, _CLONE_THREAD, no=1))  # a thread, not a process
    lines += _only_if(machine.tgkill, _line(_EQUAL, pid, no=1))  # abort()
    for operation in (_NAME_THREAD, _NAME_MEMORY):
        lines += _only_if(machine.prctl, _line(_EQUAL, operation, no=1))
    lines.append(_line(_RETURN, _ERRNO | errno.EACCES))
    return b"".join(lines)


def _only_if(number: int, test_of_first_argument: bytes) -> list[bytes]:
    """Allow a call whose first argument passes; for any other go on, with the call's number loaded again."""
    return [
        _line(_EQUAL, number, no=4),
        _line(_LOAD, _ARGUMENT_0),
        test_of_first_argument,
        _line(_RETURN, _ALLOW),
        _line(_LOAD, _NR),
    ]


def _line(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` are how many instructions a comparison jumps over."""
    return struct.pack("HBBI", code, yes, no, value)
