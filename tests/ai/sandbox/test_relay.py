"""What sandboxed processes write to stderr becomes lines of the log: few, short, and marked."""

from __future__ import annotations

import os

import pytest

from fl_server_ai.sandbox import relay
from tests.builders.waiting import wait_until

pytestmark = pytest.mark.once


def relayed(caplog: pytest.LogCaptureFixture, content: bytes, count: int) -> list[str]:
    descriptor = relay.relayed_stderr()
    with open(descriptor, "wb") as stderr:
        stderr.write(content)
    wait_until("the lines", lambda: len(caplog.records) >= count)
    assert {record.name for record in caplog.records} == {"fl_server_ai.sandbox.child"}
    return caplog.messages


def test_lines_are_taken_over_one_by_one_and_the_last_needs_no_end(caplog: pytest.LogCaptureFixture) -> None:
    assert relayed(caplog, b"one\n\n\xfftwo\nthree", 3) == ["one", "\ufffdtwo", "three"]


def test_a_model_that_writes_without_end_gets_few_short_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LINES", 3)
    lines = relayed(caplog, b"x" * (5 * relay.MOST_BYTES), 4)
    assert lines == ["x" * relay.MOST_BYTES] * 3 + ["2 more lines of sandboxed processes are left out."]


def test_descriptors_are_closed_when_the_last_writer_ends(caplog: pytest.LogCaptureFixture) -> None:
    before = set(os.listdir("/proc/self/fd"))
    relayed(caplog, b"one\n", 1)
    wait_until("the reader to end", lambda: set(os.listdir("/proc/self/fd")) <= before)
