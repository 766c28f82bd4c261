"""A participant: waits for notifications, trains on its own data, sends updates and test results.

    export FL_PASSWORD=…
    .venv/bin/python -m examples.participant --server http://127.0.0.1:8000 --username anna --data anna.npz

It registers, prints its user id as JSON and works until SIGTERM or Ctrl-C. The data are a numpy archive
with x, y, test_x and test_y. To write your own participant, keep `Participant` and change `Learner`.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from examples.client import (
    FIRST_PAUSES,
    PAUSES,
    CommandLine,
    ParticipantClient,
    Refused,
    Unreachable,
    give_up_with,
    password,
    server_address,
)
from examples.inbox import Agenda, Listener, Notification, Poller
from examples.model_files import UnreadableModel, load_model, save_model, save_tensor
from examples.signatures import Verifier
from examples.training import Learner

logger = logging.getLogger(__name__)


class Participant:
    """Handles notifications, one after the other."""

    def __init__(
        self, client: ParticipantClient, learner: Learner, *, trust: bool = False, accept: bool = False
    ) -> None:
        """`trust`: load models of any class, which runs the actor's code (see `load_model`). `accept`: invitations."""
        self._client, self._learner, self._trust, self._accept = client, learner, trust, accept
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
        except (Unreachable, UnreadableModel) as error:
            logger.error("%s: %s", name, error)
        except (RuntimeError, ValueError):
            # torch raises these if the model doesn't fit the data. The next training may work.
            logger.exception("%s: training failed", name)
        else:
            logger.info("%s: done", name)

    def accept_waiting(self) -> None:
        """Accept the invitations that came while nobody listened."""
        try:
            waiting = self._client.invitations()
        except (Refused, Unreachable) as error:
            logger.error("the invitations could not be listed: %s", error)
            return
        for invitation in waiting:
            training = str(invitation["training"])
            self.handle(Notification("TRAINING_INVITATION", training, {"actor": invitation["actor"]}))

    def _answer(self, notification: Notification) -> None:
        """Decide here, for example by notification.body["actor"]. An invitation without an answer stays open."""
        if self._accept:
            self._client.accept(notification.training)
        else:
            logger.warning("invited to training %s by %s", notification.training, notification.body.get("actor"))

    def _start(self, notification: Notification) -> None:
        self._trainings[notification.training] = self._client.training(notification.training)

    def _update(self, notification: Notification) -> None:
        training, module = self._prepare(notification)
        self._learner.train(module, training, notification.round)
        # Use the id in the notification, not the global model's: with FedDC it is another participant's update.
        self._client.send_update(notification.model, notification.round, self._learner.sample_size, save_model(module))

    def _collect_moments(self, notification: Notification) -> None:
        training, module = self._prepare(notification)
        first, second = self._learner.moments(module, training, notification.round)
        self._client.send_moments(
            notification.model,
            notification.round,
            self._learner.sample_size,
            save_tensor(first),
            save_tensor(second),
        )

    def _test(self, notification: Notification) -> None:
        _, module = self._prepare(notification)
        self._client.send_metrics(notification.model, self._learner.evaluate(module))

    def _forget(self, notification: Notification) -> None:
        self._trainings.pop(notification.training, None)

    def _prepare(self, notification: Notification) -> tuple[dict[str, Any], torch.nn.Module]:
        """The training's settings, which are requested once, and the model."""
        if notification.training not in self._trainings:
            self._start(notification)
        module = load_model(self._client.download(notification.model), trust=self._trust)
        return self._trainings[notification.training], module


def load_learner(path: str, *, seed: int) -> Learner:
    """Read a participant's data: x of shape (samples, …), y of shape (samples,), and the same for testing.

    Raises:
        ValueError: the file cannot be read, or its arrays don't belong together.
    """
    try:
        with np.load(path) as data:
            inputs = [torch.from_numpy(data[name]).float() for name in ("x", "test_x")]
            targets = [torch.from_numpy(data[name]).long() for name in ("y", "test_y")]
    except OSError as error:
        raise ValueError(f"Can't read {path}: {error.strerror or error}.") from error
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must be a numpy archive of numbers with x, y, test_x and test_y.") from error
    for prefix, samples, classes in zip(("", "test_"), inputs, targets, strict=True):
        if samples.ndim == 0 or classes.ndim != 1 or not len(samples) == len(classes) > 0:
            raise ValueError(f"{path}: {prefix}y must have one class number for each sample in {prefix}x.")
    return Learner(inputs[0], targets[0], inputs[1], targets[1], seed=seed)


