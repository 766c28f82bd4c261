"""How the demonstration follows a training, against a server that is played by the test."""

import io
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import torch
from fl_server_client import Actor, TrainingFailed, Unreachable
from fl_server_client.model_files import save_model
from fl_server_client.watching import Follower, Round
from rich.console import Console

pytestmark = pytest.mark.once


class PlayedTraining:
    """A training with two participants that makes a step at every look at its model's round."""

    def __init__(self, steps: list[tuple[int, str, int]], awaited: Sequence[str] = ()) -> None:
        """Each step: the model's round, the training's state, how many updates have arrived."""
        self.steps, self.awaited = steps, awaited

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number, state, arrived = self.steps[0]
        answers: dict[str, Any] = {
            "/api/trainings/t/": {
                "model": "m",
                "participants": ["a", "b"],
                "target_num_updates": max(step[0] for step in self.steps),
                "state": state,
                "local_models_arrived": arrived,
            },
            "/api/models/m/metrics/": self._metrics(number),
            "/api/trainings/t/status/": {
                "waiting_for": ["b"],
                "participants": [
                    {"username": "ready", "awaited": False},
                    *({"username": name, "awaited": True} for name in self.awaited),
                ],
            },
        }
        if request.url.path == "/api/models/m/":
            module = torch.nn.Linear(1, 1)
            torch.nn.init.constant_(module.bias, number)
            return httpx.Response(200, content=save_model(module))
        if request.url.path == "/api/trainings/t/models/":
            if len(self.steps) > 1:
                self.steps = self.steps[1:]
            return httpx.Response(200, json=[{"id": "m", "round": number}, {"id": "local", "round": 0}])
        return httpx.Response(200, json=answers[request.url.path])

    def _metrics(self, number: int) -> list[dict[str, Any]]:
        """Participant a reports 0.1 of every round that was tested, b 0.3."""
        return [
            {"key": key, "step": step, "reporter": user, "value_float": value}
            for step in range(1, number + 1)
            for user, value in (("a", 0.1), ("b", 0.3))
            for key in ("loss", "accuracy")
        ]


def follow(
    steps: list[tuple[int, str, int]], *, timeout: float = 60, awaited: Sequence[str] = (), **wishes: Any
) -> tuple[list[Round], str]:
    out = io.StringIO()
    actor = Actor("http://server", transport=httpx.MockTransport(PlayedTraining(steps, awaited)))
    follower = Follower(actor, "t", evaluate=lambda module: float(module.state_dict()["bias"][0]), poll=0.0, **wishes)
    rounds = follower.follow(Console(file=out, width=120), "the training", timeout=timeout)
    return rounds, out.getvalue()


def test_every_round_is_told_with_its_updates_and_accuracies() -> None:
    # A round's accuracy is tested only if the round is still the same after the download.
    steps = [(0, "O", 0), (0, "O", 1), (1, "O", 2), (1, "O", 0), (2, "O", 2), (2, "O", 0), (2, "C", 0)]
    rounds, shown = follow(steps)
    assert [(row.number, row.updates) for row in rounds] == [(1, 2), (2, 2)]
    assert [row.reported for row in rounds] == [pytest.approx(0.2)] * 2
    assert [row.held_out for row in rounds] == [1.0, 2.0]
    assert "the training" in shown
    assert "2/2" in shown


class SlowTesters(PlayedTraining):
    """Participant b tests a model two looks later than a."""

    asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += request.url.path == "/api/models/m/metrics/"
        return super().__call__(request)

    def _metrics(self, number: int) -> list[dict[str, Any]]:
        return [one for one in super()._metrics(number) if one["reporter"] == "a" or self.asked >= 3]


def test_the_line_of_a_round_waits_for_those_who_test_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_STATUS", 0.0)
    steps = [(0, "O", 0), (1, "O", 0), (1, "O", 0), (1, "O", 1), (1, "O", 1), (2, "O", 0), (2, "C", 0)]
    actor = Actor("http://server", transport=httpx.MockTransport(SlowTesters(steps)))
    out = io.StringIO()
    Follower(actor, "t", poll=0.0).follow(Console(file=out, width=120), "slow", timeout=60)
    assert "round 1/2: 2/2 updates in 0.0 s, accuracy 0.200, loss 0.200" in out.getvalue()


