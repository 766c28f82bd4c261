"""The command line `fl`, against a server that is played by the test."""

import io
import json
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fl_server_client.cli import output
from fl_server_client.cli.train import _moment
from rich.console import Console

from tests.client.played_server import PlayedServer, Run

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("words", "call", "told"),
    [
        (["train", "start", "t"], "POST /api/trainings/t/start/", {"started": True, "id": "t"}),
        (["train", "stop", "t"], "POST /api/trainings/t/stop/", {"stopped": True, "id": "t"}),
        (["train", "resume", "t"], "POST /api/trainings/t/resume/", {"resumed": True, "id": "t"}),
        (
            ["train", "invite", "t", "anna"],
            "PUT /api/trainings/t/clients/",
            {"invited": True, "id": "t", "participants": ["u1"]},
        ),
        (
            ["train", "remove", "t", "u1"],
            "DELETE /api/trainings/t/clients/",
            {"removed": True, "id": "t", "participants": ["u1"]},
        ),
        (["participant", "accept", "t"], "POST /api/trainings/t/accept/", {"accepted": True, "id": "t"}),
        (["participant", "decline", "t"], "POST /api/trainings/t/decline/", {"declined": True, "id": "t"}),
        (["participant", "leave", "t"], "POST /api/trainings/t/leave/", {"left": True, "id": "t"}),
    ],
)
def test_what_was_done_is_told_in_words_and_as_json(
    fl: Run, server: PlayedServer, words: list[str], call: str, told: dict[str, Any]
) -> None:
    code, output, _ = fl(*words, "--json")
    assert (code, json.loads(output)) == (0, told)
    assert server.calls()[-1] == call
    assert server.asked[-1].headers["Authorization"] == "Token key"
    code, output, _ = fl(*words)
    assert code == 0
    assert output.rstrip().endswith((".", "fl train status."))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["login", "ftp://x", "--username", "a", "--password", "b"], "'ftp://x' must be an address such as"),
        (["train", "create", "m", "--rounds", 1, "--participant", "ben"], "The server knows no user ben."),
        (["train", "create", "m", "--rounds", 1, "--option", "mu"], "'mu' must be an option such as"),
        (["train", "create", "m", "--rounds", 1, "--option", "a=1", "--option", "a.b=1"], "a already has a value"),
        (["train", "create", "m", "--rounds", 0], "is not in the range"),
        (["model", "push", "none.pt"], "'none.pt' does not exist"),
        (["model", "push", "model.pt", "--input-shape", "x"], "'x' must be a shape such as"),
        (
            ["model", "pull", "m", "-o", "no/folder/model.pt"],
            "model.pt can't be written: the folder no/folder doesn't exist.",
        ),
        (["model", "pull", "m", "-o", "."], ". is a folder: name the file to write."),
        (
            ["train", "create", "m", "--rounds", 1, "--start"],
            "--start needs participants: name them with --participant. Or create the training without --start, "
            "add them with fl train invite",
        ),
        (["predict", "m", "none.png"], "The file none.png doesn't exist."),
        (["predict", "m", "bad.json"], "bad.json must be JSON"),
        (["predict", "m", "bad.npy"], "bad.npy must be an array that numpy has saved"),
        (["participant", "run", "nothing"], "'nothing' must be a module and a class"),
        (["participant", "run", "no_module:Clinic"], "no_module:Clinic can't be loaded"),
        (["participant", "run", "json:JSONDecoder"], "must be a Participant of fl_server_client"),
        (["participant", "run", "clinic:Clinic", "--listen", "x:y"], "'x:y' must be an address such as"),
        (["participant", "run", "clinic:Clinic", "--listen", "0.0.0.0:8101"], "name the endpoint"),
        (["participant", "run", "clinic:Clinic", "--username", "a"], "FL_PASSWORD"),
        (["participant", "run", "clinic:Clinic", "--server", "http://other"], "Sign in first: fl login http://other"),
        (
            ["participant", "run", "broken:Clinic"],
            "broken:Clinic can't be loaded: ZeroDivisionError: division by zero (broken.py, line 1)",
        ),
    ],
)
def test_bad_input_gives_a_sentence_and_exit_code_2(
    fl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[object], sentence: str
) -> None:
    monkeypatch.delenv("FL_PASSWORD", raising=False)
    for name in ("model.pt", "bad.json", "bad.npy"):
        (tmp_path / name).write_bytes(b"?")
    (tmp_path / "clinic.py").write_text("from fl_server_client import Participant\nclass Clinic(Participant): pass\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    code, output, error = fl(*words)
    assert (code, output) == (2, "")
    assert sentence in " ".join(error.replace("│", " ").split())
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "create"], "Missing argument 'model'. (fl train create --help explains the arguments)"),
        (["train", "nope"], "No such command 'nope'. (fl train --help explains the arguments)"),
        (["--nope"], "No such option: --nope (fl --help explains the arguments)"),
    ],
)
def test_wrong_arguments_are_a_sentence_that_says_where_the_help_is(fl: Run, words: list[str], sentence: str) -> None:
    assert fl(*words) == (2, "", f"{sentence}\n")


