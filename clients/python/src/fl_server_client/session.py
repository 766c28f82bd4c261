"""One account's part in its trainings: does with each notification what its participant decides."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from .errors import Damaged, FederationError, Misused, Refused, Unreachable
from .inbox import Agenda, Notification
from .model_format import vector_file
from .participant import Participant
from .participant_client import ParticipantClient
from .retrying import AGAIN
from .rounds import Invitation, Round
from .unfinished import Step, Unfinished, Work

logger = logging.getLogger(__name__)
PARTS = {"UPDATE_ROUND_START": "update", "SWAG_ROUND_START": "moments", "MODEL_TEST_ROUND": "metrics"}


class Session:
    """Handles notifications, one after the other.

    What can't be finished because the server is away is kept as it is, such as an update that is trained but not sent,
    and `work` goes on with it.
    """

    def __init__(self, client: ParticipantClient, participant: Participant, *, pause: float = AGAIN) -> None:
        """pause: seconds before work that the client has given up is taken up again."""
        self._client, self._participant = client, participant
        self._trainings: dict[str, dict[str, Any]] = {}
        self._unfinished = Unfinished(pause)
        self._handlers: dict[str, Callable[[Notification], Step | None]] = {
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
        while not agenda.is_closed:
            notification = agenda.get(self._unfinished.seconds())
            if notification is not None:
                self.handle(notification)
            elif not agenda.is_closed and (work := self._unfinished.take()):
                self._carry_out(work)

    def handle(self, notification: Notification) -> None:
        """Handle one notification."""
        name = _name_of(notification)
        handler = self._handlers.get(notification.type)
        if handler is None:
            logger.warning("%s: unknown type, ignored", name)
            return
        self._unfinished.drop_before(notification)
        self._carry_out(Work(name, partial(handler, notification), notification))

    def _carry_out(self, work: Work) -> None:
        """Go from step to step. A step for which the server is away is kept, those before it are not done again."""
        name, step = work.name, work.step
        try:
            while (following := step()) is not None:
                step = following
        except (Unreachable, Damaged) as error:
            seconds = self._unfinished.keep(replace(work, step=step))
            rest = "" if self._client.has_given_up else f"; kept, to be tried again in {seconds:.0f} s"
            logger.warning("%s: %s%s", name, error, rest)
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
            if work.notification is not None:
                logger.info("%s: %s", name, "sent" if work.notification.type in PARTS else "done")

    def answer_waiting(self) -> None:
        """Decide on the invitations that came while nobody listened."""
        self._carry_out(Work("Invitations from before", self._answer_all))

    def _answer_all(self) -> None:
        for invitation in self._client.invitations():
            body = {"actor": invitation["actor"], "global_model_uuid": invitation.get("global_model_uuid", "")}
            self.handle(Notification("TRAINING_INVITATION", str(invitation["training"]), body))

    def catch_up(self, user_id: str, agenda: Agenda) -> None:
        """Take up the rounds that an earlier process of this participant was told of, and did not finish."""
        self._carry_out(Work("Open rounds from before", partial(self._ask_for_rounds, user_id, agenda)))

    def _ask_for_rounds(self, user_id: str, agenda: Agenda) -> None:
        try:
            for message in self._client.waiting_for(user_id):
                agenda.put(Notification.parse(message, delivery=str(message["id"])))
        except ValueError as error:
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

    def _update(self, notification: Notification) -> Step:
        model, beginning, options = self._prepare(notification)
        samples = _samples(self._participant.train(model, beginning, options), "train")
        # Use the id in the notification, not the global model's: with FedDC it is another participant's update.
        update = self._participant.models.save(model)
        return partial(self._client.send_update, notification.model, notification.round, samples, update)

    def _collect_moments(self, notification: Notification) -> Step:
        model, beginning, options = self._prepare(notification)
        first, second, found = self._participant.moments(model, beginning, options)
        samples = _samples(found, "moments")
        files = [vector_file(vector) for vector in (first, second)]
        return partial(self._client.send_moments, notification.model, notification.round, samples, *files)

    def _test(self, notification: Notification) -> Step:
        model, _, _ = self._prepare(notification)
        metrics = self._participant.evaluate(model)
        if not isinstance(metrics, Mapping):
            raise Misused(f"evaluate() must return metrics by name, not {metrics!r}.")
        return partial(self._client.send_metrics, notification.model, metrics)

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


def _name_of(notification: Notification) -> str:
    part = PARTS.get(notification.type)
    if part is None:
        return f"{notification.type} of training {notification.training}"
    return f"Round {notification.round} of training {notification.training}, {part}"


def _samples(found: Any, method: str) -> int:
    """The number of samples that a participant's method returned. Raises Misused."""
    try:
        samples = operator.index(found)  # numpy's integers, too
    except TypeError:
        samples = 0
    if samples < 1:
        raise Misused(f"{method}() must return the number of samples, at least 1, not {found!r}.")
    return samples
