"""The numbers of system calls against those of the kernel's headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fl_server_ai.sandbox import kernel
from fl_server_ai.sandbox.seccomp import CLONE3, MACHINES

# arm64 has the numbers that the kernel gives to every new kind of machine.
HEADERS = {
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
}


def numbers_in(header: Path) -> dict[str, int]:
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    return {name: int(number) for name, number in found}


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_is_the_kernels(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"There is no {header} (Debian's linux-libc-dev).")
    numbers, table = numbers_in(header), MACHINES[machine]
    ours = {
        **table.allowed,
        "clone": table.clone,
        "tgkill": table.tgkill,
        "prctl": table.prctl,
        "clone3": CLONE3,
        "pivot_root": kernel.PIVOT_ROOT[machine],
        "landlock_create_ruleset": kernel.LANDLOCK_CREATE_RULESET,
        "landlock_restrict_self": kernel.LANDLOCK_RESTRICT_SELF,
    }
    assert len(ours) > 50
    assert ours == {name: numbers.get(name) for name in ours}
