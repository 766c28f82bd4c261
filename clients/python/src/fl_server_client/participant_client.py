"""A participant's HTTP calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .http import Client

RUNNING = ("O", "S")
"""The states in which a training has an open round."""


class ParticipantClient(Client):
    """The client of a user who takes part in trainings."""

    def move_to(self, message_endpoint: str) -> None:
        """Have notifications sent to this URL from now on."""
        self.call("PATCH", "/users/myself/", json={"message_endpoint": message_endpoint})

    def trust(self, actors: Sequence[str] | str) -> None:
        """Take part in these actors' trainings without being asked: their user ids, or "everyone"."""
        trusted = actors if isinstance(actors, str) else list(actors)
        self.call("PATCH", "/users/myself/", json={"trusted_actors": trusted})

    def invitations(self) -> list[dict[str, Any]]:
        """The invitations that are not answered: training, actor, global_model_uuid."""
        return list(self.call("GET", "/users/invitations/").json())

    def waiting_for(self, user_id: str) -> list[dict[str, Any]]:
        """The announcements of the rounds in which this user is awaited, as `notifications` gives them.

        A participant asks for them when it starts: the server repeats only those that nobody has taken.
        """
        return [
            announcement
            for training in self.call("GET", "/users/trainings/").json()
            if training["state"] in RUNNING
            for announcement in self._awaited_in(str(training["id"]), user_id)
        ]

    def _awaited_in(self, training_id: str, user_id: str) -> list[dict[str, Any]]:
        status = self.call("GET", f"/trainings/{training_id}/status/").json()
        told = [one["notification"] for one in status["participants"] if one["id"] == user_id and one["awaited"]]
        # Servers of earlier versions say no bodies.
        return [one | {"training_uuid": training_id} for one in told if one and one.get("body")]

    def accept(self, training_id: str) -> None:
        """Accept the invitation to a training."""
        self.call("POST", f"/trainings/{training_id}/accept/", json={})

    def decline(self, training_id: str) -> None:
        """Decline the invitation to a training."""
        self.call("POST", f"/trainings/{training_id}/decline/", json={})

    def leave(self, training_id: str) -> None:
        """Leave a training."""
        self.call("POST", f"/trainings/{training_id}/leave/", json={})

    def send_update(self, model_id: str, number: int, sample_size: int, model_file: bytes) -> None:
        """Upload the update of round `number` to the model named in the round's notification."""
        self.call(
            "POST",
            f"/models/{model_id}/",
            data={"round": str(number), "sample_size": str(sample_size)},
            files={"model_file": ("model.pt", model_file)},
        )

    def send_moments(self, model_id: str, number: int, sample_size: int, first: bytes, second: bytes) -> None:
        """Upload SWAG's moments. Each file holds one vector."""
        self.call(
            "POST",
            f"/models/{model_id}/swag/",
            data={"round": str(number), "sample_size": str(sample_size)},
            files={"first_moment_file": ("first.pt", first), "second_moment_file": ("second.pt", second)},
        )

    def send_metrics(self, model_id: str, metrics: Mapping[str, float]) -> None:
        """Send the results of a test round."""
        values = [repr(float(value)) for value in metrics.values()]
        self.call("POST", f"/models/{model_id}/metrics/", data={"metric_names": list(metrics), "metric_values": values})

    def notifications(self, wait: int) -> list[dict[str, Any]]:
        """Fetch notifications that aren't acknowledged, oldest first. The server waits up to `wait` seconds for one."""
        return list(self.call("GET", "/notifications/", params={"wait": wait}).json())

    def acknowledge(self, delivery: str, *, accept: bool = True) -> None:
        """Accept or reject a notification that was fetched."""
        self.call("POST", f"/notifications/{delivery}/ack/", json={"accept": accept})

    def notification_secrets(self) -> list[str]:
        """The secrets with which the server signs this account's notifications, the newest first: see `Verifier`."""
        return [str(secret) for secret in self.call("GET", "/users/myself/notification-secrets/").json()["secrets"]]
