"""All system checks together: what they leave alone, how they are shown, that each is in the reference."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from docs.generator.refusals import findings
from fl_server import checks
from fl_server.checks import sandbox
from tests.house.checks.found import ids
from tests.server_process import REPOSITORY, server_environment

pytestmark = pytest.mark.once


def test_a_laptop_with_nothing_set_is_fine() -> None:
    assert ids() == []


def test_one_process_in_production_is_fine(settings: Settings) -> None:
    settings.FL_PRODUCTION = True
    assert ids() == []


def test_several_machines_that_share_what_they_must_are_fine(machines: None) -> None:
    assert ids() == []


def test_an_id_stands_for_one_finding_and_every_id_is_in_the_reference() -> None:
    sentences: dict[str, list[str]] = {}
    for one, sentence, _hint in findings():
        sentences.setdefault(one.removeprefix("fl_server."), []).append(sentence)
    assert [one for one, said in sentences.items() if len(said) > 1] == ["E010"]  # one for each reason of a bucket
    source = "".join(file.read_text(encoding="utf-8") for file in (REPOSITORY / "fl_server/checks").glob("*.py"))
    assert set(re.findall(r"\b[EW]\d{3}\b", source)) == sentences.keys()


def test_every_message_has_a_hint(machines: None, settings: Settings) -> None:
    settings.FL_SECRET_KEY_IS_LOCAL = True
    settings.FL_SHARED_FILES = False
    settings.CORS_ALLOW_ALL_ORIGINS = True
    settings.FL_DATA_DIR_PROBLEM = "x"
    settings.FL_ENVIRONMENT_PROBLEMS = ["x"]
    settings.FL_POSTGRES_HOST = ""
    messages = [message for check in checks.ALL for message in check()]
    assert len({message.id for message in messages}) >= 6
    assert all(message.hint for message in messages)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"FL_BEHIND_TLS_PROXY": "true", "FL_TRUSTED_PROXIES": "10.1.0.5"},
        {"FL_BEHIND_TLS_PROXY": "true", "FL_TRUSTED_PROXIES": "10.1.0.5", "FL_HSTS_SECONDS": "3600"},
    ],
)
def test_djangos_own_checks_for_deployment_find_nothing(tmp_path: Path, variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=REPOSITORY,
        # Which walls this machine offers is not what is asked.
        env=server_environment(tmp_path)
        | {"DJANGO_SETTINGS_MODULE": "fl_server.settings.production"}
        | {"FL_SILENCED_CHECKS": ",".join(f"fl_server.{number}" for number, _ in sandbox.WALLS.values())}
        | variables,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, "no issues" in done.stdout) == (0, True), done.stderr


def test_warnings_that_the_operator_accepts_are_not_shown(tmp_path: Path) -> None:
    environment = server_environment(tmp_path) | {"DJANGO_SETTINGS_MODULE": "fl_server.settings.production"}
    command = [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]
    for silenced, shown in (("", True), ("fl_server.W020 fl_server.W021", False)):
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=environment | {"FL_ENROLMENT": "open", "FL_ACTORS": "everyone", "FL_SILENCED_CHECKS": silenced},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert (done.returncode != 0, "fl_server.W020" in done.stderr) == (shown, shown)


@pytest.mark.parametrize("command", ["worker", "beat"])
@pytest.mark.parametrize(
    ("variables", "sentence"), [({}, "FL_REDIS_HOST"), ({"FL_REDIS_HOST": "127.0.0.1"}, "fl_server.E001")]
)
def test_celery_refuses_to_start_where_it_could_not_work(
    tmp_path: Path, command: str, variables: dict[str, str], sentence: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "fl_server", command],
        cwd=REPOSITORY,
        env=server_environment(tmp_path) | variables,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
