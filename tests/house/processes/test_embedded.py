"""The Celery worker and the clock inside a process."""

import socket
import threading
from collections.abc import Iterator

import pytest
from celery import Celery, _state
from django.conf import settings
from pytest_django import Settings

from fl_server.processes.embedded import SWEEP_TASK, EmbeddedWorker
from tests.builders.waiting import wait_until

pytestmark = pytest.mark.once

PATIENCE = 20.0


class Tasks:
    """An app with a broker of its own, and tasks that tell when they run."""

    def __init__(self) -> None:
        self.app = Celery("embedded-test", broker="memory://localhost/", set_as_current=False, fixups=[])
        self.app.conf.update(
            broker_transport_options={"polling_interval": 0.01},
            task_ignore_result=True,
            worker_enable_remote_control=False,
            worker_hijack_root_logger=False,
            task_queues=settings.CELERY_TASK_QUEUES,
            task_routes=settings.CELERY_TASK_ROUTES,
        )
        # The server's own sweep is a shared task: it comes with every app.
        self.app.finalize()
        if SWEEP_TASK in self.app.tasks:
            self.app.tasks.unregister(SWEEP_TASK)
        self.sweeps = threading.Semaphore(0)
        self.begun = threading.Event()
        self.number_begun = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.ended = threading.Event()

        @self.app.task(name=SWEEP_TASK, shared=False)
        def sweep() -> None:
            self.sweeps.release()

        @self.app.task(name="long", shared=False)
        def run_long() -> None:
            self.begun.set()
            self.number_begun.release()
            assert self.may_end.wait(PATIENCE)
            self.ended.set()

        self.long_task = run_long


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Tasks:
    tasks = Tasks()
    # The threads of the pool look their task up in the default app.
    monkeypatch.setattr(_state, "default_app", tasks.app)
    return tasks


@pytest.fixture
def worker(tasks: Tasks, settings: Settings) -> Iterator[EmbeddedWorker]:
    settings.FL_SWEEP_SECONDS = 0.1
    settings.FL_EMBEDDED_WORKER_THREADS = settings.FL_NOTIFICATION_THREADS = 2
    worker = EmbeddedWorker(tasks.app)
    worker.start()
    yield worker
    tasks.may_end.set()
    assert worker.stop(PATIENCE)


def test_a_sweep_runs_at_the_start_and_then_again_and_again(tasks: Tasks, worker: EmbeddedWorker) -> None:
    for _ in range(3):
        assert tasks.sweeps.acquire(timeout=PATIENCE)


def test_tasks_run_in_this_process(tasks: Tasks, worker: EmbeddedWorker) -> None:
    tasks.long_task.delay()
    assert tasks.begun.wait(PATIENCE)
    tasks.may_end.set()
    assert tasks.ended.wait(PATIENCE)


@pytest.mark.parametrize("queue", ["celery", "notifications"])
def test_a_sweep_runs_while_every_thread_of_another_queue_is_busy(
    tasks: Tasks, worker: EmbeddedWorker, queue: str
) -> None:
    for _ in range(4):  # two run, two wait
        tasks.long_task.apply_async(queue=queue)
    for _ in range(2):
        assert tasks.number_begun.acquire(timeout=PATIENCE)
    while tasks.sweeps.acquire(blocking=False):
        pass
    for _ in range(3):
        assert tasks.sweeps.acquire(timeout=PATIENCE)
    assert not tasks.number_begun.acquire(blocking=False)


def test_notifications_go_out_while_all_threads_that_compute_are_busy(tasks: Tasks, worker: EmbeddedWorker) -> None:
    for _ in range(4):
        tasks.long_task.delay()
    for _ in range(2):
        assert tasks.number_begun.acquire(timeout=PATIENCE)
    tasks.long_task.apply_async(queue="notifications")
    assert tasks.number_begun.acquire(timeout=PATIENCE)


def test_the_clock_survives_what_goes_wrong_when_it_asks(
    tasks: Tasks, worker: EmbeddedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fail(*_: object, **__: object) -> None:
        failed.set()
        raise RuntimeError("nobody expects this")

    with monkeypatch.context() as patch:
        patch.setattr(tasks.app, "send_task", fail)
        assert failed.wait(PATIENCE)
    while tasks.sweeps.acquire(blocking=False):
        pass
    assert tasks.sweeps.acquire(timeout=PATIENCE)
    assert worker.is_alive()


def test_a_worker_without_its_clock_is_not_alive(tasks: Tasks, worker: EmbeddedWorker) -> None:
    worker._stopping.set()
    for clock in worker._clocks:
        clock.join(PATIENCE)
    assert all(one.thread.is_alive() for one in worker._workers)
    assert not worker.is_alive()


def test_a_stop_lets_the_running_task_end(tasks: Tasks, worker: EmbeddedWorker) -> None:
    tasks.long_task.delay()
    assert tasks.begun.wait(PATIENCE)
    threading.Timer(0.3, tasks.may_end.set).start()
    assert worker.stop(PATIENCE)
    assert tasks.ended.is_set()
    assert not worker.is_alive()


def test_a_stop_does_not_wait_for_ever(tasks: Tasks, worker: EmbeddedWorker) -> None:
    tasks.long_task.delay()
    assert tasks.begun.wait(PATIENCE)
    assert worker.stop(0.1) is False


def test_a_stop_leaves_the_default_timeout_of_sockets_as_it_was(
    tasks: Tasks, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, may_end = threading.Event(), threading.Event()

    @tasks.app.task(name="last", shared=False)
    def run_last() -> None:
        last.set()
        assert may_end.wait(PATIENCE)

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(123.0)
    try:
        worker = EmbeddedWorker(tasks.app)
        worker.start()
        run_last.apply_async(queue="control")
        tasks.long_task.delay()
        assert tasks.begun.wait(PATIENCE)
        assert last.wait(PATIENCE)
        # The worker for control begins to stop after the one for celery, and ends after it.
        control = worker._workers[2]
        stop = control.stop

        def stop_second() -> None:
            wait_until("another one to stop", lambda: socket.getdefaulttimeout() != 123.0, PATIENCE)
            stop()

        monkeypatch.setattr(control, "stop", stop_second)
        threading.Timer(0.5, tasks.may_end.set).start()
        threading.Timer(1.0, may_end.set).start()
        assert worker.stop(PATIENCE)
        assert socket.getdefaulttimeout() == 123.0
    finally:
        socket.setdefaulttimeout(before)