def test_without_arguments_the_help_is_printed(fl: Run) -> None:
    code, output, error = fl("train")
    assert code == 2
    assert "Start a training." in output + error
    assert "explains the arguments" not in error


def test_a_refusal_is_a_sentence(fl: Run, server: PlayedServer) -> None:
    server.answers["POST /api/trainings/t/start/"] = httpx.Response(404, json={"detail": "Training t not found."})
    assert fl("train", "start", "t") == (2, "", "404: Training t not found.\n")


def test_signing_in_keeps_the_token_where_only_its_user_can_read_it(
    fl: Run, server: PlayedServer, tmp_path: Path
) -> None:
    server.answers["GET /api/users/myself/"] = {"id": "u1"}
    server.answers["GET /api/users/u1/"] = {"id": "u1", "username": "anna", "token": "fresh"}
    code, output, _ = fl("login", "http://new.example.org", "--username", "anna", "--password", "x", "--json")
    assert (code, json.loads(output)) == (0, {"server": "http://new.example.org", "id": "u1", "username": "anna"})
    path = tmp_path / "config" / "login.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    fl("model", "list")
    assert server.asked[-1].url.host == "new.example.org"
    assert server.asked[-1].headers["Authorization"] == "Token fresh"


@pytest.mark.parametrize(("words", "about"), [([], {}), (["--invitation", "code"], {"invitation": "code"})])
def test_registering_creates_the_account_and_keeps_its_token(
    fl: Run, server: PlayedServer, words: list[str], about: dict[str, str]
) -> None:
    server.answers["POST /api/users/"] = {"id": "u2", "username": "ben", "token": "fresh"}
    code, output, _ = fl("register", "http://new.example.org", "--username", "ben", "--password", "x", *words, "--json")
    assert (code, json.loads(output)) == (0, {"server": "http://new.example.org", "id": "u2", "username": "ben"})
    assert json.loads(server.asked[-1].content) == {
        "username": "ben",
        "password": "x",
        "message_endpoint": "",
        **about,
    }
    fl("model", "list")
    assert server.asked[-1].url.host == "new.example.org"
    assert server.asked[-1].headers["Authorization"] == "Token fresh"


def test_a_refused_registration_keeps_the_login_of_before(fl: Run, server: PlayedServer) -> None:
    refusal = {"detail": "You need an invitation to register here."}
    server.answers["POST /api/users/"] = httpx.Response(403, json=refusal)
    server.answers["GET /api/users/myself/"] = httpx.Response(401, json={"detail": "Invalid username/password."})
    code, _, error = fl("register", "http://new.example.org", "--username", "ben", "--password", "x")
    assert (code, error) == (2, "403: You need an invitation to register here.\n")
    fl("model", "list")
    assert server.asked[-1].url.host == "fl.example.org"


def test_signing_out_forgets_the_token(fl: Run, server: PlayedServer) -> None:
    assert json.loads(fl("logout", "--json")[1]) == {"signed_out": True}
    assert json.loads(fl("logout", "--json")[1]) == {"signed_out": False}
    code, _, error = fl("model", "list")
    assert (code, error) == (2, "Sign in first: fl login <server>, or set FL_SERVER and FL_TOKEN.\n")
    assert server.asked == []


