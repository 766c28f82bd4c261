import pytest

from fl_server_core.models import Event, EventKind
from fl_server_core.selectors.status import training_history
from fl_server_core.services.history import record
from tests.builders.rows import make_model, make_training, make_user

pytestmark = pytest.mark.django_db


def test_an_event_says_what_about_whom_by_whom_and_with_which_figures() -> None:
    actor, anna = make_user("actor"), make_user("anna")
    training = make_training(actor, [anna])
    record(
        training=training,
        kind=EventKind.PARTICIPANT_REMOVED,
        number=3,
        user_id=anna.pk,
        author_id=actor.pk,
        message="Because.",
        answers=2,
    )
    (event,) = training_history(training)
    assert (event.kind, event.round, event.message) == ("participant_removed", 3, "Because.")
    assert (event.user, event.author, event.model, event.figures) == (anna, actor, None, {"answers": 2})


def test_what_happens_to_a_model_without_a_training_is_its_own_history() -> None:
    model = make_model(make_user())
    record(training=None, model=model, kind=EventKind.EDITED, number=0)
    assert (model.events.get().training, model.events.get().figures) == (None, {})


def test_history_survives_the_account_it_is_about_and_leaves_with_its_training() -> None:
    actor, anna = make_user(), make_user()
    training = make_training(actor)
    record(training=training, kind=EventKind.FAILED, number=0, user_id=anna.pk, message="anna did not answer.")
    anna.delete()
    assert Event.objects.get().user is None
    training.delete()
    assert not Event.objects.exists()
