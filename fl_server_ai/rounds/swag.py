from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from fl_server_ai.aggregation.influence import capped
from fl_server_ai.aggregation.vectors import weighted_mean_vectors
from fl_server_ai.rounds.update import require_samples
from fl_server_core.archive import Archive, ArchiveError, check_finite, open_archive, write_vector
from fl_server_core.exceptions import InvalidFile, InvalidRequest
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import MOMENTS, GlobalModel, SWAGModel
from fl_server_core.models.submission import SubmissionFile
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.registry import round_kinds, uncertainty_methods
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import Offer, RoundKind
from fl_server_core.schema import AggregationOptions
from fl_server_core.services.files import (
    NewFiles,
    open_stored,
    open_weights,
    scratch_path,
    uploaded_source,
)
from fl_server_core.services.history import record
from fl_server_core.services.versions import add_moments

LOWEST = {"first_moment": None, "second_moment": 0.0}


@round_kinds.register
class SWAGRound(RoundKind[dict[str, str]]):
    """The participants' moments become those of the model's new version: their mean, weighted by sample size.

    The global mean of w and of w² over all samples, from which Maddox et al., "A Simple Baseline for Bayesian
    Uncertainty in Deep Learning", NeurIPS 2019, equation 1, takes the diagonal variance.
    """

    name: ClassVar[str] = "swag"
    title: ClassVar[str] = "SWAG round"
    notification: ClassVar[str] = NotificationType.SWAG_ROUND_START
    state: ClassVar[TrainingState] = TrainingState.SWAG_ROUND
    has_own_path: ClassVar[bool] = True
    after: ClassVar[str] = "update"

    def wants(self, training: Training, number: int) -> bool:  # noqa: ARG002  after every version
        method = uncertainty_methods.get(training.uncertainty_method)
        return method is not None and method.round_kind == self.name

    def check(self, base: GlobalModel, offer: Offer) -> None:
        """Are both moments vectors of as many finite numbers as the model has parameters?"""
        require_samples(offer)
        if not isinstance(base, SWAGModel):
            raise InvalidRequest(f"Model {base.pk} is not a SWAG model.")
        with open_weights(base) as archive:
            expected = archive.parameter_count
        for part, file in offer.files.items():
            try:
                with open_archive(uploaded_source(file)) as archive:
                    archive.verify_checksums()
                    _check_vector(archive, expected, LOWEST[part])
            except ArchiveError as error:
                raise InvalidFile(error, part.replace("_", " ")) from error

    def compute(self, claim: Claim, files: NewFiles) -> dict[str, str]:
        return {part: self._average(part, claim, files) for part in MOMENTS}

    def _average(self, part: str, claim: Claim, files: NewFiles) -> str:
        bounds = AggregationOptions.from_training(claim.training.options)
        people = [submission.participant_id for submission in claim.submissions]
        sizes = capped([submission.sample_size for submission in claim.submissions], bounds, people)
        mean = weighted_mean_vectors(self._vectors(part, claim), sizes)
        with scratch_path() as path:
            write_vector(path, mean)
            claim.heartbeat()
            return files.store_path(path)

    def _vectors(self, part: str, claim: Claim) -> Iterator[np.ndarray]:
        rows = SubmissionFile.objects.filter(submission__in=claim.submissions, name=part)
        files = {row.submission_id: row.file for row in rows}
        for submission in claim.submissions:
            claim.heartbeat()
            with open_stored(files[submission.pk]) as archive:
                yield np.array(archive.array(next(iter(archive.tensors))))

    def apply(self, claim: Claim, training: Training, result: dict[str, str]) -> None:
        model = SWAGModel.objects.get(pk=training.model_id)
        add_moments(model=model, files=result)
        record(
            training=training,
            kind=EventKind.MOMENTS_AVERAGED,
            number=claim.round.number,
            answers=len(claim.submissions),
            samples=sum(submission.sample_size for submission in claim.submissions),
            seconds=claim.seconds,
        )


def _check_vector(archive: Archive, expected: int, lowest: float | None) -> None:
    if len(archive.tensors) != 1 or archive.is_model:
        raise ArchiveError("it doesn't hold a single tensor")
    vector = archive.array(next(iter(archive.tensors)))
    if vector.shape != (expected,):
        raise ArchiveError(f"it has shape {vector.shape}; the model's parameters make a vector of {expected}")
    if not str(vector.dtype).startswith(("float", "bfloat")):
        raise ArchiveError(f"it has dtype {vector.dtype}, which is not a floating-point type")
    check_finite(archive)
    if lowest is not None and vector.size and float(vector.min()) < lowest:
        raise ArchiveError("it has negative entries; squares cannot be negative")
