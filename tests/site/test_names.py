"""What the pages name exists: files, settings, calls of the API, commands, system checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fl_server.settings.config_file import setting_names
from fl_server_api.operations import OPERATIONS
from fl_server_command.overview import OURS, other_commands
from tests.documents import REPOSITORY
from tests.site.blocks import pages

pytestmark = pytest.mark.once

ELSEWHERE = {
    "FL_SERVER": "the client package",
    "FL_TOKEN": "the client package",
    "FL_PASSWORD": "the client package and the demo",
    "FL_DOMAIN": "docker-compose.yml",
    "FL_TLS": "docker-compose.yml",
    "FL_TEST_DATABASE": "the tests",
}
"""Variables that aren't settings of the server, and who reads them."""
PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))


def found(page: Path, pattern: str) -> Iterator[re.Match[str]]:
    return re.finditer(pattern, page.read_text(encoding="utf-8"))


@PAGES
def test_files_of_the_repository_exist(page: Path) -> None:
    folders = r"`((?:fl_server\w*|tests|docs|deploy|benchmarks|examples|clients)/[\w./-]+)`"
    named = [match[1] for match in found(page, folders)]
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@PAGES
def test_settings_and_commands_exist(page: Path) -> None:
    known, commands = {*setting_names(), *ELSEWHERE}, {*OURS, *other_commands(), "COMMAND"}
    named = {match[1].removesuffix("_FILE") for match in found(page, r"\b(FL_[A-Z0-9_]*[A-Z0-9])\b(?!…|_|\*)")}
    assert named - known == set()
    asked = {match[1] for match in found(page, r"`fl-server (\w+)")}
    assert asked - commands == set()


@PAGES
def test_defaults_in_tables_are_those_of_the_settings(page: Path) -> None:
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    defaults = dict(re.findall(r"^#? ?([A-Z_0-9]+)=([^#\n]*)", example, re.MULTILINE))
    assert len(defaults) > 100
    told = {
        match[1]: match[2].replace(",", "") for match in found(page, r"`(FL_\w+)`(?: \| | \()`?([\d,]+)`?(?: \||\))")
    }
    assert {name: value for name, value in told.items() if defaults[name].strip() != value} == {}


@PAGES
def test_calls_of_the_api_exist(page: Path) -> None:
    known = {(verb, re.sub(r"{\w+}", "<>", f"/api/{path}")) for path, verbs in OPERATIONS.items() for verb in verbs}
    named = found(page, r"`(GET|POST|PUT|PATCH|DELETE) (/api/(?!schema/)(?:<[^>]*>|[^`?\s<])*)")
    calls = {
        (match[1], re.sub(r"/versions/\d+/", "/versions/<>/", re.sub(r"<[^>]*>", "<>", match[2]))) for match in named
    }
    assert calls - known == set()


@PAGES
def test_system_checks_exist(page: Path) -> None:
    assert [match[1] for match in found(page, r"\b([EW]0\d\d)\b") if match[1] not in code_of_the_checks()] == []


@cache
def code_of_the_checks() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "fl_server").rglob("*.py"))
