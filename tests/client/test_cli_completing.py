"""What `fl` adds to the server's refusals and answers, so that a person can go on."""

import io
import json
import re
from pathlib import Path

import httpx
import pytest
from fl_server_client.cli import output, train
from rich.console import Console

from tests.client.played_server import PlayedServer, Run
from tests.server_process import REPOSITORY

pytestmark = pytest.mark.once
CREATE = ("train", "create", "m", "--rounds", 1)


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_training_that_was_created_and_not_started_is_named(fl: Run, server: PlayedServer, words: list[str]) -> None:
    server.answers["POST /api/trainings/"] = {"training_id": "t"}
    server.answers["POST /api/trainings/t/start/"] = httpx.Response(400, json=["At least one participant!"])
    code, output, error = fl(*CREATE, "--participant", "anna", "--start", *words)
    assert (code, output) == (2, '{\n  "id": "t"\n}\n' if words else "The training's id is t.\n")
    assert error == (
        "400: At least one participant! Training t exists, but isn't started. "
        "Start it once the reason is gone, or the participants have accepted: fl train start t\n"
    )


def test_nothing_is_created_if_a_start_has_no_participants(fl: Run, server: PlayedServer) -> None:
    assert fl(*CREATE, "--start")[0] == 2
    assert server.asked == []


@pytest.mark.parametrize(
    ("field", "words", "schema", "methods"),
    [
        ("aggregation_method", ["--aggregation", "FedAverage"], "AggregationMethodEnum", ["FedAvg", "Own"]),
        ("uncertainty_method", ["--uncertainty", "FedAverage"], "UncertaintyMethod", ["NONE", "Own"]),
    ],
)
def test_an_unknown_method_is_answered_with_those_that_the_server_has(
    fl: Run, server: PlayedServer, field: str, words: list[str], schema: str, methods: list[str]
) -> None:
    refusal = {field: ['"FedAverage" is not a valid choice.']}
    server.answers["POST /api/trainings/"] = httpx.Response(400, json=refusal)
    sentence = f'400: {field}: "FedAverage" is not a valid choice. '
    assert fl(*CREATE, *words)[2] == f"{sentence}It has those that fl train create --help names.\n"
    server.answers["GET /api/schema/"] = {"components": {"schemas": {schema: {"enum": methods}}}}
    assert fl(*CREATE, *words) == (2, "", f"{sentence}It has {methods[0]}, Own.\n")


def test_the_help_names_the_methods_that_come_with_the_server() -> None:
    document = (REPOSITORY / "docs/openapi.yaml").read_text()
    for name, said in (("AggregationMethodEnum", train.AGGREGATIONS), ("UncertaintyMethod", train.UNCERTAINTIES)):
        [choices] = re.findall(rf"\n    {name}:\n      enum:\n((?:      - .*\n)+)", document)
        assert said.partition(";")[0].split(", ") == re.findall(r"- (\w+)", choices)


@pytest.mark.parametrize(
    ("verb", "refusal", "state", "sentence"),
    [
        ("start", "Training t is not in state INITIAL!", "C", "started: its state is completed, not initial."),
        ("stop", "Training t is not running.", "I", "stopped: its state is initial, not ongoing."),
        ("resume", "Training t is not in state ERROR: only …", "O", "resumed: its state is ongoing, not error."),
    ],
)
def test_a_wrong_state_is_named(
    fl: Run, server: PlayedServer, verb: str, refusal: str, state: str, sentence: str
) -> None:
    server.answers[f"POST /api/trainings/t/{verb}/"] = httpx.Response(400, json=[refusal])
    server.answers["GET /api/trainings/t/"] = {"state": state}
    assert fl("train", verb, "t") == (2, "", f"400: Training t can't be {sentence}\n")


def test_a_start_without_participants_says_how_to_add_some(fl: Run, server: PlayedServer) -> None:
    refusal = httpx.Response(400, json=["At least one participant must be registered!"])
    server.answers["POST /api/trainings/t/start/"] = refusal
    assert "registered! Add some: fl train invite t NAME\n" in fl("train", "start", "t")[2]


