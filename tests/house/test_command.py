"""The command `fl-server`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from fl_server.processes.whole_worker import start_or_end
from fl_server_command import main as command
from fl_server_command.main import QUEUES, main, worker_arguments
from fl_server_command.overview import OURS, other_commands, overview
from tests.server_process import REPOSITORY, server_environment

pytestmark = pytest.mark.once


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_help_lists_our_commands_first_with_a_line_each_and_then_all_others(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    shown = capsys.readouterr().out
    listed = re.findall(r"^  (\S+)  +\S", shown, re.MULTILINE)
    assert listed[:2] == ["serve", "demo"]
    assert len(listed) == len(set(listed))
    (others,) = re.findall(r"^Also: (.*)$", shown, re.MULTILINE)
    ours = {path.stem for path in (REPOSITORY / "fl_server/management/commands").glob("[!_]*.py")}
    assert ours < set(listed)
    assert {*listed, *others.split(", ")} == {*get_commands(), "demo", "config", "worker", "beat"}
    assert not set(listed) & set(others.split(", "))


def test_lines_of_the_help_fit_a_terminal() -> None:
    assert [line for line in overview().splitlines() if len(line) > 120 and not line.startswith("Also: ")] == []


def test_an_unknown_command_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["servr"]) == 2
    sentence = "fl-server has no command 'servr'. Did you mean serve? `fl-server --help` lists all.\n"
    assert capsys.readouterr().err == sentence
    assert main(["xyzzy"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


def test_a_worker_of_a_queue_gets_what_suits_it_and_what_is_given_comes_last() -> None:
    assert sorted(QUEUES) == sorted(queue.name for queue in settings.CELERY_TASK_QUEUES)
    assert worker_arguments([]) == ["worker"]
    assert worker_arguments(["compute", "-c", "1"]) == ["worker", "--queues", "celery", "-c", "1"]
    assert worker_arguments(["--queues", "control"]) == ["worker", "--queues", "control"]
    assert worker_arguments(["notifications", "--concurrency", "8"]) == [
        *("worker", "--queues", "notifications", "--pool", "threads", "--concurrency", "32"),
        *("--concurrency", "8"),
    ]


@pytest.mark.parametrize("words", [["worker", "control", "-l", "INFO"], ["beat"]])
def test_celery_gets_its_arguments_and_the_production_settings(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr("celery.__main__.main", lambda: seen.append(sys.argv))
    monkeypatch.setattr(sys, "argv", ["fl-server"])
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    assert main(words) == 0
    assert seen[0][:4] == ["fl-server", "-A", "fl_server", words[0]]  # with text, Celery's banner is shown
    assert seen[0][-1] == words[-1]
    # Of two workers of one name on a machine, Celery's commands reach one.
    names = [word for word in seen[0] if word.startswith("--hostname")]
    assert names == ([f"--hostname=control.{os.getpid()}@%h"] if words[0] == "worker" else [])
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "fl_server.settings.production"


def test_commands_of_django_run_with_the_development_settings_and_their_own_help(tmp_path: Path) -> None:
    script = "from django.conf import settings as s; print('module', s.SETTINGS_MODULE)"
    shell = run("shell", "-v", "0", "-c", script, data=tmp_path)
    assert (shell.returncode, shell.stdout.splitlines()[-1]) == (0, "module fl_server.settings.development")
    assert run("help", "invite", data=tmp_path).stdout.startswith("usage: fl-server invite ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["serve", "--port", "x"], "argument --port: invalid int value: 'x'"),
        (["audit", "verify", "--nope"], "unrecognized arguments: --nope"),
        (["createsuperuser", "--nope"], "unrecognized arguments: --nope"),
        (["demo", "--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_wrong_arguments_are_a_sentence_that_says_where_the_help_is(
    words: list[str], sentence: str, tmp_path: Path
) -> None:
    done = run(*words, data=tmp_path)
    told = f"{sentence} (fl-server {words[0]} --help explains the arguments)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


@pytest.mark.parametrize("words", [["worker", "--nope"], ["beat", "--nope"]])
def test_celerys_sentences_name_our_command(words: list[str], tmp_path: Path) -> None:
    done = run(*words, data=tmp_path, start=[str(Path(sys.executable).with_name("fl-server"))])
    assert done.returncode == 2
    assert f"Try 'fl-server {words[0]} --help' for help." in done.stderr


@pytest.mark.parametrize("words", [[], ["all"]])
def test_a_worker_without_redis_is_refused_with_a_sentence(words: list[str], tmp_path: Path) -> None:
    done = run("worker", *words, data=tmp_path)
    assert done.returncode != 0
    assert "No broker is set (FL_REDIS_HOST)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_for_all_queues_takes_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "all", "--concurrency", "8"]) == 2
    assert "takes no options" in capsys.readouterr().err


def test_a_worker_that_does_not_exist_is_a_sentence_that_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "computes"]) == 2
    sentence = "There is no worker 'computes'. Say one of: compute, celery, notifications, control, all.\n"
    assert capsys.readouterr().err == sentence


def test_a_worker_for_all_queues_that_finds_no_broker_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unready:
        def start(self) -> None:
            raise RuntimeError("did not start")

    monkeypatch.setattr("fl_server.processes.whole_worker.os._exit", sys.exit)
    with pytest.raises(SystemExit, match="1"):
        start_or_end(Unready())  # type: ignore[arg-type]  # no more of it is used
    assert "Is Redis running where FL_REDIS_HOST" in capsys.readouterr().err


def test_a_database_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    empty = run("retention", data=tmp_path)
    assert (empty.returncode, empty.stdout) == (1, "")
    assert empty.stderr.startswith("The database can't be used: no such table")
    assert "`fl-server migrate`" in empty.stderr
    assert "Traceback" not in empty.stderr
    assert "Traceback" in run("retention", "--traceback", data=tmp_path).stderr


def test_config_prints_a_file_and_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    assert "#FL_REDIS_PORT = 6379\n" in capsys.readouterr().out
    assert main(["config", "--help"]) == 0
    assert "prints a settings file" in capsys.readouterr().out
    assert main(["config", "FL_REDIS_PORT"]) == 2
    told = capsys.readouterr()
    assert (told.out, "It takes no arguments." in told.err) == ("", True)  # `> fl-server.toml` must not get a sentence


def test_no_command_of_ours_hides_one_of_django() -> None:
    assert not command.OWN.keys() & {*get_commands()}
    assert not OURS.keys() & {*other_commands()}


@pytest.mark.parametrize("command", ["check", "beat"])
@pytest.mark.parametrize("module", ["nothing", "fl_server.settings.produktion"])
def test_settings_that_do_not_exist_are_refused_with_a_sentence(module: str, command: str, tmp_path: Path) -> None:
    done = run(command, data=tmp_path, DJANGO_SETTINGS_MODULE=module)
    sentence = f"DJANGO_SETTINGS_MODULE={module}: no such module. Use fl_server.settings.development or "
    assert (done.returncode, done.stderr) == (1, f"{sentence}fl_server.settings.production.\n")


MODULE = (sys.executable, "-m", "fl_server_command")


def run(*words: str, data: Path, start: Sequence[str] = MODULE, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*start, *words],
        cwd=REPOSITORY,
        env={**server_environment(data), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
