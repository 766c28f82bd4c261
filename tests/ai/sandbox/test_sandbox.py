"""The pool of sandboxed processes as the server uses it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from fl_server_ai.sandbox import Job, ModelRunError, ModelSource, Sandbox
from tests.ai.sandbox import hostile
from tests.ai.sandbox.sandboxes import children_of, needs_every_wall, new_sandbox, prediction, zygote_of
from tests.builders.files import linear, saved, script, scripted
from tests.builders.waiting import wait_until


@pytest.fixture(scope="module")
def mortal() -> Iterator[Sandbox]:
    sandbox = new_sandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture
def own(mortal: Sandbox) -> Sandbox:
    """A sandbox whose processes may be counted and killed; one is warm for the tenant `first`."""
    mortal.run(prediction(saved(linear())), tenant="first")
    return mortal


def descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


class Counted:
    """A model that knows how often its bytes were asked for."""

    def __init__(self, key: str, content: bytes) -> None:
        self.key, self.content, self.reads = key, content, 0

    def read(self) -> bytes:
        self.reads += 1
        return self.content

    def job(self) -> Job:
        return replace(prediction(), models=[ModelSource("0", self.key, self.read)])


@pytest.mark.parametrize("wrap", [lambda model: model, script], ids=["pickled", "scripted"])
def test_a_model_is_sent_once_and_then_known(
    sandbox: Sandbox, wrap: Callable[[torch.nn.Module], torch.nn.Module]
) -> None:
    model = Counted(f"once-{wrap}", saved(wrap(linear(2.0))))
    for _ in range(3):
        reply = sandbox.run(model.job(), tenant="once")
        # Three ones times two, plus two.
        np.testing.assert_array_equal(reply.arrays["inference"], np.full((2, 2), 8.0))
    assert model.reads == 1


def test_the_models_used_last_are_kept_and_the_others_go() -> None:
    sandbox = new_sandbox(cache_mb=3)
    try:
        big = [Counted(str(number), saved(torch.nn.Linear(1000, 300))) for number in range(3)]  # 1.2 MB each
        wide = np.ones((1, 1000), np.float32)
        for number in (0, 1, 0, 2, 0, 1):
            sandbox.run(replace(big[number].job(), arrays={"input": wide}), tenant="one")
        assert [model.reads for model in big] == [1, 2, 1]
    finally:
        sandbox.close()


def test_a_model_larger_than_the_cache_is_run_all_the_same() -> None:
    sandbox = new_sandbox(cache_mb=0)
    try:
        model = Counted("big", saved(linear()))
        for _ in range(2):
            sandbox.run(model.job(), tenant="one")
        assert model.reads == 2
    finally:
        sandbox.close()


def test_a_refusal_to_hand_out_a_model_leaves_the_process_as_it_is(own: Sandbox) -> None:
    def refuse() -> bytes:
        raise ModelRunError("not this one")

    before = children_of(own)
    with pytest.raises(ModelRunError, match="not this one"):
        own.run(replace(prediction(), models=[ModelSource("0", "refused", refuse)]), tenant="first")
    own.run(prediction(saved(linear())), tenant="first")
    assert children_of(own) == before


def test_an_error_of_a_storage_goes_through_and_the_next_request_is_served(own: Sandbox) -> None:
    def gone() -> bytes:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError):
        own.run(replace(prediction(), models=[ModelSource("0", "gone", gone)]), tenant="first")
    own.run(prediction(saved(linear())), tenant="first")


def test_another_tenant_gets_another_process(own: Sandbox) -> None:
    before = children_of(own)
    own.run(prediction(saved(linear())), tenant="first")
    assert children_of(own) == before
    own.run(prediction(saved(linear())), tenant="second")
    assert len(children_of(own)) == len(before)
    assert children_of(own) != before


def test_what_a_model_keeps_of_one_user_another_does_not_meet(own: Sandbox) -> None:
    model = Counted("remembers", scripted(hostile.Remembers()))
    for _ in range(2):
        mine = own.run(model.job(), tenant="owner/me")
    assert mine.arrays["inference"].tolist() == [1.0]
    other = own.run(model.job(), tenant="owner/other")
    assert other.arrays["inference"].tolist() == [0.0]


def test_a_job_without_models_runs_in_a_process_that_never_saw_one(own: Sandbox) -> None:
    with pytest.raises(ValueError, match="not clean"):
        own.run_clean(prediction(saved(linear())))
    before = children_of(own)
    job = Job("encode", arrays={"inference": np.ones(1)}, options={"measures": [], "format": "torch"})
    own.run_clean(job)
    assert len(children_of(own) - before) == 1
    assert before <= children_of(own)


def test_a_process_that_was_killed_is_replaced(own: Sandbox) -> None:
    children = zygote_of(own).children()
    for child in children:
        child.send_signal(signal.SIGKILL)
    wait_until("their end", lambda: all(child.status() == psutil.STATUS_ZOMBIE for child in children))
    own.run(prediction(saved(linear())), tenant="first")


def test_a_zygote_that_was_killed_takes_its_processes_along_and_is_replaced(own: Sandbox) -> None:
    zygote = zygote_of(own)
    children = zygote.children()
    zygote.kill()
    wait_until("their end", lambda: not any(child.is_running() for child in children))
    own.run(prediction(saved(linear())), tenant="first")


def test_closing_leaves_no_process() -> None:
    before = descendants()
    sandbox = new_sandbox()
    sandbox.run(prediction(saved(linear())), tenant="first")
    sandbox.close()
    assert descendants() == before


_SERVER = """
import sys, time
from tests.ai.sandbox.sandboxes import new_sandbox, prediction
from tests.builders.files import linear, saved, scripted
from tests.ai.sandbox import hostile
import psutil, threading
sandbox = new_sandbox(processes=2, seconds=500, cpu_seconds=500)
sandbox.run(prediction(saved(linear())), tenant="idle")
job = prediction(scripted(hostile.LoopsForEver()))
threading.Thread(target=sandbox.run, args=(job,), kwargs={"tenant": "busy"}, daemon=True).start()
found = []
while len(found) < 3:
    with sandbox._zygote._lock:  # no process is being forked
        found = psutil.Process().children(recursive=True)
    time.sleep(0.02)
