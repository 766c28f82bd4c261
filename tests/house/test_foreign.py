"""Environment variables that look like settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fl_server.settings.config_file import setting_names
from fl_server.settings.foreign import OF_OTHERS, unknown_variables
from tests.server_process import REPOSITORY, run_manage, server_environment

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FL_REDIS_HOTS", " Did you mean FL_REDIS_HOST?"),
        ("FL_POSTGRES_PASSWORD", " Did you mean FL_POSTGRES_PASSWD?"),
        ("FL_POSTGRES_PASSWORD_FILE", " Did you mean FL_POSTGRES_PASSWD_FILE?"),
        ("fl_web_threads", " Did you mean FL_WEB_THREADS?"),
        ("FL_COLOUR", ""),
    ],
)
def test_a_misspelt_variable_is_named_with_what_was_meant(name: str, meant: str) -> None:
    assert unknown_variables({name: "1", "FL_WEB_WORKERS": "2"}) == [f"{name} isn't a setting.{meant}"]


def test_settings_and_what_others_read_are_left_alone() -> None:
    names = [*setting_names(), *OF_OTHERS]
    assert unknown_variables(dict.fromkeys([*names, *(f"{name}_FILE" for name in names)], "1")) == []
    assert unknown_variables({"PATH": "/bin", "FLAGS": "1"}) == []


def test_what_compose_and_caddy_read_is_known() -> None:
    for file in ("docker-compose.yml", "deploy/caddy/Caddyfile"):
        text = (REPOSITORY / file).read_text(encoding="utf-8")
        names = set(re.findall(r"\bFL_[A-Z0-9_]+", text))
        assert unknown_variables(dict.fromkeys(names, "1")) == []


def test_what_kubernetes_adds_for_a_service_called_fl_server_is_left_alone() -> None:
    added = {
        "FL_SERVER_SERVICE_HOST": "10.0.0.11",
        "FL_SERVER_SERVICE_PORT": "80",
        "FL_SERVER_SERVICE_PORT_HTTP": "80",
        "FL_SERVER_PORT": "tcp://10.0.0.11:80",
        "FL_SERVER_PORT_80_TCP": "tcp://10.0.0.11:80",
        "FL_SERVER_PORT_80_TCP_ADDR": "10.0.0.11",
    }
    assert unknown_variables(added) == []
    assert unknown_variables({"FL_MAIL_PORT": "25"}) == ["FL_MAIL_PORT isn't a setting. Did you mean FL_EMAIL_PORT?"]


def test_commands_warn_of_it_at_their_start(tmp_path: Path) -> None:
    done = run_manage("check", environment=server_environment(tmp_path) | {"FL_WEB_THREDS": "8"})
    assert (done.returncode, "fl_server.W052" in done.stderr) == (0, True)
    assert "FL_WEB_THREDS isn't a setting. Did you mean FL_WEB_THREADS?" in done.stderr
