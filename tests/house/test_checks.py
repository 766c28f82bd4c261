"""What the system checks say of the settings."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import WARNING, run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from fl_server import checks
from fl_server_ai.sandbox import Wall, find_device
from fl_server_ai.sandbox.walls import STOPS
from tests.builders.rows import make_alert_rule, make_user
from tests.server_process import REPOSITORY, server_environment

pytestmark = pytest.mark.once


def ids() -> list[str | None]:
    return [message.id for check in checks.ALL if check is not checks.check_sandbox for message in check()]


@pytest.fixture(autouse=True)
def laptop(settings: Settings) -> None:
    """One process on SQLite, with nothing else set."""
    settings.FL_PRODUCTION = False
    settings.FL_EMBEDDED = True
    settings.FL_SECRET_KEY_IS_LOCAL = True
    settings.FL_POSTGRES_HOST = ""
    settings.FL_ENROLMENT, settings.FL_ACTORS, settings.FL_SHOW_CONTACTS = "consent", "flagged", False


@pytest.fixture
def machines(settings: Settings) -> None:
    """Several machines in production, as they should be set up."""
    settings.FL_PRODUCTION = True
    settings.FL_EMBEDDED = False
    settings.FL_SECRET_KEY_IS_LOCAL = False
    settings.FL_SHARED_FILES = True
    settings.FL_POSTGRES_HOST = "db"


def test_a_laptop_with_nothing_set_is_fine() -> None:
    assert ids() == []


def test_open_doors_are_fine_on_a_laptop_and_a_warning_in_production(settings: Settings) -> None:
    settings.FL_ENROLMENT, settings.FL_ACTORS, settings.FL_SHOW_CONTACTS = "open", "everyone", True
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W020", "fl_server.W021", "fl_server.W022"]


def test_a_setting_that_keeps_longer_what_another_one_takes_along_is_a_warning(settings: Settings) -> None:
    settings.FL_KEEP_EVENTS_DAYS, settings.FL_KEEP_ALERTS_DAYS = 89, 90
    settings.FL_KEEP_UPDATES_DAYS, settings.FL_KEEP_METRICS_DAYS = 30, 0
    assert ids() == ["fl_server.W062", "fl_server.W063"]
    settings.FL_KEEP_ALERTS_DAYS = 89
    settings.FL_KEEP_METRICS_DAYS = 7
    assert ids() == []


def test_one_process_in_production_is_fine(settings: Settings) -> None:
    settings.FL_PRODUCTION = True
    assert ids() == []


def test_several_machines_that_share_what_they_must_are_fine(machines: None) -> None:
    assert ids() == []


def test_a_password_for_the_mail_server_goes_by_tls(settings: Settings) -> None:
    settings.EMAIL_HOST_PASSWORD, settings.FL_EMAIL_SECURITY = "secret", "none"
    assert ids() == ["fl_server.W040"]
    settings.FL_EMAIL_SECURITY = "starttls"
    assert ids() == []


@pytest.mark.django_db
def test_rules_by_email_without_a_mail_server_are_reported(settings: Settings) -> None:
    rule = make_alert_rule(make_user(), channel="email", url="")
    assert [message.id for message in run_checks(tags=["database"], databases=["default"])] == ["fl_server.W041"]
    assert [message.id for message in run_checks(databases=None) if message.id == "fl_server.W041"] == []
    settings.FL_EMAIL_HOST = "mail"
    assert run_checks(tags=["database"], databases=["default"]) == []
    settings.FL_EMAIL_HOST = ""
    type(rule).objects.update(active=False)
    assert run_checks(tags=["database"], databases=["default"]) == []


def test_redis_without_postgres_is_refused(settings: Settings) -> None:
    settings.FL_EMBEDDED = False
    assert ids() == ["fl_server.E001"]
    with pytest.raises(ImproperlyConfigured, match=r"fl_server\.E001.*FL_POSTGRES_HOST"):
        checks.refuse_misconfiguration()


def test_a_data_folder_that_cannot_be_written_is_refused(settings: Settings) -> None:
    settings.FL_DATA_DIR_PROBLEM = "The data folder /nowhere cannot be made."
    assert ids() == ["fl_server.E002"]


def test_networks_of_proxies_are_networks(settings: Settings) -> None:
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5", "10.1.0.0/16", "fd00::/8"]
    assert ids() == []
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5/16", "proxy"]
    assert ids() == ["fl_server.E006", "fl_server.E006"]


def test_who_may_read_figures_is_a_network_or_hard_to_guess(settings: Settings) -> None:
    settings.FL_METRICS_NETWORKS = ["10.1.0.0/16"]
    settings.FL_METRICS_TOKEN = 20 * "x"
    assert ids() == []
    settings.FL_METRICS_NETWORKS = ["10.1.0.5/16", "prometheus"]
    settings.FL_METRICS_TOKEN = 19 * "x"
    assert ids() == ["fl_server.E009", "fl_server.E009", "fl_server.W008"]


def test_sign_in_at_a_provider_needs_a_client_there_and_tls(settings: Settings) -> None:
    settings.FL_OIDC_ISSUER = "http://login.example.org"
    assert ids() == ["fl_server.E008"]
    settings.FL_OIDC_CLIENT_ID = settings.FL_OIDC_CLIENT_SECRET = "x"
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W006"]
    settings.FL_OIDC_ISSUER = "https://login.example.org"
    assert ids() == []


def test_sign_in_at_a_provider_needs_its_library(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_OIDC_ISSUER = "http://login.example.org"
    settings.FL_OIDC_CLIENT_ID = settings.FL_OIDC_CLIENT_SECRET = "x"
    monkeypatch.setattr(checks, "find_spec", lambda _name: None)
    assert ids() == ["fl_server.E007"]


def test_a_proxy_that_is_not_trusted_is_a_warning_in_production(settings: Settings) -> None:
    settings.FL_BEHIND_TLS_PROXY = True
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W005"]
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5"]
    assert ids() == []


@pytest.mark.parametrize("names", [["nowhere.Model"], ["nowhere:Model.Inner"], ["nowhere.*"], ["Model"]])
def test_trust_in_what_is_not_installed_is_refused(settings: Settings, names: list[str]) -> None:
    settings.FL_TRUSTED_GLOBALS = ["numpy.ndarray", "getattr(numpy, 'ndarray')"]
    assert ids() == []
    settings.FL_TRUSTED_GLOBALS = names
    assert ids() == ["fl_server.E005"]


def test_a_trusted_module_that_fails_on_import_is_refused_with_its_name_and_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unlicensed.py").write_text("raise RuntimeError('no licence found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    settings.FL_TRUSTED_GLOBALS = ["unlicensed.Net", "numpy.ndarray"]
    with pytest.raises(ImproperlyConfigured, match=r"fl_server\.E005.*'unlicensed'.*RuntimeError: no licence found"):
        checks.refuse_misconfiguration()


def test_each_malformed_variable_is_an_error(settings: Settings) -> None:
    settings.FL_ENVIRONMENT_PROBLEMS = ["A is wrong.", "B is wrong."]
    assert ids() == ["fl_server.E003", "fl_server.E003"]


def test_a_secret_key_of_one_machine_is_a_warning_where_there_are_several(machines: None, settings: Settings) -> None:
    settings.FL_SECRET_KEY_IS_LOCAL = True
    assert ids() == ["fl_server.W001"]


def test_files_that_may_be_on_one_machine_alone_are_a_warning(machines: None, settings: Settings) -> None:
    settings.FL_SHARED_FILES = False
    assert ids() == ["fl_server.W002"]
    settings.FL_S3_BUCKET = "models"
    assert ids() == []


def test_origins_without_bounds_are_a_warning_in_production(settings: Settings) -> None:
    settings.CORS_ALLOW_ALL_ORIGINS = True
    assert ids() == []
    settings.FL_PRODUCTION = True
    assert ids() == ["fl_server.W003"]


def test_hsts_without_tls_is_a_warning_in_production(settings: Settings) -> None:
    settings.FL_PRODUCTION, settings.FL_BEHIND_TLS_PROXY, settings.SECURE_HSTS_SECONDS = True, False, 3600
    settings.FL_TRUSTED_PROXIES = ["10.1.0.5"]
    assert ids() == ["fl_server.W007"]
    settings.FL_BEHIND_TLS_PROXY = True
    assert ids() == []


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
        | {"FL_SILENCED_CHECKS": ",".join(f"fl_server.{number}" for number, _ in checks.WALLS.values())}
        | variables,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, "no issues" in done.stdout) == (0, True), done.stderr


def missing(*names: str) -> tuple[Wall, ...]:
    """What a system says of the sandbox's walls that lacks some of them."""
    return tuple(Wall(name, stops, name not in names, "x" * (name in names)) for name, stops in STOPS.items())


