from __future__ import annotations

from fl_server_ai.aggregation.engine import aggregate_archives
from fl_server_ai.trainer.closing import Closing, open_next, opened
from fl_server_core.models.model import GlobalModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.services.files import NewFiles, scratch_path
from fl_server_core.services.history import record


class AveragingClosing(Closing):
    """The round's updates become the global model: their aggregate, written into a copy of the coordinator's file."""

    def compute(self, files: NewFiles) -> None:
        template = GlobalModel.objects.get(pk=self.training.model_id)
        models = [chain.model for chain in self.chains() if chain.model is not None]
        self.sample_sizes = [model.sample_size for model in models]
        with opened([template, *models], self.claim.heartbeat) as (first, *sources), scratch_path() as path:
            aggregate_archives(
                first,
                sources,
                self.sample_sizes,
                path,
                method=self.training.aggregation_method,
                options=self.training.options.get("aggregation"),
                heartbeat=self.claim.heartbeat,
            )
            self.name = files.store_path(path)

    def write(self, training: Training) -> None:
        model = GlobalModel.objects.get(pk=training.model_id)
        model.weights_file = self.name
        model.round += 1
        model.save(update_fields=["weights_file", "round"])
        self.remove_updates(training)
        record(
            training=training,
            kind=EventKind.AGGREGATED,
            round=self.claim.round,
            updates=len(self.sample_sizes),
            answers=len(self.claim.answers),
            samples=sum(self.sample_sizes),
            seconds=self.claim.seconds,
        )
        open_next(training, model.round, after=Phase.UPDATE)
