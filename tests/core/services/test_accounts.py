from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from fl_server_ai.rounds.passing_on import shuffler
from fl_server_core.exceptions import NotAllowed
from fl_server_core.models import Delivery, EventKind, GlobalModel, Submission, Training, User
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services import accounts
from fl_server_core.services.accounts import delete_user
from tests.builders.clients import make_operator
from tests.builders.deliveries import sent_to
from tests.builders.rounds import passed_on
from tests.builders.rows import make_running, make_training, make_user
from tests.builders.storage import stored_files
from tests.builders.threads import at_once
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def an_operator() -> User:
    """The one superuser, made when first asked for."""
    return User.objects.filter(username="operator").first() or make_operator()


@pytest.mark.django_db(transaction=True)
def test_two_accounts_that_take_part_in_each_others_trainings_are_deleted_at_the_same_time() -> None:
    operator = an_operator()
    for _ in range(10):
        anna, ben = make_user(), make_user()
        for _number in range(3):
            make_training(anna, [ben])
            make_training(ben, [anna])
        at_once(partial(delete_user, user=anna, author=operator), partial(delete_user, user=ben, author=operator))
    assert list(User.objects.all()) == [operator]
    assert not Training.objects.exists()


def test_the_participants_of_an_actor_who_goes_are_told_and_its_trainings_and_models_go_too() -> None:
    actor, anna = make_user("actor"), make_user("anna")
    make_running(actor, [anna])
    waiting = make_training(actor, [anna])
    delete_user(user=actor, author=an_operator())
    assert sent_to(anna) == ["CLIENT_REMOVED"]  # of the one that ran
    assert Delivery.objects.get().training_uuid != waiting.pk
    assert not Training.objects.exists()
    assert not GlobalModel.objects.exists()


def test_a_training_of_another_s_model_goes_with_the_owner_of_the_model() -> None:
    owner, actor, anna = make_user(), make_user(), make_user("anna")
    training = make_running(owner, [anna])
    Training.objects.update(actor=actor)
    delete_user(user=owner, author=an_operator())
    assert not Training.objects.filter(pk=training.pk).exists()
    assert sent_to(anna) == ["CLIENT_REMOVED"]


def test_a_participant_who_goes_is_no_longer_awaited_and_its_update_does_not_count() -> None:
    world = World(3).start()
    world.update(0, 9.0)
    world.update(1, 1.0)
    world.update(2, 3.0)
    delete_user(user=world.people[0], author=an_operator())
    assert "p0" in world.event(EventKind.PARTICIPANT_REMOVED).message
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(2.0)


def test_the_last_participant_who_goes_leaves_the_training_in_error() -> None:
    world = World(1).start()
    delete_user(user=world.people[0], author=an_operator())
    assert world.state == ("E", "update")


def test_a_round_that_still_counts_what_a_leaver_sent_is_locked_before_the_account_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(2).start()
    world.claim_full_round()
    world.remove(0)
    locked = []

    def lock(training_id: UUID) -> Training | None:
        locked.append((training_id, Submission.objects.filter(participant=world.people[0]).count()))
        return lock_training(training_id)

    monkeypatch.setattr(accounts, "lock_training", lock)
    delete_user(user=world.people[0], author=an_operator())
    assert locked == [(world.training.pk, 1)]
    assert not Submission.objects.filter(participant=world.people[0].pk).exists()


def test_what_an_account_had_passed_on_belongs_to_who_trains_it_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffler, "shuffle", list.reverse)
    world = World(2, aggregation_method="FedDC", options={"daisy_chain_period": 2}).start()
    for who in range(2):
        world.update(who, float(who))
    world.advance()
    gone = world.people[0]
    (passed,) = [model for model in passed_on() if model.owner == gone]
    delete_user(user=gone, author=an_operator())
    passed.refresh_from_db()
    assert passed.owner == passed.passed_to == world.people[1]


@pytest.mark.django_db(transaction=True)
def test_the_files_of_an_account_go_with_it() -> None:
    before = stored_files()
    world = World(1).start()
    world.update(0, 1.0)
    assert len(stored_files() - before) == 2
    delete_user(user=world.actor, author=an_operator())
    delete_user(user=world.people[0], author=an_operator())
    assert stored_files() == before


def test_people_delete_their_own_account_and_nobody_else_s() -> None:
    anna, ben = make_user("anna"), make_user("ben")
    with pytest.raises(NotAllowed):
        delete_user(user=ben, author=anna)
    delete_user(user=anna, author=anna)
    assert list(User.objects.all()) == [ben]