print(*[process.pid for process in found], flush=True)
time.sleep(500)
"""


def test_a_server_that_is_killed_leaves_no_process_idle_or_busy() -> None:
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        children = [psutil.Process(int(pid)) for pid in server.stdout.readline().split()]
    assert len(children) == 3
    server.kill()
    server.wait()
    wait_until("their end", lambda: not any(child.is_running() for child in children))


def test_a_child_gets_nothing_of_the_servers_environment_or_descriptors(
    own: Sandbox,
) -> None:
    zygote = zygote_of(own)
    assert set(zygote.environ()) <= {
        "PYTHONPATH", "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
        "CUDA_CACHE_DISABLE",
    }  # fmt: skip
    child = zygote.children()[0]
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):  # not even who runs it may look into it
            os.listdir(f"/proc/{child.pid}/fd")
        return
    opened = [os.stat(f"/proc/{child.pid}/fd/{name}") for name in sorted(os.listdir(f"/proc/{child.pid}/fd"))]
    assert [entry.st_rdev for entry in opened[:3]] == [os.stat(os.devnull).st_rdev] * 3
    assert [stat.S_ISSOCK(entry.st_mode) for entry in opened[3:]] == [True]


def test_a_forked_server_process_starts_processes_of_its_own(own: Sandbox) -> None:
    before = children_of(own)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            own.abandon()
            fresh = new_sandbox()
            fresh.run(prediction(saved(linear())), tenant="first")
            fresh.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    own.run(prediction(saved(linear())), tenant="first")
    assert children_of(own) == before


def test_models_of_one_process_do_not_share_random_numbers_with_another(own: Sandbox) -> None:
    job = prediction(saved(torch.nn.Sequential(torch.nn.Dropout(0.5))), array=np.ones((1, 64)), method="MC_DROPOUT")
    seen = {own.run(job, tenant=str(number)).arrays["inference"].tobytes() for number in range(4)}
    assert len(seen) == 4


@needs_every_wall
def test_no_thread_of_a_process_is_outside_of_the_walls() -> None:
    sandbox = new_sandbox(threads=3)
    try:
        wide = prediction(saved(torch.nn.Linear(2000, 2000)), array=np.ones((256, 2000), np.float32))
        sandbox.run(wide, tenant="threads")
        (child,) = children_of(sandbox)
        threads = list(Path(f"/proc/{child}/task").iterdir())
        assert len(threads) > 1
        for thread in threads:
            lines = (thread / "status").read_text().splitlines()
            assert "Seccomp:\t2" in lines
            assert "NoNewPrivs:\t1" in lines
            assert "CapEff:\t0000000000000000" in lines
    finally:
        sandbox.close()


def test_layers_that_start_threads_or_other_kernels_run_behind_the_walls(sandbox: Sandbox) -> None:
    conv = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
    )
    attention = torch.nn.TransformerEncoderLayer(16, 2, batch_first=True)
    for model, shape in ((conv, (8, 3, 64, 64)), (attention, (2, 5, 16)), (torch.nn.Linear(2000, 2000), (256, 2000))):
        for wrapped in (model, script(model)):
            values = np.random.default_rng(0).random(shape, np.float32)
            with torch.no_grad():
                expected = model.eval()(torch.from_numpy(values)).numpy()
            reply = sandbox.run(prediction(saved(wrapped), array=values), tenant="layers")
            np.testing.assert_allclose(reply.arrays["inference"], expected, rtol=1e-4, atol=1e-5)
