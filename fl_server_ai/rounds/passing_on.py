from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from fl_server_ai.rounds.update import RoundOfUpdates, held_models, is_end_of_period, remove_updates
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.training import Training
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.services.files import NewFiles
from fl_server_core.services.history import record

shuffler = random.SystemRandom()


@dataclass(frozen=True)
class Handed:
    """(holder, receiver) of each model, and the updates among them by holder."""

    permutation: Sequence[tuple[UUID, UUID]]
    updates: Mapping[UUID, LocalModel]


@round_kinds.register
class PassingOnRound(RoundOfUpdates[Handed]):
    """FedDC's rounds that close no period: every model goes to a participant, by a uniformly random permutation.

    What is handed on is the actor's own file with the update's tensors in it, as every update is stored. Kamp, Fischer
    and Vreeken, "Federated Learning from Small Datasets", ICLR 2023, Algorithm 1.
    """

    name: ClassVar[str] = "passing_on"
    title: ClassVar[str] = "passing-on round"

    def wants(self, training: Training, number: int) -> bool:
        return not is_end_of_period(training, number)

    def compute(self, claim: Claim, files: NewFiles) -> Handed:  # noqa: ARG002  all are stored already
        held = held_models(claim)
        receivers = list(held)
        shuffler.shuffle(receivers)
        updates = {holder: model for holder, model in held.items() if model is not None}
        return Handed(list(zip(held, receivers, strict=True)), updates)

    def apply(self, claim: Claim, training: Training, result: Handed) -> None:
        passed = [(result.updates[holder], to) for holder, to in result.permutation if holder in result.updates]
        remove_updates(claim, training, keep={model.pk for model, _receiver in passed})
        present = set(training.participants.values_list("id", flat=True))
        for model, receiver in passed:
            if receiver in present:
                model.passed_to_id = receiver
                model.save(update_fields=["passed_to"])
            else:  # the receiver left after the claim: the chain ends
                model.delete()
        base = GlobalModel.objects.get(pk=training.model_id)
        base.round += 1
        base.save(update_fields=["round"])
        record(
            training=training,
            kind=EventKind.PASSED_ON,
            number=claim.round.number,
            answers=len(claim.submissions),
            permutation=[[str(holder), str(receiver)] for holder, receiver in result.permutation],
            models={str(receiver): str(model.pk) for model, receiver in passed},
            seconds=claim.seconds,
        )
