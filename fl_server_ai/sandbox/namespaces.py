"""Namespaces of the kernel: views of the system of its own for a process, in which there is nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from pathlib import Path

from fl_server_ai.sandbox import kernel

MOUNTS, NETWORK, IPC, HOSTNAME, PIDS, USER = "mounts", "network", "ipc", "hostname", "pids", "user"
FLAGS = {
    MOUNTS: 0x00020000,
    NETWORK: 0x40000000,
    IPC: 0x08000000,
    HOSTNAME: 0x04000000,
    PIDS: 0x20000000,
    USER: 0x10000000,
}
_CAP_SYS_ADMIN = 21
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 16384, 1 << 18
_MNT_DETACH = 2


def leave(without: Collection[str]) -> dict[str, str]:
    """Leave the namespaces of the parent, each that the kernel lets us leave. Returns why not for the others.

    A new namespace of processes is for the next process that this one forks. A process without privileges needs a
    user namespace for the others. Any other makes that last, after it has given up its uid.
    """
    missing: dict[str, str] = {}
    if not kernel.IS_LINUX:
        return dict.fromkeys(FLAGS, "Only Linux has namespaces.")
    if not kernel.has_capability(_CAP_SYS_ADMIN) and os.geteuid() != 0:
        missing |= new_user_namespace(without)
    for name, flag in FLAGS.items():
        if name not in (USER, *without):
            try:
                kernel.call("unshare", flag)
            except OSError as error:
                missing[name] = f"The kernel refused to make a namespace: {error.strerror}."
    if HOSTNAME not in (*missing, *without):
        try:
            socket.sethostname("sandbox")
        except OSError as error:
            # Podman's filter of system calls lets a container leave a namespace, but not give it a name.
            missing[HOSTNAME] = f"The kernel refused to change the name of the machine: {error.strerror}."
    return missing


def new_user_namespace(without: Collection[str]) -> dict[str, str]:
    """Make one in which this process has all capabilities, and outside of which it has none. Returns why not."""
    if USER in without:
        return {}
    uid, gid = os.geteuid(), os.getegid()
    try:
        kernel.call("unshare", FLAGS[USER])
    except OSError as error:
        return {USER: f"The kernel refused to make a user namespace: {error.strerror}."}
    try:
        for name, content in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path("/proc/self", name).write_text(content)
    except OSError:
        # Without names for its ids a process can do less in it, not more.
        return {}
    return {}


def empty_root() -> None:
    """Replace the root of this mount namespace by an empty, read-only folder.

    Raises:
        OSError: the kernel refused.
    """
    kernel.call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)  # nothing of this is seen outside
    flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    kernel.call("mount", b"none", b"/proc", b"tmpfs", flags, b"size=4k,mode=555")
    os.chdir("/proc")
    kernel.call("syscall", kernel.PIVOT_ROOT[kernel.machine()], b".", b".")
    kernel.call("umount2", b".", _MNT_DETACH)  # the old root, which lies on top of the new one
    os.chdir("/")
