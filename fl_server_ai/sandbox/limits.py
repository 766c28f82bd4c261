"""What a sandboxed process may use, and how the process gives up everything else before it sees a model."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import sys
from pathlib import Path

from fl_server_ai.sandbox import seccomp

logger = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


def sandbox_support() -> list[str]:
    """What the system lacks for a full sandbox, one sentence each; empty where nothing is missing."""
    missing = []
    if not seccomp.is_available():
        missing.append("System calls cannot be filtered here (seccomp on Linux, x86_64 or aarch64).")
    if not hasattr(resource, "RLIMIT_AS") or sys.platform == "darwin":
        missing.append("The memory of a process cannot be limited here (RLIMIT_AS).")
    if not hasattr(resource, "prlimit"):
        missing.append("The CPU time of a running process cannot be limited here (prlimit).")
    return missing


def lock_down(memory_mb: int) -> None:
    """Give up files, network, processes and more than `memory_mb` of address space beyond the present, for ever.

    Called in a process that has one thread, all its modules imported and its stream open.

    Raises:
        OSError: the system refused a limit that it offers.
    """
    _die_with_parent()
    _offer_to_the_oom_killer()
    # A model has no core dump or file to write. NOFILE 0: nothing more can be opened at all.
    # No limit of processes: it counts the user's threads on the whole machine; the filter allows threads only.
    wanted = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 0)]
    if sys.platform != "darwin":
        # What torch maps differs between its builds by gigabytes, whatever the model.
        wanted.append((resource.RLIMIT_AS, _address_space() + (memory_mb << 20)))
    for which, amount in wanted:
        resource.setrlimit(which, (amount, amount))
    if seccomp.is_available():
        seccomp.install()


def limit_cpu(pid: int, seconds: float) -> None:
    """Let a process use `seconds` of CPU time more from now on; then the kernel ends it (SIGXCPU).

    The soft limit alone: it can be moved again for the next request, and the filter keeps the process from moving it.
    """
    if hasattr(resource, "prlimit"):
        total = int(_cpu_seconds(pid) + seconds) + 1
        _, hard = resource.prlimit(pid, resource.RLIMIT_CPU)
        resource.prlimit(pid, resource.RLIMIT_CPU, (total, hard))


def _address_space() -> int:
    """Bytes that this process has mapped; 0 where the system does not tell."""
    sizes = Path("/proc/self/statm")
    return int(sizes.read_text().split()[0]) * resource.getpagesize() if sizes.exists() else 0


def _cpu_seconds(pid: int) -> float:
    # The name, in parentheses, may hold anything; utime and stime are the 12th and 13th fields after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _die_with_parent() -> None:
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died in between
        os.kill(os.getpid(), signal.SIGKILL)


def _offer_to_the_oom_killer() -> None:
    """If the machine runs out of memory the kernel takes this process, not the server or its database."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError as error:
        logger.debug("The OOM killer does not take offers: %s", error)