def listen(agenda: Agenda, host: str, port: int, verifier: Verifier | None = None) -> Listener:
    """Listen for notifications. Raises ValueError if that is impossible at this address."""
    try:
        return Listener(agenda.put, host=host, port=port, verifier=verifier)
    except OSError as error:
        raise ValueError(f"Can't listen at {host}, port {port}: {error.strerror or error}.") from error


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--server", required=True, type=server_address, help="the server's address, such as http://127.0.0.1:8000"
    )
    parser.add_argument("--username", required=True, help="the environment variable FL_PASSWORD holds the password")
    parser.add_argument("--invitation", default="", help="code of an invitation, if the server asks for one")
    parser.add_argument("--data", required=True, help="numpy archive with x, y, test_x, test_y")
    parser.add_argument("--pull", action="store_true", help="fetch notifications instead of listening for them")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: any free port")
    parser.add_argument("--endpoint", default="", help="URL at which the server reaches this listener")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--accept", action="store_true", help="accept every invitation to a training")
    parser.add_argument(
        "--trust", action="append", metavar="ACTOR", help="take part in this actor's trainings unasked: id or everyone"
    )
    parser.add_argument("--trust-coordinator", action="store_true", help="run the actor's own model classes")
    arguments = parser.parse_args()
    for name, top in (("port", 2**16), ("seed", 2**32)):
        if not 0 <= getattr(arguments, name) < top:
            parser.error(f"--{name} must be a number from 0 to {top - 1}")
    return arguments


def send_notifications_to(client: ParticipantClient, user: dict[str, Any], endpoint: str) -> None:
    """An account from an earlier start names the port of that time: tell the server the present one.

    A participant that fetches leaves the account's endpoint alone, since another program may listen there.
    """
    current = str(user["message_endpoint"])
    if endpoint and current != endpoint:
        client.move_to(endpoint)
    elif current and not endpoint:
        logger.warning("this account also has a message endpoint, to which the server sends: %s", current)


def trust(client: ParticipantClient, actors: list[str]) -> None:
    """Tell the server whom this participant trusts; end the program with a sentence if it can't be told."""
    try:
        client.trust("everyone" if "everyone" in actors else actors)
    except (Refused, Unreachable) as error:
        give_up_with(f"--trust {' '.join(actors)}: {error}")


def main() -> None:
    """Register, listen for or fetch notifications, and work until told to stop.

    Exit code 2, with a sentence: the server or the arguments can't be used.
    """
    arguments = parse_arguments()
    secret = password()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    torch.set_num_threads(1)  # in the demo, several participants share a machine
    agenda, client = Agenda(), ParticipantClient(arguments.server, pauses=FIRST_PAUSES)
    verifier = Verifier(client.notification_secrets)

    def end(*_: object) -> None:
        agenda.close()
        client.give_up()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        learner = load_learner(arguments.data, seed=arguments.seed)
        listener = None if arguments.pull else listen(agenda, arguments.host, arguments.port, verifier)
        endpoint = arguments.endpoint or (listener.url() if listener else "")
        about = {"invitation": arguments.invitation} if arguments.invitation else {}
        user = client.sign_in(arguments.username, secret, message_endpoint=endpoint, client=True, **about)
        if listener:
            verifier.load()
        send_notifications_to(client, user, endpoint)
    except Refused as refusal:
        give_up_with(
            f"{arguments.server} refuses {arguments.username}: {refusal.sentence} "
            "If you have registered before, check FL_PASSWORD."
        )
    except Unreachable as error:
        give_up_with(f"Can't reach {arguments.server}: {error}")
    except ValueError as error:
        give_up_with(error)
    if arguments.trust:
        trust(client, arguments.trust)
    client.pauses = PAUSES
    logging.getLogger("examples").setLevel(logging.INFO)
    logger.setLevel(logging.INFO)  # of this module, which has another name when it is the program
    participant = Participant(client, learner, trust=arguments.trust_coordinator, accept=arguments.accept)
    poller = None if listener else Poller(client, agenda.put)
    print(json.dumps({"id": user["id"]}), flush=True)
    if arguments.accept:
        participant.accept_waiting()
    participant.work(agenda)
    for part in (poller, listener, client):
        if part is not None:
            part.close()


if __name__ == "__main__":
    main()