def test_each_wall_that_is_missing_is_a_warning_of_its_own_for_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "standing", missing)
    assert list(checks.check_walls()) == []
    monkeypatch.setattr(checks, "standing", lambda: missing("landlock", "uid", "memory"))
    messages = list(checks.check_walls())
    # Memory has a warning that every command shows.
    assert [message.id for message in messages] == ["fl_server.W030", "fl_server.W037"]
    assert all(f"add {message.id} to FL_SILENCED_CHECKS" in str(message.hint) for message in messages)
    assert all(message.level == WARNING for message in messages)
    assert checks.WALLS.keys() | {"system_calls", "memory", "cpu", "descriptors"} == STOPS.keys()
    assert len({number for number, _ in checks.WALLS.values()}) == len(checks.WALLS)


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


def test_traces_need_their_libraries_and_go_by_http(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_TRACING = True
    assert ids() == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert ids() == ["fl_server.W060"]
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL")
    monkeypatch.setattr("fl_server.tracing.find_spec", lambda _name: None)
    assert ids() == ["fl_server.E020"]
    settings.FL_TRACING = False
    assert ids() == []


def test_reports_of_errors_need_their_library_and_a_dsn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_PRODUCTION = True
    for dsn, found in (
        ("https://key@sentry.example/1", []),
        ("https://key@sentry.example/path/1", []),
        ("http://key@sentry.example/1", ["fl_server.W061"]),
        ("sentry.example", ["fl_server.E022"]),
        ("https://sentry.example/1", ["fl_server.E022"]),
        ("https://key@sentry.example/project", ["fl_server.E022"]),
        ("https://key@[sentry/1", ["fl_server.E022"]),
    ):
        settings.FL_SENTRY_DSN = dsn
        assert (dsn, ids()) == (dsn, found)
    monkeypatch.setattr("fl_server.reports.find_spec", lambda _name: None)
    assert ids() == ["fl_server.E021"]


def test_a_folder_in_a_bucket_is_a_plain_name_and_signed_addresses_want_tls(settings: Settings) -> None:
    settings.FL_PRODUCTION, settings.FL_S3_BUCKET = True, "models"
    settings.FL_S3_ENDPOINT_URL, settings.FL_S3_PUBLIC_ENDPOINT_URL = "http://store:9000", "https://store.example.org"
    for prefix in ("", "one", "servers/one-2.b_c"):
        settings.FL_S3_PREFIX = prefix
        assert ids() == []
    for prefix in ("a//b", "../b", "a b", "ü"):
        settings.FL_S3_PREFIX = prefix
        assert ids() == ["fl_server.E023"]
    settings.FL_S3_PREFIX, settings.FL_S3_PUBLIC_ENDPOINT_URL = "", ""
    assert ids() == ["fl_server.W064"]
    settings.FL_S3_DIRECT_SECONDS = 0
    assert ids() == []
    for address in ("store.example.org", "s3://store", "https://", "https://[store", "http://a b"):
        settings.FL_S3_ENDPOINT_URL = address
        assert (address, ids()) == (address, ["fl_server.E025"])


@pytest.mark.parametrize(
    ("device", "found"), [("cpu", []), ("auto", []), ("cuda:1", ["fl_server.E024"]), ("cpu:0", ["fl_server.W051"])]
)
def test_a_device_for_models_must_be_there_and_costs_walls(device: str, found: list[str], settings: Settings) -> None:
    """`cpu:0` stands for a GPU here; a machine that has one finds more."""
    settings.FL_INFERENCE_DEVICE = device
    if device not in ("cpu", "cpu:0") and not find_device("auto").is_cpu:
        pytest.skip("This machine has a GPU.")
    assert [message.id for message in checks.check_inference_device()] == found
