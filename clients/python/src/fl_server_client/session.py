"""One account's part in its trainings: does with each notification what its participant decides."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping
from typing import Any

from .errors import FederationError, Misused, Refused, Unreachable
from .inbox import Agenda, Notification
from .model_format import vector_file
from .participant import Participant
from .participant_client import ParticipantClient
from .rounds import Invitation, Round

logger = logging.getLogger(__name__)


class Session:
    """Handles notifications, one after the other."""

    def __init__(self, client: ParticipantClient, participant: Participant) -> None:
        self._client, self._participant = client, participant
        self._trainings: dict[str, dict[str, Any]] = {}
        self._handlers: dict[str, Callable[[Notification], None]] = {
            "TRAINING_INVITATION": self._answer,
            "TRAINING_START": self._start,
            "UPDATE_ROUND_START": self._update,
            "SWAG_ROUND_START": self._collect_moments,
            "MODEL_TEST_ROUND": self._test,
            "TRAINING_FINISHED": self._forget,
            "CLIENT_REMOVED": self._forget,
        }

    def work(self, agenda: Agenda) -> None:
        """Work until the agenda is closed. Log failures and go on with the next notification."""
        while (notification := agenda.get()) is not None:
            self.handle(notification)

    def handle(self, notification: Notification) -> None:
        """Handle one notification."""
        name = f"{notification.type} of training {notification.training}"
        handler = self._handlers.get(notification.type)
        if handler is None:
            logger.warning("%s: unknown type, ignored", name)
            return
        try:
            handler(notification)
        except Refused as refusal:
            if refusal.is_superseded:
                logger.info("%s: the round is over (%s)", name, refusal.sentence)
            else:
                logger.warning("%s: the server refused: %s", name, refusal)
        except FederationError as error:
            logger.error("%s: %s", name, error)
        except Exception:
            # The participant's own code: what it raises ends this round's part, the next training may work.
            logger.exception("%s: the participant's code failed", name)
        else:
            logger.info("%s: done", name)

    def answer_waiting(self) -> None:
        """Decide on the invitations that came while nobody listened."""
        try:
            waiting = self._client.invitations()
        except (Refused, Unreachable) as error:
            logger.error("the invitations could not be listed: %s", error)
            return
        for invitation in waiting:
            body = {"actor": invitation["actor"], "global_model_uuid": invitation.get("global_model_uuid", "")}
            self.handle(Notification("TRAINING_INVITATION", str(invitation["training"]), body))

    def catch_up(self, user_id: str, agenda: Agenda) -> None:
        """Take up the rounds that an earlier process of this participant was told of, and did not finish."""
        try:
            for message in self._client.waiting_for(user_id):
                agenda.put(Notification.parse(message, delivery=str(message["id"])))
        except (Refused, Unreachable, ValueError) as error:
            logger.error("the rounds that are open could not be listed: %s", error)

    def _answer(self, notification: Notification) -> None:
        body = notification.body
        invitation = Invitation(
            notification.training, str(body.get("actor", "")), str(body.get("global_model_uuid", ""))
        )
        decision = self._participant.accepts(invitation)
        if decision is None:
            logger.warning("invited to training %s by %s", invitation.training, invitation.actor)
        elif decision:
            self._client.accept(invitation.training)
        else:
            self._client.decline(invitation.training)

    def _start(self, notification: Notification) -> None:
        self._trainings[notification.training] = self._client.training(notification.training)

    def _update(self, notification: Notification) -> None:
        model, beginning, options = self._prepare(notification)
        samples = _samples(self._participant.train(model, beginning, options), "train")
        # Use the id in the notification, not the global model's: with FedDC it is another participant's update.
        update = self._participant.models.save(model)
        self._client.send_update(notification.model, notification.round, samples, update)

    def _collect_moments(self, notification: Notification) -> None:
        model, beginning, options = self._prepare(notification)
        first, second, found = self._participant.moments(model, beginning, options)
        samples = _samples(found, "moments")
        files = [vector_file(vector) for vector in (first, second)]
        self._client.send_moments(notification.model, notification.round, samples, *files)

    def _test(self, notification: Notification) -> None:
        model, _, _ = self._prepare(notification)
        metrics = self._participant.evaluate(model)
        if not isinstance(metrics, Mapping):
            raise Misused(f"evaluate() must return metrics by name, not {metrics!r}.")
        self._client.send_metrics(notification.model, metrics)

    def _forget(self, notification: Notification) -> None:
        self._trainings.pop(notification.training, None)

    def _prepare(self, notification: Notification) -> tuple[Any, Round, dict[str, Any]]:
        """The model, the round, and the training's options, which are requested once."""
        if notification.training not in self._trainings:
            self._start(notification)
        settings = self._trainings[notification.training]
        models = self._participant.models
        model = models.load(self._client.download(notification.model, form=models.form))
        method = str(settings.get("aggregation_method", ""))
        start = models.parameters(model) if method == "FedProx" else ()
        beginning = Round(notification.round, notification.training, method, settings, start)
        return model, beginning, dict(settings.get("options") or {})


def _samples(found: Any, method: str) -> int:
    """The number of samples that a participant's method returned. Raises Misused."""
    try:
        samples = operator.index(found)  # numpy's integers, too
    except TypeError:
        samples = 0
    if samples < 1:
        raise Misused(f"{method}() must return the number of samples, at least 1, not {found!r}.")
    return samples
