from __future__ import annotations

import numpy as np
from django.core.files.storage import default_storage
from django.db import transaction

from fl_server_ai.aggregation.vectors import weighted_mean_vectors
from fl_server_ai.trainer.closing import Closing, open_next
from fl_server_core.archive import open_archive, write_vector
from fl_server_core.models.answer import Answer
from fl_server_core.models.model import SWAGModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.services.files import NewFiles, local_path, scratch_path
from fl_server_core.services.history import record

FIELDS = ("first_moment_file", "second_moment_file")


class MomentsClosing(Closing):
    """The participants' moments become the SWAG model's: their mean, weighted by sample size.

    The global mean of w and of w² over all samples, from which Maddox et al., "A Simple Baseline for Bayesian
    Uncertainty in Deep Learning", NeurIPS 2019, equation 1, takes the diagonal variance.
    """

    def compute(self, files: NewFiles) -> None:
        self.names = [self._average(field, files) for field in FIELDS]

    def _average(self, field: str, files: NewFiles) -> str:
        sizes = [answer.sample_size for answer in self.claim.answers]
        mean = weighted_mean_vectors((self._vector(answer, field) for answer in self.claim.answers), sizes)
        with scratch_path() as path:
            write_vector(path, mean)
            self.claim.heartbeat()
            return files.store_path(path)

    def _vector(self, answer: Answer, field: str) -> np.ndarray:
        self.claim.heartbeat()
        with local_path(getattr(answer, field)) as path, open_archive(path) as archive:
            return np.array(archive.array(next(iter(archive.tensors))))

    def write(self, training: Training) -> None:
        model = SWAGModel.objects.get(pk=training.model_id)
        model.swag_first_moment_file, model.swag_second_moment_file = self.names
        model.save(update_fields=["swag_first_moment_file", "swag_second_moment_file"])
        self._remove_uploads(training)
        record(
            training=training,
            kind=EventKind.MOMENTS_AVERAGED,
            round=self.claim.round,
            answers=len(self.claim.answers),
            samples=sum(answer.sample_size for answer in self.claim.answers),
            seconds=self.claim.seconds,
        )
        open_next(training, model.round, after=Phase.SWAG)

    def _remove_uploads(self, training: Training) -> None:
        """Forget the participants' files in one statement; django-cleanup sees no such statement."""
        answers = training.answers.filter(phase=Phase.SWAG, round=self.claim.round)
        outdated = [name for row in answers.values_list(*FIELDS) for name in row if name]
        answers.update(first_moment_file="", second_moment_file="")
        transaction.on_commit(lambda: _remove(outdated), robust=True)


def _remove(names: list[str]) -> None:
    for name in names:
        default_storage.delete(name)
