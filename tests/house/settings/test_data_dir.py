"""The data folder and the secret key in it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from fl_server.settings.data_dir import default_data_dir, make_data_dir, read_or_make_token
from tests.server_process import REPOSITORY

pytestmark = pytest.mark.once


def test_the_data_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "var"
    assert make_data_dir(data_dir) is None
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert (data_dir / "tmp").is_dir()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    problem = make_data_dir(tmp_path / "file" / "var")
    assert problem is not None
    assert str(tmp_path / "file" / "var") in problem


def test_the_secret_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    key = read_or_make_token(path)
    assert len(key) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_token(path) == key
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]


def test_processes_that_start_at_once_agree_on_one_secret_key(tmp_path: Path) -> None:
    starters = 8
    barrier = Barrier(starters)

    def start(_: int) -> str:
        barrier.wait()
        return read_or_make_token(tmp_path / "secret_key")

    with ThreadPoolExecutor(starters) as pool:
        keys = set(pool.map(start, range(starters)))
    assert keys == {(tmp_path / "secret_key").read_text(encoding="ascii")}


def test_where_no_file_can_be_written_the_key_lives_as_long_as_the_process(tmp_path: Path) -> None:
    assert len(read_or_make_token(tmp_path / "missing" / "secret_key")) >= 50


def test_an_installed_server_keeps_its_data_in_the_users_folder_and_a_checkout_in_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert default_data_dir(tmp_path) == tmp_path / "share/fl-server"
    (tmp_path / "manage.py").touch()
    assert default_data_dir(tmp_path) == tmp_path / "share/fl-server", "some package's manage.py in site-packages"
    (tmp_path / "pyproject.toml").touch()
    assert default_data_dir(tmp_path) == tmp_path / "var"
    assert default_data_dir() == REPOSITORY / "var"