def test_a_token_goes_to_its_own_server_only(fl: Run, server: PlayedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FL_SERVER", "http://elsewhere.example.org")
    assert fl("model", "list")[0] == 2
    assert server.asked == []
    monkeypatch.setenv("FL_TOKEN", "its own")
    assert fl("model", "list")[0] == 0
    assert server.asked[-1].headers["Authorization"] == "Token its own"


def test_a_damaged_file_says_what_to_do(fl: Run, tmp_path: Path) -> None:
    (tmp_path / "config" / "login.json").write_text("{")
    code, _, error = fl("model", "list")
    assert code == 2
    assert "sign in again with fl login" in error


@pytest.mark.parametrize("terminal", [True, False])
def test_ids_are_on_one_line_to_copy_them(
    fl: Run, server: PlayedServer, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    training, model = "bfc5c267-50f9-4be7-9128-67d57ed74465", "6b177622-6f8c-490a-9447-14b2c2dfa932"
    out = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=out, width=80, force_terminal=terminal, color_system=None))
    row = {"id": training, "state": "O", "aggregation_method": "FedProx", "target_num_updates": 5, "model": model}
    server.answers["GET /api/trainings/"] = [row]
    fl("train", "list")
    assert training in out.getvalue()
    assert (model in out.getvalue()) is not terminal  # two ids don't fit 80 columns
    assert terminal is (max(map(len, out.getvalue().splitlines())) <= 80)


@pytest.mark.parametrize(
    ("words", "call", "titles"),
    [
        (["train", "list"], "GET /api/trainings/", ["id", "state", "aggregation", "rounds", "model"]),
        (["participant", "invitations"], "GET /api/users/invitations/", ["training", "actor", "model"]),
        (
            ["model", "versions", "m"],
            "GET /api/models/m/versions/",
            ["version", "created", "size", "available", "name", "metrics"],
        ),
    ],
)
def test_columns_have_words_as_titles(
    fl: Run, server: PlayedServer, words: list[str], call: str, titles: list[str]
) -> None:
    row = {"target_num_updates": 5, "global_model_uuid": "m", "state": "O"}
    server.answers[call] = [row]
    heading = fl(*words)[1].splitlines()[1]
    assert [title.strip() for title in heading.strip("┃").split("┃")] == titles
    assert json.loads(fl(*words, "--json")[1]) == [row]


def test_a_training_that_is_over_has_nothing_to_watch(fl: Run, server: PlayedServer) -> None:
    server.answers["GET /api/trainings/t/status/"] = {
        "state": "C",
        "round": 12,
        "rounds_closed": 4,
        "target_num_updates": 10,
    }
    code, output, _ = fl("train", "watch", "t")
    assert (code, output) == (
        0,
        "The training is completed, after 4 of 10 rounds. Its figures: fl train compare t\n",
    )


def test_options_are_typed_as_json_or_text_and_in_groups(fl: Run, server: PlayedServer) -> None:
    server.answers["POST /api/trainings/"] = {"training_id": "t"}
    words = ["--option", "mu=0.1", "--option", "aggregation.clipping_norm=2", "--option", "note=a b"]
    assert json.loads(fl("train", "create", "m", "--rounds", 2, *words, "--json")[1]) == {"id": "t"}
    body = json.loads(server.asked[-1].content)
    assert body["options"] == {"mu": 0.1, "aggregation": {"clipping_norm": 2}, "note": "a b"}
    assert (body["target_num_updates"], body["clients"], body["aggregation_method"]) == (2, [], "FedAvg")


def test_a_prediction_is_shown_with_four_digits(fl: Run, server: PlayedServer, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text("[[1]]")
    server.answers["POST /api/inference/"] = {
        "inference": [[-0.28382712602615356, 12345.678]],
        "uncertainty": {"std": [[0.15731464326381683, 2.0]]},
    }
    _, output, _ = fl("predict", "m", "inputs.json")
    [row] = [line for line in output.splitlines() if line.startswith("│")]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["0", "[-0.2838, 1.235e+04]", "[0.1573, 2]"]


def test_a_prediction_of_a_numpy_file_is_sent_as_numbers(fl: Run, server: PlayedServer, tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "x.npy", np.array([[1.0, 2.0]]))
    server.answers["POST /api/inference/"] = {"inference": [1], "uncertainty": {"variance": [0.5]}}
    assert json.loads(fl("predict", "m", "x.npy", "--json")[1]) == {
        "inference": [1],
        "uncertainty": {"variance": [0.5]},
    }
    assert json.loads(server.asked[-1].content) == {"model_id": "m", "model_input": [[1.0, 2.0]]}
    assert "variance" in fl("predict", "m", "x.npy")[1]


def test_the_shell_can_complete_commands(fl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FL_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "fl train ")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert {"create", "start", "watch", "stop", "compare"} <= set(fl()[1].split())


def test_a_time_is_shown_to_the_second_in_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "UTC")
            time.tzset()
            assert _moment("2026-11-29T22:26:01.588815+01:00") == "2026-11-29 21:26:01 UTC"
    finally:
        time.tzset()
