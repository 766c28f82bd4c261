"""The settings as the environment makes them, each read in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.settings.reading import read_settings
from tests.server_process import REPOSITORY, server_environment

pytestmark = pytest.mark.once


@pytest.mark.parametrize("module", ["fl_server.settings.development", "fl_server.settings.production"])
def test_with_nothing_set_everything_lives_in_the_data_folder_and_debug_is_off(tmp_path: Path, module: str) -> None:
    settings = read_settings(
        tmp_path, "DEBUG", "DATABASES", "MEDIA_ROOT", "CELERY_BROKER_URL", "FL_EMBEDDED", "SECRET_KEY", module=module
    )
    assert settings["DEBUG"] is False
    assert settings["DATABASES"]["default"]["ENGINE"] == "fl_server.sqlite"
    assert settings["DATABASES"]["default"]["NAME"] == str(tmp_path / "db.sqlite3")
    assert settings["DATABASES"]["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert settings["MEDIA_ROOT"] == str(tmp_path / "files")
    assert settings["CELERY_BROKER_URL"].startswith("memory://")
    assert settings["FL_EMBEDDED"] is True
    assert settings["SECRET_KEY"] == (tmp_path / "secret_key").read_text(encoding="ascii")


def test_postgres_and_redis_come_from_the_documented_variables(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("from a file\n", encoding="utf-8")
    settings = read_settings(
        tmp_path,
        "DATABASES",
        "CELERY_BROKER_URL",
        "CACHES",
        "FL_EMBEDDED",
        FL_POSTGRES_HOST="db",
        FL_POSTGRES_PASSWD_FILE=str(password),
        FL_REDIS_HOST="redis",
    )
    database = settings["DATABASES"]["default"]
    assert {key: database[key] for key in ("HOST", "PORT", "NAME", "USER", "PASSWORD")} == {
        "HOST": "db",
        "PORT": 5432,
        "NAME": "demo",
        "USER": "demo",
        "PASSWORD": "from a file",
    }
    assert settings["CELERY_BROKER_URL"] == "redis://redis:6379/1"
    assert settings["CACHES"]["default"]["LOCATION"] == "redis://redis:6379/1"
    assert settings["FL_EMBEDDED"] is False


def test_a_location_of_redis_goes_before_its_host(tmp_path: Path) -> None:
    settings = read_settings(
        tmp_path, "CELERY_BROKER_URL", FL_REDIS_LOCATION="redis://:secret@cache:7000/3", FL_REDIS_HOST="redis"
    )
    assert settings["CELERY_BROKER_URL"] == "redis://:secret@cache:7000/3"


def test_celery_takes_json_only_and_runs_no_task_in_the_request(tmp_path: Path) -> None:
    names = ("CELERY_ACCEPT_CONTENT", "CELERY_TASK_SERIALIZER", "CELERY_RESULT_SERIALIZER", "CELERY_TASK_ACKS_LATE")
    assert list(read_settings(tmp_path, *names).values()) == [["json"], "json", "json", True]


def test_keys_hosts_and_origins_are_one_a_line(tmp_path: Path) -> None:
    settings = read_settings(
        tmp_path,
        "SECRET_KEY",
        "SECRET_KEY_FALLBACKS",
        "ALLOWED_HOSTS",
        "CORS_ALLOWED_ORIGINS",
        "CORS_ALLOWED_ORIGIN_REGEXES",
        FL_DJANGO_SECRET_KEY="new",
        FL_DJANGO_SECRET_KEY_FALLBACK="old\nolder",
        FL_DJANGO_ALLOWED_HOSTS="fl.example.org\nfl.example.com",
        CORS_ORIGIN_WHITELIST="https://a.example.org",
        CORS_ALLOWED_ORIGIN_REGEXES=r"^https://\w+\.example\.org$",
    )
    assert settings["SECRET_KEY"] == "new"
    assert settings["SECRET_KEY_FALLBACKS"] == ["old", "older"]
    assert settings["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]", "web", "fl.example.org", "fl.example.com"]
    assert settings["CORS_ALLOWED_ORIGINS"] == ["https://a.example.org"]
    assert settings["CORS_ALLOWED_ORIGIN_REGEXES"] == [r"^https://\w+\.example\.org$"]
    assert not (tmp_path / "secret_key").exists()


def test_uploads_wait_on_the_disk_where_they_will_be_stored(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, "FILE_UPLOAD_TEMP_DIR", "MEDIA_ROOT", "FILE_UPLOAD_MAX_MEMORY_SIZE")
    assert Path(settings["FILE_UPLOAD_TEMP_DIR"]).parent == Path(settings["MEDIA_ROOT"]).parent
    assert settings["FILE_UPLOAD_MAX_MEMORY_SIZE"] <= 64 * 1024


def test_a_bucket_puts_the_files_into_it(tmp_path: Path) -> None:
    settings = read_settings(
        tmp_path, "STORAGES", FL_S3_BUCKET="models", FL_S3_ENDPOINT_URL="http://s3:9000", FL_S3_SECRET_KEY="s"
    )
    options = settings["STORAGES"]["default"]["OPTIONS"]
    assert options["bucket_name"] == "models"
    assert options["endpoint_url"] == "http://s3:9000"
    assert options["secret_key"] == "s"
    assert options["file_overwrite"] is False


def test_production_never_debugs_and_looks_at_passwords(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, "DEBUG", "AUTH_PASSWORD_VALIDATORS", "SECURE_SSL_REDIRECT", FL_DEBUG="true")
    assert settings["DEBUG"] is False
    assert len(settings["AUTH_PASSWORD_VALIDATORS"]) == 4
    assert settings["SECURE_SSL_REDIRECT"] is False


@pytest.mark.parametrize(
    ("module", "expected"), [("development", ["open", "everyone"]), ("production", ["consent", "flagged"])]
)
def test_production_asks_participants_and_wants_actors_flagged(
    tmp_path: Path, module: str, expected: list[str]
) -> None:
    names, module = ("FL_ENROLMENT", "FL_ACTORS"), f"fl_server.settings.{module}"
    assert list(read_settings(tmp_path, *names, module=module).values()) == expected
    chosen = {"FL_ENROLMENT": "Consent", "FL_ACTORS": "EVERYONE"}
    assert list(read_settings(tmp_path, *names, module=module, **chosen).values()) == ["consent", "everyone"]


def test_a_word_that_no_setting_knows_is_reported_once(tmp_path: Path) -> None:
    (problem,) = read_settings(tmp_path, "FL_ENVIRONMENT_PROBLEMS", FL_ENROLMENT="ask").values()
    assert problem == ["FL_ENROLMENT must be one of open, consent, not 'ask'."]


def test_contacts_are_shown_on_a_laptop_only_unless_the_operator_says_so(tmp_path: Path) -> None:
    def shows(module: str, **variables: str) -> bool:
        return bool(read_settings(tmp_path, "FL_SHOW_CONTACTS", module=module, **variables)["FL_SHOW_CONTACTS"])

    development, production = "fl_server.settings.development", "fl_server.settings.production"
    assert (shows(development), shows(production)) == (True, False)
    assert (shows(development, FL_SHOW_CONTACTS="no"), shows(production, FL_SHOW_CONTACTS="yes")) == (False, True)


def test_a_list_of_ports_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    names = ("FL_NOTIFICATION_PORTS", "FL_ENVIRONMENT_PROBLEMS")
    read = read_settings(tmp_path, *names, FL_NOTIFICATION_PORTS="8101 all")
    problem = "FL_NOTIFICATION_PORTS must be a list of numbers from 1 to 65535, not '8101 all'."
    assert list(read.values()) == [[], [problem]]


def test_cookies_travel_by_tls_alone_where_a_proxy_ends_it(tmp_path: Path) -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE")
    assert list(read_settings(tmp_path, *names).values()) == [False, False]
    assert list(read_settings(tmp_path, *names, FL_BEHIND_TLS_PROXY="1").values()) == [True, True]


def test_the_example_file_lists_every_variable_and_no_other() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "fl_server/settings").glob("*.py"))
    read = set(re.findall(r'\benv\.\w+\(\s*"([A-Z0-9_]+)"', sources)) | {"DJANGO_SETTINGS_MODULE", "FL_CONFIG"}
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#?([A-Z0-9_]+)=", example, re.MULTILINE)) == read


DEFAULT = """
import importlib
import runpy
import sys
from django.conf import settings
if sys.argv[1] == "manage":
    sys.argv = ["manage.py", "--version"]
    runpy.run_path("manage.py", run_name="__main__")
