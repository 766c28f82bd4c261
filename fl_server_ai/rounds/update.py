from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from fl_server_ai.aggregation import get_aggregation_class
from fl_server_core.archive import (
    Archive,
    ArchiveError,
    ArchiveWriter,
    check_compatible,
    check_finite,
    open_archive,
)
from fl_server_core.exceptions import InvalidFile, InvalidValue
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.model_version import StoredWeights
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.options import TrainerOptions
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import Offer, Result, RoundKind
from fl_server_core.selectors import rounds
from fl_server_core.services.files import NewFiles, local_path, open_weights, scratch_path, uploaded_source
from fl_server_core.services.history import record
from fl_server_core.services.metrics import write_metrics
from fl_server_core.services.versions import make_version


@dataclass(frozen=True)
class Aggregated:
    """The next weights, and the state of a server optimizer, if the method has one."""

    weights: StoredWeights
    sample_sizes: Sequence[int]
    files: Mapping[str, str]


class RoundOfUpdates(RoundKind[Result]):
    """A round in which every participant trains the model that it is given and uploads its update."""

    phase: ClassVar[str] = "update"
    notification: ClassVar[str] = NotificationType.UPDATE_ROUND_START
    has_own_path: ClassVar[bool] = True
    starts_cycle: ClassVar[bool] = True
    early_in: ClassVar[Sequence[str]] = ("test",)

    def models_given(self, training: Training, receivers: Sequence[UUID]) -> dict[UUID, UUID]:
        given = super().models_given(training, receivers)
        if training.daisy_chain_period > 1:
            passed = rounds.passed_models(training, receivers)
            given |= {receiver: model.pk for receiver, model in passed.items()}
        return given

    def check(self, base: GlobalModel, offer: Offer) -> None:
        """Does the update have the global model's tensors, all finite?"""
        require_samples(offer)
        (file,) = offer.files.values()
        try:
            with open_archive(uploaded_source(file)) as update:
                update.verify_checksums()
                with open_weights(base) as reference:
                    check_compatible(reference, update)
                    check_finite(update, reference)
        except ArchiveError as error:
            raise InvalidFile(error) from error

    def keep(self, submission: Submission, offer: Offer, names: Mapping[str, str]) -> None:
        if submission.local_model is not None:
            submission.local_model.delete()
        (name,) = names.values()
        submission.local_model = LocalModel.objects.create(
            owner=offer.participant,
            base_model_id=submission.round.training.model_id,
            round=offer.number,
            sample_size=offer.sample_size,
            weights_file=name,
        )
        # No second signal: the row itself has been saved.
        Submission.objects.filter(pk=submission.pk).update(local_model=submission.local_model)
        write_metrics(
            model=submission.local_model, reporter=offer.participant, metrics=offer.metrics, step=offer.number
        )


@round_kinds.register
class UpdateRound(RoundOfUpdates[Aggregated]):
    """The round's updates become the next version of the global model: their aggregate."""

    name: ClassVar[str] = "update"
    title: ClassVar[str] = "update round"

    def wants(self, training: Training, number: int) -> bool:
        """Every round; under FedDC, the one that ends a period."""
        return (rounds.rounds_closed(training, number) + 1) % training.daisy_chain_period == 0

    def compute(self, claim: Claim, files: NewFiles) -> Aggregated:
        base = GlobalModel.objects.get(pk=claim.training.model_id)
        updates = [model for model in held_models(claim).values() if model is not None]
        sizes = [model.sample_size for model in updates]
        with opened([base, *updates], claim) as (template, *sources), scratch_path() as path:
            aggregation = get_aggregation_class(claim.training)()
            with ArchiveWriter(template, path) as writer:
                aggregation.aggregate_archives(sources, sizes, writer, heartbeat=claim.heartbeat)
            return Aggregated(files.store_weights(path), sizes, {})

    def apply(self, claim: Claim, training: Training, result: Aggregated) -> None:
        model = GlobalModel.objects.get(pk=training.model_id)
        model.round += 1
        make_version(training=training, model=model, weights=result.weights, made_by=claim.round, files=result.files)
        remove_updates(claim, training)
        record(
            training=training,
            kind=EventKind.AGGREGATED,
            number=claim.round.number,
            updates=len(result.sample_sizes),
            answers=len(claim.submissions),
            samples=sum(result.sample_sizes),
            seconds=claim.seconds,
        )


def require_samples(offer: Offer) -> None:
    """Raises InvalidValue for a sample size that can't be a weight."""
    if offer.sample_size < 1:
        raise InvalidValue("sample_size must be at least 1.")


def held_models(claim: Claim) -> dict[UUID, LocalModel | None]:
    """What each participant holds at the end of a round, in the order of their ids; None: the global model, untouched.

    An update that was counted; under FedDC, of a participant that did not submit in time, the model as it was given.
    """
    held: dict[UUID, LocalModel | None] = {}
    if claim.training.daisy_chain_period > 1:
        given = rounds.passed_models(claim.training)
        held = {person: given.get(person) for person in rounds.participant_ids(claim.training)}
    held |= {submission.participant_id: submission.local_model for submission in claim.submissions}
    return {person: held[person] for person in sorted(held)}


def remove_updates(claim: Claim, training: Training, *, keep: Collection[UUID] = ()) -> None:
    """Remove the updates of the closed round and the models passed on before it, but for those to keep."""
    options = TrainerOptions.tolerant(training.options)
    updates = LocalModel.objects.filter(base_model_id=training.model_id, round__lte=claim.round.number)
    if options.delete_local_models_after_aggregation:
        updates.exclude(pk__in=keep).delete()
    else:
        updates.exclude(pk__in=keep).update(passed_to=None)


@contextmanager
def opened(models: Sequence[GlobalModel | LocalModel], claim: Claim) -> Iterator[list[Archive]]:
    """The models' archives, open at once. The heartbeat is called for each."""
    with ExitStack() as stack:
        archives = []
        for model in models:
            if not model.weights_file:
                raise FileNotFoundError(f"Model {model.pk} has no weights.")
            path = stack.enter_context(local_path(model.weights_file))
            archives.append(stack.enter_context(open_archive(path)))
            claim.heartbeat()
        yield archives
