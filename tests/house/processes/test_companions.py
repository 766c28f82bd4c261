"""Processes that meet in Redis, and don't belong together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from pytest_django import Settings

from fl_server.processes.companions import OTHER_KEY, OTHER_SERVER, SECRET, SERVER, warn_of_strangers
from fl_server_core.models import installation
from fl_server_core.models.installation import installation_id

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_of_many(settings: Settings) -> Iterator[None]:
    """A process that has others beside it, of which nothing is known yet."""
    settings.FL_EMBEDDED = False
    settings.SECRET_KEY_FALLBACKS = []
    _forget()
    yield
    _forget()


def _forget() -> None:
    cache.delete_many([SERVER, f"{SECRET}:{installation_id()}"])


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    warn_of_strangers()
    return capsys.readouterr().err.splitlines()


def test_processes_of_one_server_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert [said(capsys), said(capsys)] == [[], []]


def test_another_server_on_the_same_database_of_redis_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(capsys) == []
    monkeypatch.setattr(installation, "_known", 32 * "a")
    assert said(capsys) == [OTHER_SERVER]
    cache.delete(f"{SECRET}:{32 * 'a'}")


def test_another_secret_key_is_named_unless_it_is_one_of_the_old_ones(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    old = settings.SECRET_KEY
    assert said(capsys) == []
    settings.SECRET_KEY = "another"
    assert said(capsys) == [OTHER_KEY]
    settings.SECRET_KEY_FALLBACKS = [old]
    assert said(capsys) == []
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = old, []  # all have been told of the new one
    assert said(capsys) == [OTHER_KEY]


def test_neither_the_key_nor_its_plain_hash_is_in_redis(settings: Settings) -> None:
    warn_of_strangers()
    kept = cache.get(f"{SECRET}:{installation_id()}")
    assert len(kept) == 32
    assert settings.SECRET_KEY not in kept
