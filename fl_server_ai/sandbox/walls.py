"""The walls around a sandboxed process: which of them the system offers, and how a process raises them.

Each is there in case another one has a hole. A wall that the system does not offer is left out, and `standing` says so
with the reason.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass

from fl_server_ai.sandbox import identity, kernel, landlock, limits, namespaces, seccomp
from fl_server_ai.sandbox.interpreter import command, count_threads, environment
from fl_server_ai.sandbox.limits import CPU, MEMORY, SYSTEM_CALLS
from fl_server_ai.sandbox.namespaces import HOSTNAME, IPC, MOUNTS, NETWORK, PIDS, USER

LANDLOCK, UID, CAPABILITIES = "landlock", "uid", "capabilities"
DESCRIPTORS, PROCESSES = "descriptors", "processes"

# In the order in which they are shown, each with what it stops.
STOPS = {
    SYSTEM_CALLS: "every system call but those for memory, threads, time and the open stream",
    LANDLOCK: "opening files; by the kernel's version also TCP, and signals to other processes",
    MOUNTS: "seeing any file",
    NETWORK: "reaching any network, loopback too",
    PIDS: "seeing or signalling other processes",
    IPC: "sharing memory with other processes",
    HOSTNAME: "seeing or changing the name of the machine",
    USER: "having rights over anything outside",
    UID: "what the server's user may do",
    CAPABILITIES: "what root may do",
    DESCRIPTORS: "opening anything, writing files and core dumps",
    MEMORY: "more memory than is allowed",
    CPU: "more CPU time than is allowed",
    PROCESSES: "starting processes without end",
}
logger = logging.getLogger(__name__)

# Before it, RLIMIT_NPROC counts a user's processes on the whole machine, whatever their namespace.
_COUNTS_BY_NAMESPACE = (5, 14)
_NOT_LINUX = "This system is not Linux."
_PROBE_SECONDS = 30


@dataclass(frozen=True)
class Wall:
    """why_not: a sentence, empty where the wall stands."""

    name: str
    stops: str
    stands: bool
    why_not: str


@dataclass(frozen=True)
class Birth:
    """How a process came to be: why it has no namespaces of its own, by wall, and how it tells its parent that the
    kernel will end it together with the parent."""

    missing: dict[str, str]
    adopted: Callable[[], None]


class WallsDown(Exception):
    """A wall that stands around other processes could not be raised around this one."""


def raise_walls(
    memory_mb: int, *, threads: int = 1, birth: Birth | None = None, without: Collection[str] = ()
) -> dict[str, str]:
    """Give up files, network, processes and more than `memory_mb` of address space beyond the present, for ever.

    Called in a process that has one thread, all its modules imported and its stream open: most walls are a thread's.
    Returns the walls that don't stand, with the reasons. without: walls to leave out, so that a test sees whether the
    others hold.

    Raises:
        OSError: the system refused a limit or a filter that it offers.
        RuntimeError: there are other threads.
    """
    if count_threads() != 1:
        raise RuntimeError("A thread was started before the walls. It would stay outside of them.")
    missing = dict(birth.missing) if birth else dict.fromkeys(namespaces.FLAGS, "The process was not forked apart.")
    missing |= limits.missing_limits()
    limits.offer_to_the_oom_killer()
    allowed = limits.address_space() + (memory_mb << 20)
    if MOUNTS not in missing:
        _attempt(MOUNTS, missing, without, namespaces.empty_root)
    _change_identity(missing, without)
    identity.die_with_parent()
    if birth:
        birth.adopted()
    identity.hide_memory()
    seccomp.renounce_privileges()
    # It needs a descriptor, so it comes before the limits.
    _attempt(LANDLOCK, missing, without, landlock.restrict)
    _limit(allowed, threads, missing, without)
    if not {SYSTEM_CALLS} & {*missing, *without}:
        seccomp.install()
    return missing


def _attempt(name: str, missing: dict[str, str], without: Collection[str], raise_wall: Callable[[], None]) -> None:
    if name in without:
        return
    try:
        raise_wall()
    except OSError as error:
        missing[name] = f"The kernel refused: {error.strerror or error}."


def _change_identity(missing: dict[str, str], without: Collection[str]) -> None:
    if not kernel.IS_LINUX:
        missing |= dict.fromkeys([UID, CAPABILITIES], _NOT_LINUX)
        return
    identity.bound_capabilities()
    if os.geteuid() == 0:
        _attempt(UID, missing, without, identity.become_nobody)
        if USER not in missing:
            missing |= namespaces.new_user_namespace(without)
    else:
        missing[UID] = "The server isn't root, so its processes keep its uid."
    _attempt(CAPABILITIES, missing, without, identity.drop_capabilities)


def _limit(allowed: int, threads: int, missing: dict[str, str], without: Collection[str]) -> None:
    if kernel.release() < _COUNTS_BY_NAMESPACE or {USER} & {*missing, *without}:
        missing[PROCESSES] = "It needs a user namespace and Linux 5.14, or else other processes count too."
    if not {PROCESSES} & {*missing, *without}:
        limits.limit_tasks(threads)
    if DESCRIPTORS not in without:
        limits.limit_files()
        limits.limit_descriptors()
    if not {MEMORY} & {*missing, *without}:
        limits.limit_memory(allowed)


@functools.cache
def standing() -> tuple[Wall, ...]:
    """The walls that stand around a sandboxed process on this system, and those that don't.

    They are raised once, in a process of its own, by a user who has the rights of this process.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own program and no shell
            command("fl_server_ai.sandbox.probe"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=_PROBE_SECONDS,
            check=True,
        )
        missing: dict[str, str] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        logger.warning("The sandbox's walls could not be looked at: %s", error)
        missing = dict.fromkeys(STOPS, "It could not be looked at. See the log.")
    return tuple(Wall(name, stops, name not in missing, missing.get(name, "")) for name, stops in STOPS.items())


def summary() -> str:
    """What an operator should know of the walls: one line."""
    missing = [wall for wall in standing() if not wall.stands]
    text = f"Models run behind {len(STOPS) - len(missing)} of {len(STOPS)} walls."
    return " ".join([text, *(f"Without {wall.name}: {wall.why_not}" for wall in missing)])
