"""How a line of the log is written."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fl_server.settings import logging as log_settings
from fl_server.settings.environment import Environment
from fl_server.telemetry.log_lines import MOST_CHARACTERS, line_formatter
from fl_server_core.log_context import bind_ids, bound_ids, bound_ids_now, log_scope

FORGED = "ada\n2026-01-01T00:00:00+00:00 CRITICAL root: forged\x1b[2J\x9b\x7f\u2028\u202e"


def written(style: str, message: str, *arguments: object, error: Exception | None = None, **extra: object) -> str:
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord("fl_server.some", logging.WARNING, __file__, 1, message, arguments, exc_info)
    record.created = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC).timestamp()
    record.__dict__.update(extra)
    return line_formatter(style).format(record)


def failed(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_json_is_an_object_for_each_line_with_the_ids_that_are_bound() -> None:
    with log_scope(request_id="r-1", training_id=None):
        bind_ids(round=3)
        line = written("json", "%s is open.", "Round 3", delivery_id="d-1", password="never-named")
    assert json.loads(line) == {
        "time": "2026-03-04T05:06:07.089+00:00",
        "level": "warning",
        "logger": "fl_server.some",
        "message": "Round 3 is open.",
        "request_id": "r-1",
        "round": 3,
        "delivery_id": "d-1",
    }


def test_text_is_a_line_for_people() -> None:
    with log_scope(request_id="r-1"):
        line = written("text", "Done.", address="", task="a b")
    head = "2026-03-04T05:06:07.089+00:00 WARNING  fl_server.some: Done."
    assert line == f'{head} address="" request_id=r-1 task="a b"'


@pytest.mark.parametrize("style", ["json", "text"])
def test_what_people_write_can_neither_forge_a_line_nor_reach_a_terminal(style: str) -> None:
    line = written(style, "%s came.", FORGED, address=FORGED)
    assert line.isprintable()
    with log_scope(request_id=FORGED):
        line = written(style, "It failed.", error=failed(FORGED))
    heads = [part for part in line.split("\n") if not part.startswith("    | ")]
    assert len(heads) == 1
    assert all(part.isprintable() for part in line.split("\n"))
    assert "ValueError: ada" in line
    if style == "json":
        assert json.loads(line)["exception"].endswith(FORGED)


def test_long_values_are_cut_and_a_traceback_keeps_its_end() -> None:
    line = json.loads(written("json", "x" * 10**6, error=failed("y" * 10**6 + " the end")))
    assert len(line["message"]) == MOST_CHARACTERS + 1
    assert (len(line["exception"]), line["exception"][-7:]) == (MOST_CHARACTERS, "the end")


def test_a_scope_takes_nothing_over_and_leaves_nothing_behind() -> None:
    with log_scope(request_id="outer", user_id="u"):
        with log_scope(request_id="inner"):
            bind_ids(training_id="t")
            with bound_ids(round=0):
                assert bound_ids_now() == {"request_id": "inner", "training_id": "t", "round": 0}
            assert bound_ids_now() == {"request_id": "inner", "training_id": "t"}
        assert bound_ids_now() == {"request_id": "outer", "user_id": "u"}
    assert bound_ids_now() == {}


@pytest.mark.parametrize(
    ("is_production", "is_terminal", "chosen", "style"),
    [
        (False, False, "", "text"),
        (True, False, "", "json"),
        (True, True, "", "text"),
        (True, False, "text", "text"),
        (False, True, "json", "json"),
    ],
)
def test_production_writes_json_but_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, is_production: bool, is_terminal: bool, chosen: str, style: str
) -> None:
    monkeypatch.setattr(log_settings, "is_terminal", lambda: is_terminal)
    made = log_settings.logging_settings(
        Environment({"FL_LOG_FORMAT": chosen}), log_file=Path("/nowhere"), is_production=is_production
    )
    assert made["formatters"]["line"]["style"] == style


def test_a_process_without_stderr_has_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert log_settings.is_terminal() is False


def test_a_record_is_formatted_once_for_all_handlers_that_share_a_formatter() -> None:
    record = logging.LogRecord("fl_server.some", logging.WARNING, __file__, 1, "Round 3 is open.", (), None)
    text = line_formatter("text")
    with log_scope(request_id="r-1"):
        line = text.format(record)
    assert "request_id=r-1" in line
    assert text.format(record) is line  # here, no request is bound any more
    assert json.loads(line_formatter("json").format(record))["message"] == "Round 3 is open."
