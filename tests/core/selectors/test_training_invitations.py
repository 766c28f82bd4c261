from __future__ import annotations

import pytest

from fl_server_core.models import InvitationState, User
from fl_server_core.selectors.training_invitations import invitations_of_user, is_over, open_invitations
from tests.builders.rounds import mark_completed, mark_failed
from tests.builders.rows import make_running, make_training, make_training_invitation

pytestmark = pytest.mark.django_db


def test_open_invitations_are_those_without_an_answer(actor: User, anna: User, owner: User) -> None:
    training = make_training(actor)
    waiting = make_training_invitation(training, anna)
    make_training_invitation(training, owner, state=InvitationState.DECLINED)
    make_training_invitation(make_training(actor), anna)
    assert list(open_invitations(training)) == [waiting]
    assert list(open_invitations(training, [owner.pk])) == []


def test_a_user_is_shown_what_it_can_still_accept(actor: User, anna: User) -> None:
    waiting, running, failed, stopped, completed = make_training(actor), *(make_running(actor) for _ in range(4))
    mark_failed(failed)
    mark_completed(completed)
    mark_completed(stopped)
    mark_failed(stopped)  # without an open round
    everything = (waiting, running, failed, stopped, completed)
    for training in everything:
        make_training_invitation(training, anna)
        training.refresh_from_db()
    make_training_invitation(make_training(actor), anna, state=InvitationState.WITHDRAWN)
    assert [row.training for row in invitations_of_user(anna)] == [waiting, running, failed]
    assert [training for training in everything if is_over(training)] == [stopped, completed]
    assert list(invitations_of_user(actor)) == []
