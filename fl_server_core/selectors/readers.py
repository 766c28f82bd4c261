"""Who reads what of a training's status and history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fl_server_core import policies
from fl_server_core.models.event import Event
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.figures import BY_PARTICIPANT, FIRST_SENT_BY

ERROR = "error"


class TrainingReader:
    """Somebody who reads about a training: participants see details of themselves only, whoever steers it of all."""

    def __init__(self, training: Training, user: User) -> None:
        self._id = user.pk
        self._compares = policies.may_compare_participants(user, training)
        self._sees_deliveries = policies.may_read_deliveries(user, training)

    def sees_figures_of(self, participant: UUID | str) -> bool:
        """How somebody's updates were beside those of the others?"""
        return self._compares or str(participant) == str(self._id)

    def sees_deliveries_to(self, receiver: UUID | None) -> bool:
        """Ids, endpoints and errors of what somebody is sent?"""
        return self._sees_deliveries or receiver == self._id

    def readable(self, event: Event) -> Any:
        """An event's figures, without those that the reader may not see."""
        if not isinstance(event.figures, Mapping):
            return event.figures
        found = {
            key: value
            for key, value in event.figures.items()
            if (key != ERROR or self.sees_deliveries_to(event.user_id))
            and (key != FIRST_SENT_BY or self.sees_figures_of(value))
        }
        if BY_PARTICIPANT in found:
            of_each = found[BY_PARTICIPANT].items()
            found[BY_PARTICIPANT] = {who: value for who, value in of_each if self.sees_figures_of(who)}
        return found
