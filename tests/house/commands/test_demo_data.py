"""`manage.py create_demo_data`."""

import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection

from fl_server.management.commands import create_demo_data
from fl_server_core.models import GlobalModel, Training, User
from fl_server_core.models.training import TrainingState
from tests.builders.files import scripted_linear
from tests.server_process import REPOSITORY, server_environment

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("enrolment", "actors"), [("open", "everyone"), ("consent", "flagged")])
def test_it_makes_users_a_model_and_a_training_that_can_be_started(settings: Any, enrolment: str, actors: str) -> None:
    settings.FL_ENROLMENT, settings.FL_ACTORS = enrolment, actors
    output = StringIO()
    call_command("create_demo_data", "--password", "a-Long-password-1", stdout=output)
    training = Training.objects.get()
    assert training.state == TrainingState.INITIAL
    assert training.actor.username == "demo-actor"
    assert training.participants.count() == 3
    assert GlobalModel.objects.get().input_shape == [None, 64]
    assert all(user.check_password("a-Long-password-1") for user in User.objects.all())
    assert str(training.pk) in output.getvalue()


def test_every_run_has_a_password_of_its_own_which_it_prints() -> None:
    output = StringIO()
    call_command("create_demo_data", stdout=output)
    printed = output.getvalue().splitlines()[0].rpartition(" ")[2]
    assert len(printed) >= 16
    assert User.objects.get(username="demo-actor").check_password(printed)
    assert not User.objects.filter(is_staff=True).exists()


def test_it_says_what_to_run_next() -> None:
    output = StringIO()
    call_command("create_demo_data", "--password", "it's long", stdout=output)
    assert "--server http://127.0.0.1:8000 \\\n" in output.getvalue()  # too long for one line
    lines = output.getvalue().replace("\\\n", "").splitlines()
    commands = [shlex.split(line) for line in lines if "-m fl_server_demo." in line]
    assert [command[command.index("-m") + 1] for command in commands] == [
        "fl_server_demo.digits",
        "fl_server_demo.participant",
        "fl_server_demo.follow",
    ]
    _, participant, follow = commands
    assert participant[0] == "FL_PASSWORD=it's long"
    assert participant[participant.index("--username") + 1] == "demo-client-1"
    assert str(Training.objects.get().pk) in follow


def test_a_second_run_changes_nothing() -> None:
    call_command("create_demo_data", stdout=StringIO())
    with pytest.raises(CommandError, match="exist already"):
        call_command("create_demo_data", stdout=StringIO())
    assert Training.objects.count() == 1


def test_an_empty_database_is_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "create_demo_data"],
        cwd=REPOSITORY,
        env=server_environment(tmp_path / "var"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The database is empty.")


def test_what_takes_long_is_done_before_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    open_savepoints: list[int] = []

    def model_file() -> SimpleUploadedFile:
        open_savepoints.append(len(connection.savepoint_ids))
        return SimpleUploadedFile("model.pt", scripted_linear())

    before = len(connection.savepoint_ids)
    monkeypatch.setattr(create_demo_data, "_model_file", model_file)
    call_command("create_demo_data", stdout=StringIO())
    assert open_savepoints == [before]
