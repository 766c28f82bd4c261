"""What hostile models can do: nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from fl_server_ai.sandbox import ModelRunError, Sandbox, standing
from tests.ai.sandbox import hostile
from tests.ai.sandbox.sandboxes import children_of, loaded, needs_every_wall, new_sandbox, prediction
from tests.builders.files import linear, saved, scripted
from tests.builders.waiting import wait_until


@pytest.fixture(scope="module")
def impatient() -> Iterator[Sandbox]:
    """Two seconds of computing a request, less than a gigabyte of memory."""
    sandbox = new_sandbox(seconds=60, cpu_seconds=2, memory_mb=900)
    sandbox.run(prediction(saved(linear())), tenant="honest")
    yield sandbox
    sandbox.close()


@pytest.fixture(autouse=True)
def _honest_models_are_served_afterwards(impatient: Sandbox) -> Iterator[None]:
    yield
    reply = impatient.run(prediction(saved(linear())), tenant="honest")
    np.testing.assert_array_equal(reply.arrays["inference"], np.full((2, 2), 4.0))


def test_a_model_that_loops_for_ever_is_stopped_by_its_cpu_time(impatient: Sandbox) -> None:
    with pytest.raises(ModelRunError, match="more than 2 seconds of CPU time"):
        impatient.run(prediction(scripted(hostile.LoopsForEver())), tenant="loop")
    assert children_of(impatient) == set()


def test_a_model_that_loops_for_ever_is_stopped_at_the_deadline() -> None:
    sandbox = new_sandbox(seconds=1, cpu_seconds=100)
    try:
        with pytest.raises(ModelRunError, match="did not answer within 1 seconds"):
            sandbox.run(prediction(scripted(hostile.LoopsForEver())), tenant="loop")
        assert children_of(sandbox) == set()
    finally:
        sandbox.close()


def test_a_task_that_a_model_leaves_running_is_ended(impatient: Sandbox) -> None:
    reply = impatient.run(prediction(scripted(hostile.LeavesATaskBehind())), tenant="fork")
    assert reply.arrays["inference"].shape == (2, 3)
    (child,) = children_of(impatient)
    wait_until("its end", lambda: psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("model", [hostile.AllocatesWithoutEnd(), hostile.GrowsAList()])
def test_a_model_that_allocates_without_end_is_told_so(impatient: Sandbox, model: torch.nn.Module) -> None:
    with pytest.raises(ModelRunError, match=r"could not allocate memory: .*FL_SANDBOX_MEMORY_MB"):
        impatient.run(prediction(scripted(model)), tenant="memory")


@needs_every_wall
def test_a_model_reads_no_file(impatient: Sandbox) -> None:
    with pytest.raises(ModelRunError, match=r"Permission denied|Too many open files"):
        impatient.run(prediction(scripted(hostile.ReadsAFile("/etc/passwd"))), tenant="read")


@needs_every_wall
def test_a_model_writes_no_file(impatient: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "written"
    with pytest.raises(ModelRunError):
        impatient.run(prediction(scripted(hostile.WritesAFile(str(target)))), tenant="write")
    assert not target.exists()


@needs_every_wall
def test_a_model_that_writes_a_file_when_it_is_loaded_is_not_loaded(impatient: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "written"
    with pytest.raises(ModelRunError, match=r"Permission denied|Too many open files"):
        impatient.run(prediction(scripted(hostile.WritesAFileWhenLoaded(str(target)))), tenant="setstate")
    assert not target.exists()


@needs_every_wall
@pytest.mark.parametrize("wall", ["landlock", "mounts", "descriptors"])
def test_without_the_filter_of_system_calls_each_of_these_walls_keeps_models_from_files(
    wall: str, tmp_path: Path
) -> None:
    if reason := next((found.why_not for found in standing() if found.name == wall), ""):
        pytest.skip(reason)
    without = {"system_calls", "landlock", "mounts", "descriptors"} - {wall}
    sandbox = new_sandbox(without=tuple(without))
    tmp_path.chmod(0o777)
    target = str(tmp_path / "written")
    try:
        for model in (
            hostile.ReadsAFile("/etc/passwd"),
            hostile.WritesAFile(target),
            hostile.WritesAFileWhenLoaded(target),
        ):
            with pytest.raises(ModelRunError, match=r"Permission denied|No such file|Too many open files"):
                sandbox.run(prediction(scripted(model)), tenant="file")
        assert not os.path.exists(target)
    finally:
        sandbox.close()


def test_without_the_sandbox_these_models_do_what_they_are_feared_for(tmp_path: Path) -> None:
    read, written, at_load = tmp_path / "read", tmp_path / "written", tmp_path / "at_load"
    read.write_bytes(b"A" * 10)
    row = torch.zeros(10)
    assert loaded(scripted(hostile.ReadsAFile(str(read))))(row).tolist() == [65.0] * 10
    loaded(scripted(hostile.WritesAFile(str(written))))(row)
    loaded(scripted(hostile.WritesAFileWhenLoaded(str(at_load))))
    assert written.read_bytes() == at_load.read_bytes() == b"A" * 10


def test_a_model_that_crashes_the_parser_takes_nothing_along(impatient: Sandbox) -> None:
    with pytest.raises(ModelRunError):
        impatient.run(prediction(hostile.crashes_the_parser()), tenant="parser")


def test_a_pickle_that_names_os_system_is_not_loaded(impatient: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(ModelRunError, match=r"posix\.system"):
        impatient.run(prediction(hostile.names_os_system(tmp_path / "touched")), tenant="pickle")
    assert not (tmp_path / "touched").exists()


def test_what_a_model_prints_does_not_disturb_its_reply(impatient: Sandbox) -> None:
    reply = impatient.run(prediction(scripted(hostile.Prints())), tenant="print")
    np.testing.assert_array_equal(reply.arrays["inference"], np.ones((2, 3)))


def test_a_reply_beyond_all_bounds_is_refused(impatient: Sandbox) -> None:
    job = prediction(scripted(hostile.AnswersAtLength()))
    with pytest.raises(ModelRunError, match="larger than was asked for"):
        impatient.run(replace(job, max_reply=1_000_000), tenant="reply")


def test_the_models_own_error_comes_back(impatient: Sandbox) -> None:
    with pytest.raises(ModelRunError, match="only on Tuesdays"):
        impatient.run(prediction(scripted(hostile.RaisesItsOwnError())), tenant="error")
