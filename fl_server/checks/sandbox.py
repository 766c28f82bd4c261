"""Where models run: the walls of the sandbox, the device, the classes that are trusted."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

from fl_server_ai.sandbox import WALLS_IN_THE_WAY, find_device, sandbox_support, standing
from fl_server_ai.sandbox.trusted import failing_imports

_NAMESPACES = (
    "Let the server's user make user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns), and in a container allow the system call unshare."
)
# By name, with the number of the warning. check_sandbox warns about the walls that are not here.
WALLS = {
    "landlock": ("W030", "Use Linux 5.13 or newer with Landlock turned on, and in a container allow its system calls."),
    "mounts": ("W031", _NAMESPACES),
    "network": ("W032", _NAMESPACES),
    "pids": ("W033", _NAMESPACES),
    "ipc": ("W034", _NAMESPACES),
    "hostname": ("W035", _NAMESPACES),
    "user": ("W036", _NAMESPACES),
    "uid": ("W037", "Only root can run a model as another user, and a server that runs as root risks more."),
    "capabilities": ("W038", "Run the server on Linux."),
    "processes": ("W039", _NAMESPACES),
}


def check_sandbox(**_: Any) -> Iterator[checks.CheckMessage]:
    """Models of users run in a sandbox. The operator should know what it lacks here."""
    for missing in sandbox_support():
        yield checks.Warning(
            f"Models run here with less protection: {missing}",
            hint="Run the server on Linux (x86-64 or arm64), where the sandbox has all of its walls.",
            id="fl_server.W004",
        )


def check_walls(**_: Any) -> Iterator[checks.CheckMessage]:
    """Of the walls that stand in case another one has a hole, those that this system does not offer."""
    for wall in standing():
        if not wall.stands and wall.name in WALLS:
            number, hint = WALLS[wall.name]
            yield checks.Warning(
                f"Models run without a wall of the sandbox ({wall.name}), which stops {wall.stops}: {wall.why_not}",
                hint=f"{hint} Or accept it, and add fl_server.{number} to FL_SILENCED_CHECKS.",
                id=f"fl_server.{number}",
            )


def check_trusted_globals(**_: Any) -> Iterator[checks.CheckMessage]:
    """The sandbox imports what the operator trusts, so it must be possible to import it."""
    for module, problem in failing_imports(settings.FL_TRUSTED_GLOBALS).items():
        yield checks.Error(
            f"FL_TRUSTED_GLOBALS names something in the module {module!r}, which fails on import. {problem}",
            hint="Install or repair it, or remove it. Name classes as module.Class or module:Class.Inner, and all of a"
            " package as package.*.",
            id="fl_server.E005",
        )


def check_inference_device(**_: Any) -> Iterator[checks.CheckMessage]:
    """A device must be there, and costs walls."""
    device = find_device(settings.FL_INFERENCE_DEVICE)
    if device.problem:
        yield checks.Error(
            f"FL_INFERENCE_DEVICE is {settings.FL_INFERENCE_DEVICE}, which can't be used here: {device.problem}",
            hint="Install the device's driver and a torch that is built for it, or set it to cpu or auto.",
            id="fl_server.E024",
        )
    elif not device.is_cpu:
        yield checks.Warning(
            f"Models run on {device.name} without these walls of the sandbox: {', '.join(WALLS_IN_THE_WAY)}. "
            "FL_SANDBOX_MEMORY_MB limits the device's memory, and nothing limits the main memory of such a process.",
            hint="Run web processes in containers that hold no secrets besides their own and have a limit of memory. "
            "Or accept it, and add fl_server.W051 to FL_SILENCED_CHECKS.",
            id="fl_server.W051",
        )