def test_a_round_that_was_over_too_soon_is_told_without_a_tested_model() -> None:
    rounds, _ = follow([(0, "O", 0), (3, "O", 2), (3, "C", 0)])
    assert [(row.number, row.updates, row.held_out) for row in rounds] == [(1, 2, None), (2, 2, None), (3, 2, 3.0)]


def test_under_a_daisy_chain_only_averages_are_tested() -> None:
    steps = [(0, "O", 0), (1, "O", 0), (2, "O", 0), (2, "O", 0), (3, "O", 0), (4, "O", 0), (4, "O", 0), (4, "C", 0)]
    rounds, _ = follow(steps, averaging_period=2)
    assert [row.held_out for row in rounds] == [None, 2.0, None, 4.0]


def test_a_swag_round_is_told_as_one_that_follows_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_client.followed.SECONDS_PER_LINE", -1.0)
    _, shown = follow([(0, "O", 0), (0, "O", 2), (1, "S", 0), (1, "S", 0), (2, "S", 0), (2, "S", 0), (2, "C", 0)])
    lines = [line.split(": ", 1)[1].split(" in ")[0] for line in shown.splitlines() if "the training:" in line]
    assert lines == [
        "round 1/2, updates 2/2",
        "round 1/2: 2/2 updates",
        "round 2/2, updates 0/2, SWAG round after round 1/2",
        "round 2/2: 2/2 updates",
        "round 2/2, updates 2/2, SWAG round after round 2/2",
        "completed after 2 of 2 rounds",
    ]


def test_those_who_are_awaited_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_client.followed.SECONDS_PER_LINE", -1.0)
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_STATUS", 0.0)
    steps = [(0, "O", 0), (0, "O", 1), (0, "O", 1), (1, "O", 2), (1, "C", 0)]
    _, shown = follow(steps, awaited=["anna"])
    assert "the training: round 1/1, updates 1/2, waiting for anna" in shown
    assert shown.splitlines()[-1] == "the training: completed after 1 of 1 rounds"
    _, shown = follow(steps, awaited=[f"p{number}" for number in range(8)])
    assert "waiting for p0, p1, p2, p3, p4, 3 more" in shown


def test_who_begins_to_follow_late_counts_from_the_trainings_first_round_and_downloads_nothing() -> None:
    played = PlayedTraining([(7, "O", 0), (7, "O", 2), (8, "O", 0), (8, "C", 0)])
    actor = Actor("http://server", transport=httpx.MockTransport(played))
    out = io.StringIO()
    rounds = Follower(actor, "t", first=5, poll=0.0).follow(Console(file=out, width=120), "late", timeout=60)
    assert [(row.number, row.held_out) for row in rounds] == [(8, None)]
    assert "3/8" in out.getvalue()


def test_a_training_in_state_e_is_a_failure_that_says_what_the_server_says() -> None:
    with pytest.raises(TrainingFailed, match="waiting_for"):
        follow([(0, "O", 0), (0, "E", 1)])


def test_a_training_that_takes_too_long_is_a_failure() -> None:
    with pytest.raises(TrainingFailed, match="not completed after 0 s"):
        follow([(0, "O", 0), (1, "O", 1)], timeout=0)


def test_there_is_no_waiting_on_when_a_process_has_died() -> None:
    def check() -> None:
        raise RuntimeError("participant 2 ended")

    with pytest.raises(RuntimeError, match="participant 2 ended"):
        follow([(0, "O", 0), (0, "O", 1)], check=check)


