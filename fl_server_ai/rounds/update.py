from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from django.db.models import Q

from fl_server_ai.aggregation import CannotAggregate, get_aggregation_class
from fl_server_ai.aggregation.archives import aggregate_archives
from fl_server_ai.aggregation.influence import capped
from fl_server_ai.rounds.figures import Figures, keep_figures
from fl_server_core.archive import (
    Archive,
    ArchiveError,
    check_compatible,
    check_finite,
    copy_tensors,
    open_tensors,
)
from fl_server_core.exceptions import InvalidFile, InvalidValue
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel, LocalModel
from fl_server_core.models.model_version import OPTIMIZER_STATE, StoredWeights, append_version
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.options import TrainerOptions
from fl_server_core.registry import aggregation_methods, round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import CannotClose, Offer, Result, RoundKind, UnknownHere
from fl_server_core.selectors import rounds
from fl_server_core.services.files import NewFiles, local_path, open_stored, open_weights, scratch_path, uploaded_source
from fl_server_core.services.history import record
from fl_server_core.services.metrics import write_metrics
from fl_server_core.services.version_keeping import prune_versions


@dataclass(frozen=True)
class Aggregated:
    """The next weights, the state of a server optimizer, if the method has one, and the updates' figures."""

    weights: StoredWeights
    sample_sizes: Sequence[int]
    files: Mapping[str, str]
    figures: Figures


class RoundOfUpdates(RoundKind[Result]):
    """A round in which every participant trains the model that it is given and uploads its update."""

    phase: ClassVar[str] = "update"
    notification: ClassVar[str] = NotificationType.UPDATE_ROUND_START
    has_own_path: ClassVar[bool] = True
    starts_cycle: ClassVar[bool] = True
    early_in: ClassVar[Sequence[str]] = ("test",)

    def models_given(self, training: Training, receivers: Sequence[UUID]) -> dict[UUID, UUID]:
        given = dict.fromkeys(receivers, training.model_id)
        if training.daisy_chain_period > 1:
            passed = rounds.passed_models(training, receivers)
            given |= {receiver: model.pk for receiver, model in passed.items()}
        return given

    def check(self, base: GlobalModel, offer: Offer) -> None:
        """Does the update have the global model's tensors, all finite?"""
        require_samples(offer)
        (file,) = offer.files.values()
        try:
            with open_tensors(uploaded_source(file)) as update:
                update.verify_checksums()
                with open_weights(base) as reference:
                    check_compatible(reference, update)
                    check_finite(update, reference)
        except ArchiveError as error:
            raise InvalidFile(error) from error

    def store(self, base: GlobalModel, offer: Offer, files: NewFiles) -> dict[str, str]:
        """Store the update as the global model's file with its tensors: its own bytes reach nobody."""
        ((part, file),) = offer.files.items()
        try:
            with open_tensors(uploaded_source(file)) as update, scratch_path() as path:
                with open_weights(base) as template:
                    copy_tensors(template, update, path, sync=False)
                return {part: files.store_path(path)}
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
            is_clean=True,
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
        return is_end_of_period(training, number)

    def compute(self, claim: Claim, files: NewFiles) -> Aggregated:
        training = claim.training
        base = GlobalModel.objects.get(pk=training.model_id)
        held = {person: model for person, model in held_models(claim).items() if model is not None}
        sizes = [model.sample_size for model in held.values()]
        if training.aggregation_method not in aggregation_methods:
            raise UnknownHere(
                f"No installed package defines the aggregation method {training.aggregation_method!r}. "
                "Install it again, then resume."
            )
        try:
            method = get_aggregation_class(training)(training.options.get("aggregation"))
        except CannotAggregate as error:
            raise CannotClose(str(error)) from error
        has_state = bool(method.initial_state())
        with (
            opened([base, *held.values()], claim) as (template, *sources),
            _optimizer_state(base) if has_state else nullcontext() as state,
            scratch_path() as path,
            scratch_path() as state_path,
        ):
            try:
                figures = aggregate_archives(
                    template,
                    sources,
                    capped(sizes, method.bounds, list(held)),
                    path,
                    method=training.aggregation_method,
                    options=training.options.get("aggregation"),
                    state=state,
                    state_out=state_path,
                    heartbeat=claim.heartbeat,
                )
            except CannotAggregate as refusal:
                raise CannotClose(str(refusal)) from refusal
            parts = {OPTIMIZER_STATE: files.store_path(state_path)} if has_state else {}
            by_person = {person: found.as_json() for person, found in zip(held, figures, strict=True)}
            return Aggregated(files.store_weights(path), sizes, parts, by_person)

    def apply(self, claim: Claim, training: Training, result: Aggregated) -> None:
        model = GlobalModel.objects.get(pk=training.model_id)
        model.round += 1
        append_version(model, result.weights, made_by=claim.round, files=result.files)
        prune_versions(model=model, training=training)
        remove_updates(claim, training)
        record(
            training=training,
            kind=EventKind.AGGREGATED,
            number=claim.round.number,
            updates=len(result.sample_sizes),
            answers=len(claim.submissions),
            samples=sum(result.sample_sizes),
            seconds=claim.seconds,
            by_participant=keep_figures(claim, result.figures),
        )


@contextmanager
def _optimizer_state(model: GlobalModel) -> Iterator[Path | None]:
    """The state that this training's optimizer left with the current version; None: it starts afresh."""
    version = model.current_version
    is_own = version is not None and version.made_by is not None  # a round goes with its training
    file = version.file(OPTIMIZER_STATE) if version is not None and is_own else None
    if file is None:
        yield None
        return
    with local_path(file) as path:
        yield path


def is_end_of_period(training: Training, number: int) -> bool:
    """Does this round end one of FedDC's periods? Without FedDC, every round does."""
    position = number - (number if training.first_round is None else training.first_round)
    return (position + 1) % training.daisy_chain_period == 0


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
    # The model may have updates of an earlier training: they stay.
    is_own = Q(submission__round__training=training) | Q(passed_to__isnull=False)
    updates = LocalModel.objects.filter(is_own, base_model_id=training.model_id, round__lte=claim.round.number)
    if options.delete_local_models_after_aggregation:
        updates.exclude(pk__in=keep).delete()
    else:
        updates.exclude(pk__in=keep).update(passed_to=None)


@contextmanager
def opened(models: Sequence[GlobalModel | LocalModel], claim: Claim) -> Iterator[list[Archive]]:
    """The models' archives, open at once. The heartbeat is called for each."""
    with ExitStack() as stack:
        archives: list[Archive] = []
        for model in models:
            if not model.weights_file:
                raise FileNotFoundError(f"Model {model.pk} has no weights.")
            like = archives[0] if archives else None
            archives.append(stack.enter_context(open_stored(model.weights_file, like)))
            claim.heartbeat()
        yield archives
