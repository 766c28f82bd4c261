"""CPU time beyond the soft limit, and the life of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fl_server_ai.sandbox.limits import cpu_seconds, limit_cpu
from tests.ai.sandbox.sandboxes import children_of, new_sandbox, prediction
from tests.builders.files import linear, saved

_IGNORES_THE_SOFT_LIMIT = """
import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
print("ready", flush=True)
input()
while True:
    pass
"""


def cpu_limits(pid: int) -> tuple[int, int]:
    (line,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max cpu time")]
    soft, hard = line.removeprefix("Max cpu time").split()[:2]
    return int(soft), int(hard)


def test_a_process_that_ignores_the_soft_limit_is_killed_at_the_hard_one() -> None:
    command = [sys.executable, "-S", "-c", _IGNORES_THE_SOFT_LIMIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        limit_cpu(process.pid, soft=1, hard=2)
        assert cpu_limits(process.pid) == (1, 2)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(60) == -signal.SIGKILL


def test_the_cpu_time_of_a_process_is_known_and_one_that_is_gone_has_none() -> None:
    assert 0 < cpu_seconds(os.getpid()) <= sum(os.times()[:2]) + 0.1
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    with pytest.raises(OSError):
        cpu_seconds(process.pid)
    with pytest.raises(ProcessLookupError):
        limit_cpu(process.pid, soft=1, hard=2)


def test_every_process_has_a_hard_limit_and_is_replaced_before_a_job_could_meet_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox = new_sandbox(cpu_seconds=20)
    try:
        job = prediction(saved(linear()))
        sandbox.run(job, tenant="one")
        (first,) = children_of(sandbox)
        soft, hard = cpu_limits(first)
        assert soft < 20 < hard == 201  # ten jobs of 20 seconds
        sandbox.run(job, tenant="one")
        assert children_of(sandbox) == {first}
        monkeypatch.setattr("fl_server_ai.sandbox.process.cpu_seconds", lambda _pid: 181.0)
        sandbox.run(job, tenant="one")  # the last one: less than 20 seconds are left
        monkeypatch.undo()
        assert children_of(sandbox) == set()
        reply = sandbox.run(job, tenant="one")
        assert reply.arrays["inference"].tolist() == [[4.0, 4.0]] * 2
        assert first not in children_of(sandbox)
    finally:
        sandbox.close()