def test_a_wrong_shape_is_told_both_shapes(fl: Run, server: PlayedServer) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if "application/problem+json" in request.headers["Accept"]:
            return httpx.Response(400, json={"detail": "Does not match: [2, 3] and [?, 4]."})
        return httpx.Response(400, json=["Does not match."])

    server.answers["POST /api/inference/"] = refuse
    for name in ("x.json", "x.png"):
        Path(name).write_text("[[1, 2, 3]]")
        assert fl("predict", "m", name) == (2, "", "400: Does not match: [2, 3] and [?, 4].\n")


def test_problem_details_by_field_are_told_by_field(fl: Run, server: PlayedServer) -> None:
    problem = {"detail": "Look at these fields: model_id.", "errors": {"model_id": ["This field is required."]}}
    server.answers["POST /api/inference/"] = httpx.Response(400, json=problem)
    Path("x.json").write_text("[[1]]")
    assert fl("predict", "m", "x.json")[2] == "400: model_id: This field is required.\n"


def test_on_a_narrow_terminal_a_prediction_has_a_line_for_each_figure(
    fl: Run, server: PlayedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["variance", "std", "predictive_entropy", "expected_entropy", "mutual_info"]
    answer = {"inference": [[0.1, 0.9], [0.5, 0.5]], "uncertainty": {name: [0.25, 0.5] for name in names}}
    server.answers["POST /api/inference/"] = answer
    Path("x.json").write_text("[[1], [2]]")
    out = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=out, width=80, force_terminal=True, color_system=None))
    fl("predict", "m", "x.json")
    rows = [line.strip("│").split("│") for line in out.getvalue().splitlines() if line.startswith("│")]
    titles = ["sample", "inference", *names]
    assert [[cell.strip() for cell in row] for row in rows] == [
        *map(list, zip(titles, ["0", "[0.1, 0.9]", *["0.25"] * 5], strict=True)),
        *map(list, zip(titles, ["1", "[0.5, 0.5]", *["0.5"] * 5], strict=True)),
    ]


@pytest.mark.parametrize(
    ("size", "said"),
    [(None, ""), (7, "7 bytes"), (1234, "1.2 kB"), (5_600_000, "5.6 MB"), (7_000_000_000, "7.0 GB")],
)
def test_sizes_have_units(fl: Run, server: PlayedServer, size: int | None, said: str) -> None:
    server.answers["GET /api/models/m/versions/"] = [{"version": 1, "size": size}]
    [row] = [line for line in fl("model", "versions", "m")[1].splitlines() if line.startswith("│")]
    assert row.split("│")[3].strip() == said
    assert json.loads(fl("model", "versions", "m", "--json")[1]) == [{"version": 1, "size": size}]


def test_the_help_says_what_preprocessing_is(fl: Run) -> None:
    assert "input goes through first" in " ".join(fl("model", "push", "--help")[1].replace("│", " ").split())


def test_watch_shows_the_metrics_that_are_asked_for(
    fl: Run, server: PlayedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    states, rounds = iter("OOC"), iter([0, 0, 1])
    about = {"model": "m", "participants": ["a"], "target_num_updates": 1, "local_models_arrived": 0}
    values = {"loss": 0.5, "mae in euro": 1.5, "rmse": 2.5}
    server.answers |= {
        "GET /api/trainings/t/status/": {"state": "O", "round": 0, "rounds_closed": 0, "participants": []},
        "GET /api/trainings/t/": lambda _request: about | {"state": next(states)},
        "GET /api/trainings/t/models/": lambda _request: [{"id": "m", "round": next(rounds)}],
        "GET /api/models/m/metrics/": [
            {"key": key, "step": 1, "reporter": "a", "value_float": value} for key, value in values.items()
        ],
    }
    code, output, error = fl("train", "watch", "t", "--metric", "mae in euro", "--metric", "loss")
    assert (code, error) == (0, "")
    assert output.splitlines()[0].endswith(" s, mae in euro 1.500, loss 0.500")