class Regression(PlayedTraining):
    """Its participants report an error in euro and others; its round began 100 seconds before the server's clock."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = super().__call__(request)
        if request.url.path == "/api/trainings/t/status/":
            about = {**answer.json(), "since": "2026-11-30T01:00:00.25Z"}
            return httpx.Response(200, json=about, headers={"Date": "Mon, 30 Nov 2026 01:01:40 GMT"})
        return answer

    def _metrics(self, number: int) -> list[dict[str, Any]]:
        values = {"rmse": 2.5, "mae in euro": 12345.6, "mape": 0.00125, "loss": 0.5}
        return [
            {"key": key, "step": step, "reporter": user, "value_float": value}
            for step in range(1, number + 1)
            for user in ("a", "b")
            for key, value in values.items()
        ]


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ([], "loss 0.500, rmse 2.500, mae in euro 12345.6"),
        (["mape", "loss"], "mape 0.00125, loss 0.500"),
    ],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_metrics_of_any_name_are_shown(wanted: list[str], shown: str, terminal: bool) -> None:
    actor = Actor("http://server", transport=httpx.MockTransport(Regression([(0, "O", 0), (1, "O", 0), (1, "C", 0)])))
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=terminal, color_system=None)
    Follower(actor, "t", poll=0.0, metrics=wanted).follow(console, "the training", timeout=60)
    if not terminal:
        assert [line.partition(" s, ")[2] for line in out.getvalue().splitlines()] == [shown, ""]
        return
    titles, values = zip(*(part.rsplit(" ", 1) for part in shown.split(", ")), strict=True)
    heading = next(line for line in reversed(out.getvalue().splitlines()) if "┃" in line)
    row = next(line for line in reversed(out.getvalue().splitlines()) if "1/1" in line)
    assert [cell.strip() for cell in heading.split("┃")[3:-2]] == list(titles)
    assert [cell.strip() for cell in row.split("│")[3:-2]] == list(values)


def test_seconds_count_from_the_rounds_start_by_the_servers_clock() -> None:
    actor = Actor("http://server", transport=httpx.MockTransport(Regression([(0, "O", 0), (1, "O", 0), (2, "C", 0)])))
    first, second = Follower(actor, "t", poll=0.0).report(lambda _row: None, timeout=60)
    assert first.seconds > 99.7
    assert second.seconds < 99.7


def test_a_training_that_has_not_started_spends_no_seconds() -> None:
    actor = Actor(
        "http://server", transport=httpx.MockTransport(Regression([(0, "I", 0)] * 2 + [(1, "O", 0), (1, "C", 0)]))
    )
    [only] = Follower(actor, "t", poll=0.0).report(lambda _row: None, timeout=60)
    assert only.seconds < 99.7


def test_off_a_terminal_each_round_is_told_once() -> None:
    _, shown = follow([(0, "O", 0), (1, "O", 0), (2, "O", 0), (2, "C", 0)])
    assert [shown.count(f"{number}/2: 2/2 updates") for number in (1, 2)] == [1, 1]
    assert len(shown.splitlines()) == 3


class Outages(PlayedTraining):
    """Doesn't answer for a while, twice."""

    requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.requests in (5, 6, 7, 20, 21):
            raise httpx.ConnectError("[Errno 111] Connection refused")
        return super().__call__(request)


def test_an_outage_is_told_once_and_outlasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_TRY", 0.0)
    steps = [(number, "O", 0) for number in range(8)] + [(8, "C", 0)]
    told: list[str] = []
    actor = Actor("http://server", pauses=(), transport=httpx.MockTransport(Outages(list(steps))))
    rounds = Follower(actor, "t", poll=0.0, outage=lambda: told.append("away")).report(lambda _row: None, timeout=60)
    assert [row.number for row in rounds] == list(range(1, 9))
    assert told == ["away", "away"]
    actor = Actor("http://server", pauses=(), transport=httpx.MockTransport(Outages(list(steps))))
    with pytest.raises(Unreachable):
        Follower(actor, "t", poll=0.0).report(lambda _row: None, timeout=60)


def test_an_outage_longer_than_the_timeout_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_TRY", 0.0)
    played = Outages([(0, "O", 0), (0, "O", 0)])
    played.requests = 0
    actor = Actor("http://server", pauses=(), transport=httpx.MockTransport(played))
    follower = Follower(actor, "t", poll=0.0, outage=lambda: None)
    with pytest.raises(Unreachable):
        follower.report(lambda _row: None, timeout=-1)