else:
    importlib.import_module(sys.argv[1])
print(settings.SETTINGS_MODULE, len(settings.AUTH_PASSWORD_VALIDATORS), settings.FL_PRODUCTION)
"""


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("fl_server.wsgi", "fl_server.settings.production 4 True"),
        ("fl_server.celery", "fl_server.settings.production 4 True"),
        ("manage", "fl_server.settings.development 0 False"),
    ],
)
def test_without_a_settings_module_manage_py_takes_the_laptops_and_everything_else_productions(
    tmp_path: Path, start: str, expected: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEFAULT, start],
        cwd=REPOSITORY,
        env=server_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == [expected], done.stderr


@pytest.mark.parametrize(
    ("module", "variables", "mode"),
    [
        ("development", {}, "open"),
        ("production", {}, "invite"),
        ("development", {"FL_REGISTRATION": "closed"}, "closed"),
        ("production", {"FL_REGISTRATION": "Open"}, "open"),
    ],
)
def test_a_laptop_registers_everyone_and_a_server_those_who_are_invited(
    tmp_path: Path, module: str, variables: dict[str, str], mode: str
) -> None:
    settings = read_settings(tmp_path, "FL_REGISTRATION", module=f"fl_server.settings.{module}", **variables)
    assert settings == {"FL_REGISTRATION": mode}


def test_an_unknown_way_to_register_is_told_once(tmp_path: Path) -> None:
    settings = read_settings(tmp_path, "FL_REGISTRATION", "FL_ENVIRONMENT_PROBLEMS", FL_REGISTRATION="perhaps")
    assert settings["FL_REGISTRATION"] == "invite"
    assert settings["FL_ENVIRONMENT_PROBLEMS"] == [
        "FL_REGISTRATION must be one of open, invite, closed, not 'perhaps'."
    ]
