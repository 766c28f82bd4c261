"""Faults on the way between the server and its participants, on both kinds of servers."""

from __future__ import annotations

import threading

from tests.faults.harness.mode import IS_LONG, ON_BOTH_WHEN_LONG
from tests.faults.harness.participant import Behaviour
from tests.faults.harness.proxy import Times, cut, lose_answer, silence, twice, twice_at_once
from tests.faults.harness.run import Run
from tests.faults.harness.site import Site

ONLY_FINAL_TEST = {"model_test_after_each_round": False}
PATIENCE = 60.0
SWAG = {"skip_model_tests": True}


@ON_BOTH_WHEN_LONG
def test_the_way_to_each_participant_may_be_cut_in_both_directions_and_restored(site: Site) -> None:
    run = Run(site, options=ONLY_FINAL_TEST)
    for number, person in enumerate(run.people, start=2):
        run.wait_for_round(number)
        cuts = [Times(cut, 2), Times(cut, 3)]
        person.inbox.fault, person.outbox.fault = cuts
        for each in cuts:
            assert each.is_over.wait(PATIENCE), run.about()
    run.finish().check()
    assert run.refusals() == []


def test_an_update_whose_answer_is_lost_may_be_repeated_and_counts_once(site: Site) -> None:
    run = Run(site, options=ONLY_FINAL_TEST)
    losses = [Times(lose_answer, 4, only_updates=True) for _ in run.people]
    for person, loss in zip(run.people, losses, strict=True):
        person.outbox.fault = loss
    run.finish().check()
    assert all(loss.is_over.is_set() for loss in losses)
    assert run.refusals() == []


@ON_BOTH_WHEN_LONG
def test_a_notification_whose_acceptance_is_lost_is_sent_again_under_the_same_id(site: Site) -> None:
    run = Run(site, options=ONLY_FINAL_TEST)
    loss = Times(lose_answer, 3 if IS_LONG else 2)
    run.people[1].inbox.fault = loss
    run.finish().check()
    assert loss.is_over.is_set()
    assert run.attendance(2).types.count("UPDATE_ROUND_START") == run.rounds


def test_every_message_may_arrive_twice(site: Site) -> None:
    run = Run(site, options={})
    for person in run.people:
        person.inbox.fault, person.outbox.fault = twice, twice_at_once
    run.finish().check()
    assert run.refusals() == []


def test_uploads_of_a_round_may_come_all_at_the_same_moment_and_each_several_times(site: Site) -> None:
    together = threading.Barrier(3, timeout=PATIENCE)
    behaviour = Behaviour(copies=3, before_upload=lambda _round: together.wait())
    run = Run(site, options=ONLY_FINAL_TEST, behaviours=dict.fromkeys((1, 2, 3), behaviour)).finish()
    run.check()
    assert run.refusals() == []


@ON_BOTH_WHEN_LONG
def test_a_participant_may_accept_a_connection_and_say_nothing_for_a_while(site: Site) -> None:
    run = Run(site, options=ONLY_FINAL_TEST)
    run.wait_for_round(2)
    silent = Times(silence, 2 if IS_LONG else 1)
    run.people[2].inbox.fault = silent
    run.finish().check()
    assert silent.is_over.is_set()


@ON_BOTH_WHEN_LONG
def test_moments_and_updates_survive_lost_answers_and_repeats(site: Site) -> None:
    run = Run(site, rounds=4, swag=True, options=SWAG)
    for person in run.people:
        person.inbox.fault, person.outbox.fault = Times(lose_answer, 2), Times(twice_at_once, 20)
    run.finish().check()
    assert run.times("moments_averaged") == run.rounds
