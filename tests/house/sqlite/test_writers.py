"""Writers of one SQLite file take turns."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from pytest_django import DjangoDbBlocker

from fl_server.sqlite.turns import Turns, turns_of
from tests.builders.waiting import wait_until
from tests.server_process import REPOSITORY

ALIAS, OTHER_ALIAS = "writers", "writers_too"
THREADS = 16
WRITES = 320
PATIENCE = 20.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """A database of its own, under two names."""
    path = tmp_path / "writers.sqlite3"
    options = {"transaction_mode": "IMMEDIATE", "timeout": PATIENCE, "init_command": "PRAGMA journal_mode=WAL"}
    database = {"ENGINE": "fl_server.sqlite", "NAME": str(path), "OPTIONS": options}
    # One that need not wait long for SQLite to say that it is locked.
    other = {**database, "OPTIONS": {**options, "timeout": 0.05}}
    configured = connections.configure_settings({ALIAS: database, OTHER_ALIAS: other, "default": {}})
    for alias in (ALIAS, OTHER_ALIAS):
        monkeypatch.setitem(connections.databases, alias, configured[alias])
    with django_db_blocker.unblock():
        execute("CREATE TABLE written (writer INTEGER)")
        yield path
        close()


def execute(statement: str, alias: str = ALIAS) -> list[Any]:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def close() -> None:
    """The connections of this thread."""
    for alias in (ALIAS, OTHER_ALIAS):
        connections[alias].close()
        del connections[alias]


def in_thread(action: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            action()
        finally:
            close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def is_free(turns: Turns) -> bool:
    turn = turns.take(0)
    if turn is not None:
        turns.give_back(turn)
    return turn is not None


def test_who_comes_first_is_served_first() -> None:
    turns, served = Turns(), list[int]()
    first = turns.take(PATIENCE)
    assert first is not None

    def wait(number: int) -> None:
        turn = turns.take(PATIENCE)
        assert turn is not None
        served.append(number)
        turns.give_back(turn)

    threads = []
    for number in range(THREADS):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        wait_until("the thread to queue", lambda number=number: len(turns._waiting) == number + 1, pause=0.001)  # type: ignore[misc]
    turns.give_back(first)
    for thread in threads:
        thread.join(PATIENCE)
    assert served == list(range(THREADS))


@pytest.mark.parametrize("is_atomic", [True, False])
def test_writers_that_never_rest_write_equally_often_and_are_never_locked_out(path: Path, is_atomic: bool) -> None:
    order: list[int] = []
    barrier = threading.Barrier(THREADS)

    def write(number: int) -> None:
        barrier.wait()
        try:
            while len(order) < WRITES:
                if is_atomic:
                    with transaction.atomic(ALIAS):
                        execute(f"INSERT INTO written VALUES ({number})")
                        time.sleep(0.002)
                else:
                    execute(f"INSERT INTO written VALUES ({number})")
                order.append(number)
        finally:
            close()

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(write, number) for number in range(THREADS)]:
            done.result()
    counts = [order.count(number) for number in range(THREADS)]
    fair = WRITES / THREADS
    assert execute("SELECT count(*) FROM written") == [(len(order),)]
    assert min(counts) >= fair / 2, counts
    assert max(counts) <= fair * 2, counts


def test_a_statement_outside_a_transaction_waits_for_its_turn_and_a_reader_does_not(path: Path) -> None:
    turns = turns_of(str(path))
    turn = turns.take(PATIENCE)
    assert turn is not None
    writer = in_thread(lambda: execute("INSERT INTO written VALUES (1) RETURNING writer"))
    wait_until("the writer to queue", lambda: len(turns._waiting) == 1)
    reader = in_thread(lambda: execute("SELECT * FROM written"))
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert writer.is_alive()
    turns.give_back(turn)
    writer.join(PATIENCE)
    assert execute("SELECT * FROM written") == [(1,)]
    assert is_free(turns)


def test_a_turn_lasts_from_the_first_statement_to_the_commit_savepoints_included(path: Path) -> None:
    turns = turns_of(str(path))
    with transaction.atomic(ALIAS):
        assert not is_free(turns)
        with transaction.atomic(ALIAS):
            execute("INSERT INTO written VALUES (1)")
        assert not is_free(turns)
    assert is_free(turns)


def test_whatever_ends_a_transaction_ends_the_turn(path: Path) -> None:
    turns = turns_of(str(path))
    with pytest.raises(ZeroDivisionError), transaction.atomic(ALIAS):
        raise ZeroDivisionError
    assert is_free(turns)
    with pytest.raises(OperationalError):
        execute("INSERT INTO nowhere VALUES (1)")
    assert is_free(turns)
    with pytest.raises(OperationalError), transaction.atomic(ALIAS):
        execute("INSERT INTO nowhere VALUES (1)")
    assert is_free(turns)
    with transaction.atomic(ALIAS):
        connections[ALIAS].close()
        assert is_free(turns)
    connections[ALIAS].set_autocommit(False)
    execute("INSERT INTO written VALUES (1)")
    assert not is_free(turns)
    connections[ALIAS].rollback()
    assert is_free(turns)


def test_a_second_connection_of_the_same_thread_does_not_wait_for_the_first(path: Path) -> None:
    with transaction.atomic(ALIAS), pytest.raises(OperationalError, match="locked"), transaction.atomic(OTHER_ALIAS):
        raise AssertionError("two writers at once")
    execute("INSERT INTO written VALUES (1)", OTHER_ALIAS)


def test_who_has_waited_too_long_tries_without_a_turn(path: Path) -> None:
    turns = turns_of(str(path))
    turn = turns.take(PATIENCE)
    assert turn is not None
    writer = in_thread(lambda: execute("INSERT INTO written VALUES (1)", OTHER_ALIAS))
    writer.join(PATIENCE)
    assert execute("SELECT * FROM written") == [(1,)]
    assert not turns._waiting
    turns.give_back(turn)


def test_a_thread_that_died_with_its_turn_is_not_waited_for() -> None:
    turns = Turns()
    for is_awaited in (False, True):
        taken, may_die = threading.Event(), threading.Event()

        def take(taken: threading.Event = taken, may_die: threading.Event = may_die) -> None:
            turns.take(PATIENCE)
            taken.set()
            may_die.wait(PATIENCE)

        holder = threading.Thread(target=take)
        holder.start()
        assert taken.wait(PATIENCE)
        if is_awaited:
            threading.Timer(0.2, may_die.set).start()
        else:
            may_die.set()
            holder.join(PATIENCE)
        turn = turns.take(PATIENCE)
        assert turn is not None
        turns.give_back(turn)


FORK = """
import os, sys, threading
from fl_server.sqlite.turns import turns_of
held, over = threading.Event(), threading.Event()
def hold():
    turns_of(sys.argv[1]).take(1)
    held.set()
    over.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
if os.fork() == 0:
    os._exit(0 if turns_of(sys.argv[1]).take(0) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_fork_does_not_wait_for_threads_that_it_does_not_have(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(tmp_path / "file")]
    assert subprocess.run(command, cwd=REPOSITORY, timeout=60, check=False).returncode == 0
