"""How the demonstration follows a training, against a server that is played by the test."""

import io
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import torch
from fl_server_client import Actor, TrainingFailed
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
    assert "round 1/2: 2/2 updates in 0.0 s, accuracy at the participants 0.200" in out.getvalue()


def test_a_round_that_was_over_too_soon_is_told_without_a_tested_model() -> None:
    rounds, _ = follow([(0, "O", 0), (3, "O", 2), (3, "C", 0)])
    assert [(row.number, row.updates, row.held_out) for row in rounds] == [(1, 2, None), (2, 2, None), (3, 2, 3.0)]


def test_under_a_daisy_chain_only_averages_are_tested() -> None:
    steps = [(0, "O", 0), (1, "O", 0), (2, "O", 0), (2, "O", 0), (3, "O", 0), (4, "O", 0), (4, "O", 0), (4, "C", 0)]
    rounds, _ = follow(steps, averaging_period=2)
    assert [row.held_out for row in rounds] == [None, 2.0, None, 4.0]


def test_a_swag_round_is_told_as_one_that_follows_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_LINE", -1.0)
    _, shown = follow([(0, "O", 0), (0, "O", 2), (1, "S", 0), (1, "S", 0), (2, "S", 0), (2, "S", 0), (2, "C", 0)])
    lines = [line.split(": ", 1)[1].split(" in ")[0] for line in shown.splitlines() if "the training:" in line]
    assert lines == [
        "round 1/2, updates 2/2",
        "round 1/2: 2/2 updates",
        "round 2/2, updates 0/2, SWAG round after round 1/2",
        "round 2/2: 2/2 updates",
        "round 2/2, updates 2/2, SWAG round after round 2/2",
    ]
    assert "SWAG round" not in shown.splitlines()[-1]


def test_those_who_are_awaited_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_LINE", -1.0)
    monkeypatch.setattr("fl_server_client.watching.SECONDS_PER_STATUS", 0.0)
    steps = [(0, "O", 0), (0, "O", 1), (0, "O", 1), (1, "O", 2), (1, "C", 0)]
    _, shown = follow(steps, awaited=["anna"])
    assert "the training: round 1/1, updates 1/2, waiting for anna" in shown
    assert "waiting" not in shown.rsplit("┏", 1)[1]  # the table at the end: the training is completed
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
