"""The JSON that receivers read."""

from __future__ import annotations

from uuid import UUID

import pytest

from fl_server_ai.notification import (
    Notification,
    NotificationType,
    TrainingFinishedNotification,
    TrainingRoundStartNotification,
)

TRAINING = UUID("11111111-1111-4111-8111-111111111111")
MODEL = UUID("22222222-2222-4222-8222-222222222222")


@pytest.mark.parametrize("kind", ["UPDATE_ROUND_START", "MODEL_TEST_ROUND", "SWAG_ROUND_START"])
def test_the_start_of_a_round_names_the_round_and_the_model(kind: str) -> None:
    assert TrainingRoundStartNotification(TRAINING, 3, MODEL, NotificationType(kind)).payload() == {
        "notification_type": kind,
        "training_uuid": "11111111-1111-4111-8111-111111111111",
        "body": {"round": 3, "global_model_uuid": "22222222-2222-4222-8222-222222222222"},
    }


def test_the_start_of_a_round_is_one_of_updates_unless_said_otherwise() -> None:
    assert TrainingRoundStartNotification(TRAINING, 0, MODEL).notification_type == NotificationType.UPDATE_ROUND_START


def test_the_end_names_the_model() -> None:
    assert TrainingFinishedNotification(TRAINING, MODEL).payload() == {
        "notification_type": "TRAINING_FINISHED",
        "training_uuid": "11111111-1111-4111-8111-111111111111",
        "body": {"global_model_uuid": "22222222-2222-4222-8222-222222222222"},
    }


def test_a_removal_has_an_empty_body() -> None:
    assert Notification(NotificationType.CLIENT_REMOVED, TRAINING).payload()["body"] == {}
