"""One hostile participant among honest ones: sample sizes, clipping, replayed files, and what remains to be seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from django.test import Client

from fl_server_core.models import Round, Submission, SWAGModel
from fl_server_core.selectors.readers import TrainingReader
from fl_server_core.selectors.status import training_status
from tests.builders.clients import client_of
from tests.builders.files import flat, linear, saved, uploaded
from tests.builders.rounds import submissions
from tests.builders.rows import make_user
from tests.builders.world import World

pytestmark = pytest.mark.django_db

HUGE = 2**63 - 1
HONEST = [1.0, 1.2, 1.4]
ELEMENTS = 8
"""Of the linear model: all of them have the same value, so a norm is |value| · √8."""


def poisoned(aggregation: dict[str, Any], method: str = "FedAvg", **options: Any) -> World:
    """Three honest updates, and one of 1e30 that claims 2^63 - 1 samples, through HTTP; the round is closed."""
    world = World(4, aggregation_method=method, options={"aggregation": aggregation, **options}).start()
    for who, value in enumerate([*HONEST, 1e30]):
        form = {"round": 0, "sample_size": HUGE if who == 3 else 10, "model_file": uploaded(saved(linear(value)))}
        answer = client_of(world.people[who]).post(f"/api/models/{world.training.model_id}/", form)
        assert answer.status_code == 201
    return world.advance()


def history(world: World, user: Any = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        client_of(user or world.actor).get(f"/api/trainings/{world.training.pk}/history/").json()
    )
    return found


def by_participant(world: World, kind: str = "aggregated", user: Any = None) -> dict[str, dict[str, Any]]:
    (event,) = [event for event in history(world, user) if event["kind"] == kind]
    found: dict[str, dict[str, Any]] = event["figures"]["by_participant"]
    return found


def test_without_bounds_one_participant_decides_the_model() -> None:
    world = poisoned({})
    assert world.weight > 9e29
    figures = [by_participant(world)[str(person.pk)] for person in world.people]
    assert figures[3] == {"norm": pytest.approx(1e30 * ELEMENTS**0.5, rel=1e-5), "cosine": 1.0, "share": 1.0}
    assert figures[0]["norm"] == pytest.approx(ELEMENTS**0.5, rel=1e-5)
    assert figures[0]["share"] == pytest.approx(10 / HUGE, rel=1e-5)


BOUNDS = [
    ({"equal_weights": True, "clipping_factor": 1}, "FedAvg"),
    ({"equal_weights": True, "clipping_norm": 4}, "FedAvg"),
    ({"sample_size_factor": 1, "clipping_factor": 1.0}, "FedAvg"),
    ({"sample_size_factor": 1, "clipping_norm": 4.0, "clipping_factor": 1.0}, "FedProx"),
    ({"clipping_factor": 1.0, "trim": 0.25}, "TrimmedMean"),
    ({"clipping_norm": 4.0}, "Median"),
    ({"clipping_factor": 1.0, "byzantine": 0}, "MultiKrum"),
    ({"clipping_factor": 1.0, "sample_size_factor": 1, "lr": 1.0, "tau": 1.0}, "FedAdam"),
]


@pytest.mark.parametrize(("aggregation", "method"), BOUNDS, ids=[f"{method} {bounds}" for bounds, method in BOUNDS])
def test_with_a_cap_and_clipping_the_model_is_within_the_honest_range(aggregation: dict[str, Any], method: str) -> None:
    world = poisoned(aggregation, method)
    if method == "FedAdam":  # a step of Adam, not the mean: x = 0.1 · mean / (√(0.99 + 0.01 · mean²) + 1)
        mean = (1.0 + 1.2 + 1.2 + 1.2) / 4  # the median of the norms is that of 1.2
        assert world.weight == pytest.approx(0.1 * mean / ((0.99 + 0.01 * mean**2) ** 0.5 + 1), rel=1e-5)
    else:
        assert min(HONEST) <= world.weight <= max(HONEST) + 0.015  # 4 / √8 is 1.414…
    assert by_participant(world)[str(world.people[3].pk)]["clipped_to"] < 1e-29


def test_the_clipped_mean_is_the_one_that_is_worked_out_by_hand() -> None:
    world = poisoned({"sample_size_factor": 2, "clipping_factor": 1})
    # Sizes 10, 10, 10 and 2 · 10; norms in units of √8: 1, 1.2, 1.4 → 1.2, 1e30 → 1.2.
    assert world.weight == pytest.approx((10 * 1.0 + 10 * 1.2 + 10 * 1.2 + 20 * 1.2) / 50, rel=1e-6)
    figures = [by_participant(world)[str(person.pk)] for person in world.people]
    assert [one["share"] for one in figures] == [0.2, 0.2, 0.2, 0.4]
    assert [one.get("clipped_to") for one in figures] == [None, None, 0.857143, 1.2e-30]


def test_sizes_that_are_agreed_at_enrolment_are_the_most_that_count() -> None:
    world = World(4, target_num_updates=1)
    first, second, third, _unnamed = world.people
    sizes = {str(first.pk).upper(): 5, str(second.pk): 50, str(third.pk): 20}
    type(world.training).objects.update(options={"aggregation": {"sample_sizes": sizes}})
    world.start()
    for who, size in enumerate([HUGE, 40, 20, HUGE]):
        world.update(who, float(who), size=size)
    world.advance()
    # 5, 40 (less than agreed), 20, and the smallest one for who was not named
    assert world.weight == pytest.approx((5 * 0 + 40 * 1 + 20 * 2 + 5 * 3) / 70, rel=1e-6)


def test_caps_on_sample_sizes_hold_for_moments_too() -> None:
    world = World(2, swag=True, target_num_updates=1, options={"aggregation": {"equal_weights": True}}).start()
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    for who, size in enumerate([1, HUGE]):
        world.moments(who, torch.full((ELEMENTS,), 1.0 + who), torch.full((ELEMENTS,), 4.0 + who), size=size)
    world.advance()
    model = SWAGModel.objects.get()
    assert (model.first_moment.tolist(), model.second_moment.tolist()) == ([1.5] * ELEMENTS, [4.5] * ELEMENTS)


def test_updates_that_are_passed_on_are_clipped_from_the_global_model() -> None:
    options = {"daisy_chain_period": 2, "aggregation": {"clipping_norm": 2 * ELEMENTS**0.5}}
    world = World(2, aggregation_method="FedDC", options=options).start()
    world.update(0, 1.0)
    world.update(1, 1e30)
    world.advance()
    given = sorted(float(flat(world.handed_out(who))[0]) for who in range(2))
    assert given == pytest.approx([1.0, 2.0], rel=1e-6)
    passed = by_participant(world, "passed_on")
    assert passed[str(world.people[0].pk)] == {"norm": pytest.approx(2.82843)}
    assert passed[str(world.people[1].pk)] == {"norm": pytest.approx(2.82843e30), "clipped_to": 2e-30}


# Who sees which figures, and for how long.


def test_everybody_reads_their_own_figures_and_the_actor_those_of_all() -> None:
    world = poisoned({})
    everybody = {str(person.pk) for person in world.people}
    own = world.people[1]
    assert set(by_participant(world)) == everybody
    assert set(by_participant(world, user=own)) == {str(own.pk)}
    path = f"/api/trainings/{world.training.pk}"
    seen = client_of(own).get(f"{path}/status/").json()["participants"]
    assert [one["last_update"] is not None for one in seen] == [False, True, False, False]
    all_seen = client_of(world.actor).get(f"{path}/status/").json()["participants"]
    assert [one["last_update"]["round"] for one in all_seen] == [0] * 4
    assert all_seen[3]["last_update"]["cosine"] == 1.0
    outsider = client_of(make_user("outsider"))
    assert [outsider.get(f"{path}/{page}/").status_code for page in ("status", "history")] == [403, 403]


def test_figures_outlive_the_updates_and_the_participants() -> None:
    world = poisoned({})
    assert [row.local_model for row in submissions(world.training)] == [None] * 4
    kept = by_participant(world)
    for row in Submission.objects.filter(round__number=0):
        assert row.figures == kept[str(row.participant_id)]
    world.people[3].delete()
    assert by_participant(world) == kept
    assert Round.objects.get(number=0, kind="update").figures["by_participant"] == kept


def test_figures_of_values_beyond_all_floats_are_finite_json(recwarn: pytest.WarningsRecorder) -> None:
    world = World(2, module=linear(0.0).double(), target_num_updates=1).start()
    world.update(0, linear(-1.7).double())
    module = linear(0.0).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(1.7e308)
    world.update(1, module)
    world.advance()
    (event,) = world.events("aggregated")
    text = json.dumps(event.figures, allow_nan=False)
    assert json.loads(text)["by_participant"][str(world.people[1].pk)]["norm"] is None
    assert [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)] == []


# Replayed files.


def test_a_file_that_was_sent_in_an_earlier_round_is_flagged_and_taken() -> None:
    world = World(2, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.update(1, 2.0)
    world.advance()
    world.update(0, 2.0)  # what the other one sent
    world.update(0, 2.0)  # once more
    world.update(1, 3.0)
    (event,) = world.events("submission_replayed")
    first, second = world.people
    assert (event.user, event.round) == (first, 1)
    assert event.figures == {"first_sent_in": 0, "first_sent_by": str(second.pk)}
    reader = TrainingReader(world.now, world.actor)
    assert [one["replay_of"] for one in training_status(world.now, reader)["participants"]] == [0, None]
    seen = [event["figures"] for event in history(world, first) if event["kind"] == "submission_replayed"]
    assert seen == [{"first_sent_in": 0}]
    world.advance()
    assert world.round == 2
    last = world.events("aggregated")[-1].figures["by_participant"]
    assert [last[str(person.pk)].get("replay_of") for person in world.people] == [0, None]
    assert world.weight == 2.5


def test_a_repeat_in_the_same_round_or_another_training_is_no_replay() -> None:
    world = World(2, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.update(0, 1.0)
    world.update(1, 1.0)
    other = World(2, like=world).start()
    other.update(0, 1.0)
    assert world.events("submission_replayed") == other.events("submission_replayed") == []
    assert [row.figures for row in submissions()] == [{}] * 3


def test_a_fresh_file_in_place_of_a_replayed_one_takes_the_flag_away() -> None:
    world = World(2, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.update(1, 2.0)
    world.advance()
    world.update(0, 1.0)
    assert [row.figures for row in submissions(world.training)][-1] == {"replay_of": 0}
    world.update(0, 1.5)
    assert [row.figures for row in submissions(world.training)][-1] == {}


def test_the_global_model_sent_back_as_it_was_given_is_no_replay() -> None:
    world = World(1, options={"skip_model_tests": True}, target_num_updates=3).start()
    for number in range(2):
        given = bytes(world.model.weights)
        world.update(0, 0.0, files={"model": uploaded(given)})
        if number == 0:
            world.advance()
    assert world.model.weights == given
    assert world.events("submission_replayed") == []


def test_the_admin_shows_the_figures_of_submissions_and_of_a_round() -> None:
    world = poisoned({"equal_weights": True, "clipping_norm": 4})
    staff = Client()
    staff.force_login(make_user("staff", is_staff=True, is_superuser=True))
    row = Round.objects.get(number=0, kind="update")
    listed = staff.get("/admin/fl_server_core/submission/").content.decode()
    page = staff.get(f"/admin/fl_server_core/round/{row.pk}/change/").content.decode()
    for text in (listed, page):
        assert "2.82843e+30" in text
        assert "0.25" in text
    assert [person.username in page for person in world.people] == [True] * 4
