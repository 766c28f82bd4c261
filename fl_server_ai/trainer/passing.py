from __future__ import annotations

import random
from uuid import UUID

from fl_server_ai.trainer.closing import Closing, open_next, opened
from fl_server_core.archive import copy_tensors
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.services.files import NewFiles, scratch_path
from fl_server_core.services.history import record

shuffler = random.SystemRandom()


class PassingClosing(Closing):
    """FedDC's rounds that close no period: every model goes to a participant, by a uniformly random permutation.

    What is handed on is the coordinator's own file with the update's tensors in it, never the bytes that another
    participant uploaded.
    """

    def compute(self, files: NewFiles) -> None:
        chains = self.chains()
        receivers = [chain.participant_id for chain in chains]
        shuffler.shuffle(receivers)
        self.handed = list(zip(chains, receivers, strict=True))
        template = GlobalModel.objects.get(pk=self.training.model_id)
        self.names: dict[UUID, str] = {}
        for chain in chains:
            if chain.model is not None:
                self.names[chain.model.pk] = self._rewrite(template, chain.model, files)
                self.claim.heartbeat()

    def _rewrite(self, template: GlobalModel, model: LocalModel, files: NewFiles) -> str:
        with opened([template, model], self.claim.heartbeat) as (first, values), scratch_path() as path:
            copy_tensors(first, values, path)
            return files.store_path(path)

    def write(self, training: Training) -> None:
        passed = [(chain.model, receiver) for chain, receiver in self.handed if chain.model is not None]
        self.remove_updates(training, keep={model.pk for model, _receiver in passed})
        present = set(training.participants.values_list("id", flat=True))
        for model, receiver in passed:
            if receiver in present:
                model.weights_file = self.names[model.pk]
                model.passed_to_id = receiver
                model.save(update_fields=["weights_file", "passed_to"])
            else:  # the receiver left after the claim: the chain ends
                model.delete()
        base = GlobalModel.objects.get(pk=training.model_id)
        base.round += 1
        base.save(update_fields=["round"])
        record(
            training=training,
            kind=EventKind.PASSED_ON,
            round=self.claim.round,
            answers=len(self.claim.answers),
            permutation=[[str(chain.participant_id), str(receiver)] for chain, receiver in self.handed],
            models={str(receiver): str(model.pk) for model, receiver in passed},
            seconds=self.claim.seconds,
        )
        open_next(training, base.round, after=Phase.UPDATE, is_averaged=False)
