"""Settings read from environment variables."""

from pathlib import Path
from typing import Any

import pytest

from fl_server.settings.environment import Environment

pytestmark = pytest.mark.once


def test_a_variable_that_is_not_set_or_empty_gives_the_default() -> None:
    env = Environment({"EMPTY": "", "BLANK": "  "})
    assert env.text("MISSING", "a") == "a"
    assert env.text("EMPTY", "a") == "a"
    assert env.integer("BLANK", 7) == 7
    assert env.problems == []


def test_a_secret_comes_from_the_file_that_its_file_variable_names_without_the_final_newline(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("$ecret with = signs\n", encoding="utf-8")
    env = Environment({"PASSWD_FILE": str(secret), "PASSWD": "the file wins"})
    assert env.text("PASSWD") == "$ecret with = signs"


def test_a_file_that_cannot_be_read_is_a_problem_and_not_a_traceback(tmp_path: Path) -> None:
    env = Environment({"PASSWD_FILE": str(tmp_path / "missing")})
    assert env.text("PASSWD", "") == ""
    assert len(env.problems) == 1
    assert "PASSWD_FILE" in env.problems[0]


def test_lines_are_stripped_and_empty_ones_dropped() -> None:
    assert Environment({"HOSTS": "a.example\n\n  b.example \n"}).lines("HOSTS") == ["a.example", "b.example"]


def test_words_may_stand_on_lines_or_between_commas() -> None:
    assert Environment({"NAMES": "a.B, c.D\ne.F"}).words("NAMES") == ["a.B", "c.D", "e.F"]


@pytest.mark.parametrize(("word", "value"), [("1", True), ("TRUE", True), ("on", True), ("0", False), ("No", False)])
def test_booleans_are_words(word: str, value: bool) -> None:
    env = Environment({"FLAG": word})
    assert env.boolean("FLAG", not value) is value
    assert env.problems == []


@pytest.mark.parametrize("word", ["ten", "1.5", "-1", "1e400", "nan"])
def test_a_malformed_whole_number_leaves_the_default_and_a_sentence(word: str) -> None:
    env = Environment({"COUNT": word})
    assert env.integer("COUNT", 3) == 3
    assert env.problems == [f"COUNT must be a whole number of at least 0, not {word!r}."]


@pytest.mark.parametrize(
    ("read", "default", "word", "most"),
    [
        (Environment.days, 90, "36501", 36_500),
        (Environment.port, 5432, "65536", 65_535),
        (Environment.integer, 5, "99999999999999999999", 10**9),
        (Environment.seconds, 5.0, "1e10", 10**9),
    ],
)
def test_a_number_beyond_all_use_is_refused_before_a_date_or_a_socket_fails(
    read: Any, default: float, word: str, most: int
) -> None:
    env = Environment({"COUNT": word})
    assert read(env, "COUNT", default) == default
    (problem,) = env.problems
    assert problem.endswith(f"of at most {most}, not {word!r}.")


@pytest.mark.parametrize("word", ["inf", "nan", "-0.5", "5 s"])
def test_a_malformed_time_leaves_the_default_and_a_sentence(word: str) -> None:
    env = Environment({"WAIT": word})
    assert env.seconds("WAIT", 2.5) == 2.5
    assert env.problems == [f"WAIT must be a number of at least 0.0, not {word!r}."]


def test_a_list_of_times_is_taken_as_a_whole_or_not_at_all() -> None:
    assert Environment({"PAUSES": "2, 8,0.5"}).all_seconds("PAUSES", [1]) == [2, 8, 0.5]
    env = Environment({"PAUSES": "2,x,8"})
    assert env.all_seconds("PAUSES", [1]) == [1]
    assert len(env.problems) == 1


def test_a_flag_that_is_no_word_of_yes_or_no_leaves_the_default_and_a_sentence() -> None:
    env = Environment({"FLAG": "maybe"})
    assert env.boolean("FLAG", True) is True
    assert env.problems == ["FLAG must be true or false, not 'maybe'."]


def test_a_choice_may_be_written_in_any_case_and_is_one_of_its_words() -> None:
    env = Environment({"LEVEL": "debug", "OTHER": "loud"})
    assert env.choice("LEVEL", "INFO", ("DEBUG", "INFO")) == "DEBUG"
    assert env.choice("OTHER", "INFO", ("DEBUG", "INFO")) == "INFO"
    assert env.problems == ["OTHER must be one of DEBUG, INFO, not 'LOUD'."]


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../etc/passwd", "Europe"])
def test_a_time_zone_is_one_that_this_machine_knows(zone: str) -> None:
    env = Environment({"ZONE": zone})
    assert env.time_zone("ZONE", "UTC") == "UTC"
    assert env.problems == [f"ZONE must name a time zone such as Europe/Berlin, not {zone!r}."]
    assert Environment({"ZONE": "Asia/Tokyo"}).time_zone("ZONE", "UTC") == "Asia/Tokyo"


def test_ports_are_a_list_of_numbers() -> None:
    env = Environment({"PORTS": "8101, 8102\n65535"})
    assert (env.ports("PORTS"), env.ports("MISSING"), env.problems) == ([8101, 8102, 65535], [], [])


@pytest.mark.parametrize("words", ["http", "0", "65536", "-1", "80 8x", "8100-8200", "\u0661", "1" * 5000])
def test_what_is_not_a_port_is_a_problem(words: str) -> None:
    env = Environment({"PORTS": words})
    assert env.ports("PORTS") == []
    assert env.problems == [f"PORTS must be a list of numbers from 1 to 65535, not {words!r}."]


def test_bytes_that_are_no_text_are_refused_at_the_start_and_not_by_the_first_request() -> None:
    env = Environment({"TOKEN": "caf\udce9"})
    assert env.text("TOKEN") == ""
    assert env.problems == ["TOKEN has bytes that aren't UTF-8."]
    assert Environment({"TOKEN": "café"}).text("TOKEN") == "café"
