"""What a sandboxed process may use of memory, CPU time, descriptors and processes."""

from __future__ import annotations

import logging
import resource
import sys
import time
from pathlib import Path

from fl_server_ai.sandbox import identity, seccomp

logger = logging.getLogger(__name__)

SYSTEM_CALLS, MEMORY, CPU = "system_calls", "memory", "cpu"
# torch has several pools of threads, each of as many as one operation may use.
_TASKS, _TASKS_A_THREAD = 64, 4


def missing_limits() -> dict[str, str]:
    """What the system lacks for a sandbox that deserves the name, by wall, one sentence each."""
    missing = {}
    if not seccomp.is_available():
        missing[SYSTEM_CALLS] = "System calls cannot be filtered here (seccomp on Linux, x86_64 or aarch64)."
    if not hasattr(resource, "RLIMIT_AS") or sys.platform == "darwin":
        missing[MEMORY] = "The memory of a process cannot be limited here (RLIMIT_AS)."
    if not hasattr(resource, "prlimit"):
        missing[CPU] = "The CPU time of a running process cannot be limited here (prlimit)."
    return missing


def sandbox_support() -> list[str]:
    """What the system lacks for a sandbox, one sentence each; empty where nothing that matters is missing."""
    return list(missing_limits().values())


def limit_files() -> None:
    """A model has no core dump or file to write."""
    for which in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(which, (0, 0))


def limit_descriptors() -> None:
    """Nothing more can be opened at all."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def limit_memory(size: int) -> None:
    """size: bytes of this process's address space."""
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def limit_tasks(threads: int) -> None:
    """Only as many threads and processes as computing takes. For a process that is alone in its user namespace."""
    allowed = _TASKS + _TASKS_A_THREAD * threads
    resource.setrlimit(resource.RLIMIT_NPROC, (allowed, allowed))


def limit_cpu(pid: int, soft: int, hard: int) -> None:
    """Let a process use so many seconds of CPU time in its life. At the first the kernel ends it (SIGXCPU); if it has
    found a way to ignore that, at the second (SIGKILL). Nobody without privileges can raise the second.

    Raises:
        ProcessLookupError: it has ended.
    """
    if hasattr(resource, "prlimit"):
        try:
            resource.prlimit(pid, resource.RLIMIT_CPU, (soft, hard))
        except PermissionError:
            # A root without CAP_SYS_RESOURCE, as in containers: only the user whose process it is may limit it.
            with identity.real_nobody():
                resource.prlimit(pid, resource.RLIMIT_CPU, (soft, hard))


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used; 0 where the system does not tell. Raises OSError if there is no process."""
    # clock_getcpuclockid(3). /proc tells too, but not everyone, where it is mounted with hidepid.
    return time.clock_gettime((~pid << 3) | 2) if sys.platform == "linux" else 0.0


def address_space() -> int:
    """Bytes that this process has mapped; 0 where the system does not tell."""
    sizes = Path("/proc/self/statm")
    return int(sizes.read_text().split()[0]) * resource.getpagesize() if sizes.exists() else 0


def offer_to_the_oom_killer() -> None:
    """If the machine runs out of memory the kernel takes this process, not the server or its database."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError as error:
        logger.debug("The OOM killer does not take offers: %s", error)
