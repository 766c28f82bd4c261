from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import UUID

from fl_server_ai.trainer.claims import Claim
from fl_server_core.archive import Archive, open_archive
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training, UncertaintyMethod
from fl_server_core.options import TrainerOptions
from fl_server_core.selectors import rounds
from fl_server_core.services.files import NewFiles, local_path
from fl_server_core.services.rounds import finish_training, open_phase


@dataclass(frozen=True)
class Chain:
    """A participant and the model it holds at the end of a round; None: the global model, untouched."""

    participant_id: UUID
    model: LocalModel | None


class Closing(ABC):
    """One way to close a round: first the computing, outside of any transaction, then the rows."""

    def __init__(self, training: Training, claim: Claim) -> None:
        self.training = training
        self.claim = claim

    @abstractmethod
    def compute(self, files: NewFiles) -> None:
        """Make the files of the result. Raises ClaimLost when the round has become somebody else's."""

    @abstractmethod
    def write(self, training: Training) -> None:
        """Write the result's rows and open what follows; the training is locked and the claim holds."""

    def chains(self) -> list[Chain]:
        """Each participant's model, in the order of their ids.

        An update that was counted; under FedDC, of one who did not answer in time, the model as it was given.
        """
        held: dict[UUID, LocalModel | None] = {}
        if self.training.daisy_chain_period > 1:
            given = rounds.passed_models(self.training)
            held = {person: given.get(person) for person in rounds.participant_ids(self.training)}
        held |= {answer.participant_id: answer.local_model for answer in self.claim.answers}
        return [Chain(person, held[person]) for person in sorted(held)]

    def remove_updates(self, training: Training, *, keep: Collection[UUID] = ()) -> None:
        """Remove the updates of the closed round and the models passed on before it, but for those to keep."""
        options = TrainerOptions.tolerant(training.options)
        updates = LocalModel.objects.filter(base_model_id=training.model_id, round__lte=self.claim.round)
        if options.delete_local_models_after_aggregation:
            updates.exclude(pk__in=keep).delete()
        else:
            updates.exclude(pk__in=keep).update(passed_to=None)


@contextmanager
def opened(models: list[GlobalModel | LocalModel], heartbeat: Callable[[], None]) -> Iterator[list[Archive]]:
    """The models' archives, open at once. The heartbeat is called for each."""
    with ExitStack() as stack:
        archives = []
        for model in models:
            path = stack.enter_context(local_path(model.weights_file))
            archives.append(stack.enter_context(open_archive(path)))
            heartbeat()
        yield archives


def open_next(training: Training, round: int, *, after: Phase, is_averaged: bool = True) -> None:
    """Open the phase that follows, or finish; the training is locked."""
    if after == Phase.UPDATE and is_averaged and training.uncertainty_method == UncertaintyMethod.SWAG:
        following = Phase.SWAG
    elif after != Phase.TEST and rounds.has_test_round(training, round):
        following = Phase.TEST
    elif rounds.is_target_reached(training, round):
        finish_training(training=training, round=round)
        return
    else:
        following = Phase.UPDATE
    open_phase(training=training, phase=following, round=round)
    training.save()
