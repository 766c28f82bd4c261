from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from fl_server_ai.aggregation import CannotAggregate
from fl_server_ai.aggregation.influence import UpdateFigures
from fl_server_ai.aggregation.passing import copy_clipped, measure_archives
from fl_server_ai.rounds.figures import Figures, keep_figures
from fl_server_ai.rounds.update import RoundOfUpdates, held_models, is_end_of_period, opened, remove_updates
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.training import Training
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import CannotClose
from fl_server_core.services.files import NewFiles, forget_files, scratch_path
from fl_server_core.services.history import record

shuffler = random.SystemRandom()


@dataclass(frozen=True)
class Handed:
    """(holder, receiver) of each model, the updates by holder, the new files of those clipped by id, and figures."""

    permutation: Sequence[tuple[UUID, UUID]]
    updates: Mapping[UUID, LocalModel]
    names: Mapping[UUID, str]
    figures: Figures


@round_kinds.register
class PassingOnRound(RoundOfUpdates[Handed]):
    """FedDC's rounds that close no period: every model goes to a participant, by a uniformly random permutation.

    What is handed on is the actor's own file with the update's tensors in it, as every update is stored. Where the
    training's options say so, it is clipped, its difference being that from the global model.

    Kamp, Fischer and Vreeken, "Federated Learning from Small Datasets", ICLR 2023, Algorithm 1.
    """

    name: ClassVar[str] = "passing_on"
    title: ClassVar[str] = "passing-on round"

    def wants(self, training: Training, number: int) -> bool:
        return not is_end_of_period(training, number)

    def compute(self, claim: Claim, files: NewFiles) -> Handed:
        held = held_models(claim)
        receivers = list(held)
        shuffler.shuffle(receivers)
        base = GlobalModel.objects.get(pk=claim.training.model_id)
        updates = {holder: model for holder, model in held.items() if model is not None}
        figures = self._measured(base, updates, claim)
        names = {
            model.pk: self._rewritten(base, model, figures[holder].scale, claim, files)
            for holder, model in updates.items()
            if figures[holder].scale != (1.0, 1.0)
        }
        kept = {holder: found.as_json() for holder, found in figures.items()}
        return Handed(list(zip(held, receivers, strict=True)), updates, names, kept)

    def _measured(
        self, base: GlobalModel, updates: Mapping[UUID, LocalModel], claim: Claim
    ) -> dict[UUID, UpdateFigures]:
        with opened([base, *updates.values()], claim) as (template, *sources):
            options = claim.training.options.get("aggregation")
            try:
                figures = measure_archives(template, sources, options=options, heartbeat=claim.heartbeat)
            except CannotAggregate as refusal:
                raise CannotClose(str(refusal)) from refusal
        return dict(zip(updates, figures, strict=True))

    def _rewritten(
        self, base: GlobalModel, model: LocalModel, scale: tuple[float, float], claim: Claim, files: NewFiles
    ) -> str:
        with opened([base, model], claim) as (template, values), scratch_path() as path:
            copy_clipped(template, values, path, scale)
            claim.heartbeat()
            return files.store_path(path)

    def apply(self, claim: Claim, training: Training, result: Handed) -> None:
        passed = [(result.updates[holder], to) for holder, to in result.permutation if holder in result.updates]
        remove_updates(claim, training, keep={model.pk for model, _receiver in passed})
        present = set(training.participants.values_list("id", flat=True))
        for model, receiver in passed:
            clipped = result.names.get(model.pk)
            if receiver in present:
                if clipped:
                    forget_files([model.weights_file.name or ""])
                    model.weights_file = clipped
                model.passed_to_id = receiver
                model.save(update_fields=["weights_file", "passed_to"])
            else:  # the receiver left after the claim: the chain ends
                forget_files([clipped] if clipped else [])
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
            by_participant=keep_figures(claim, result.figures),
        )
