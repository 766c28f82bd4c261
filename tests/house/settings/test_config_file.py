"""Settings from a TOML file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fl_server.checks import check_config_file
from fl_server.settings import config_file
from fl_server.settings.config_file import example_toml, merged, read_config_file, setting_names
from fl_server.settings.environment import Environment
from tests.house.settings.reading import read_settings
from tests.server_process import REPOSITORY, run_manage, server_environment

pytestmark = pytest.mark.once


def write(path: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    """Write the file; return the environment that names it."""
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return {"FL_CONFIG": str(path)}


def environment(path: Path, text: str, **variables: str) -> Environment:
    file = read_config_file(write(path, text))
    assert file.problems == []
    return Environment(merged(variables, file.values))


def test_values_of_every_type_are_read_as_the_variables_would_be(tmp_path: Path) -> None:
    text = """
FL_DEBUG = true
FL_WEB_THREADS = 8
FL_SWEEP_SECONDS = 2.5
FL_TIME_ZONE = "Europe/Paris"
FL_NOTIFICATION_RETRY_SECONDS = [1, 2.5]
FL_DJANGO_ALLOWED_HOSTS = ["a.example", "b.example"]
"""
    env = environment(tmp_path / "a.toml", text)
    assert env.boolean("FL_DEBUG", False) is True
    assert env.integer("FL_WEB_THREADS", 16) == 8
    assert env.seconds("FL_SWEEP_SECONDS", 10) == 2.5
    assert env.time_zone("FL_TIME_ZONE", "Europe/Berlin") == "Europe/Paris"
    assert env.all_seconds("FL_NOTIFICATION_RETRY_SECONDS", [9.0]) == [1, 2.5]
    assert env.lines("FL_DJANGO_ALLOWED_HOSTS") == ["a.example", "b.example"]


def test_a_variable_takes_precedence_however_either_of_them_names_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n", encoding="utf-8")
    by_file, by_value = f'FL_EMAIL_PASSWORD_FILE = "{tmp_path / "secret"}"', 'FL_EMAIL_PASSWORD = "from TOML"'
    path = tmp_path / "a.toml"
    assert environment(path, by_file).text("FL_EMAIL_PASSWORD") == "from a file"
    assert environment(path, by_file, FL_EMAIL_PASSWORD="variable").text("FL_EMAIL_PASSWORD") == "variable"
    variable = {"FL_EMAIL_PASSWORD_FILE": str(tmp_path / "secret")}
    assert environment(path, by_value, **variable).text("FL_EMAIL_PASSWORD") == "from a file"
    assert (
        environment(path, 'FL_EMAIL_PASSWORD_FILE = "/nowhere"', **variable).text("FL_EMAIL_PASSWORD") == "from a file"
    )
    assert environment(path, by_value, FL_EMAIL_PASSWORD=" ").text("FL_EMAIL_PASSWORD") == "from TOML"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('FL_REDIS_HOTS = "a"', "{path}: FL_REDIS_HOTS isn't a setting. Did you mean FL_REDIS_HOST?"),
        ('fl_redis_host = "a"', "{path}: fl_redis_host isn't a setting. Did you mean FL_REDIS_HOST?"),
        ("colour = 1", "{path}: colour isn't a setting."),
        ("[FL_REDIS_HOST]\na = 1", "{path}: FL_REDIS_HOST must be a text, a number, true, false, or a list of texts."),
        ("FL_DEBUG = [true]", "{path}: FL_DEBUG must be a text, a number, true, false, or a list of texts."),
        ("FL_DEBUG = 2026-01-01", "{path}: FL_DEBUG must be a text, a number, true, false, or a list of texts."),
        ('FL_CONFIG = "b"', "FL_CONFIG can't be set in {path}: set the environment variable."),
        (
            'DJANGO_SETTINGS_MODULE = "b"',
            "DJANGO_SETTINGS_MODULE can't be set in {path}: set the environment variable.",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.toml"
    file = read_config_file(write(path, text + "\n"))
    assert (file.problems, file.values) == ([problem.format(path=path)], {})


@pytest.mark.parametrize("text", ["FL_DEBUG", "FL_DEBUG = true\nFL_DEBUG = true"])
def test_a_file_that_is_not_toml_is_a_sentence(tmp_path: Path, text: str) -> None:
    (problem,) = read_config_file(write(tmp_path / "a.toml", text)).problems
    assert problem.startswith(f"The configuration file {tmp_path / 'a.toml'} must be TOML: ")


def test_a_file_that_is_named_must_be_there() -> None:
    for name in ("/nowhere/a.toml", "~nobody-here/a.toml"):
        assert read_config_file({"FL_CONFIG": name}).problems == [
            f"The configuration file {name} can't be read: No such file or directory."
        ]


def test_bytes_that_are_not_utf_8_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'FL_TIME_ZONE = "\xff"')
    (problem,) = read_config_file({"FL_CONFIG": str(tmp_path / "a.toml")}).problems
    assert "must be TOML" in problem


def test_the_file_is_looked_for_in_the_data_folder_and_then_in_the_configuration_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for folder in ("data", "config/fl-server"):
        (tmp_path / folder).mkdir(parents=True)
    ours, users = tmp_path / "data/fl-server.toml", tmp_path / "config/fl-server/fl-server.toml"
    environ = {"FL_DATA_DIR": str(tmp_path / "data")}
    write(users, "FL_WEB_THREADS = 1")
    assert read_config_file(environ).path is None, "in a checkout, the user's own file counts for nothing"
    monkeypatch.setattr(config_file, "is_checkout", lambda: False)
    assert read_config_file(environ).path == users
    write(ours, "FL_WEB_THREADS = 2")
    assert read_config_file(environ).path == ours
    named = write(tmp_path / "named.toml", "FL_WEB_THREADS = 3")
    assert read_config_file(environ | named).values == {"FL_WEB_THREADS": "3"}


@pytest.mark.parametrize(
    ("text", "mode", "exposed"),
    [
        ('FL_POSTGRES_PASSWD = "a"', 0o640, True),
        ('FL_DJANGO_SECRET_KEY = "a"', 0o604, True),
        ('FL_REDIS_LOCATION = "redis://:a@b"', 0o644, True),
        ('FL_POSTGRES_PASSWD = "a"', 0o600, False),
        ('FL_POSTGRES_PASSWD_FILE = "/run/secrets/a"', 0o644, False),
        ('FL_POSTGRES_HOST = "a"', 0o644, False),
    ],
)
def test_secrets_that_others_can_read_are_noticed(tmp_path: Path, text: str, mode: int, exposed: bool) -> None:
    assert read_config_file(write(tmp_path / "a.toml", text, mode)).is_exposed is exposed


def test_the_check_warns_of_an_exposed_file_and_says_what_to_do(settings: Any) -> None:
    settings.FL_CONFIG_EXPOSED = None
    assert list(check_config_file()) == []
    settings.FL_CONFIG_EXPOSED = Path("/etc/a.toml")
    (warning,) = check_config_file()
    assert (warning.id, warning.hint) == ("fl_server.W050", "Run: chmod 600 /etc/a.toml")


def test_a_server_takes_the_file_in_its_data_folder_and_refuses_to_run_with_a_wrong_one(tmp_path: Path) -> None:
    write(tmp_path / "fl-server.toml", 'FL_WEB_THREADS = 5\nFL_EMAIL_PASSWORD = "a"\nFL_TIME_ZON = "UTC"', 0o644)
    names = ("FL_WEB_THREADS", "FL_CONFIG_EXPOSED", "FL_DATA_DIR")
    read = read_settings(tmp_path, *names)
    assert list(read.values()) == [5, str(tmp_path / "fl-server.toml"), str(tmp_path)]
    done = run_manage("check", environment=server_environment(tmp_path))
    assert done.returncode == 1
    assert "FL_TIME_ZON isn't a setting. Did you mean FL_TIME_ZONE?" in done.stderr
    assert "fl_server.W050" in done.stderr


def test_the_example_has_every_setting_with_its_default_and_can_be_read(tmp_path: Path) -> None:
    example = example_toml()
    names = re.findall(r"^#([A-Z][A-Z0-9_]+) = ", example, re.MULTILINE)
    variables = re.findall(r"^#([A-Z0-9_]+)=", (REPOSITORY / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    assert names == [name for name in variables if name not in ("FL_CONFIG", "DJANGO_SETTINGS_MODULE")]
    assert setting_names() == variables
    active = re.sub(r"^#(?=[A-Z][A-Z0-9_]+ = )", "", example, flags=re.MULTILINE)
    assert tomllib.loads(active)["FL_WEB_THREADS"] == 16
    assert tomllib.loads(example) == {}
    assert read_config_file(write(tmp_path / "a.toml", active)).problems == []
    assert "Copy this file to .env" not in example
    assert "DJANGO_SETTINGS_MODULE" not in example
