"""One server at a time on a data folder."""

import os
import signal
from pathlib import Path

import pytest

from fl_server.processes.lock import DataFolderInUseError, lock_data_folder

pytestmark = pytest.mark.once


def never() -> None:
    raise AssertionError("nobody was to be waited for")


class Holder:
    """A process that locks a data folder and then waits; its fork holds on after it was killed."""

    def __init__(self, data_dir: Path) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            lock_data_folder(data_dir, patience=0, on_wait=never)
            child = os.fork()
            if child != 0:
                os.write(writer, str(child).encode())
            signal.pause()
        os.close(writer)
        self.child = int(os.read(reader, 20))
        os.close(reader)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def kill_child(self) -> None:
        os.kill(self.child, signal.SIGKILL)


def test_a_second_server_is_refused_at_once_while_the_first_one_lives(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    with pytest.raises(DataFolderInUseError):
        lock_data_folder(tmp_path, patience=60, on_wait=never)
    holder.kill_child()
    holder.kill()


def test_the_orphan_of_a_killed_server_is_waited_for(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    holder.kill()
    lock_data_folder(tmp_path, patience=30, on_wait=holder.kill_child)


def test_an_orphan_that_does_not_end_refuses_the_folder(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    holder.kill()
    waits: list[None] = []
    with pytest.raises(DataFolderInUseError):
        lock_data_folder(tmp_path, patience=0.3, on_wait=lambda: waits.append(None))
    assert len(waits) == 1
    holder.kill_child()


def test_after_everyone_is_gone_the_folder_is_free(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    holder.kill_child()
    holder.kill()
    lock_data_folder(tmp_path, patience=30, on_wait=lambda: None)
