"""Whose turn it is where many ask few processes."""

from __future__ import annotations

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest

from fl_server_ai.sandbox import Change, ModelStopped, SandboxBusy
from tests.ai.sandbox import hostile
from tests.ai.sandbox.sandboxes import children_of, new_sandbox, prediction
from tests.builders.files import linear, saved, scripted
from tests.builders.waiting import wait_until


def test_who_finds_every_process_busy_is_told_so() -> None:
    sandbox = new_sandbox(seconds=1, cpu_seconds=60)
    try:
        sandbox.run(prediction(saved(linear())), tenant="first")
        slow = prediction(scripted(hostile.LoopsForEver()))
        with ThreadPoolExecutor(5) as threads:
            loops = [threads.submit(sandbox.run, slow, tenant="loop") for _ in range(5)]
        errors = [loop.exception() for loop in loops]
        assert "The server ran other models for 2 seconds. Please try again later." in map(str, errors)
        assert {type(error) for error in errors} == {ModelStopped, SandboxBusy}
    finally:
        sandbox.close()


def test_one_tenants_slow_models_keep_no_other_waiting_for_longer_than_a_turn() -> None:
    sandbox = new_sandbox(seconds=2, cpu_seconds=60)
    try:
        sandbox.run(prediction(saved(linear())), tenant="first")  # the first job imports torch
        slow, order = prediction(scripted(hostile.LoopsForEver())), []

        def loop(_number: int) -> None:
            with suppress(ModelStopped, SandboxBusy):
                sandbox.run(slow, tenant="slow")
            order.append("slow")

        with ThreadPoolExecutor(6) as threads:
            futures = [threads.submit(loop, number) for number in range(6)]
            wait_until("a queue", lambda: len(sandbox._models._waiting) == 5)
            reply = sandbox.run(prediction(saved(linear())), tenant="other")
            order.append("other")
            for future in futures:
                future.result()
        np.testing.assert_array_equal(reply.arrays["inference"], np.full((2, 2), 4.0))
        assert order.index("other") <= 1
    finally:
        sandbox.close()


def test_of_one_tenant_no_more_requests_wait_than_may() -> None:
    sandbox = new_sandbox(queue=2, seconds=3, cpu_seconds=60)
    try:
        sandbox.run(prediction(saved(linear())), tenant="first")  # the first job imports torch
        slow = prediction(scripted(hostile.LoopsForEver()))
        with ThreadPoolExecutor(3) as threads:
            loops = [threads.submit(sandbox.run, slow, tenant="slow") for _ in range(3)]
            wait_until("a queue", lambda: len(sandbox._models._waiting) == 2)
            with pytest.raises(SandboxBusy, match="2 of your requests wait for their turn already"):
                sandbox.run(slow, tenant="slow")
            sandbox.run(prediction(saved(linear())), tenant="other")
        assert all(isinstance(loop.exception(), ModelStopped | SandboxBusy) for loop in loops)
    finally:
        sandbox.close()


def test_many_threads_are_served_by_few_processes() -> None:
    sandbox = new_sandbox(processes=2)
    try:
        files = [saved(linear(float(value))) for value in range(4)]

        def ask(number: int) -> bool:
            value = number % 4
            reply = sandbox.run(prediction(files[value], key=f"m{value}"), tenant=f"tenant {number % 3}")
            return bool((reply.arrays["inference"] == 4.0 * value).all())

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(ask, range(60)))
        assert len(children_of(sandbox)) <= 2
    finally:
        sandbox.close()


def test_what_happens_is_told_and_adds_up() -> None:
    told: Counter[Change] = Counter()
    sandbox = new_sandbox(seconds=1, cpu_seconds=60, watch=lambda change, amount: told.update({change: amount}))
    try:
        sandbox.run(prediction(saved(linear())), tenant="first")
        with pytest.raises(ModelStopped):
            sandbox.run(prediction(scripted(hostile.LoopsForEver())), tenant="first")
        sandbox.run(prediction(saved(linear())), tenant="other")
        assert {change: number for change, number in told.items() if number} == {
            Change.DONE: 2,
            Change.STOPPED: 1,
            Change.KILLED: 1,
            Change.PROCESSES: 1,
        }
    finally:
        sandbox.close()
    assert (told[Change.PROCESSES], told[Change.WAITING]) == (0, 0)


def test_a_default_timeout_of_sockets_does_not_reach_the_processes() -> None:
    """Celery sets one while a worker of this process stops, and several that stop at once leave it behind."""
    sandbox = new_sandbox()
    socket.setdefaulttimeout(0.5)
    try:
        reply = sandbox.run(prediction(saved(linear(1.0)), key="m"), tenant="anna")
    finally:
        socket.setdefaulttimeout(None)
        sandbox.close()
    assert (reply.arrays["inference"] == 4.0).all()
